"""A run has namespaces of its own, and ends with the command that started it, however that command ends.

Owns: the second start of a command inside new mount, pid and net namespaces (and a user namespace if we are not root),
and the way to ask it to stop. The second start is called the inside, the process that made it the outside.
Refuses: machines that forbid namespaces, by a ``MissingError`` that says which setting helps.

Invariants: inside, the command is process 1, so everything there ends with it; it has a private ``/run`` (so
``ip netns`` lists its own names only) and a working ``lo``. The outside never ends before the inside. If the outside is
killed with SIGKILL, the kernel kills ``unshare``, and with it ``unshare``'s child (PR_SET_PDEATHSIG twice).

The request to stop is the end of a pipe: it cannot be missed, and it also arrives when the outside dies.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

from overlaycast.errors import LabError, MissingError

_STOP_FD: Final = "OVERLAYCAST_LAB_STOP_FD"
_OUTSIDE: Final = "OVERLAYCAST_LAB_OUTSIDE"
GRACE_S: Final = 15.0
"""The time that the inside has to clean up after a request to stop, before it is killed."""

_INSIDE: Final = 'mount -t tmpfs -o mode=0755 tmpfs /run && ip link set lo up && exec "$@"'
_OWN_STDERR: Final = "import os, sys; os.dup2(int(sys.argv[1]), 2); os.execvp(sys.argv[2], sys.argv[2:])"
"""The inside gets our stderr back: what is said on the other one ``unshare`` says."""


def is_isolated() -> bool:
    """Return True inside ``run_isolated``: marked so, and really in another network than outside."""
    outside = os.environ.get(_OUTSIDE)
    return outside is not None and outside != _network()


def run_isolated(
    argv: Sequence[str], *, env: dict[str, str] | None = None, grace_s: float = GRACE_S, interactive: bool = False
) -> int:
    """Run a command in namespaces of its own and return its exit code.

    SIGINT or SIGTERM to us tells the inside to stop (see ``stop_requested``); a second one, or the end of ``grace_s``
    seconds, kills it. Must be called from the main thread.

    Args:
        argv: the whole command, such as ``[sys.executable, "-m", "overlaycast", "lab", "run", …]``.
        env: its environment; ours by default.
        grace_s: how long to wait after the request to stop.
        interactive: the inside reads the terminal and gets Ctrl-C itself; otherwise Ctrl-C asks it to stop.

    Returns:
        The command's exit code, 128 and the signal's number if one ended it; 130 or 143 after SIGINT or SIGTERM to us.

    Raises:
        MissingError: this machine or this account does not allow it; says what to do.
    """
    flags = _flags()
    _probe(flags)
    inner, outer = os.pipe()
    stopper = _Stopper(outer, interactive)
    try:
        with stopper:
            # in a session of its own, Ctrl-C at the terminal reaches only us, and we ask the inside to stop
            process = _start(flags, argv, dict(os.environ if env is None else env), inner, session=not interactive)
            code = _wait(process, stopper, grace_s)
    finally:
        stopper.stop_inside()
    code = _exit_code(process, code)
    if stopper.signal is not None:
        return 128 + stopper.signal
    if code > 128:
        print(f"overlaycast: the run was ended by {_signal_name(code - 128)}; nothing of it is left", file=sys.stderr)
    return code


def _start(
    flags: Sequence[str], argv: Sequence[str], env: dict[str, str], stop: int, *, session: bool
) -> subprocess.Popen[bytes]:
    """Start a command in new namespaces with the inside's end of the stop pipe, which is closed here."""
    stderr = os.dup(2)
    unshare = ["unshare", *flags, "--kill-child=KILL", "--mount-proc", "--"]
    inside = [sys.executable, "-ISc", _OWN_STDERR, str(stderr), "sh", "-c", _INSIDE, "sh", *argv]
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *unshare, *inside],
        env={**env, _STOP_FD: str(stop), _OUTSIDE: _network()},
        pass_fds=(stop, stderr),
        start_new_session=session,
        stderr=subprocess.PIPE,
    )
    os.close(stop)
    os.close(stderr)
    return process


