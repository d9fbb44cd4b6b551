"""A run in namespaces of its own: exit codes, the wish to stop, and nothing left whatever kills it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from overlaycast.errors import LabError, MissingError
from overlaycast.lab.network import isolation

PROGRAMS = Path(__file__).parents[1] / "programs"
ISOLATE = [sys.executable, str(PROGRAMS / "isolate.py")]
HOLD = [*ISOLATE, sys.executable, str(PROGRAMS / "hold_network.py")]
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _own_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other runs on this machine have files of their own in the common one."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def world() -> dict[str, object]:
    """What must be the same outside before and after."""
    commands = (["ip", "netns"], ["ip", "-o", "link"], ["tc", "qdisc"])
    shown = {" ".join(c): subprocess.run(c, capture_output=True, text=True, check=True).stdout for c in commands}
    temporary = sorted(name for name in os.listdir(tempfile.gettempdir()) if name.startswith("overlaycast"))
    mounts = Path("/proc/self/mounts").read_text()
    return {**shown, "mounts": mounts, "run": sorted(os.listdir("/run")), "temporary": temporary}


def marked(token: str) -> list[str]:
    """The command lines of all processes that were started with this token in their environment."""
    return [command for _, command in processes(token)]


def processes(token: str) -> list[tuple[int, str]]:
    """Return pid and command line of these processes."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if token.encode() in (entry / "environ").read_bytes():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append((int(entry.name), command))
        except OSError:
            continue
    return found


@contextmanager
def seen_out(token: str) -> Iterator[None]:
    """Within: what ends all of these processes. Returns when they are gone; the first process of a pid
    namespace goes last, so none that was started meanwhile is missed."""
    handles = []
    for pid, _ in processes(token):
        with suppress(ProcessLookupError):
            handles.append(os.pidfd_open(pid))
    assert len(handles) > 5, "there was something to leave behind"
    try:
        yield
        for handle in handles:
            assert select.select([handle], [], [], PATIENCE)[0], "still there"
    finally:
        for handle in handles:
            os.close(handle)


