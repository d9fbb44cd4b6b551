"""What a host lacks is said in one line each, and nothing is said of a host that is ready."""

from __future__ import annotations

import json
import os
import re
import runpy
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.base_tree import ROOT

FILE = ROOT / "playbooks/roles/common/files/preflight.py"
PREFLIGHT = runpy.run_path(str(FILE))


def said(check: str, *arguments: Any) -> list[str]:
    return list(PREFLIGHT[check](*arguments))


def asked(address: str, port: int) -> list[dict[str, Any]]:
    return [
        {
            "unit": "overlaycast-join@news.service",
            "address": address,
            "port": port,
            "variable": "overlaycast_listen_address",
        }
    ]


def test_systemd_must_run_the_host(tmp_path: Path) -> None:
    assert said("systemd", str(tmp_path)) == []
    assert said("systemd", str(tmp_path / "none")) == [
        "systemd does not run this host: accepted is a host with systemd as process 1"
    ]


def test_a_python_must_be_new_enough(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 3.10\n")
    old.chmod(0o755)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'No module named venv' >&2\nexit 1\n")
    broken.chmod(0o755)
    accepted = "accepted is Python 3.11 or newer"
    assert said("python", sys.executable) == []
    assert said("python", str(old)) == [f"overlaycast_python: {old} is 3.10; {accepted}"]
    assert said("python", str(broken)) == [
        f"overlaycast_python: {broken} does not run: No module named venv; {accepted}"
    ]
    assert said("python", str(tmp_path / "none")) == [f"overlaycast_python: {tmp_path / 'none'} is missing; {accepted}"]


def test_without_a_name_one_usable_python_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    [line] = said("python", "")
    assert line.startswith("overlaycast_python: python3 is missing, python3.13 is missing")
    (tmp_path / "python3.12").symlink_to(sys.executable)
    assert said("python", "") == []


def test_a_port_must_be_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert said("ports", asked("127.0.0.1", port)) == [
            f"TCP port {port} of 127.0.0.1 is taken by a program that is not overlaycast-join@news.service; "
            "see: ss -ltnp"
        ]
    assert said("ports", asked("127.0.0.1", port)) == []


def test_a_port_may_be_taken_by_the_unit_that_shall_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    running = {"overlaycast-join@news.service"}
    monkeypatch.setitem(PREFLIGHT["_refused"].__globals__, "runs", lambda *units: not running.isdisjoint(units))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        question = asked("127.0.0.1", taken.getsockname()[1])
        assert said("ports", question) == []
        running.clear()
        assert len(said("ports", question)) == 1
        running.add("overlaycast-relay@news.service")
        assert len(said("ports", question)) == 1
        assert said("ports", question, ["overlaycast-relay@news.service"]) == [], "the host was a relay until now"


@pytest.mark.parametrize(("pids", "runs"), [("0\n\n4711", True), ("0\n\n0", False), ("", False)])
def test_a_unit_that_waits_for_its_source_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pids: str, runs: bool
) -> None:
    """systemd does not call it active before it is fed."""
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\n[ $1 = show ] || exit 3\ncat <<.\n{pids}\n.\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert PREFLIGHT["runs"]("overlaycast-join@news.service", "overlaycast-relay@news.service") is runs
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert not PREFLIGHT["runs"]("overlaycast-join@news.service")


def test_units_of_ours_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        """#!/bin/sh
case $1 in
list-units)
    echo 'overlaycast-join@news.service loaded active running overlaycast peer of group news'
    echo 'overlaycast-relay@gone.service not-found failed failed overlaycast-relay@gone.service' ;;
list-unit-files)
    echo 'overlaycast-join@.service    disabled enabled'
    echo 'overlaycast-send@film.service enabled enabled' ;;
esac
"""
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert PREFLIGHT["present"]() == ["overlaycast-join@news.service", "overlaycast-send@film.service"]
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert PREFLIGHT["present"]() == []


def test_an_address_must_be_the_hosts() -> None:
    assert said("ports", asked("192.0.2.1", 0)) == [
        "overlaycast_listen_address: 192.0.2.1 is not an address of this host; see: ip address"
    ]
    [line] = said("ports", asked("no such host", 0))
    assert line.startswith("overlaycast_listen_address: no such host: ")


@pytest.mark.parametrize(
    ("behind", "line"),
    [
        (4.9, []),
        (-7200, []),  # its message took so long, or it is ahead: the controller tells these apart
        (7200, ["the clock is 7200 s behind the controller's; accepted is up to 5 s"]),
    ],
)
def test_the_clock_must_be_the_controllers(behind: float, line: list[str]) -> None:
    assert said("clock", 1e9, 5.0, 1e9 - behind) == line


def test_there_must_be_room(tmp_path: Path) -> None:
    missing = str(tmp_path / "not" / "there")
    assert said("room", 0, [missing]) == []
    [line] = said("room", 1 << 40, [missing])
    assert line.startswith(f"{missing} has ")
    assert line.endswith(f" MB left; overlaycast_disk_mb asks for {1 << 40}")


def test_a_program_may_be_needed() -> None:
    assert said("programs", {"sh": "this test"}) == []
    assert said("programs", {"no-such-program": "overlaycast_firewall"}) == [
        "no-such-program is missing, which overlaycast_firewall needs"
    ]


def test_all_is_asked_at_once() -> None:
    question = {
        "python": sys.executable,
        "ports": [],
        "time": time.time() + 3600,
        "clock_tolerance_s": 5,
        "disk_mb": 0,
        "programs": {"no-such-program": "overlaycast_firewall"},
    }
    done = subprocess.run(
        [sys.executable, "-", json.dumps(question)], input=FILE.read_text(), capture_output=True, text=True, check=True
    )
    lines = [line for line in json.loads(done.stdout)["problems"] if not line.startswith("systemd")]
    # it took a while to come there, on a busy machine more than one second
    assert re.fullmatch(r"the clock is 3[0-9]{3} s behind the controller's; accepted is up to 5 s", lines[0])
    assert lines[1:] == ["no-such-program is missing, which overlaycast_firewall needs"]