def _exit_code(process: subprocess.Popen[bytes], code: int) -> int:
    """Return the inside's exit code as a shell would give it."""
    assert process.stderr is not None
    with process.stderr as complaint:
        said = complaint.read()
    # unshare ends as its child did; before util-linux 2.39 it fails at that if it was SIGKILL, and says so
    if b"sigprocmask" in said:
        return 128 + signal.SIGKILL
    sys.stderr.write(said.decode(errors="replace"))
    return code if code >= 0 else 128 - code


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Stopper:
    """Signal handlers for the outer process while the inside runs."""

    def __init__(self, pipe: int, interactive: bool) -> None:
        self._pipe = pipe
        self._interactive = interactive
        self.signal: int | None = None
        self.again = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Stopper:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            ours = self._not_for_us if self._interactive and number == signal.SIGINT else self._on_signal
            self._before[number] = signal.signal(number, ours)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _not_for_us(self, number: int, _: FrameType | None) -> None:
        """The inside is in the terminal's foreground too. (To ignore the signal would have it ignored inside.)"""

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self.again = self.signal is not None
        self.signal = number
        self.stop_inside()

    def stop_inside(self) -> None:
        """Close our end of the pipe: the inside reads its end."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def _wait(process: subprocess.Popen[bytes], stopper: _Stopper, grace_s: float) -> int:
    left = grace_s
    while True:
        try:
            # signal handlers run between the waits; Popen.wait with a timeout polls, so its steps bound the delay
            return process.wait(timeout=0.25)
        except subprocess.TimeoutExpired:
            if stopper.signal is None:
                continue
            left -= 0.25
            if stopper.again or left <= 0:
                _kill_inside(process)
                return process.wait()


def _kill_inside(process: subprocess.Popen[bytes]) -> None:
    """Kill the inside's first process: ``unshare`` ends when all there are gone; killed itself, it would not wait."""
    inside: list[int] = []
    with suppress(OSError):  # a kernel without this file
        inside = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    for pid in inside:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not inside:
        process.kill()  # the kernel takes its child and all below along


def _flags() -> list[str]:
    flags = ["--mount", "--pid", "--net", "--fork"]
    return flags if os.geteuid() == 0 else ["--user", "--map-root-user", *flags]


def _network() -> str:
    return os.readlink("/proc/self/ns/net")


def _probe(flags: Sequence[str]) -> None:
    for program, package in (
        ("unshare", "util-linux"),
        ("setpriv", "util-linux"),
        ("ip", "iproute2"),
        ("mount", "mount"),
    ):
        if shutil.which(program) is None:
            raise MissingError(f"the lab needs {program}; install it with: apt-get install {package}")
    tried = subprocess.run(
        ["unshare", *flags, "--mount-proc", "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode != 0:
        complaint = tried.stderr.strip().splitlines()
        raise MissingError(f"cannot make namespaces ({complaint[-1] if complaint else 'no reason given'}); {_advice()}")


def _advice() -> str:
    if os.geteuid() == 0:
        return "this container forbids it even to root: start it with CAP_SYS_ADMIN (docker run --privileged)"
    switches = (
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("user/max_user_namespaces", "0", "15000"),
    )
    for name, bad, good in switches:
        with suppress(OSError):
            if Path("/proc/sys", name).read_text().strip() == bad:
                return f"run it with sudo, or allow it: sudo sysctl -w {name.replace('/', '.')}={good}"
    return "run it with sudo"


def stop_fd() -> int:
    """Return the descriptor that becomes readable (at its end) when the inside shall stop.

    Raises:
        LabError: we are not inside.
    """
    text = os.environ.get(_STOP_FD)
    if text is None or not is_isolated():
        raise LabError("not inside run_isolated: no process outside could ask it to stop")
    return int(text)


def stop_requested(loop: asyncio.AbstractEventLoop | None = None) -> asyncio.Event:
    """Return an event that is set when the outer process asks to stop, dies, or we get SIGINT or SIGTERM ourselves.

    As process 1 we only get signals that we handle; so call this early. Outside ``run_isolated`` only signals count.

    Args:
        loop: the running loop by default.
    """
    loop = loop or asyncio.get_running_loop()
    event = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    if is_isolated():
        fd = stop_fd()
        os.set_inheritable(fd, False)  # the programs of the experiment shall not have it

        def on_stop() -> None:
            loop.remove_reader(fd)  # the end of a pipe stays readable
            event.set()

        loop.add_reader(fd, on_stop)
    return event
