"""The child's half of a call: connections that parents have opened to us, until we say HELLO on one.

Owns: those connections, by the grant that was shown, for a few seconds. Refuses: to use one. A connection
with a grant that no order names is never used, and is closed after a while.

Invariants: one connection per grant, the newest; at most ``MOST_UNKNOWN`` with grants that our order does not name.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

KEEP_S: Final = 8.0
"""Longer than a standby's longest pause: the parent may call while we have given it up for the moment."""
MOST_UNKNOWN: Final = 16


class Called:
    """Connections that wait for our HELLO.

    Args:
        known: whether this is the grant of a parent or standby in our order.
    """

    def __init__(self, known: Callable[[bytes], bool]) -> None:
        self.refused = 0
        self._known = known
        self._waiting: dict[bytes, tuple[socket.socket, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(self, grant: bytes, sock: socket.socket) -> bool:
        """Keep a connection on which this grant was shown; False: there are too many like it, it is closed."""
        self._close(grant)
        unknown = sum(not self._known(other) for other in self._waiting)
        if unknown >= MOST_UNKNOWN and not self._known(grant):
            self.refused += 1
            sock.close()
            return False
        timer = asyncio.get_running_loop().call_later(KEEP_S, self._close, grant)
        self._waiting[grant] = sock, timer
        return True

    def take(self, grant: bytes) -> socket.socket | None:
        """Return the connection of this grant; it is the caller's now."""
        sock, timer = self._waiting.pop(grant, (None, None))
        if timer is not None:
            timer.cancel()
        return sock

    def _close(self, grant: bytes) -> None:
        sock = self.take(grant)
        if sock is not None:
            sock.close()

    def close(self) -> None:
        """Close all."""
        for grant in list(self._waiting):
            self._close(grant)
