"""Measuring members (Fig. 4, 406; Fig. 5, 502): the route to each and its echo, many at once, but not too many.

Owns: how many at once, and for how long; who hears of routes that are found to be better later. Refuses: what the
figures mean; the overlay knows. And when a member's train of echoes goes (``trains``).

First come the route and the round-trip time, which many can be asked for at once. The rate comes when it is the turn of
the member's train.

Invariants: never more than ``at_once`` are asked for the first; that ends within twice ``_LIMIT`` seconds of its turn,
and a train within once that, whatever the network and the member do.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final, Protocol

from overlaycast.coordinator.members.shares import Shares
from overlaycast.coordinator.members.trains import Trains
from overlaycast.discovery.echo import EchoProbe, Performance
from overlaycast.discovery.survey.route import Route
from overlaycast.discovery.trains.turns import whereto
from overlaycast.wire.messages import EchoReply, EchoRequest

_LIMIT: Final = 8.0
_UNHEARD_REPLIES: Final = 16
_TRAIN_SHARE: Final = 2
"""One in so many of those that are measured may have its train on the way."""


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
    """What one measurement found. ``path`` is empty where no route is known; ``hops_ms`` has one entry per router.

    ``rated``: there is no more to come; False: the member's train waits for its turn.
    """

    path: tuple[str | None, ...]
    hops_ms: tuple[float | None, ...]
    reached: bool
    performance: Performance
    rated: bool = True

    def along(self, route: Route) -> Found:
        """Return the same with another route."""
        return replace(self, path=route.routers, hops_ms=route.hops_ms, reached=route.reached)


Nearly = Callable[[Found], Awaitable[None]]
"""Takes what is known before a member's train has gone."""


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
        self._trains = Trains(max(1, at_once // _TRAIN_SHARE))
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

    async def measure(self, group: str, link: EchoLink, inbox: EchoInbox, nearly: Nearly | None = None) -> Found:
        """Return what can be found about the member of ``group`` at the other end of ``link``.

        ``nearly`` is told beforehand what there is without the rate, unless the member has not answered.
        """
        probe = EchoProbe(self._chance)
        async with self._shares.place(group, link.block):
            route_found = asyncio.create_task(self._route(link.host))
            try:
                answered = await self._go_on(lambda: probe.heavy, probe, link, inbox)
                route = await route_found
            finally:
                route_found.cancel()
        found = Found((), (), False, Performance())
        found = found if route is None else found.along(route)
        if not answered:
            return found
        if nearly is not None:
            await nearly(replace(found, performance=Performance(probe.rtt_ms), rated=False))
        probes: list[EchoProbe] = []

        async def train(expected_mbit: float | None) -> float | None:
            probes.append(EchoProbe(self._chance) if probes else probe)
            probes[-1].expected_mbit = expected_mbit
            await self._go_on(lambda: False, probes[-1], link, inbox)
            return probes[-1].result().rate_mbit

        await self._trains.run(group, link.block, whereto(found.path, found.reached, link.block), train)
        performance = probes[-1].result() if probes else Performance(probe.rtt_ms)
        return replace(found, performance=performance)

    async def _route(self, host: str) -> Route | None:
        if self._routes is None or not _traceable(host):
            return None
        try:
            async with asyncio.timeout(_LIMIT):
                return await self._routes.route(host)
        except TimeoutError:
            return None

    async def _go_on(self, enough: Callable[[], bool], probe: EchoProbe, link: EchoLink, inbox: EchoInbox) -> bool:
        """Go on with a probe until it is enough, or its time is up; False: its time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LIMIT):
                # a train goes to its end without a pause: a link that has been idle has a small window again
                await _until(enough, probe, link, inbox)
                return True
        return False


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
