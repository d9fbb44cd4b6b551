"""Measuring members (Fig. 4, 406; Fig. 5, 502): the route to each and its echo, many at once, but not too many.

Owns: how many at once, and for how long. Refuses: what the figures mean; the brain knows.

Invariants: never more than ``at_once`` measurements; each ends within ``_LIMIT`` seconds of its turn, whatever the
network and the member do.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Protocol

from overlaycast.discovery.echo import EchoProbe, Performance
from overlaycast.discovery.route import Route
from overlaycast.wire.messages import EchoReply, EchoRequest

_LIMIT: Final = 8.0
_UNHEARD_REPLIES: Final = 16
_TRAIN_SHARE: Final = 8


class RouteFinder(Protocol):
    """Finds routes: ``discovery.client.TraceClient``, or nothing where tracing is switched off."""

    async def route(self, host: str) -> Route | None: ...


class EchoLink(Protocol):
    """A member's link, as far as measuring needs it."""

    host: str

    def send(self, message: EchoRequest) -> None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What one measurement found. ``path`` is empty where no route is known; ``hops_ms`` has one entry per router."""

    path: tuple[str | None, ...]
    hops_ms: tuple[float | None, ...]
    reached: bool
    performance: Performance


class EchoInbox:
    """The echo replies of one member, with the time at which each came; a few at most are kept."""

    def __init__(self) -> None:
        self._replies: asyncio.Queue[tuple[EchoReply, float]] = asyncio.Queue(_UNHEARD_REPLIES)

    def put(self, reply: EchoReply) -> None:
        """Take a reply, now. One that is too many was not asked for, and is dropped."""
        with suppress(asyncio.QueueFull):
            self._replies.put_nowait((reply, asyncio.get_running_loop().time()))

    async def get(self) -> tuple[EchoReply, float]:
        """Return the next reply and when it came."""
        return await self._replies.get()


class Measurer:
    """Measures members. ``routes`` is None where tracing is switched off."""

    def __init__(self, routes: RouteFinder | None, at_once: int) -> None:
        self._routes = routes
        self._slots = asyncio.Semaphore(at_once)
        # trains of several members at once would measure each other
        self._trains = asyncio.Semaphore(max(1, at_once // _TRAIN_SHARE))
        # nonces and payloads must not be guessed by a member that would like to look fast
        self._chance = random.SystemRandom()

    async def measure(self, link: EchoLink, inbox: EchoInbox) -> Found:
        """Return what can be found about the member at the other end of ``link``."""
        async with self._slots:
            route, performance = await asyncio.gather(self._route(link.host), self._echo(link, inbox))
        if route is None:
            return Found((), (), False, performance)
        return Found(route.routers, route.rtt_ms[: len(route.routers)], route.reached, performance)

    async def _route(self, host: str) -> Route | None:
        if self._routes is None or not _traceable(host):
            return None
        try:
            async with asyncio.timeout(_LIMIT):
                return await self._routes.route(host)
        except TimeoutError:
            return None

    async def _echo(self, link: EchoLink, inbox: EchoInbox) -> Performance:
        probe = EchoProbe(self._chance)
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(_LIMIT):
                while True:
                    async with self._trains if probe.heavy else nullcontext():
                        if not (requests := probe.requests(now())):
                            break
                        for request in requests:
                            link.send(request)
                        while not probe.receive(*await inbox.get()):
                            pass
        except TimeoutError:
            pass
        return probe.result()


def _traceable(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
