"""What a service manager is told of a running program: ready, where it stands, alive, going.

Owns: systemd's protocol (``sd_notify``), one datagram of lines to ``NOTIFY_SOCKET``, and how often each line is said.
Refuses: to know when a program is ready (``Standing`` says it). Without ``NOTIFY_SOCKET`` nothing happens.

Our own, because of what PyPI has, ``sdnotify`` is not kept any more, and ``systemd-python`` needs a compiler.

Invariants: everything is said from the program's own loop, so a loop that hangs falls silent, and systemd starts the
program again; nothing waits for systemd, and what it did not take is said again.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Final

LOOK_S: Final = 0.1
"""Seconds between two looks at a program that is not ready yet."""
STATUS_S: Final = 1.0
"""Seconds between two looks at one that is ready, and so between two lines of status."""
EXTEND_EVERY_S: Final = 5.0
EXTEND_BY_S: Final = 30.0
"""A start may rightly take for ever, as a coordinator or a stream may come later: it is only ever a little longer."""
MOST_STATUS: Final = 200


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a program stands.

    Attributes:
        ready: does it do what it is there for? Once ready, systemd takes it for ready for good.
        status: one line for people.
    """

    ready: bool
    status: str


class Notices:
    """Which lines are due. Pure.

    Args:
        watchdog_s: seconds within which systemd wants to hear of a program that is ready; None: it does not.
    """

    def __init__(self, watchdog_s: float | None) -> None:
        self._alive_every_s = None if watchdog_s is None else watchdog_s / 2
        self._ready = False
        self._status: str | None = None
        self._status_at = self._extended_at = self._alive_at = float("-inf")

    def due(self, standing: Standing, now: float) -> dict[str, str]:
        """Return what is to be said at ``now`` seconds."""
        lines: dict[str, str] = {}
        if standing.ready and not self._ready:
            lines["READY"] = "1"
        elif not self._ready and now - self._extended_at >= EXTEND_EVERY_S:
            lines["EXTEND_TIMEOUT_USEC"] = str(round(EXTEND_BY_S * 1e6))
        if standing.status != self._status and ("READY" in lines or now - self._status_at >= STATUS_S):
            lines["STATUS"] = standing.status
        if self._alive_every_s is not None and now - self._alive_at >= self._alive_every_s:
            lines["WATCHDOG"] = "1"
        return lines

    def said(self, lines: dict[str, str], now: float) -> None:
        """Take note that systemd has got these."""
        self._ready = self._ready or "READY" in lines
        if "EXTEND_TIMEOUT_USEC" in lines:
            self._extended_at = now
        if "STATUS" in lines:
            self._status, self._status_at = lines["STATUS"], now
        if "WATCHDOG" in lines:
            self._alive_at = now

    @property
    def pause_s(self) -> float:
        """Seconds until something may be due."""
        if not self._ready:
            return LOOK_S
        return STATUS_S if self._alive_every_s is None else min(STATUS_S, self._alive_every_s)


class Service:
    """This program as a service. It takes the variables out of the environment: they are not for our children.

    Args:
        environ: where systemd's variables are.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._socket = _connected(environ.pop("NOTIFY_SOCKET", ""))
        self._notices = Notices(_watchdog_s(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")))
        self._stopping = False

    @property
    def watched(self) -> bool:
        """Is there a service manager?"""
        return self._socket is not None

    async def follow(self, standing: Callable[[], Standing]) -> None:
        """Tell where the program stands until cancelled; return at once where there is nobody to tell."""
        try:
            while self._socket is not None:
                self._tell(standing(), asyncio.get_running_loop().time())
                await asyncio.sleep(self._notices.pause_s)
        finally:
            self._close()

    def _tell(self, at: Standing, now: float) -> None:
        lines = self._notices.due(Standing(at.ready, _one_line(at.status)), now)
        if self._stopping:  # that was the last status; but we are alive
            lines.pop("STATUS", None)
        if lines and self._say(lines):
            self._notices.said(lines, now)

    def stopping(self, status: str) -> None:
        """The program has begun to end."""
        if self._socket is not None and not self._stopping:
            self._stopping = self._say({"STOPPING": "1", "STATUS": _one_line(status)})

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, lines: dict[str, str]) -> bool:
        assert self._socket is not None
        try:
            self._socket.send("\n".join(f"{name}={value}" for name, value in lines.items()).encode())
        except OSError:  # it does not read, or is restarting
            return False
        return True


def _connected(address: str) -> socket.socket | None:
    """Return a socket to systemd; None where there is none. An address that begins with ``@`` is an abstract one."""
    if not address.startswith(("/", "@")):
        return None
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.setblocking(False)
    try:
        notices.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError:
        notices.close()
        return None
    return notices


def _watchdog_s(usec: str, pid: str) -> float | None:
    """Return the watchdog's seconds, if it is ours: the variables of a program that started us may be left over."""
    if not usec.isdecimal() or int(usec) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(usec) / 1e6


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MOST_STATUS]
