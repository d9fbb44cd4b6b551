"""A test whose run proves nothing is skipped with the reason; one whose run is valid goes on, whatever it proved."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.lab.valid import run_until_valid

PROGRAM = """\
import json, pathlib, sys
out, *verdicts = sys.argv[1:]
runs = pathlib.Path(out, "runs")
number = int(runs.read_text()) if runs.exists() else 0
runs.write_text(str(number + 1))
verdict = verdicts[min(number, len(verdicts) - 1)]
shaping = {"why": "" if verdict != "invalid" else f"late in run {number}"}
pathlib.Path(out, "result.json").write_text(json.dumps({"verdict": verdict, "shaping": shaping}))
sys.exit(verdict != "passed")
"""


@pytest.mark.parametrize(
    ("verdicts", "runs", "code"),
    [(["passed"], 1, 0), (["failed", "passed"], 1, 1), (["invalid", "invalid", "passed"], 3, 0)],
)
def test_the_first_valid_run_counts(verdicts: list[str], runs: int, code: int, tmp_path: Path) -> None:
    done = run_until_valid([sys.executable, "-c", PROGRAM, str(tmp_path), *verdicts], tmp_path)
    assert done.returncode == code
    assert (tmp_path / "runs").read_text() == str(runs)
    assert json.loads((tmp_path / "result.json").read_text())["verdict"] == verdicts[runs - 1]


@pytest.mark.parametrize("tries", [1, 2])
def test_without_one_the_test_is_skipped_and_says_why(tries: int, tmp_path: Path) -> None:
    words = [sys.executable, "-c", PROGRAM, str(tmp_path), "invalid"]
    with pytest.raises(pytest.skip.Exception, match=f"too busy for the network: late in run {tries - 1}"):
        run_until_valid(words, tmp_path, tries=tries)
