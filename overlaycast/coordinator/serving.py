"""uvicorn, set up for a control plane: bounded patience, and signals that end it cleanly.

Owns: the server's life. Refuses: what is served, and where it listens (``listeners``).

Invariants: a connection that asks nothing, or has not asked in full, at first or later, is closed after
``REQUEST_LIMIT`` seconds; from a signal to the end it
takes no longer than about ``_GRACE_S``.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from overlaycast.coordinator.listeners import BACKLOG
from overlaycast.wire.messages import MAX_MESSAGE

REQUEST_LIMIT: Final = 10.0
_GRACE_S: Final = 3
_PING_EVERY_S: Final = 5.0
_PING_LIMIT_S: Final = 10.0


class _Patient(H11Protocol):
    """uvicorn's HTTP, but a request's head must come in time; uvicorn would wait for ever once its first byte is there.

    Between two requests uvicorn's own limit for idle connections holds, and for a request's body ``bodies``'s.
    """

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.loop.call_later(REQUEST_LIMIT, self._close_if_silent, transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._between_requests():
            self._relax()
        elif self._patience is None:  # more bytes of the same head are no reason to wait longer
            self._patience = self.loop.call_later(REQUEST_LIMIT, self._close_if_silent, self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _relax(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _close_if_silent(self, transport: asyncio.Transport) -> None:
        self._patience = None
        if self._between_requests() and transport.get_protocol() is self:
            transport.close()


class _Server(uvicorn.Server):
    """uvicorn's server with our signals: SIGTERM and SIGINT end it, a second one at once."""

    def __init__(self, config: uvicorn.Config, before_shutdown: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_shutdown = before_shutdown

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_shutdown()
        await super().shutdown(sockets)


def make_server(app: FastAPI, before_shutdown: Callable[[], None]) -> uvicorn.Server:
    """Return a server for ``app``; ``await server.serve(sockets=[...])`` runs it until a signal or ``should_exit``.

    ``before_shutdown`` is called when it begins to close its connections.
    """
    options: dict[str, Any] = {
        "http": _Patient,
        "ws": "websockets-sansio",  # a quarter cheaper than uvicorn's older one
        "ws_max_size": MAX_MESSAGE,
        "ws_per_message_deflate": False,  # 127 KB a link with, 38 KB without
        "ws_ping_interval": _PING_EVERY_S,
        "ws_ping_timeout": _PING_LIMIT_S,
        "loop": "asyncio",
        "lifespan": "on",
        "backlog": BACKLOG,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": _GRACE_S,
    }
    return _Server(uvicorn.Config(app, **options), before_shutdown)
