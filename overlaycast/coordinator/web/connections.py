"""What bounds a TCP connection to the coordinator and ends it, in front of uvicorn's protocols.

Owns: how long a connection may take, how much it may send before it is a member's, how many of them one address has,
and that an end comes to an end. Refuses: what is asked, and who is a member (``door``).

Invariants: a connection that asks nothing, or has not asked in full, at first or later, is closed after
``REQUEST_LIMIT`` seconds; one that is to end is gone ``CLOSE_LIMIT`` seconds later, whatever the other side does; one
that is no member's counts as a stranger's until it is gone, and strangers that are too many end at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final, TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from overlaycast.coordinator.bounds.address import block_of
from overlaycast.coordinator.bounds.allowance import Allowance
from overlaycast.coordinator.web.defects import Defects
from overlaycast.coordinator.web.frames import FrameCounter
from overlaycast.coordinator.web.newcomers import Newcomers
from overlaycast.wire.hosts import plain

REQUEST_LIMIT: Final = 10.0
CLOSE_LIMIT: Final = 1.0
EARLY_LIMIT: Final = 32 * 1024
"""Bytes of frames that a link may send before it is a member's."""
SCOPE_KEY: Final = "overlaycast.connection"
"""Where the application finds the connection, to say that it is a member's (``admit``)."""
_BURST_S: Final = 8.0
_NOT_READ: Final = b"This request for a WebSocket cannot be read. Accepted: a GET with no body and few short headers.\n"
_UNREAD: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(_NOT_READ), _NOT_READ)
)
Network: TypeAlias = IPv4Network | IPv6Network


class Connection:
    """One TCP connection, and what ends it: no request in time, too many like it, or an end without an end."""

    def __init__(self, transport: asyncio.Transport, strangers: Newcomers, trusted: Sequence[Network]) -> None:
        self._transport: asyncio.Transport | None = transport
        self._timer: asyncio.TimerHandle | None = None
        self._strangers = strangers
        self.asked = False  # a head has come that the application was told of
        self.admitted = False
        self.block = ""
        peer = transport.get_extra_info("peername")
        # over the local socket there is no address; whom a proxy speaks for is known from its first request on
        if isinstance(peer, tuple) and not _within(peer[0], trusted):
            self._count(peer[0])

    def wait_for_head(self) -> None:
        """From now on the next head may take so long."""
        self._call_later(REQUEST_LIMIT, self._close)

    def has_head(self, client: str) -> None:
        """The head is complete, and comes from there."""
        self._stop()
        self.asked = True
        if client and block_of(plain(client)) != self.block:
            self._strangers.remove(self)
            self._count(client)

    def admit(self) -> None:
        """It is a member's from now on."""
        self.admitted = True
        self._strangers.remove(self)

    def dismiss(self) -> None:
        """It is no member's any more: until it is gone it counts as a stranger's again."""
        self.admitted = False
        if self._transport is not None and self.block:
            self._strangers.add(self)

    def close_soon(self) -> None:
        """All has been said: the other side has so long to read it, and to say so."""
        self._call_later(CLOSE_LIMIT, self.abort)

    def lost(self) -> None:
        """The connection is gone."""
        self._stop()
        self._strangers.remove(self)
        self._transport = None

    def abort(self) -> None:
        """End it now; what is not sent is dropped."""
        if self._transport is not None:
            self._transport.abort()

    def _count(self, host: str) -> None:
        if self._transport is not None:
            self.block = block_of(plain(host))
            self._strangers.add(self)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self.close_soon()

    def _call_later(self, seconds: float, what: Callable[[], None]) -> None:
        self._stop()
        if self._transport is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, what)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _within(host: str, networks: Sequence[Network]) -> bool:
    address = ip_address(plain(host))
    return any(address in network for network in networks)  # never in one of the other version


_CONNECTION: Final[ContextVar[Connection | None]] = ContextVar("connection", default=None)


class BoundedHttp(asyncio.Protocol):
    """Goes in front of uvicorn's own HTTP protocol and knows nothing of its inside.

    A head is complete when uvicorn calls the application (``bounded_app``). An idle connection is closed by uvicorn's
    own limit, a slow body by that of ``bodies``.
    """

    strangers: Newcomers
    trusted: Sequence[Network]
    _connection: Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self._connection = Connection(transport, self.strangers, self.trusted)
        self._connection.wait_for_head()

    def data_received(self, data: bytes) -> None:
        _CONNECTION.set(self._connection)  # the application's task, which uvicorn makes in here, inherits it
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost()
        super().connection_lost(exc)


class BoundedLink(asyncio.Protocol):
    """Goes in front of uvicorn's WebSocket protocol: whoever floods it with frames, such as PINGs, is cut off.

    The first bytes are the request that uvicorn's HTTP protocol hands over; frames follow. A request that uvicorn hands
    over and then cannot read, such as one with a body, is answered here: it would be left without a word.
    """

    frames_per_s: float
    _frames: FrameCounter | None = None
    _allowed: Allowance
    _connection: Connection
    _transport: asyncio.Transport
    _early = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        connection = _CONNECTION.get()  # of the HTTP protocol, which makes us
        assert connection is not None
        self._connection = connection
        connection.asked = False
        self._transport = transport
        self._allowed = Allowance(self.frames_per_s, self.frames_per_s * _BURST_S, asyncio.get_running_loop().time())

    def data_received(self, data: bytes) -> None:
        if self._frames is None:
            self._frames = FrameCounter()
            super().data_received(data)
            # behind the first step of the application's task, if uvicorn has made one
            asyncio.get_running_loop().call_soon(self._answer_if_unread)
            return
        if not self._allows(self._frames.begun(data), len(data)):
            self._connection.abort()
            return
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self._connection.asked:
            super().shutdown()  # type: ignore[misc]  # uvicorn's, which is behind us
        else:  # it has nothing to end, and uvicorn would try to
            self._transport.close()

    def _answer_if_unread(self) -> None:
        if not self._connection.asked and not self._transport.is_closing():
            self._transport.write(_UNREAD)
            self._transport.close()
            self._connection.close_soon()

    def _allows(self, frames: int, size: int) -> bool:
        if not self._connection.admitted:
            self._early += size
            if self._early > EARLY_LIMIT:
                return False
        return self._allowed.take(frames, asyncio.get_running_loop().time())


def in_front(protocol: type[asyncio.Protocol] | None, ours: type[asyncio.Protocol], **bounds: Any) -> Any:
    """Return uvicorn's protocol with ours in front of it."""
    assert protocol is not None
    return type(ours.__name__, (ours, protocol), bounds)


def bounded_app(app: ASGIApp, defects: Defects) -> ASGIApp:
    """Return ``app`` between a head that is complete, and the wait for the next or for the end."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        connection = _CONNECTION.get()
        if connection is None:  # not called by a connection: lifespan
            await app(scope, receive, send)
            return
        client = scope.get("client")
        connection.has_head(client[0] if client else "")
        scope[SCOPE_KEY] = connection
        try:
            await app(scope, receive, send)
        except Exception as error:
            defects.say("a request failed" if scope["type"] == "http" else "a link failed", error)
        finally:
            if scope["type"] == "websocket":
                connection.close_soon()
            else:
                connection.wait_for_head()

    return serve
