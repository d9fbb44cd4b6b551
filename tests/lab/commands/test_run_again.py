"""What the machine did not keep up with is run again; what failed is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from overlaycast.lab.analysis import judge
from overlaycast.lab.commands import inside, run
from overlaycast.lab.commands.inside import Inside
from tests.lab import made_up
from tests.lab.experiment.test_load import row
from tests.lab.made_up import ROOT

RESULT = judge.build(made_up.recording())
FILE = ROOT / "experiments" / "disk-full.yaml"


def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verdicts: list[str], *more: str, file: Path = FILE) -> int:
    """Run a file with these verdicts one after the other; return how often it was run."""
    runs = 0

    def isolated(one: Inside) -> int:
        nonlocal runs
        verdict = verdicts[runs]
        before = {0: "", 1: "1 run was"}.get(runs, f"{runs} runs were")
        assert [note.partition(" invalid before this one, because the machine")[0] for note in one.plan.notes] == (
            [before] if before else []
        )
        runs += 1
        result = replace(RESULT, verdict=verdict)
        (one.plan.out / "result.json").write_text(json.dumps(result.as_json()))
        return 0 if verdict == "passed" else 1

    monkeypatch.setattr(inside, "isolated", isolated)
    code = run.main([str(file), "--out", str(tmp_path / "out"), *more])
    assert code == (0 if verdicts[runs - 1] == "passed" else 1)
    return runs


@pytest.mark.parametrize(
    ("verdicts", "runs"),
    [
        (["passed"], 1),
        (["failed", "passed"], 1),
        (["invalid", "passed"], 2),
        (["invalid", "failed", "passed"], 2),
        (["invalid"] * 4, 3),
    ],
)
def test_only_what_is_invalid_is_run_again_and_the_result_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verdicts: list[str], runs: int
) -> None:
    assert play(monkeypatch, tmp_path, verdicts) == runs


def test_how_often_is_a_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert play(monkeypatch, tmp_path, ["invalid"] * 2, "--again", "0") == 1
    assert play(monkeypatch, tmp_path, ["invalid"] * 2, "--json") == 1, "one object on standard output"


def test_what_no_machine_could_carry_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert play(monkeypatch, tmp_path, ["invalid"] * 2, file=row(tmp_path, 80, None)) == 1
