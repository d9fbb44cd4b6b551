"""What a benchmark ran on, for its results."""

from __future__ import annotations

import os
import platform
from typing import Any


def described() -> dict[str, Any]:
    """Return processors, kernel, Python, and how busy the machine was."""
    return {
        "processors": os.cpu_count(),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 1),
    }
