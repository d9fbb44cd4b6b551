"""Measuring members (Fig. 4, 406; Fig. 5, 502): the route to each and its echo, many at once, but not too many.

Owns: how many at once, and for how long; who hears of routes that are found to be better later. Refuses: what the
figures mean; the overlay knows.

Invariants: never more than ``at_once`` measurements; each ends within thrice ``_LIMIT`` seconds of its turn, whatever
the network and the member do: the route, the wait for a turn on the link, and the echo.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Protocol

from overlaycast.coordinator.members.neighbours import UNKNOWN, neighbours, path_of
from overlaycast.coordinator.members.shares import Shares
from overlaycast.discovery.echo import EchoProbe, Performance
from overlaycast.discovery.survey.route import Route
from overlaycast.wire.messages import EchoReply, EchoRequest

_LIMIT: Final = 8.0
_UNHEARD_REPLIES: Final = 16
_TRAIN_SHARE: Final = 6
"""One part in so many of those that are measured may have its train on the way; a quarter of them is for others."""


BetterRoute = Callable[[str, Route], None]
"""Takes a host, and its route."""


class RouteFinder(Protocol):
    """Finds routes: ``discovery.client.TraceClient``, or nothing where tracing is switched off."""

    on_improved: BetterRoute | None

    async def route(self, host: str) -> Route | None: ...


class EchoLink(Protocol):
    """A member's link, as far as measuring needs it; ``block`` is what counts as one address."""

    host: str
    block: str

    def send(self, message: EchoRequest) -> None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What one measurement found. ``path`` is empty where no route is known; ``hops_ms`` has one entry per router."""

    path: tuple[str | None, ...]
    hops_ms: tuple[float | None, ...]
    reached: bool
    performance: Performance

    def along(self, route: Route) -> Found:
        """Return the same with another route."""
        return Found(route.routers, route.hops_ms, route.reached, self.performance)


class EchoInbox:
    """The echo replies of one member, with the time at which each came; a few at most are kept."""

    def __init__(self) -> None:
        self._replies: asyncio.Queue[tuple[EchoReply, float]] = asyncio.Queue(_UNHEARD_REPLIES)
        self._asked_at: float | None = None
        self.answered = False

    def asked(self) -> None:
        """The member is asked now."""
        if self._asked_at is None:
            self._asked_at = asyncio.get_running_loop().time()

    def mute(self, seconds: float) -> bool:
        """Whether it was asked so long ago or longer, and has never answered."""
        if self.answered or self._asked_at is None:
            return False
        return asyncio.get_running_loop().time() - self._asked_at >= seconds

    def put(self, reply: EchoReply) -> None:
        """Take a reply, now. One that is too many was not asked for, and is dropped."""
        self.answered = True
        with suppress(asyncio.QueueFull):
            self._replies.put_nowait((reply, asyncio.get_running_loop().time()))

    async def get(self) -> tuple[EchoReply, float]:
        """Return the next reply and when it came."""
        return await self._replies.get()


class Measurer:
    """Measures members. ``routes`` is None where tracing is switched off."""

    def __init__(self, routes: RouteFinder | None, at_once: int) -> None:
        self._routes = routes
        if routes is not None:
            routes.on_improved = self.improved
        self._listeners: dict[BetterRoute, None] = {}
        self._shares = Shares(at_once)
        self._trains = Shares(max(1, at_once // _TRAIN_SHARE), neighbours)
        # nonces and payloads must not be guessed by a member that wants to appear fast
        self._chance = random.SystemRandom()

    def listen(self, listener: BetterRoute) -> None:
        """Call ``listener`` with a host and its route whenever a better one is found than was measured."""
        self._listeners[listener] = None

    def deafen(self, listener: BetterRoute) -> None:
        """Call it no more."""
        self._listeners.pop(listener, None)

    def improved(self, host: str, route: Route) -> None:
        """A better route to a host was found."""
        for listener in list(self._listeners):
            listener(host, route)

    async def measure(self, group: str, link: EchoLink, inbox: EchoInbox) -> Found:
        """Return what can be found about the member of ``group`` at the other end of ``link``."""
        async with self._shares.place(group, link.block):
            route_found = asyncio.create_task(self._route(link.host))
            try:
                performance = await self._echo(group, link, inbox, route_found)
                route = await route_found
            finally:
                route_found.cancel()
        found = Found((), (), False, performance)
        return found if route is None else found.along(route)

    async def _route(self, host: str) -> Route | None:
        if self._routes is None or not _traceable(host):
            return None
        try:
            async with asyncio.timeout(_LIMIT):
                return await self._routes.route(host)
        except TimeoutError:
            return None

    async def _echo(
        self, group: str, link: EchoLink, inbox: EchoInbox, route_found: asyncio.Task[Route | None]
    ) -> Performance:
        probe = EchoProbe(self._chance)
        with suppress(TimeoutError):
            async with AsyncExitStack() as turn:
                async with asyncio.timeout(_LIMIT):
                    await _until(lambda: probe.heavy, probe, link, inbox)
                route = await asyncio.shield(route_found)
                path = UNKNOWN if route is None else path_of(route.routers)
                async with asyncio.timeout(_LIMIT):
                    await turn.enter_async_context(self._trains.place(group, link.block, path))
                async with asyncio.timeout(_LIMIT):
                    # to the end without a pause: a link that has been idle has a small window again
                    await _until(lambda: False, probe, link, inbox)
        return probe.result()


async def _until(enough: Callable[[], bool], probe: EchoProbe, link: EchoLink, inbox: EchoInbox) -> None:
    """Go on with a probe until it is complete, or enough."""
    now = asyncio.get_running_loop().time
    while not enough() and (requests := probe.requests(now())):
        inbox.asked()
        for request in requests:
            link.send(request)
        while not probe.receive(*await inbox.get()):
            pass


def _traceable(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
