"""Shortens a plan of who feeds which place, by exchanging feeders, until no exchange saves a link.

Owns: the exchanges. Refuses: choosing members; it knows none. A plan that keeps the depth limit goes on keeping it.

A place looks at its neighbours in turn. To be fed by a nearer one, further down, saves links: whatever of its branch
then hangs too deep is hung elsewhere, if that costs less than it saves (an ejection chain). To be fed from further
up costs links, but then the place may be near enough to the source to feed neighbours whose copies came further. The
best exchange of both kinds is made. These are the arc exchange and the level change of Gruber, van Hemert and Raidl
("Neighbourhood searches for the bounded diameter minimum spanning tree problem", GECCO 2006), restricted to neighbours.

Invariants: no cycle; ``depth`` <= ``late`` of every place, the latest being what its own members and its branch leave
of the limit; each exchange crosses fewer links in all, so they come to an end, and ``PASSES`` bound it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from overlaycast.overlay.placing.levels import SOURCE, UNFIT, Berth, Links

PASSES: Final = 8
"""Rounds over all places; three or four are enough on maps of real networks."""

Near = Sequence[tuple[int, int]]
"""Links to another place, its number: the nearest first."""
Hung = tuple[int, int, int]
"""A place, who is to feed it, and over how many links."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """How many links an exchange saves in all, and who is to be hung where, in this order."""

    saved: int
    steps: tuple[Hung, ...]


NONE: Final = Exchange(0, ())


def shorten(
    feeders: Sequence[int], room: Sequence[int], most: Sequence[int], near: Sequence[Near], links: Links
) -> list[Berth]:
    """Return each place's berth in a plan that crosses no more links than the one given, as ``Plan`` takes it."""
    plan = Plan(feeders, room, most, near, links)
    for _ in range(PASSES):
        if not sum(plan.make(plan.best(place)) for place in range(len(feeders))):
            break
    return [Berth(late, feeder) for late, feeder in zip(plan.late, plan.feeder, strict=True)]


class Plan:
    """Who feeds whom. The last entry of ``below``, ``depth`` and ``most`` is the source's: ``SOURCE`` is -1."""

    def __init__(
        self, feeders: Sequence[int], room: Sequence[int], most: Sequence[int], near: Sequence[Near], links: Links
    ) -> None:
        """Take a plan.

        Args:
            feeders: per place, who feeds it (or ``SOURCE``), without a cycle.
            room: per place, how deep it may hang at most; the plan given keeps that.
            most: per place, and last for the source, how many others it had better feed; who feeds more is left alone.
            near: per place, who else may feed it; ``SOURCE`` may be among them.
            links: how far places are from one another.
        """
        self.feeder = list(feeders)
        self.late = list(room)
        self._room = room
        self._most = most
        self._near = near
        self._crossed = [links(feeder, place) for place, feeder in enumerate(feeders)]
        self._below: list[list[int]] = [[] for _ in range(len(feeders) + 1)]
        self._depth = [0] * (len(feeders) + 1)
        for place, feeder in enumerate(feeders):
            self._below[feeder].append(place)
        order = list(self._below[SOURCE])
        for place in order:
            self._depth[place] = self._depth[self.feeder[place]] + 1
            order += self._below[place]
        for place in reversed(order):
            self.late[place] = self._latest(place)

    def best(self, place: int) -> Exchange:
        """Return the exchange for a place that saves most, or ``NONE``."""
        found = NONE
        for links, feeder in self._near[place]:
            if feeder == self.feeder[place] or not self._may_feed(feeder, place):
                continue
            offers = (self._nearer(place, feeder, links, found.saved), self._higher(place, feeder, links))
            found = max(found, *offers, key=_saved)
        return found

    def make(self, exchange: Exchange) -> int:
        """Make an exchange; return the links that it saves."""
        for step in exchange.steps:
            self._hang(*step)
        return exchange.saved

    def _may_feed(self, feeder: int, place: int) -> bool:
        """Whether a place has a branch to spare, and does not hang from the other one."""
        if len(self._below[feeder]) >= self._most[feeder]:
            return False
        return not self._inside(feeder, place)

    def _inside(self, one: int, branch: int) -> bool:
        while one != SOURCE:
            if one == branch:
                return True
            one = self.feeder[one]
        return False

    def _nearer(self, place: int, feeder: int, links: int, least: int) -> Exchange:
        """Hang the place from a nearer one; what gets too deep by that goes elsewhere first."""
        gain = self._crossed[place] - links
        if gain <= least:
            return NONE
        steps: list[Hung] = []
        loss = self._sink(place, self._depth[feeder] + 1, gain, steps, place)
        return NONE if loss >= gain else Exchange(gain - loss, (*steps, (place, feeder, links)))

    def _sink(self, place: int, depth: int, budget: int, steps: list[Hung], top: int) -> int:
        """Return how many links it costs at least to let a place hang so deep; ``UNFIT``: ``budget`` or more.

        What of its branch must go elsewhere, outside the branch of ``top``, is added to ``steps``.
        """
        if depth <= self.late[place]:
            return 0
        if depth > self._room[place]:
            return UNFIT
        total = 0
        for child in self._below[place]:
            if self.late[child] > depth:
                continue
            before = len(steps)
            cost = self._sink(child, depth + 1, budget - total, steps, top)
            refuge = self._refuge(child, self._crossed[child] + min(cost, budget - total), top)
            if refuge is not None:
                cost = refuge[2] - self._crossed[child]
                steps[before:] = [refuge]
            total += cost
            if total >= budget:
                return UNFIT
        return total

    def _refuge(self, place: int, limit: int, top: int) -> Hung | None:
        """Return the nearest who can feed the place where it does not get too deep, over less than ``limit`` links."""
        for links, feeder in self._near[place]:
            if links >= limit:
                return None
            if self._depth[feeder] < self.late[place] and self._may_feed(feeder, top):
                return place, feeder, links
        return None

    def _higher(self, place: int, feeder: int, links: int) -> Exchange:
        """Hang the place further up, and from it those neighbours that it is nearer to than their feeders are."""
        depth = self._depth[feeder] + 1
        if depth >= self._depth[place]:
            return NONE
        saved = self._crossed[place] - links
        steps: list[Hung] = [(place, feeder, links)]
        free = self._most[place] - len(self._below[place])
        for way, other in self._near[place]:
            if len(steps) > free or other == SOURCE or self.feeder[other] == place:
                continue
            gain = self._crossed[other] - way
            if gain > 0 and depth < self.late[other] and not self._inside(feeder, other):
                saved += gain
                steps.append((other, place, way))
        return Exchange(saved, tuple(steps))

    def _hang(self, place: int, feeder: int, links: int) -> None:
        before = self.feeder[place]
        self._below[before].remove(place)
        self._below[feeder].append(place)
        self.feeder[place], self._crossed[place] = feeder, links
        branch = [place]
        for one in branch:
            self._depth[one] = self._depth[self.feeder[one]] + 1
            branch += self._below[one]
        for one in (before, feeder):
            self._settle(one)

    def _settle(self, place: int) -> None:
        """Find anew how late a place and those above it may be."""
        while place != SOURCE:
            late = self._latest(place)
            if late == self.late[place]:
                return
            self.late[place] = late
            place = self.feeder[place]

    def _latest(self, place: int) -> int:
        return min([self._room[place], *(self.late[child] - 1 for child in self._below[place])])


def _saved(exchange: Exchange) -> int:
    return exchange.saved
