"""Where members are: router paths become one tree of routers, and the tree tells sites and distances.

Owns: the routers, how far they are, how many copies pass the link above each. Refuses: choosing parents.

A path is read from the member's end: the deepest router that is already known is where it joins the tree. So
load-balanced paths and paths of different length to one site meet at that site, and a join costs what is new in its
path. A hop that does not answer is a wildcard: it is one with another hop only where both neighbours match. Paths
that failed, or that end in silence, fall back to the address prefix, and with no address to the round-trip time.

Invariants: an address has one router; ``count`` is the number of peers at and below a router; a router's delay never
exceeds the smallest measured below it.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Sequence
from typing import Final

from overlaycast.overlay.state.measurement import Measurement
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import Key, Router, meeting

UNKNOWN_MS: Final = 1.0
"""One router further, where nothing was measured."""
NEAR_MS: Final = 1.0
SAME_SHARE: Final = 1.25
"""Delays are alike up to this share and so many ms more: what is measured twice differs, and a busy host is late."""
_OCTETS: Final = frozenset(map(str, range(256)))


def alike_ms(least_ms: float) -> float:
    """Return up to which delay others cannot be told from the least one.

    Choose from all of those by what is not measured. It is no order: of three, the outer two may differ.
    """
    return least_ms * SAME_SHARE + NEAR_MS


def reach_ms(member: Member) -> float:
    """Return the one-way delay from the coordinator to the member, measured, or as its router suggests.

    Members of one router whose echoes differ by no more than noise are equally far: otherwise the noise of the
    moment would decide between equals, and two runs on one network would differ.
    """
    router = member.router
    if router is None:
        return UNKNOWN_MS if member.rtt_ms is None else member.rtt_ms / 2
    if member.rtt_ms is None:
        return router.delay_ms
    reach = member.rtt_ms / 2
    return router.delay_ms if reach <= alike_ms(router.delay_ms) else reach


def distance_ms(one: Member, other: Member) -> float:
    """Return the estimated one-way delay between two members, over the deepest router that both paths share."""
    if one.router is None or other.router is None:
        return reach_ms(one) + reach_ms(other)
    if one.router is other.router:
        return max(abs(reach_ms(one) - reach_ms(other)), 0.0)
    shared = meeting(one.router, other.router).delay_ms
    return max(reach_ms(one) - shared, 0.0) + max(reach_ms(other) - shared, 0.0)


def prefix_of(addresses: Sequence[tuple[str, int]]) -> str | None:
    """Return the /24 or /64 of the first address that is one, else None."""
    for host, _ in addresses:
        parts = host.split(".")
        if len(parts) == 4 and all(map(_OCTETS.__contains__, parts)):
            return f"{parts[0]}.{parts[1]}.{parts[2]}.0/24"  # the same as below, at a tenth of its cost
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            continue
        return str(ipaddress.ip_network(f"{address}/{24 if address.version == 4 else 64}", strict=False))
    return None


class Routers:
    """The tree of routers of one group."""

    def __init__(self) -> None:
        self.root = Router("", None, "coordinator")
        self.known: dict[Key, Router] = {"": self.root}
        self._prefixes: dict[str, Router] = {}
        self.located = 0
        self.version = 0
        """Grows whenever a router gets its first member or loses its last, or shows a better rate."""
        self._core: Router | None = None

    # --- finding a router ---------------------------------------------------------------------------------------

    def locate(self, measurement: Measurement, addresses: Sequence[tuple[str, int]]) -> Router:
        """Return the router of a member with this path, making what is new of it."""
        path = measurement.path
        while path and path[-1] is None:
            path = path[:-1]
        tail = len(measurement.path) - len(path)
        prefix = prefix_of(addresses)
        if not path:
            return self._unlocated(measurement, prefix)
        router = self._follow(path, measurement.hops_ms)
        if tail:
            # the member's own router is silent: those of one subnet are behind the same one
            router = self.add(("*", router.key, tail, prefix or "?"), router)
        if prefix is not None:
            self._prefixes.setdefault(prefix, router)
        return router

    def _follow(self, path: Sequence[str | None], hops_ms: Sequence[float | None]) -> Router:
        start = len(path)
        router = self.root
        while start > 0:
            hop = path[start - 1]
            if hop is not None and hop in self.known:
                router = self.known[hop]
                break
            start -= 1
        self._name_wildcard(router, path, start)
        index = start
        while index < len(path):
            hop = path[index]
            if hop is not None:
                router = self.add(hop, router, hop)
                index += 1
                continue
            end = index
            while path[end] is None:
                end += 1
            for step in range(end - index):
                router = self.add(("*", router.key, end - index, step, path[end]), router)
            index = end
        self._time(path, hops_ms)
        return router

    def add(self, key: Key, parent: Router, name: str | None = None) -> Router:
        """Return the router with this key, made below ``parent`` if it is new."""
        router = self.known.get(key)
        if router is None:
            router = self.known[key] = Router(key, parent, name, len(self.known))
        return router

    def _name_wildcard(self, router: Router, path: Sequence[str | None], start: int) -> None:
        """Let a wildcard take the name of the router that now answers between the same two neighbours."""
        above = router.parent
        if start < 2 or above is None or above.name is not None or above.parent is None:
            return
        name = path[start - 2]
        before = path[start - 3] if start > 2 else ""
        if name is None or name in self.known or above.parent.key != before:
            return
        above.name = name
        self.known[name] = above

    def _time(self, path: Sequence[str | None], hops_ms: Sequence[float | None]) -> None:
        for hop, rtt in zip(path, hops_ms, strict=False):
            router = self.known.get(hop) if hop is not None else None
            if router is None or rtt is None:
                continue
            # routers answer late when busy, never early: the smallest is the truest
            router.delay_ms = min(router.delay_ms, rtt / 2) if router.timed else rtt / 2
            router.timed = True

    def _unlocated(self, measurement: Measurement, prefix: str | None) -> Router:
        if prefix is not None:
            router = self._prefixes.get(prefix)
            return router or self.add(("prefix", prefix), self.root, prefix)
        # no path, no address: all that is left is how far it is from the only landmark, the coordinator
        bucket = round(math.log2(max(measurement.rtt_ms or 1.0, 0.1)))
        return self.add(("rtt", bucket), self.root, f"about {2.0**bucket:g} ms")

    # --- members come and go -----------------------------------------------------------------------------------

    def enter(self, member: Member) -> None:
        """Count the member at its router, and learn its delay and rate."""
        router = member.router
        if router is None:
            return
        self._learn(router, member)
        if member.role != "peer":
            return
        self.located += 1
        self._core = None
        for above in router.up():
            self.version += not above.count
            above.count += 1

    def leave(self, member: Member) -> None:
        """Count the member no more."""
        if member.router is None or member.role != "peer":
            return
        self.located -= 1
        self._core = None
        for above in member.router.up():
            above.count -= 1
            self.version += not above.count

    def _learn(self, router: Router, member: Member) -> None:
        if member.role != "source":
            self._learn_rate(router, member)
        if member.rtt_ms is None:
            return
        reach = member.rtt_ms / 2
        if router.heard and reach >= router.delay_ms:
            return
        hops = max(router.depth, 1)
        for above in router.up():
            # a router without a time of its own lies as far along the path as its share of the hops
            guess = reach if above.timed else reach * above.depth / hops
            if not above.timed and not above.heard:
                above.delay_ms, above.heard = guess, True
            elif guess < above.delay_ms:
                above.delay_ms = guess

    def _learn_rate(self, router: Router, member: Member) -> None:
        """The best that any member below has shown; an echo that came back too fast to tell shows no limit."""
        rate = member.rate_mbit
        if rate is None:
            if member.rtt_ms is None:
                return
            rate = math.inf
        for above in router.up():
            if above.rate_mbit is not None and above.rate_mbit >= rate:
                break
            above.rate_mbit = rate
            self.version += 1

    # --- sites -------------------------------------------------------------------------------------------------

    @property
    def core(self) -> Router:
        """The deepest router that all located peers share."""
        if self._core is None:
            self._core = self._find_core()
        return self._core

    def _find_core(self) -> Router:
        router = self.root
        while True:
            below = next((child for child in router.children if child.count), None)
            if below is None or below.count != self.located:
                return router
            router = below

    def site(self, router: Router) -> Router:
        """Return the site of a router: the branch just below the core, whose link above is its uplink.

        At the core and above it a router is its own site.
        """
        core = self.core
        if router.depth <= core.depth:
            return router
        inside = router
        while inside.depth > core.depth + 1:
            assert inside.parent is not None
            inside = inside.parent
        return inside if inside.parent is core else router

    # --- copies ------------------------------------------------------------------------------------------------

    @staticmethod
    def crossed(feeder: Router | None, fed: Router | None) -> tuple[list[Router], list[Router]]:
        """Return the routers whose uplink a copy from one router to another leaves by, and those it enters by."""
        out: list[Router] = []
        into: list[Router] = []
        if feeder is None or fed is None or feeder is fed:
            return out, into
        shared = meeting(feeder, fed)
        while feeder is not shared:
            out.append(feeder)
            assert feeder.parent is not None
            feeder = feeder.parent
        while fed is not shared:
            into.append(fed)
            assert fed.parent is not None
            fed = fed.parent
        return out, into

    def carry(self, feeder: Router | None, fed: Router | None, copies: int) -> None:
        """Count ``copies`` more (or fewer) between two routers on every link they pass."""
        out, into = self.crossed(feeder, fed)
        for router in out:
            router.outbound += copies
        for router in into:
            router.inbound += copies
