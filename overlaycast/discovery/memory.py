"""What earlier routes tell about the next one, so that a burst of joins does not use up the routers' ICMP allowance.

Owns: which hosts count as neighbours (one /24, one /64), how long a route is remembered, and what may be inferred for
a router that stayed silent. Refuses: probing; ``tracer`` verifies what is found here.

Linux routers answer one sender with a burst of six ICMP errors and then one a second. Twelve hosts behind one router,
traced at once, would find half of it silent. Two observations mend that, both true where routes depend on the
destination only: hosts of one subnet have one path, and two paths from here that pass the same router at the same
distance came there the same way.

Invariants: nothing older than ``max_age`` seconds is used; no more than ``capacity`` entries of each kind are held;
an inferred router never contradicts one that answered.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

from overlaycast.discovery.route import Route, Router

Subnet = IPv4Network | IPv6Network
_RouterAt = tuple[int, str]  # how many hops from here, and which router


def subnet_of(address: str) -> Subnet:
    """Return the /24 or /64 of an address; hosts in it are taken for neighbours."""
    parsed = ip_address(address)
    return ip_network((parsed, 24 if isinstance(parsed, IPv4Address) else 64), strict=False)


class RouteMemory:
    """Recent routes, by subnet and by router."""

    def __init__(self, max_age: float = 120.0, capacity: int = 4096) -> None:
        self._max_age = max_age
        self._capacity = capacity
        self._routes: OrderedDict[Subnet, tuple[float, Route]] = OrderedDict()
        # up to four different ways to each router at each distance: of more than one, nothing can be inferred
        self._ways: OrderedDict[_RouterAt, tuple[float, list[tuple[Router, ...]]]] = OrderedDict()

    def remember(self, route: Route, now: float) -> None:
        """Keep a freshly traced route."""
        if not route.routers and not route.reached:
            return
        self._put(self._routes, subnet_of(route.target), (now, route))
        for index, router in enumerate(route.routers):
            if router is not None:
                self._remember_way((index, router), route.routers[:index], now)

    def neighbour(self, target: str, now: float) -> Route | None:
        """Return the recent route of a host in the target's subnet."""
        found = self._routes.get(subnet_of(target))
        if found is None or now - found[0] > self._max_age:
            return None
        return found[1]

    def forget(self, target: str) -> None:
        """Drop the route of the target's subnet: it turned out to be wrong."""
        self._routes.pop(subnet_of(target), None)

    def fill(self, routers: tuple[Router, ...], now: float) -> tuple[Router, ...]:
        """Return ``routers`` with silent ones filled in where exactly one known way to a later router fits."""
        filled = list(routers)
        for index in range(len(routers) - 1, 0, -1):
            router = routers[index]
            if router is None or None not in filled[:index]:
                continue
            way = self._only_way((index, router), filled[:index], now)
            if way is not None:
                filled[:index] = [old if old is not None else new for old, new in zip(filled, way, strict=False)]
        return tuple(filled)

    def _only_way(self, at: _RouterAt, seen: list[Router], now: float) -> tuple[Router, ...] | None:
        since, ways = self._ways.get(at, (0.0, []))
        if now - since > self._max_age:
            return None
        fitting = [way for way in ways if _agree(way, seen)]
        return fitting[0] if len(fitting) == 1 else None

    def _remember_way(self, at: _RouterAt, way: tuple[Router, ...], now: float) -> None:
        since, ways = self._ways.get(at, (now, []))
        if now - since > self._max_age:
            ways = []
        # a way that another one completes says nothing new
        others = [old for old in ways if not (_agree(old, list(way)) and _silent(old) >= _silent(way))]
        if not any(_agree(old, list(way)) for old in others):
            others.append(way)
        self._put(self._ways, at, (now, others[-4:]))

    def _put(self, store: OrderedDict, key: object, value: object) -> None:  # type: ignore[type-arg]
        store[key] = value
        store.move_to_end(key)
        if len(store) > self._capacity:
            store.popitem(last=False)


def _agree(way: tuple[Router, ...], seen: list[Router]) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(way, seen, strict=True))


def _silent(way: tuple[Router, ...]) -> int:
    return sum(router is None for router in way)
