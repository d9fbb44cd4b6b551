"""A whole run as an ordinary user: no privilege outside, so no real-time priority either, and everything arrives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.made_up import ROOT
from tests.lab.programs.as_nobody import NOBODY, SKIP
from tests.lab.test_run_real import LAB, PATIENCE_S, SMALL

pytestmark = pytest.mark.lab
PROGRAM = Path(__file__).parents[1] / "programs" / "as_nobody.py"


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of the ordinary user's (pytest's own are root's alone)."""
    folder = Path(tempfile.mkdtemp(prefix="nobody-"))
    if os.geteuid() == 0:
        os.chown(folder, int(NOBODY), int(NOBODY))
    yield folder
    shutil.rmtree(folder)


def as_ordinary_user(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command there; if we are an ordinary user, as ourselves."""
    command = list(words)
    if os.geteuid() == 0:
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, str(PROGRAM), str(home), *words]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    if done.returncode in (3, SKIP):  # 3: this machine lacks something
        pytest.skip(f"nobody may run the lab here: {done.stderr.strip().splitlines()[-1]}")
    return done


def test_an_ordinary_user_gets_a_whole_run(home: Path) -> None:
    (home / "small.yaml").write_text(SMALL.replace("TIMELINE", "").replace("SECONDS", "1"))
    done = as_ordinary_user(home, *LAB, "run", "small.yaml", "--out", "out", "--again", "0")
    result = json.loads((home / "out" / "result.json").read_text())
    # without real-time priority the wire may be late on a busy machine: then it has to say so
    assert (done.returncode, result["verdict"]) in ((0, "passed"), (1, "invalid")), done.stdout + done.stderr
    assert len(result["delivery"]) == 3
    for one in result["delivery"]:
        assert (one["received"], one["lost"], one["duplicated"]) == (one["expected"], 0, 0), one
        assert one["sha256_ok"], one
    assert all(one["ok"] for one in result["expectations"])
    assert {path.owner() for path in (home / "out").rglob("*")} == {home.owner()}


def test_an_ordinary_user_can_fill_a_disk(home: Path) -> None:
    file = Path(__file__).parents[1] / "injection" / "test_full_disk_fault.py"
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    done = as_ordinary_user(home, *words, str(file))
    assert done.returncode == 0, done.stdout + done.stderr
