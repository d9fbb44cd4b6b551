"""Real programs against everything that the wire can say, and much that it cannot: see ``python -m tests.fuzz``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def fuzz(folder: Path, seed: int, steps: int, seconds: float) -> None:
    """Nothing dies or grows, an honest stream beside it loses nothing; else the output says how to do it again."""
    words = [sys.executable, "-m", "tests.fuzz", "--seed", str(seed), "--steps", str(steps), "--folder", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.lab
def test_a_thousand_things_that_may_come_end_no_program_and_no_stream(tmp_path: Path) -> None:
    fuzz(tmp_path, seed=1, steps=1000, seconds=300)


@pytest.mark.lab
@pytest.mark.slow
def test_a_hundred_thousand_things_that_may_come_end_no_program_and_no_stream(tmp_path: Path) -> None:
    fuzz(tmp_path, seed=2, steps=100_000, seconds=7200)
