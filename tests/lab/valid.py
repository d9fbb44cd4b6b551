"""Commands of the lab whose runs must prove something.

A run during which the machine was too busy to be the network that was asked for has the verdict ``invalid``: it is no
result, neither good nor bad. ``lab run`` runs it again by itself; what does not, does so here. Other verdicts stand.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

TRIES: Final = 3


def run_until_valid(words: Sequence[str], out: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command that writes its results below ``out``, again while one of them is invalid; return the last."""
    for _ in range(TRIES):
        done = subprocess.run([*words], capture_output=True, text=True, check=False, **options)
        if "invalid" not in {json.loads(file.read_text())["verdict"] for file in out.rglob("result.json")}:
            break
    return done