@contextmanager
def started(command: list[str], stderr: int | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command whose output ends when the last process that inherited it is gone."""
    token = f"TOKEN{uuid4().hex}"
    env = {**os.environ, "OVERLAYCAST_TEST": token}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env) as process:
        try:
            yield process, token
        finally:
            process.kill()


def ready(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    line: dict[str, object] = json.loads(process.stdout.readline())
    return line


@pytest.mark.lab
def test_the_exit_code_is_the_commands() -> None:
    code = "import os, sys; sys.exit(7 if os.getpid() == 1 else 1)"
    assert subprocess.run([*ISOLATE, sys.executable, "-c", code], check=False, timeout=PATIENCE).returncode == 7


@pytest.mark.lab
def test_a_command_that_is_killed_inside_gives_its_signal() -> None:
    code = "import ctypes; ctypes.string_at(0)"
    done = subprocess.run([*ISOLATE, sys.executable, "-c", code], check=False, timeout=PATIENCE, capture_output=True)
    assert done.returncode == 128 + signal.SIGSEGV
    assert done.stderr.decode() == "overlaycast: the run was ended by SIGSEGV; nothing of it is left\n"


@pytest.mark.lab
def test_what_the_command_says_to_people_reaches_them() -> None:
    code = "import sys; sys.stderr.write('a word'); sys.exit(1)"
    done = subprocess.run([*ISOLATE, sys.executable, "-c", code], check=False, timeout=PATIENCE, capture_output=True)
    assert (done.returncode, done.stderr.decode()) == (1, "a word")


@pytest.mark.lab
def test_inside_is_another_network_with_a_live_loopback() -> None:
    code = (
        "from overlaycast.lab.network.isolation import is_isolated; import os, socket;"
        "s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname(), 5);"
        "assert is_isolated() and os.listdir('/run') == []; names = [n for _, n in socket.if_nameindex()];"
        "assert 'lo' in names and not [n for n in names if n.startswith('eth')], names"
    )
    assert not isolation.is_isolated()
    assert subprocess.run([*ISOLATE, sys.executable, "-c", code], check=False, timeout=PATIENCE).returncode == 0


@pytest.mark.lab
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_end_cleans_up_and_keeps_the_code(number: signal.Signals) -> None:
    before = world()
    with started(HOLD) as (process, token):
        assert ready(process)["answered"] is True
        process.send_signal(number)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"stopped": True}
        assert process.stdout.read() == ""  # the end: no process holds the output any more
        assert process.wait(PATIENCE) == 128 + number
        assert marked(token) == []
    assert world() == before


@pytest.mark.lab
def test_nothing_is_left_after_kill_9_of_the_runner() -> None:
    before = world()
    with started(HOLD) as (process, token):
        assert ready(process) == {"ready": True, "answered": True, "namespaces": 30}
        with seen_out(token):
            process.kill()
            process.wait(PATIENCE)
        assert marked(token) == []
    assert world() == before


@pytest.mark.lab
def test_nothing_is_left_after_kill_9_of_the_inside() -> None:
    """The first process inside is killed, as for want of memory: everything in there dies with it."""
    before = world()
    with started(HOLD, stderr=subprocess.PIPE) as (process, token):
        assert ready(process)["answered"] is True
        found = processes(token)
        [inside] = [
            pid for pid, words in found if "hold_network.py" in words and "isolate.py" not in words and _is_first(pid)
        ]
        os.kill(inside, signal.SIGKILL)
        assert process.stdout is not None
        assert process.stdout.read() == ""
        assert process.stderr is not None
        assert process.stderr.read() == "overlaycast: the run was ended by SIGKILL; nothing of it is left\n"
        assert process.wait(PATIENCE) == 128 + signal.SIGKILL
        assert marked(token) == []
    assert world() == before


def _is_first(pid: int) -> bool:
    """A process that is number 1 where it lives."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1] == "1"


@pytest.mark.lab
def test_a_command_that_does_not_want_to_stop_is_killed_after_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_GRACE_S", "0.5")
    code = "import signal; signal.signal(15, signal.SIG_IGN); print('{}', flush=True); signal.pause()"
    with started([*ISOLATE, sys.executable, "-c", code]) as (process, token):
        ready(process)
        process.terminate()
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
        assert marked(token) == []


@pytest.mark.lab
def test_two_at_once_do_not_see_each_other() -> None:
    with started(HOLD) as (first, _), started(HOLD) as (second, _):
        both = [ready(first), ready(second)]
        assert both == [{"ready": True, "answered": True, "namespaces": 30}] * 2
        first.kill()
        assert second.poll() is None
        second.terminate()
        assert second.stdout is not None
        assert json.loads(second.stdout.readline()) == {"stopped": True}


@pytest.mark.lab
def test_a_whole_network_needs_no_privilege_outside() -> None:
    before = world()
    unprivileged = [
        "unshare",
        "--user",
        "--map-root-user",
        "--",
    ]  # root only within: the kernel grants nothing of the host
    command = [*unprivileged, *ISOLATE, sys.executable, str(PROGRAMS / "check_network.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["measured"] >= 12
    wire = found["account"]["wire"]  # None where the kernel has netem
    assert wire is None or wire["priority"] == "normal", "and says that it got no better"
    assert world() == before


@pytest.mark.lab
def test_a_missing_program_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingError, match="needs unshare; install it with: apt-get install util-linux"):
        isolation.run_isolated(["true"])


def test_there_is_no_stop_descriptor_outside() -> None:
    with pytest.raises(LabError, match="not inside"):
        isolation.stop_fd()


def test_the_marker_alone_does_not_make_it_isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERLAYCAST_LAB_OUTSIDE", os.readlink("/proc/self/ns/net"))
    assert not isolation.is_isolated()
