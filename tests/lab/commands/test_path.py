"""Programs of the system are found by an ordinary user of Debian too, who has no folder ``sbin`` in the PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from overlaycast.lab.commands.lab import with_system_folders

USERS = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
"""Of a user who came in by SSH."""


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (USERS, ":/usr/local/sbin:/usr/sbin:/sbin"),
        ("/my/bin:/usr/sbin:/usr/bin", ":/usr/local/sbin:/sbin"),
        ("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ""),
    ],
)
def test_only_what_is_missing_is_added_behind_the_rest(path: str, more: str) -> None:
    assert with_system_folders(path) == path + more


@pytest.mark.skipif(
    not shutil.which("ifconfig", path="/usr/sbin:/sbin"), reason="ifconfig is not in a folder sbin here"
)
def test_the_lab_finds_its_programs_for_an_ordinary_user() -> None:
    program = (
        "from overlaycast.lab.commands.lab import main\n"
        "from overlaycast.lab.network.mininetface import check_programs\n"
        "main(['schema'])\n"
        "check_programs()\n"
    )
    environ = os.environ | {"PATH": USERS}
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environ)
    assert done.returncode == 0, done.stderr
