"""What echoes have shown of the links to routers, and which reading is not believed. Pure.

Owns: the rule. Refuses: links (``locality``), and what follows from a rate (``plan/capacity``).

A late train shows less than there is, and that happens often, so the best reading counts. Subtracting a late small echo
shows more than there is, and that happens seldom. Members of one router are behind the same links, so their echoes
should show the same: one that shows more than two neighbours do, and more than anybody in the group, is doubted, as of
one member's trains only two that agree count (``discovery/echo``). Trains over equal uplinks, one at a time, were seen
to differ by less than the 15 % that are allowed here.

Invariant: what is doubted depends on the readings, not on their order.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, MutableMapping
from typing import Final

from overlaycast.overlay.state.router import Router

CONFIRMED: Final = 0.85
"""A reading is confirmed by another one, anybody's, that is at least this share of it."""
NEIGHBOURS: Final = 2
"""So many readings of one router can deny a third: a single one may have been late itself."""
KEPT: Final = 4
"""The highest readings of a router's members, present and former; what was carried once, the links can carry."""
FEW: Final = 64
"""Entries that are no matter, whether they still count or not."""


class Readings:
    """The readings of one group, the highest first; each router has its own members' in ``Router.readings``.

    Of an entry that does not count any more nothing is known before it is looked at. From time to time all are looked
    at, so that there are no more than twice as many as count, or ``few``.
    """

    def __init__(self, few: int = FEW) -> None:
        self._heap: list[tuple[float, int, int, Router]] = []
        self._few = self._most = few

    def __len__(self) -> int:
        return len(self._heap)

    def take(self, router: Router, member: int, rate_mbit: float) -> None:
        """Take a member's newest reading; of a router only the highest are kept."""
        _keep(router.readings, member, rate_mbit)
        heapq.heappush(self._heap, (-rate_mbit, member, router.order, router))
        if len(self._heap) > self._most:
            self._heap = sorted({one[:3]: one for one in self._heap if _counts(one)}.values(), key=lambda one: one[:3])
            self._most = max(self._few, 2 * len(self._heap))

    def doubted(self) -> tuple[Router, int] | None:
        """Return the member, and its router, whose reading nobody confirms and two neighbours deny, or None."""
        found: list[tuple[float, int, int, Router]] = []
        while self._heap and len(found) < 2:
            one = heapq.heappop(self._heap)
            if one not in found and _counts(one):
                found.append(one)
        for one in found:
            heapq.heappush(self._heap, one)
        if len(found) < 2:
            return None
        (first, member, _, router), (second, *_) = found
        denied = len(router.readings) > NEIGHBOURS and -second < CONFIRMED * -first
        return (router, member) if denied else None


def _counts(entry: tuple[float, int, int, Router]) -> bool:
    """Whether this is the member's reading still, and there is no newer one."""
    rate, member, _, router = entry
    return router.readings.get(member) == -rate


def tells(readings: Mapping[int, float], member: int, rate_mbit: float) -> bool:
    """Whether a reading changes what a router's members have shown: most say what neighbours have said before."""
    return len(readings) < KEPT or member in readings or rate_mbit > min(readings.values())


def _keep(readings: MutableMapping[int, float], member: int, rate_mbit: float) -> None:
    readings[member] = rate_mbit
    if len(readings) > KEPT:
        del readings[min(readings, key=lambda one: (readings[one], -one))]
