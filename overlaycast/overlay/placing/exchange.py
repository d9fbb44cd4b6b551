"""Shortens a plan of who feeds which cluster, by exchanging parents, until no exchange saves a link.

Owns: the exchanges. Refuses: choosing members; it knows none. A plan that keeps the depth limit goes on keeping it.

A cluster looks at its neighbours in turn. To be fed by a nearer one, further down, saves links: whatever of its branch
then gets too deep is attached elsewhere, if that costs less than it saves (an ejection chain). To be fed from further
up costs links, but then the cluster may be near enough to the source to feed neighbours whose copies came further. The
best exchange of both kinds is made. These are the arc exchange and the level change of Gruber, van Hemert and Raidl
("Neighbourhood searches for the bounded diameter minimum spanning tree problem", GECCO 2006), restricted to neighbours.

Invariants: no cycle; ``depth`` <= ``late`` of every cluster, the latest being what its own members and its branch leave
of the limit; each exchange crosses fewer links in all, so they come to an end, and ``PASSES`` bound it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from overlaycast.overlay.placing.levels import SOURCE, UNFIT, Berth, Links

PASSES: Final = 8
"""Rounds over all clusters; three or four are enough on maps of real networks."""

Near = Sequence[tuple[int, int]]
"""Links to another cluster, its number: the nearest first."""
Step = tuple[int, int, int]
"""A cluster, its parent to be, and over how many links."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """How many links an exchange saves in all, and what is to be attached where, in this order."""

    saved: int
    steps: tuple[Step, ...]


NONE: Final = Exchange(0, ())


def shorten(
    parents: Sequence[int], room: Sequence[int], most: Sequence[int], near: Sequence[Near], links: Links
) -> list[Berth]:
    """Return each cluster's berth in a plan that crosses no more links than the one given, as ``Plan`` takes it."""
    plan = Plan(parents, room, most, near, links)
    for _ in range(PASSES):
        if not sum(plan.make(plan.best(cluster)) for cluster in range(len(parents))):
            break
    return [Berth(late, parent) for late, parent in zip(plan.late, plan.parent, strict=True)]


class Plan:
    """Who feeds whom. The last entry of ``below``, ``depth`` and ``most`` is the source's: ``SOURCE`` is -1."""

    def __init__(
        self, parents: Sequence[int], room: Sequence[int], most: Sequence[int], near: Sequence[Near], links: Links
    ) -> None:
        """Take a plan.

        Args:
            parents: per cluster, its parent (or ``SOURCE``), without a cycle.
            room: per cluster, how deep it may be at most; the plan given keeps that.
            most: per cluster, and last for the source, how many others it should feed; beyond that it is left alone.
            near: per cluster, which others may feed it; ``SOURCE`` may be among them.
            links: how far clusters are from one another.
        """
        self.parent = list(parents)
        self.late = list(room)
        self._room = room
        self._most = most
        self._near = near
        self._links = links
        self._crossed = [links(parent, cluster) for cluster, parent in enumerate(parents)]
        self._below: list[list[int]] = [[] for _ in range(len(parents) + 1)]
        self._depth = [0] * (len(parents) + 1)
        for cluster, parent in enumerate(parents):
            self._below[parent].append(cluster)
        order = list(self._below[SOURCE])
        for cluster in order:
            self._depth[cluster] = self._depth[self.parent[cluster]] + 1
            order += self._below[cluster]
        for cluster in reversed(order):
            self.late[cluster] = self._latest(cluster)

    def best(self, cluster: int) -> Exchange:
        """Return the exchange for a cluster that saves most, or ``NONE``."""
        found = NONE
        for links, parent in self._near[cluster]:
            if parent == self.parent[cluster] or not self._may_feed(parent, cluster):
                continue
            offers = (self._nearer(cluster, parent, links, found.saved), self._higher(cluster, parent, links))
            found = max(found, *offers, key=_saved)
        return found

    def make(self, exchange: Exchange) -> int:
        """Make an exchange; return the links that it saves."""
        for step in exchange.steps:
            self._attach(*step)
        return exchange.saved

    def _may_feed(self, parent: int, cluster: int) -> bool:
        """Whether a cluster has a branch to spare, and is not below the other one."""
        if len(self._below[parent]) >= self._most[parent]:
            return False
        return not self._inside(parent, cluster)

    def _inside(self, one: int, branch: int) -> bool:
        while one != SOURCE:
            if one == branch:
                return True
            one = self.parent[one]
        return False

    def _nearer(self, cluster: int, parent: int, links: int, least: int) -> Exchange:
        """Attach the cluster to a nearer one; what gets too deep by that goes elsewhere first."""
        gain = self._crossed[cluster] - links
        if gain <= least:
            return NONE
        steps: list[Step] = []
        loss = self._sink(cluster, self._depth[parent] + 1, gain, steps, cluster)
        return NONE if loss >= gain else Exchange(gain - loss, (*steps, (cluster, parent, links)))

    def _sink(self, cluster: int, depth: int, budget: int, steps: list[Step], top: int) -> int:
        """Return how many links it costs at least to let a cluster be so deep; ``UNFIT``: ``budget`` or more.

        What of its branch must go elsewhere, outside the branch of ``top``, is added to ``steps``.
        """
        if depth <= self.late[cluster]:
            return 0
        if depth > self._room[cluster]:
            return UNFIT
        total = 0
        for child in self._below[cluster]:
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

    def _refuge(self, cluster: int, limit: int, top: int) -> Step | None:
        """Return the nearest that can feed the cluster where it does not get too deep, over under ``limit`` links."""
        for links, parent in self._near[cluster]:
            if links >= limit:
                return None
            if self._depth[parent] < self.late[cluster] and self._may_feed(parent, top):
                return cluster, parent, links
        return None

    def _higher(self, cluster: int, parent: int, links: int) -> Exchange:
        """Attach the cluster further up, and from it those neighbours that it is nearer to than their parents are."""
        depth = self._depth[parent] + 1
        if depth >= self._depth[cluster]:
            return NONE
        saved = self._crossed[cluster] - links
        steps: list[Step] = [(cluster, parent, links)]
        free = self._most[cluster] - len(self._below[cluster])
        for _, other in self._near[cluster]:
            if len(steps) > free or other == SOURCE or self.parent[other] == cluster:
                continue
            way = self._links(cluster, other)
            gain = self._crossed[other] - way
            if gain > 0 and depth < self.late[other] and not self._inside(parent, other):
                saved += gain
                steps.append((other, cluster, way))
        return Exchange(saved, tuple(steps))

    def _attach(self, cluster: int, parent: int, links: int) -> None:
        before = self.parent[cluster]
        self._below[before].remove(cluster)
        self._below[parent].append(cluster)
        self.parent[cluster], self._crossed[cluster] = parent, links
        branch = [cluster]
        for one in branch:
            self._depth[one] = self._depth[self.parent[one]] + 1
            branch += self._below[one]
        for one in (before, parent):
            self._settle(one)

    def _settle(self, cluster: int) -> None:
        """Find anew how late a cluster and those above it may be."""
        while cluster != SOURCE:
            late = self._latest(cluster)
            if late == self.late[cluster]:
                return
            self.late[cluster] = late
            cluster = self.parent[cluster]

    def _latest(self, cluster: int) -> int:
        return min([self._room[cluster], *(self.late[child] - 1 for child in self._below[cluster])])


def _saved(exchange: Exchange) -> int:
    return exchange.saved
