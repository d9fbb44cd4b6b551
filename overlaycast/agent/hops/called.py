"""The child's half of a call: connections that parents have opened to us, until we answer on one.

Owns: those connections, with what was said on each, for a few seconds. Refuses: to use one, and to say whether a
parent of ours has opened it. A connection that no order names is never used, and is closed after a while.

Invariants: one connection per parent that our order named when it came, the newest; at most ``MOST_UNKNOWN`` others, of
which the oldest one of the address that has most makes room.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from overlaycast.wire.frames import Call, Offer
from overlaycast.wire.grants import Nonces

KEEP_S: Final = 8.0
"""Longer than a standby's longest pause: the parent may call while we have given it up for the moment."""
MOST_UNKNOWN: Final = 16


@dataclass(frozen=True, slots=True)
class Caller:
    """What was said on a connection that somebody has opened to us, as a parent. ``nonces``: of the connection."""

    said: Call | Offer
    nonces: Nonces | None


@dataclass(slots=True, eq=False)
class _Waiting:
    caller: Caller
    member: int | None
    sock: socket.socket
    host: str
    timer: asyncio.TimerHandle | None = None


class Called:
    """Connections that wait for our answer.

    Args:
        known: returns the parent or standby in our order that this is, if it is one.
    """

    def __init__(self, known: Callable[[Caller], int | None]) -> None:
        self.refused = 0
        self._known = known
        self._waiting: dict[_Waiting, None] = {}  # in order of coming

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(self, caller: Caller, sock: socket.socket) -> None:
        """Keep a connection on which this was said."""
        member = self._known(caller)
        for one in list(self._waiting):
            if one.caller.said == caller.said or (member is not None and one.member == member):
                self._close(one)
        host = ""
        with suppress(OSError, IndexError):
            host = str(sock.getpeername()[0])
        waiting = _Waiting(caller, member, sock, host)
        waiting.timer = asyncio.get_running_loop().call_later(KEEP_S, self._close, waiting)
        self._waiting[waiting] = None
        unknown = [one for one in self._waiting if one.member is None]
        if len(unknown) > MOST_UNKNOWN:
            self.refused += 1
            crowd = Counter(one.host for one in unknown).most_common(1)[0][0]
            self._close(next(one for one in unknown if one.host == crowd))

    def take(self, fits: Callable[[Caller], bool]) -> tuple[Caller, socket.socket] | None:
        """Return the newest connection of which this holds; it is the caller's now."""
        for one in reversed(self._waiting):
            if fits(one.caller):
                self._forget(one)
                return one.caller, one.sock
        return None

    def _forget(self, one: _Waiting) -> None:
        if one.timer is not None:
            one.timer.cancel()
        del self._waiting[one]

    def _close(self, one: _Waiting) -> None:
        if one in self._waiting:
            self._forget(one)
            one.sock.close()

    def close(self) -> None:
        """Close all."""
        for one in list(self._waiting):
            self._close(one)
