"""What the machine did not keep up with is run again; what failed is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from overlaycast.lab.commands import run as run_command
from overlaycast.lab.network import isolation
from overlaycast.lab.report import junit
from overlaycast.lab.report import terminal as outcome
from overlaycast.settings import load
from tests.lab.experiment.test_load import row
from tests.lab.made_up import ROOT

FILE = ROOT / "experiments" / "disk-full.yaml"


def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verdicts: list[str], *more: str, file: Path = FILE) -> int:
    """Run a file with these verdicts one after the other; return how often it was run."""
    runs = 0

    def isolated(settings: Any, plan: Any, invalid_before: int) -> int:
        nonlocal runs
        verdict = verdicts[runs]
        assert invalid_before == runs
        runs += 1
        plan.out.mkdir(parents=True, exist_ok=True)
        (plan.out / "result.json").write_text(json.dumps({"verdict": verdict}))
        return 0 if verdict == "passed" else 1

    monkeypatch.setattr(run_command, "_isolated", isolated)
    monkeypatch.setattr(outcome, "roundup", lambda *_: None)
    monkeypatch.setattr(junit, "document", lambda _: "")
    code = run_command.main([str(file), "--out", str(tmp_path / "out"), *more])
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
def test_only_what_is_invalid_is_run_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verdicts: list[str], runs: int
) -> None:
    assert play(monkeypatch, tmp_path, verdicts) == runs


def test_a_result_says_what_was_invalid_before_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[list[str]] = []
    monkeypatch.setattr(isolation, "run_isolated", lambda words: told.append(list(words)) or 1)
    settings = load(run_command.RunSettings, [str(FILE), "--out", str(tmp_path)], run_command.PROG)
    [plan] = run_command._plans(settings, FILE, False)
    assert plan.notes == ()
    for before in range(2):
        run_command._isolated(settings, plan, before)
    assert "--invalid-before" not in told[0]
    inside = load(run_command.RunSettings, told[1][told[1].index("run") + 1 :], run_command.PROG)
    [plan] = run_command._plans(inside, FILE, False)
    assert plan.notes[0].startswith("1 run before this one: the machine did not keep up")


def test_how_often_is_a_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert play(monkeypatch, tmp_path, ["invalid"] * 2, "--again", "0") == 1
    assert play(monkeypatch, tmp_path, ["invalid"] * 2, "--json") == 1, "one object on standard output"


def test_what_no_machine_could_carry_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert play(monkeypatch, tmp_path, ["invalid"] * 2, file=row(tmp_path, 80, None)) == 1
