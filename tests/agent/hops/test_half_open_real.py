"""A child whose host is gone without a word: the connection is half open, and is ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_child_that_vanished_is_given_up() -> None:
    words = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [*words, sys.executable, "-m", "tests.agent.vanishing_child"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert "timed out" in done.stdout
