"""One member's control link: a WebSocket with bounded time, size and number in both directions.

Owns: the first message and its deadline, the queue of unread messages, the pace of what comes in, and how a link ends.
Refuses: which subscriber may be a member (``groups``), and what a message means (the overlay).

Invariants: garbage ends this link only; a member that does not read is cut off when ``unread_limit_kib`` are queued or
one message has waited ``_WRITE_LIMIT`` seconds; nothing is written after the last word.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from overlaycast.coordinator.bounds.address import block_of
from overlaycast.coordinator.bounds.allowance import Allowance
from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.discovery.echo import MOST_BYTES, MOST_REPLIES
from overlaycast.errors import RefusedError, RemoteProtocolError
from overlaycast.wire.hosts import plain
from overlaycast.wire.messages import VERSION, CoordinatorMessage, Ended, MemberMessage, Refused, Subscribe
from overlaycast.wire.text import LATER_HEADER, decode_from_member, encode, later_fields, understands

log = logging.getLogger(__name__)

_WRITE_LIMIT: Final = 10.0
_BURST_S: Final = 4.0  # a member may say at once what it may say in so many seconds
_BYTES_PER_S: Final = 512 * 1024
_REASON_BYTES: Final = 123
POLICY: Final = 1008
GOING_AWAY: Final = 1001
COME_AGAIN: Final = 1012
"""A member that hears this comes back, and tells people nothing unless that takes long."""


@dataclass(slots=True)
class Traffic:
    """What crossed control links, both ways, payload of the WebSocket messages only."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class MemberLink:
    """The coordinator's end of one WebSocket, from the first message on."""

    def __init__(self, socket: WebSocket, settings: CoordinatorSettings) -> None:
        self._socket = socket
        self._settings = settings
        self._queue: deque[str] = deque()
        self._queued = 0
        self._news = asyncio.Event()
        self._ending: str | None = None
        self._code = POLICY
        self._pump: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        rate = settings.messages_per_s
        # the replies that an echo asks for come on top: no member is cut off for answering
        self._messages = Allowance(rate, rate * _BURST_S + MOST_REPLIES, loop.time())
        self._bytes = Allowance(_BYTES_PER_S, _BYTES_PER_S * _BURST_S + MOST_BYTES, loop.time())
        self.traffic = Traffic()
        self._known = later_fields(", ".join(socket.headers.getlist(LATER_HEADER)))
        # over the local socket there is no address: such a member is on this host
        self.host = plain(socket.client.host) if socket.client and socket.client.host else "127.0.0.1"
        self.block = block_of(self.host)

    async def subscription(self) -> Subscribe:
        """Return the first message.

        Raises:
            RefusedError: it is none that we understand, or it did not come in time.
            WebSocketDisconnect: the other side has gone.
        """
        try:
            async with asyncio.timeout(self._settings.subscribe_timeout_s):
                text = await self._next_text()
        except TimeoutError:
            limit = self._settings.subscribe_timeout_s
            raise RefusedError("bad-message", f"no subscription within {limit:g} s") from None
        except RemoteProtocolError as error:
            raise RefusedError("bad-message", str(error)) from None
        return first_message(text)

    async def messages(self) -> AsyncIterator[MemberMessage]:
        """Yield what the member says until the link ends.

        Raises:
            RemoteProtocolError: it says something that is not a message, or too much.
        """
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                message = decode_from_member(await self._next_text())
                if isinstance(message, Subscribe):
                    raise RemoteProtocolError("a second subscription on one link")
                yield message

    def understands(self, message: CoordinatorMessage) -> bool:
        """Return whether the member's program knows this kind of message."""
        return understands(self._known, message)

    def send(self, message: CoordinatorMessage) -> None:
        """Queue a message, if the member understands it. After ``Refused`` or ``Ended`` the link closes."""
        if self._ending is not None or not self.understands(message):
            return
        text = encode(message, self._known)
        self._queue.append(text)
        self._queued += len(text)
        if isinstance(message, Refused | Ended):
            self._ending = _short(message.reason)
        if self._queued > self._settings.unread_limit_kib * 1024:
            self.cut("too much unread")
        self._news.set()

    def cut(self, reason: str, code: int = POLICY) -> None:
        """End the link now: what is queued is dropped, and reading stops as well."""
        if self._ending is None:
            self._code = code
        self._queue.clear()
        self._queued = 0
        self._ending = self._ending or _short(reason)
        if self._pump is not None:
            self._pump.cancel()

    async def write_all(self) -> None:
        """Write what is queued, as it comes, until the last word is written or the link is cut."""
        self._pump = asyncio.current_task()
        try:
            while not (self._ending is not None and not self._queue):
                await self._write_queue()
        except (TimeoutError, WebSocketDisconnect, asyncio.CancelledError):
            self._queue.clear()
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1):
                    await self._socket.close(self._code if self._ending else GOING_AWAY, self._ending)

    async def _write_queue(self) -> None:
        while self._queue:
            text = self._queue.popleft()
            async with asyncio.timeout(_WRITE_LIMIT):
                await self._socket.send_text(text)
            self._queued -= len(text)
            self.traffic.messages_out += 1
            self.traffic.bytes_out += len(text)
        self._news.clear()
        if self._ending is None:
            await self._news.wait()

    async def _next_text(self) -> str | bytes:
        event = await self._socket.receive()
        if event["type"] != "websocket.receive":
            raise WebSocketDisconnect(event.get("code", 1006), event.get("reason"))
        text: str | bytes = event.get("text") or event.get("bytes") or b""
        self.traffic.messages_in += 1
        self.traffic.bytes_in += len(text)
        now = asyncio.get_running_loop().time()
        if not self._messages.take(1, now) or not self._bytes.take(len(text), now):
            raise RemoteProtocolError(f"more than {self._settings.messages_per_s:g} messages a second, or too large")
        return text


def refusal(error: RefusedError) -> Refused:
    """Return a refusal as the message that says it."""
    return Refused.model_validate({"code": error.code, "reason": str(error)[:300]})


def _short(reason: str) -> str:
    """Return what fits into the last frame of a WebSocket."""
    return reason.encode()[:_REASON_BYTES].decode(errors="ignore")


def first_message(text: str | bytes) -> Subscribe:
    """Return the subscription that ``text`` is.

    Raises:
        RefusedError: it is none. Another version is said to be that, even if its messages look different.
    """
    version = _version_of(text)
    if version is not None and version != VERSION:
        raise RefusedError("version", f"protocol version {version}; accepted: {VERSION}")
    try:
        message = decode_from_member(text)
    except RemoteProtocolError as error:
        raise RefusedError("bad-message", str(error)) from None
    if not isinstance(message, Subscribe):
        raise RefusedError("bad-message", f"the first message is subscribe, not {message.kind}")
    return message


def _version_of(text: str | bytes) -> int | None:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    version = fields.get("version") if isinstance(fields, dict) and fields.get("kind") == "subscribe" else None
    return version if isinstance(version, int) else None
