"""Networks in virtual time: routers that limit, lose, lie or never answer, and a survey that looks at them."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from overlaycast.discovery.survey.route import Route
from overlaycast.discovery.survey.survey import Probe, Survey

STOCK_BURST, STOCK_GAP_S = 6, 1.0
"""What Linux's net.ipv4.icmp_ratelimit lets through towards one destination."""


@dataclass
class Limit:
    """A Linux router's limit, as ``inet_peer_xrlim_allow`` has it: what is refused costs nothing."""

    tokens: float = STOCK_BURST
    at: float = 0.0

    def allows(self, now: float) -> bool:
        self.tokens = min(STOCK_BURST, self.tokens + (now - self.at) / STOCK_GAP_S)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class World:
    """Routes by target, and how routers and targets behave.

    Attributes:
        routes: by target, the routers on the way, the first one first.
        silent: routers and targets that never answer.
        hidden: routers at which no time to live ends, as inside of an MPLS tunnel.
        stock: whether routers limit what they send.
        loss: share of probes that get lost.
        delay_s: one hop, one way.
        table: whether the routing table names the first router.
        blocks: by target, the router that refuses to pass on what is for it.
        meddle: called for each answer; returns what comes instead.
    """

    routes: Mapping[str, Sequence[str]]
    silent: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    stock: bool = True
    loss: float = 0.0
    delay_s: float = 0.0005
    table: bool = True
    blocks: Mapping[str, str] = field(default_factory=dict)
    seed: int = 1
    meddle: Callable[[tuple[int, str, str, str, int | None]], list[tuple[int, str, str, str, int | None]]] | None = None

    def __post_init__(self) -> None:
        self.now = 0.0
        self.survey = Survey(0.0)
        self.chance = random.Random(self.seed)
        self.limits: dict[str, Limit] = {}
        self.probes: list[tuple[float, Probe]] = []
        self.told: dict[str, list[tuple[float, Route]]] = {}
        self._order = count()
        self._coming: list[tuple[float, int, tuple[int, str, str, str, int | None]]] = []

    def seek(self, targets: Iterable[str] | None = None) -> None:
        for target in self.routes if targets is None else targets:
            way = self.routes[target]
            self.survey.seek(target, way[0] if self.table and way else None, self.now)
        self._pump()

    def run(self, until: float) -> None:
        """Let time pass."""
        while True:
            times = [self._coming[0][0]] if self._coming else []
            deadline = self.survey.next_deadline()
            if deadline is not None:
                times.append(max(deadline, self.now))
            if not times or min(times) > until:
                break
            before = self.now
            self.now = min(times)
            came = 0
            while self._coming and self._coming[0][0] <= self.now:
                number, target, router, verdict, left = heapq.heappop(self._coming)[2]
                assert verdict in ("hop", "target", "blocked")
                self.survey.answer(number, target, router, verdict, left, self.now)  # type: ignore[arg-type]
                came += 1
            progress = self._pump()
            assert came or progress or self.now > before or not self._stuck(), "time does not go on"
        self.now = until

    def _stuck(self) -> bool:
        deadline = self.survey.next_deadline()
        return deadline is not None and deadline <= self.now

    def path(self, target: str) -> tuple[str | None, ...] | None:
        """The newest route that was told."""
        told = self.told.get(target)
        return None if not told else told[-1][1].routers

    def complete(self) -> dict[str, float]:
        """When each target's true route was told."""
        right: dict[str, float] = {}
        for target, told in self.told.items():
            for at, route in told:
                if route.routers == tuple(self.routes[target]) and route.reached:
                    right.setdefault(target, at)
        return right

    def _pump(self) -> bool:
        probes = self.survey.probes(self.now)
        for probe in probes:
            self.probes.append((self.now, probe))
            self._travel(probe)
        routes = self.survey.routes(self.now)
        for route in routes:
            self.told.setdefault(route.target, []).append((self.now, route))
        return bool(probes or routes)

    def _travel(self, probe: Probe) -> None:
        if self.chance.random() < self.loss:
            return
        left = probe.ttl
        for hops, router in enumerate(self.routes[probe.target], start=1):
            if self.blocks.get(probe.target) == router:
                self._answer(probe, router, "blocked", left, hops)
                return
            if router in self.hidden:
                continue
            left -= 1
            if left == 0:
                self._answer(probe, router, "hop", 1, hops)
                return
        self._answer(probe, probe.target, "target", left, len(self.routes[probe.target]) + 1)

    def _answer(self, probe: Probe, sender: str, verdict: str, left: int, hops: int) -> None:
        if sender in self.silent:
            return
        if self.stock and not self.limits.setdefault(sender, Limit()).allows(self.now):
            return
        answer = (probe.number, probe.target, sender, verdict, left)
        for one in [answer] if self.meddle is None else self.meddle(answer):
            heapq.heappush(self._coming, (self.now + 2 * hops * self.delay_s, next(self._order), one))


def regions(members: int = 8, leaves: int = 6) -> dict[str, list[str]]:
    """Six sites of eight members below three regional routers, as topologies/regions.py has them."""
    return {
        f"10.{leaf}.{member}.2": ["r0", f"r{leaf // 2 + 1}", f"l{leaf}"]
        for leaf in range(leaves)
        for member in range(members)
    }
