"""Commands of the lab whose runs must prove something.

A run during which the machine was too busy to be the network that was asked for has the verdict ``invalid``: it is no
result, neither good nor bad. ``lab run`` runs it again by itself; what does not, does so here. A test that gets no
valid run is skipped, and says why. Other verdicts stand.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

TRIES: Final = 3
"""For commands that do not repeat a run by themselves."""


def run_until_valid(
    words: Sequence[str], out: Path, *, tries: int = TRIES, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command that writes its results below ``out``, again while one of them is invalid; return the valid one.

    The calling test is skipped if there is none.
    """
    why: list[str] = []
    for _ in range(tries):
        done = subprocess.run([*words], capture_output=True, text=True, check=False, **options)
        results = [json.loads(file.read_text()) for file in sorted(out.rglob("result.json"))]
        why = [result["shaping"]["why"] for result in results if result["verdict"] == "invalid"]
        if not why:
            return done
    pytest.skip(f"this machine was too busy for the network: {why[0]}")
