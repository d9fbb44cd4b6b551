"""Whether a process that a test knows by its number ends."""

from __future__ import annotations

import os
import select


def ended(pid: int) -> bool:
    """Return whether a process ends within half a minute."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 30)[0])
    finally:
        os.close(descriptor)
