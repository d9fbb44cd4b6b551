"""The control link: one WebSocket to the coordinator, opened again and again for as long as the agent runs.

Owns: connecting, subscribing, resuming, and what is said while the link is down (what must arrive is kept, what is
only news is dropped). Refuses: to stop the data plane: streams go on without a coordinator.

A newcomer that is refused ends, with the reason. A member that is refused, when it comes back or later, goes on with
its stream and asks again: the coordinator may have been started on a wrong or an empty state, or may not understand
what a member of another version says. Only ``Ended`` ends it, and a source that has not what its group is about.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.uri import parse_uri

from overlaycast.agent.hops.dial import dial
from overlaycast.agent.hops.mishap import mishap
from overlaycast.discovery.unpaced import unpaced
from overlaycast.errors import ConfigError, LocalProtocolError, OverlaycastError, RefusedError, RemoteProtocolError
from overlaycast.streams import printable
from overlaycast.urls import MEMBER, parse_coordinator
from overlaycast.wire.messages import (
    CoordinatorMessage,
    Done,
    EchoReply,
    EchoRequest,
    Failed,
    Leaving,
    MemberMessage,
    Refused,
    Subscribe,
    Welcome,
)
from overlaycast.wire.text import (
    LATER_HEADER,
    LATER_TEXT,
    MAX_MESSAGE,
    decode_from_coordinator,
    encode,
    later_fields,
    understands,
)

OPEN_S: Final = 5.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 3.0
REMIND_S: Final = 5.0
"""Seconds between two lines on stderr about a coordinator that cannot be reached."""
MOST_WAITING: Final = 256
"""Messages that wait for a slow link; older news gives way."""
WELCOME_S: Final = 10.0

LONGEST_REFUSED_S: Final = 30.0
"""Longest pause after a refusal that may pass."""

_Kept = (Done, Failed, Leaving)


class _NotNowError(Exception):
    """The coordinator refuses, and that need not last: it was started on a wrong state, the group is full, …"""


SERVICE_RESTART: Final = 1012
RESTART_S: Final = 10.0
"""Seconds that a coordinator which has said that it restarts may stay away before anybody is told."""


def websocket_url(coordinator: str) -> str:
    """Return where members connect, for ``http://HOST:PORT``.

    Raises:
        ConfigError: it is something else, or an address that others on the way could not use.
    """
    try:
        url = parse_coordinator(coordinator, MEMBER)
    except ValueError as error:
        raise ConfigError(f"coordinator: {error}") from None
    if url.is_link_local:
        raise ConfigError(
            f"coordinator: {url.host} is a link-local address, which members beyond that link cannot use;"
            " accepted is another address of that host"
        )
    return f"{'wss' if url.secure else 'ws'}://{url.authority}/v1/member"


def _what_is_wrong(error: Exception) -> str:
    """Return what people are told of a link that did not come about, or ended."""
    if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.reason:
        return f"ended the link, trying again: {printable(error.rcvd.reason)}"
    if isinstance(error, _NotNowError):
        return f"refused, trying again: {error}"
    why = str(error) or type(error).__name__
    return f"not reachable, waiting: {why.splitlines()[0]}"


def _header(link: ClientConnection) -> str | None:
    return None if link.response is None else ", ".join(link.response.headers.get_all(LATER_HEADER))


class ControlLink:
    """The member's end.

    Args:
        subscribe: makes the first message of each connection, with ``resume`` when there is a place to resume; told
            under which address of ours the connection stands.
        on_message: told each message in order, Welcome included.
        warn: prints one line for people.
    """

    def __init__(
        self,
        coordinator: str,
        subscribe: Callable[[str], Subscribe],
        on_message: Callable[[CoordinatorMessage], None],
        warn: Callable[[str], None],
        rng: random.Random,
    ) -> None:
        self.connected = False
        self.reached_at = ""
        """The address of the coordinator, or of what stands before it."""
        self._coordinator = coordinator
        self._url = websocket_url(coordinator)
        self._subscribe = subscribe
        self._on_message = on_message
        self._warn = warn
        self._rng = rng
        self._waiting: deque[MemberMessage] = deque(maxlen=MOST_WAITING)
        self._kept: list[MemberMessage] = []
        self._something = asyncio.Event()
        self._sent = asyncio.Event()
        self._known: frozenset[str] = frozenset()
        self._warned_at: float | None = None
        self._back_by = 0.0

    def send(self, message: MemberMessage) -> None:
        """Say something: now if the link is up; else only what must arrive is kept for later."""
        if isinstance(message, _Kept):
            self._kept.append(message)
        if self.connected:
            self._waiting.append(message)
            self._something.set()

    async def flushed(self) -> None:
        """Wait until everything said so far has been handed to the network (returns at once when the link is down)."""
        while self.connected and self._waiting:
            self._sent.clear()
            await self._sent.wait()

    async def run(self) -> None:
        """Stay connected.

        Raises:
            RefusedError: the coordinator does not want us, and we have nothing to go on with.
        """
        pause, longest = FIRST_PAUSE_S, LONGEST_PAUSE_S
        # not ``async for link in connect(...)``: that pauses for up to 90 s, which only the environment can change
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._one_connection()
            except (OSError, TimeoutError, WebSocketException, RemoteProtocolError, _NotNowError) as error:
                longest = LONGEST_REFUSED_S if isinstance(error, _NotNowError) else LONGEST_PAUSE_S
                self._remind(error)
            except OverlaycastError as error:
                if not isinstance(error, LocalProtocolError):
                    raise  # refused, or the group is none for us
                mishap(error)
            except Exception as error:  # a message that we could not digest costs the link that it came over
                mishap(error)
            finally:
                self.connected = False
                self._sent.set()
            if asyncio.get_running_loop().time() - began > OPEN_S:
                pause = FIRST_PAUSE_S
            await asyncio.sleep(pause * (0.5 + self._rng.random()))
            pause = min(2 * pause, longest)

    def _remind(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code == SERVICE_RESTART:
            self._back_by = now + RESTART_S
        if now < self._back_by:
            return
        if self._warned_at is None or now - self._warned_at >= REMIND_S:
            self._warned_at = now
            self._warn(f"coordinator {self._coordinator} {_what_is_wrong(error)}")

    async def _one_connection(self) -> None:
        uri = parse_uri(self._url)
        async with asyncio.timeout(OPEN_S):
            # before it connects: pacing that has once begun does not end with another congestion control
            sock = await dial(uri.host, uri.port, unpaced)
        async with connect(
            self._url,
            sock=sock,
            additional_headers={LATER_HEADER: LATER_TEXT},
            compression=None,
            proxy=None,
            max_size=MAX_MESSAGE,
            open_timeout=OPEN_S,
            ping_interval=5,
            ping_timeout=10,
            close_timeout=1,
        ) as link:
            self._known = later_fields(_header(link))
            self.reached_at = str(link.remote_address[0])
            request = self._subscribe(str(link.local_address[0]))
            if request.standby and "subscribe.standby" not in self._known:
                raise _NotNowError("it is of an older version, which would take this standby for the source")
            await link.send(encode(request, self._known))
            async with asyncio.timeout(WELCOME_S):
                answer = decode_from_coordinator(await link.recv())
            if isinstance(answer, Refused):
                reason = printable(answer.reason)
                if request.resume is not None or answer.code == "full":
                    raise _NotNowError(reason)
                raise RefusedError(answer.code, f"coordinator refused: {reason}")
            if not isinstance(answer, Welcome):
                raise RemoteProtocolError(f"the coordinator began with {answer.kind}")
            if self._warned_at is not None:
                self._warned_at = None
                self._warn(f"coordinator {self._coordinator} reached")
            self._waiting.clear()
            self._waiting.extend(self._kept)
            self._something.set()
            self.connected = True
            self._on_message(answer)
            await self._talk(link)

    async def _talk(self, link: ClientConnection) -> None:
        speaking = asyncio.create_task(self._speak(link))
        try:
            async for text in link:
                message = decode_from_coordinator(text)
                if isinstance(message, EchoRequest):
                    # said by ``_speak``: what is still to be sent makes nothing that comes look late
                    at_us = int(asyncio.get_running_loop().time() * 1e6)
                    self.send(EchoReply(nonce=message.nonce, payload=message.payload, at_us=at_us))
                elif isinstance(message, Refused) and message.code != "other-contents":
                    raise _NotNowError(printable(message.reason))
                elif isinstance(message, Refused):
                    raise RefusedError(message.code, f"coordinator refused: {printable(message.reason)}")
                else:
                    self._on_message(message)
        finally:
            speaking.cancel()

    async def _speak(self, link: ClientConnection) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            while self._waiting:
                message = self._waiting[0]
                try:
                    if understands(self._known, message):
                        await link.send(encode(message, self._known))
                except WebSocketException:
                    return
                except Exception as error:  # a message that cannot be said: the next one can
                    mishap(error)
                if self._waiting and self._waiting[0] is message:
                    self._waiting.popleft()
            self._sent.set()
