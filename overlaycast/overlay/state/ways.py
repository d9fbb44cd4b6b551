"""Ways between routers that paths from the coordinator do not show: members have counted the routers on them.

Owns: what was counted, and how far routers are with it. Refuses: choosing whom to ask (``watching.distances``).

Paths from one place make a tree. Where they part early, two members that are beside one another look far apart. A count
is believed only where it makes a way shorter than the tree does: an answer may take longer than it must, but none
passes fewer routers than there are. It holds for copies *to* the router whose member counted: that is how its packets
came. So a member that lies gets a worse parent itself, and nobody else does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from overlaycast.overlay.state.delays import distance_ms
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import Key, Router, links_between

NEAR: Final = 8
"""So many routers are kept as a router's neighbours."""
MOST: Final = 128
"""Ways that are kept for one router: the shortest."""


class Way(NamedTuple):
    """From one router to another: links between the two, and the delay between their members, one way."""

    links: int
    ms: float


class Ways:
    """All that was counted in one group, by the router that copies would go to."""

    def __init__(self) -> None:
        self._into: dict[Key, dict[Key, Way]] = {}
        self._out_of: dict[Key, dict[Key, Way]] = {}
        """The same, by the router that copies would come from."""
        self._near: dict[Key, tuple[Key, ...]] = {}

    def learn(self, feeder: Router, fed: Router, way: Way) -> None:
        """Take what a member of ``fed`` has counted of packets from a member of ``feeder``; the newest count holds."""
        known = self._into.setdefault(fed.key, {})
        known[feeder.key] = self._out_of.setdefault(feeder.key, {})[fed.key] = way
        if len(known) > MOST:
            self._drop(_in_order(known)[-1], fed.key)
        self._near.pop(fed.key, None)

    def _drop(self, feeder: Key, fed: Key) -> None:
        for table, one, other in ((self._into, fed, feeder), (self._out_of, feeder, fed)):
            del table[one][other]
            if not table[one]:
                del table[one]
        self._near.pop(fed, None)

    def keep(self, routers: Iterable[Key]) -> None:
        """Forget all that was counted of others than these."""
        kept = set(routers)
        pairs = [(feeder, fed) for fed, known in self._into.items() for feeder in known]
        for feeder, fed in pairs:
            if feeder not in kept or fed not in kept:
                self._drop(feeder, fed)

    def counted(self, feeder: Router, fed: Router) -> Way | None:
        """Return what was counted from one to the other."""
        known = self._into.get(fed.key)
        return None if known is None else known.get(feeder.key)

    def near(self, fed: Router | None) -> Sequence[Key]:
        """Return the routers from which the shortest counted ways lead here, the shortest first."""
        if fed is None or (known := self._into.get(fed.key)) is None:
            return ()
        found = self._near.get(fed.key)
        if found is None:
            found = self._near[fed.key] = tuple(_in_order(known)[:NEAR])
        return found

    def around(self, router: Key) -> Sequence[tuple[Key, Way]]:
        """Return the nearest routers by what either end has counted, the nearest first: where to look further."""
        known = self._out_of.get(router, {}) | self._into.get(router, {})
        return [(key, known[key]) for key in _in_order(known)[:NEAR]]

    def links(self, feeder: Router | None, fed: Router | None) -> int:
        """Return how many links a copy passes, as far as they are known."""
        links = links_between(feeder, fed)
        if not links or not self._into or feeder is None or fed is None:
            return links
        way = self.counted(feeder, fed)
        return links if way is None else min(links, way.links)

    def delay_ms(self, feeder: Member, fed: Member) -> float:
        """Return the estimated one-way delay from one member to another."""
        delay = distance_ms(feeder, fed)
        if not self._into or feeder.router is None or fed.router is None or feeder.router is fed.router:
            return delay
        way = self.counted(feeder.router, fed.router)
        return delay if way is None else min(delay, way.ms)


def _in_order(known: Mapping[Key, Way]) -> list[Key]:
    return sorted(known, key=lambda key: (*known[key], str(key)))
