"""uvicorn, set up for a control plane: every wait has a limit, and signals end it cleanly.

Owns: the server's life. Refuses: what is served, where it listens (``listeners``), and the bounds of one connection
(``connections``). Invariant: from a signal to the end it takes no longer than about ``_GRACE_S``.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.coordinator.web.complaints import bound_complaints
from overlaycast.coordinator.web.connections import BoundedHttp, BoundedLink, bounded_app, in_front
from overlaycast.coordinator.web.defects import Defects
from overlaycast.coordinator.web.listeners import BACKLOG
from overlaycast.coordinator.web.newcomers import Newcomers
from overlaycast.wire.text import MAX_MESSAGE

_GRACE_S: Final = 3
_PING_EVERY_S: Final = 5.0
_PING_LIMIT_S: Final = 10.0
_FRAMES_A_MESSAGE: Final = 10
"""A proxy may send a message in several frames."""


class _Server(uvicorn.Server):
    """uvicorn's server with our signals: SIGTERM and SIGINT end it, a second one at once."""

    def __init__(self, config: uvicorn.Config, before_shutdown: Callable[[], None], defects: Defects) -> None:
        super().__init__(config)
        self._defects = defects
        self._before_shutdown = before_shutdown

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        before = loop.get_exception_handler()
        loop.set_exception_handler(self._defects.heard)
        try:
            yield
        finally:
            loop.set_exception_handler(before)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_shutdown()
        await super().shutdown(sockets)
        if self.force_exit:  # links are not waited for; what is kept is closed all the same
            await self.lifespan.shutdown()


def make_server(
    app: FastAPI,
    settings: CoordinatorSettings,
    before_shutdown: Callable[[], None],
) -> uvicorn.Server:
    """Return a server for ``app``; ``await server.serve(sockets=[...])`` runs it until a signal or ``should_exit``.

    ``before_shutdown`` is called when it begins to close its connections. Trusted proxies are believed when they say
    where a connection comes from (``X-Forwarded-For``), and nobody else is.
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
        "proxy_headers": bool(settings.trusted_proxy),
        "forwarded_allow_ips": list(settings.trusted_proxy),
    }
    bound_complaints()
    defects = Defects()
    config = uvicorn.Config(bounded_app(app, defects), **options)
    config.load()
    config.http_protocol_class = in_front(
        config.http_protocol_class,
        BoundedHttp,
        strangers=Newcomers(settings.newcomers_per_address),
        trusted=[ip_network(text) for text in settings.trusted_proxy],
    )
    config.ws_protocol_class = in_front(
        config.ws_protocol_class, BoundedLink, frames_per_s=_FRAMES_A_MESSAGE * settings.messages_per_s
    )
    return _Server(config, before_shutdown, defects)
