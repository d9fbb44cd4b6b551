"""Every experiment of the suite, for real, by the command that a user types; a few of them in every test run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from overlaycast.lab.experiment.reading import runs
from overlaycast.lab.faults import faults
from tests.lab.made_up import ROOT
from tests.lab.valid import run_until_valid

QUICK = ("all-primaries-at-once", "disk-full", "partition")
FILES = sorted((ROOT / "experiments").glob("*.yaml"))
PATIENCE_S = 240


def _marked(file: Path) -> Any:
    marks = [pytest.mark.lab, *([] if file.stem in QUICK else [pytest.mark.slow])]
    return pytest.param(file, id=file.stem, marks=marks)


def run(file: Path, out: Path, *more: str) -> dict[str, Any]:
    """Run an experiment and return its result, which must be there."""
    words = [sys.executable, "-m", "overlaycast.cli", "lab", "run", str(file), "--out", str(out), *more]
    done = run_until_valid(words, out, tries=1, cwd=ROOT, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    return result


def test_every_kind_of_fault_has_its_experiment() -> None:
    """Each action of a timeline, the backup's death, all primaries and three in ten at once, the source's restart."""
    played = [fault for file in FILES for _, fault in runs(file, None)[0].experiment.faults]
    actions = {get_args(model.model_fields["action"].annotation)[0] for model in get_args(get_args(faults.Fault)[0])}
    assert actions - {fault.action for fault in played} == set()
    aims = {(fault.action, fault.aim) for fault in played}
    assert aims >= {("kill", "backup"), ("kill", "all-primaries"), ("kill", "share:0.3"), ("restart", "source")}
    assert [figure for figure in (4, 5, 7, 8) if not any(f"fig{figure}-" in file.stem for file in FILES)] == []


@pytest.mark.parametrize("file", [_marked(file) for file in FILES])
def test_experiment_passes(file: Path, tmp_path: Path) -> None:
    result = run(file, tmp_path)
    assert result["verdict"] == "passed"
    assert all(fault["evidence"] for fault in result["faults"])


@pytest.mark.lab
@pytest.mark.slow
def test_the_same_seed_gives_the_same_tree_and_the_same_faults(tmp_path: Path) -> None:
    file = ROOT / "experiments" / "thirty-percent-at-once.yaml"
    first, again = (run(file, tmp_path / name) for name in ("first", "again"))

    def tree(result: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [(one["id"], one["host"], one["parent_host"], one["rank"], one["primary"]) for one in result["members"]]

    def hits(result: dict[str, Any]) -> list[tuple[str, str, str]]:
        return [(one["id"], one["action"], one["target"]) for one in result["faults"]]

    assert tree(first) == tree(again)
    assert hits(first) == hits(again)


@pytest.mark.lab
@pytest.mark.slow
def test_what_fails_is_replayed_and_reduced(tmp_path: Path) -> None:
    """Of two faults one does harm that lasts; replay finds which."""
    file = tmp_path / "failing.yaml"
    file.write_text(
        f"name: failing\ntopology: {{file: {ROOT}/topologies/figure_2a.py}}\n"
        "members: {peers: [202a, 202b, 202g]}\n"
        "group: {rate_mbit: 1.1, strategy: location}\n"
        "stream: {kind: synthetic, seconds: 4, rate_mbit: 1}\n"
        "timeline:\n"
        "  - {at_s: 0.5, action: freeze, target: 202g, heal_after_s: 0.3}\n"
        "  - {at_s: 1.5, action: tamper, target: 202a}\n"
        "expect:\n"
        '  - {metric: damaged, op: "==", limit: 0}\n'
    )
    words = [sys.executable, "-m", "overlaycast.cli", "lab", "run", str(file), "--replay", "--out", str(tmp_path / "o")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    least = (tmp_path / "o" / "failing-least.yaml").read_text()
    assert "action: tamper" in least
    assert "action: freeze" not in least
    assert "1 of 2 faults still fail" in done.stderr
