"""What runs is held against what is installed, so that a restart that did not happen is made up for."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any, Final

import pytest

from tests.deploy.base_tree import ROOT

RUNNING = runpy.run_path(str(ROOT / "playbooks/roles/common/files/running.py"))
STARTED: Final = 1_790_000_000
SAID: Final = """Id=overlaycast-join@news.service
ActiveState=activating
MainPID=0
ExecMainStartTimestamp=Mon 2026-09-21 14:13:20 UTC

Id=overlaycast-send@news.service
ActiveState=failed
MainPID=0
ExecMainStartTimestamp=
"""


@pytest.fixture
def proc(tmp_path: Path) -> str:
    (tmp_path / "77").mkdir()
    program = b"/opt/overlaycast/1.0/bin/python\0/opt/overlaycast/1.0/bin/overlaycast\0join\0news\0"
    (tmp_path / "77" / "cmdline").write_bytes(program)
    return str(tmp_path)


def unit(pid: str = "77") -> dict[str, str]:
    return {"MainPID": pid, "ExecMainStartTimestamp": "Mon 2026-09-21 14:13:20 UTC"}


def settings(folder: Path, at: float) -> str:
    path = folder / "news.toml"
    path.touch()
    os.utime(path, (at, at))
    return str(path)


@pytest.mark.parametrize(
    ("version", "written", "why"),
    [
        ("1.0", -3600.0, ""),
        ("1.0", 0.9, ""),  # systemd tells whole seconds
        ("1.0", 1.0, "news.toml is newer than it"),
        ("1.1", -3600.0, "it runs another version than 1.1"),
    ],
)
def test_a_unit_is_older_than_its_files_or_of_another_version(
    proc: str, tmp_path: Path, version: str, written: float, why: str
) -> None:
    files = [settings(tmp_path, STARTED + written), str(tmp_path / "news.token")]
    assert RUNNING["old"](unit(), version, files, proc) == (f"{tmp_path}/{why}" if why.startswith("news") else why)


def test_what_has_ended_needs_no_restart(proc: str) -> None:
    assert RUNNING["old"](unit("78"), "1.0", [], proc) == ""


def test_units_that_do_not_run_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\ncat <<'END'\n{SAID}END\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    units = ("overlaycast-join@news.service", "overlaycast-send@news.service")
    asked: dict[str, Any] = {"version": "1.0", "units": [{"unit": name, "files": []} for name in units]}
    assert RUNNING["look"](asked) == {"active": ["overlaycast-join@news.service"], "old": {}}
    assert RUNNING["look"]({"version": "1.0", "units": []}) == {"active": [], "old": {}}
