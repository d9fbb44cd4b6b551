"""Too few descriptors: one line that names the limit, never a traceback."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MEMBERS = {"join": ["--output", os.devnull], "send": [os.devnull, "--rate", "1M"], "relay": []}


def run(limit: int, *words: str) -> subprocess.CompletedProcess[str]:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    return subprocess.run(
        ["timeout", "120", sys.executable, "-m", "overlaycast.cli", *words],
        capture_output=True,
        text=True,
        preexec_fn=few,
        check=False,
    )


@pytest.mark.parametrize("limit", [8, 12, 16, 24, 32])
@pytest.mark.parametrize("command", MEMBERS)
def test_a_member_says_which_limit_is_too_low(command: str, limit: int) -> None:
    told = run(limit, command, "g", "--coordinator", "http://127.0.0.1:9", "--token", "t", *MEMBERS[command])
    assert told.returncode == 3
    assert told.stderr == (
        f"overlaycast: too few open files: the limit is {limit}, and a member needs 48; "
        "raise it with 'ulimit -n 1024', or LimitNOFILE= of the service\n"
    )


def test_so_does_the_coordinator(tmp_path: Path) -> None:
    told = run(32, "coordinator", "--state", str(tmp_path))
    assert (told.returncode, told.stderr.count("\n")) == (3, 1)
    assert told.stderr.startswith("overlaycast: too few open files: the limit is 32, and the coordinator needs 48; ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [8, 12, 16, 32])
def test_lab_check_works_or_says_which_limit_is_too_low(limit: int) -> None:
    told = run(limit, "lab", "check", str(ROOT / "experiments" / "figure-2a.yaml"))
    assert told.returncode in (0, 3)
    assert "Traceback" not in told.stderr
    if told.returncode == 3:
        assert told.stderr.startswith(f"overlaycast: too many open files: the limit is {limit}; raise it with ")
        assert told.stderr.count("\n") == 1
