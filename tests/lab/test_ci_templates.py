"""The jobs offered to users: their commands are run as they stand, on a repository such as a user would have."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
TEMPLATES = ROOT / "templates" / "ci"
EXPERIMENT = """\
name: small
title: Two receivers
about: One stream, two receivers, no fault.
topology: {file: ../topologies/figure_2a.py}
members: {peers: [202a, 202b]}
group: {mode: live, rate_mbit: 2.2}
stream: {kind: synthetic, seconds: 4, rate_mbit: 2}
expect:
  - {metric: receivers_finished, op: "==", limit: 1}
"""


def github() -> tuple[dict[str, Any], list[str], list[str]]:
    """Return the job, its commands, and the paths that it keeps."""
    (job,) = yaml.safe_load((TEMPLATES / "github.yml").read_text())["jobs"].values()
    kept = [
        step["with"][key] for step in job["steps"] for key in ("path", "report_paths") if key in step.get("with", {})
    ]
    return job, [step["run"] for step in job["steps"] if "run" in step], kept


def gitlab() -> tuple[dict[str, Any], list[str], list[str]]:
    """Return the job, its commands, and the paths that it keeps."""
    (job,) = yaml.safe_load((TEMPLATES / "gitlab.yml").read_text()).values()
    kept = [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]]
    return job, [*job["before_script"], *job["script"]], kept


def users_repository(folder: Path) -> None:
    """Write a repository with one experiment and its network."""
    for name in ("experiments", "topologies"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "topologies" / "figure_2a.py", folder / "topologies")
    (folder / "experiments" / "small.yaml").write_text(EXPERIMENT)


def stand_ins(folder: Path) -> None:
    """Write what these services have and a machine may lack: a sudo that asks nothing, an apt-get with no work."""
    folder.mkdir()
    for name, text in (("sudo", 'exec "$@"'), ("apt-get", "exit 0")):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("read", [github, gitlab])
def test_a_job_says_what_it_runs_and_what_it_keeps(
    read: Callable[[], tuple[dict[str, Any], list[str], list[str]]],
) -> None:
    _, commands, kept = read()
    (run,) = [command for command in commands if " lab run " in command]
    assert "experiments/*.yaml --out results --junit results/junit.xml" in run
    assert {path.rstrip("/") for path in kept} == {"results", "results/junit.xml"}


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.parametrize("read", [github, gitlab])
def test_the_commands_of_a_job_leave_results_and_a_report(
    read: Callable[[], tuple[dict[str, Any], list[str], list[str]]], tmp_path: Path
) -> None:
    _, commands, kept = read()
    users_repository(tmp_path / "mine")
    stand_ins(tmp_path / "bin")
    script = "set -e\n" + "\n".join(commands)
    settings = {"OVERLAYCAST": str(ROOT), "RUNNER_TEMP": str(tmp_path), "CI_BUILDS_DIR": str(tmp_path)}
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path / "mine",
        env=os.environ | settings | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path for path in kept if not (tmp_path / "mine" / path).exists()] == []
    tree = ElementTree.parse(tmp_path / "mine" / "results" / "junit.xml")
    assert [suite.get("name") for suite in tree.iter("testsuite")] == ["small"]
    assert any("receivers_finished" in str(case.get("name")) for case in tree.iter("testcase"))
    assert "<html" in (tmp_path / "mine" / "results" / "report.html").read_text()
