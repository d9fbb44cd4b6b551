"""netem for real, in Debian's user-mode Linux: the same topologies, the same check, another kernel's shaping.

The package holds a Linux kernel that runs as a program; its root is this machine's file system, read-only. It runs with
priority where that is allowed: what it measures of itself is no truer than the time it gets.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab.inside import FIGURE_2A, ROOT

pytestmark = [pytest.mark.lab, pytest.mark.slow]
PROGRAMS = Path(__file__).parents[1] / "programs"
KERNEL = shutil.which("linux.uml") or "/usr/bin/linux.uml"
PATIENCE_S = 300


@pytest.fixture(scope="module")
def answers() -> list[dict[str, Any]]:
    """What the guest says of each topology."""
    if platform.machine() != "x86_64":
        pytest.skip("user-mode Linux is packaged for x86_64 only")
    if not Path(KERNEL).exists():
        pytest.skip("user-mode-linux is missing; install it with: scripts/setup --tests")
    kernel = ["mem=768M", "root=/dev/root", "rootfstype=hostfs", "ro", "quiet", "con=null", "con0=null,fd:1"]
    environment = [f"PATH={os.environ['PATH']}:/usr/sbin:/sbin", "HOME=/tmp", f"PYTHONPATH={ROOT}"]
    program = [f"init={sys.executable}", "--", "-W", "ignore", str(PROGRAMS / "uml_guest.py")]
    done = subprocess.run(
        ["nice", "-n", "-15", KERNEL, *kernel, *environment, *program, str(PROGRAMS / "rough.py"), str(FIGURE_2A)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=PATIENCE_S,
        check=False,
    )
    assert "UML-EXIT 0" in done.stdout, done.stdout
    lines = [line.strip() for line in done.stdout.splitlines()]
    return [json.loads(line.removeprefix("UML ")) for line in lines if line.startswith("UML ")]


def rows(found: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["link"], row["direction"]): row for row in found["fidelity"]["links"]}


def test_what_needs_more_than_a_rate_is_shaped_by_netem(answers: list[dict[str, Any]]) -> None:
    rough, figure = answers
    assert rough["means"] == {"r-a": "tbf", "s-b": "tbf", "r-s": "netem"}
    assert figure["means"]["core1-B"] == "netem"
    assert set(figure["means"].values()) == {"netem", "tbf"}


def test_a_bad_line_is_as_bad_as_asked_each_way(answers: list[dict[str, Any]]) -> None:
    there, back = (rows(answers[0])["r-s", way] for way in ("ab", "ba"))
    assert 4 < there["measured"]["rate_mbit"] <= 11  # too little time makes it slower, nothing faster
    assert 1 < back["measured"]["rate_mbit"] <= 2.2
    assert there["measured"]["loss"] == pytest.approx(0.1, abs=0.08)
    assert back["measured"]["loss"] == pytest.approx(0.0, abs=0.005)
    assert there["measured"]["delay_ms"] == pytest.approx(30, abs=15)
    assert back["measured"]["delay_ms"] == pytest.approx(60, abs=15)


def test_figure_2a_passes_the_same_check(answers: list[dict[str, Any]]) -> None:
    fidelity = answers[1]["fidelity"]
    assert fidelity["multicast_blocked"]
    assert fidelity["hosts"] == 16
    assert all(row["ok"] for row in fidelity["links"])
    for uplink in ("core1-B", "core1-C", "core2-D", "core2-E"):
        for way in ("ab", "ba"):
            assert 10 < rows(answers[1])[uplink, way]["measured"]["rate_mbit"] <= 22
