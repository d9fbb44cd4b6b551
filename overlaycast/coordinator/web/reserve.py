"""Sockets that go on accepting when this process has hardly any descriptors left: who comes then is told so, and goes.

Owns: the reserve, and what is said to both sides. Refuses: serving. Without it asyncio's loop fails to accept, over and
over, with a traceback for each, and what needs a file (the database, the journal) fails with it.

Invariants: the last ``RESERVE`` descriptors are never a connection's; one line a minute at most.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import resource
import socket
import time
from typing import Any, Final

from overlaycast.coordinator.bounds.lines import Lines

log = logging.getLogger(__name__)

RESERVE: Final = 16
_AT_A_TIME: Final = 64
IN_A_ROW: Final = 16
"""Connections that are accepted before those accepted are read from: a crowd does not push out who has just come."""
_NONE_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_S: Final = 0.02
_WHY: Final = b'{"error":"the coordinator has no descriptors left; try again later"}'
_REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: " + str(len(_WHY)).encode() + b"\r\n\r\n" + _WHY
)


class ReservedSocket(socket.socket):
    """A listening socket; asyncio calls its ``accept``."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._lines = Lines(1, time.monotonic())
        self._in_a_row = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection, as long as there are descriptors for it.

        Raises:
            BlockingIOError: none waits that could be accepted.
        """
        self._in_a_row += 1
        if self._in_a_row > IN_A_ROW:  # the loop asks again when it has read from those that it has
            self._in_a_row = 0
            raise BlockingIOError
        # the kernel gives the lowest number that is free: a high one says that all below are taken
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVE
        for _ in range(_AT_A_TIME):
            try:
                connection, address = super().accept()
            except OSError as error:
                self._in_a_row = 0
                if error.errno not in _NONE_LEFT:
                    raise
                self._say(limit)
                time.sleep(
                    _PAUSE_S
                )  # the system's last ones are gone: nothing here can go on, and asking at once is in vain
                break
            if connection.fileno() < limit:
                return connection, address
            _refuse(connection)
            self._say(limit)
        raise BlockingIOError

    def _say(self, limit: int) -> None:
        left_out = self._lines.due(time.monotonic())
        if left_out is not None:
            log.warning(
                "no descriptors left for connections (limit %d, %d of them kept for files): %d refused; "
                "a higher limit (ulimit -n, LimitNOFILE=) lets more in",
                limit + RESERVE,
                RESERVE,
                left_out + 1,
            )


def _refuse(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.setblocking(False)
        connection.send(_REFUSAL)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)  # what is not read would end the connection before the answer is read
