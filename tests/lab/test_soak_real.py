"""Minutes of a stream to receivers that come and go: nothing is lost, nothing grows, every silence has a reason."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.lab.made_up import ROOT
from tests.lab.valid import run_until_valid

pytestmark = pytest.mark.lab
SOAK = ROOT / "scripts" / "soak"


def soaked(out: Path, minutes: int) -> None:
    """Run the script for so long, and look at what it measured."""
    words = [str(SOAK), "--minutes", str(minutes), "--out", str(out)]
    done = run_until_valid(words, out, tries=2, timeout=minutes * 60 + 240)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((out / "result.json").read_text())
    whole = {one["host"] for one in result["footprints"] if one["watched_s"] > minutes * 60 - 70}
    assert {"coordinator", "source"} <= whole
    assert len(whole) >= 3, "one receiver stays from beginning to end"
    assert result["unexplained_gaps"] == result["lost_by_any"] == 0
    assert not (out / "media").exists(), "what takes room is gone"


def test_two_minutes(tmp_path: Path) -> None:
    soaked(tmp_path / "soak", 2)


@pytest.mark.slow
def test_twenty_minutes(tmp_path: Path) -> None:
    soaked(tmp_path / "soak", 20)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--minutes", "1"], "soak: --minutes: 1; accepted: 2 to 60"),
        (["--minutes", "2h"], "soak: --minutes: 2h; accepted: 2 to 60"),
        (["--seed", "-1"], "soak: --seed: -1; accepted: 0 to 999999999"),
        (["--out"], "soak: --out: a value is missing"),
        (["60"], "soak: 60: unknown; accepted: --minutes, --seed, --out"),
    ],
)
def test_mistakes_are_told_in_a_line(words: list[str], complaint: str, tmp_path: Path) -> None:
    done = subprocess.run([str(SOAK), *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (2, f"{complaint}\n")
    assert list(tmp_path.iterdir()) == []
