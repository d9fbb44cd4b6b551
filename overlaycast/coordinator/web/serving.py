"""uvicorn, set up for a control plane: every wait has a limit, and signals end it cleanly.

Owns: the server's life. Refuses: what is served, and where it listens (``listeners``).

Invariants: a connection that asks nothing, or has not asked in full, at first or later, is closed after
``REQUEST_LIMIT`` seconds; from a signal to the end it takes no longer than about ``_GRACE_S``.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from overlaycast.coordinator.bounds.allowance import Allowance
from overlaycast.coordinator.web.complaints import bound_complaints
from overlaycast.coordinator.web.frames import FrameCounter
from overlaycast.coordinator.web.listeners import BACKLOG
from overlaycast.wire.messages import MAX_MESSAGE

REQUEST_LIMIT: Final = 10.0
_GRACE_S: Final = 3
_PING_EVERY_S: Final = 5.0
_PING_LIMIT_S: Final = 10.0
_FRAMES_A_MESSAGE: Final = 10
"""A proxy may send a message in several frames."""
_BURST_S: Final = 8.0


class _HeadTimer:
    """Closes a connection whose next request's head is not complete in time; uvicorn would wait for ever."""

    __slots__ = ("_timer", "_transport")

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.BaseTransport | None = transport
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """From now on the next head may take so long."""
        self.stop()
        if self._transport is not None:
            self._timer = asyncio.get_running_loop().call_later(REQUEST_LIMIT, self._transport.close)

    def stop(self) -> None:
        """The head is complete."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """The connection is gone."""
        self.stop()
        self._transport = None


_HEAD: Final[ContextVar[_HeadTimer | None]] = ContextVar("head", default=None)


class _TimedHttp(asyncio.Protocol):
    """Goes in front of uvicorn's own HTTP protocol and knows nothing of its inside.

    A head is complete when uvicorn calls the application (``_timed``). An idle connection is closed by uvicorn's own
    limit, a slow body by that of ``bodies``.
    """

    _head: _HeadTimer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._head = _HeadTimer(transport)
        self._head.start()

    def data_received(self, data: bytes) -> None:
        _HEAD.set(self._head)  # the application's task, which uvicorn makes in here, inherits it
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.end()
        super().connection_lost(exc)


class _BoundedFrames(asyncio.Protocol):
    """Goes in front of uvicorn's WebSocket protocol: whoever floods it with frames, such as PINGs, is cut off.

    The first bytes are the request that uvicorn's HTTP protocol hands over; frames follow.
    """

    frames_per_s: float
    _frames: FrameCounter | None = None
    _allowed: Allowance
    _flooded: asyncio.Transport | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._flooded = transport if isinstance(transport, asyncio.Transport) else None
        self._allowed = Allowance(self.frames_per_s, self.frames_per_s * _BURST_S, asyncio.get_running_loop().time())

    def data_received(self, data: bytes) -> None:
        if self._frames is None:
            self._frames = FrameCounter()
        elif not self._allowed.take(self._frames.begun(data), asyncio.get_running_loop().time()):
            if self._flooded is not None:
                self._flooded.abort()
            return
        super().data_received(data)


def _bounded(protocol: type[asyncio.Protocol] | None, frames_per_s: float) -> type[asyncio.Protocol]:
    assert protocol is not None
    return type("BoundedWebSocket", (_BoundedFrames, protocol), {"frames_per_s": frames_per_s})


def _timed(app: ASGIApp) -> ASGIApp:
    """Return ``app`` between a head that is complete and the wait for the next."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        head = _HEAD.get()
        if head is None:  # not called by a connection: lifespan
            await app(scope, receive, send)
            return
        head.stop()
        try:
            await app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                head.start()

    return serve


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


def make_server(
    app: FastAPI,
    before_shutdown: Callable[[], None],
    trusted_proxies: Sequence[str] = (),
    messages_per_s: float = 50.0,
) -> uvicorn.Server:
    """Return a server for ``app``; ``await server.serve(sockets=[...])`` runs it until a signal or ``should_exit``.

    ``before_shutdown`` is called when it begins to close its connections. What ``trusted_proxies`` say of where a
    connection comes from (``X-Forwarded-For``) is believed, and nobody else. A member sends
    ``messages_per_s`` at most; a link with far more frames than that is cut off.
    """
    options: dict[str, Any] = {
        "http": "h11",
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
        "proxy_headers": bool(trusted_proxies),
        "forwarded_allow_ips": list(trusted_proxies),
    }
    bound_complaints()
    config = uvicorn.Config(_timed(app), **options)
    config.load()
    config.http_protocol_class = type("TimedHttp", (_TimedHttp, config.http_protocol_class), {})
    config.ws_protocol_class = _bounded(config.ws_protocol_class, _FRAMES_A_MESSAGE * messages_per_s)
    return _Server(config, before_shutdown)
