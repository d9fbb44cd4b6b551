"""Shares out the depth limit where more clusters follow one another than it has levels.

Owns: how deep the head of each cluster may be. Refuses: choosing members; it knows none.

Along a branch a cluster is fed by the one before it, which costs the fewest copies, until the levels run out. Then one
copy passes clusters by: this *express* goes from a cluster further up to one further down, and a chain goes on from
there. The plan crosses the fewest links of all in which an express starts at a cluster of the chain that it follows, or
at the source: dynamic programming from the leaves up, exact within that family.

With ``began`` the depth at which the present chain began and ``steps`` the clusters since, a cluster's depth is their
sum, and the cluster ``p`` steps into the chain is the one ``steps - p`` further up. So a cluster has at most limit^2 /
2 states, and one whose branch fits as a plain chain needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

SOURCE: Final = -1
UNFIT: Final = 1 << 60
"""More links than any plan crosses that keeps the limit."""

Links = Callable[[int, int], int]
"""The number of links between two clusters; the first may be ``SOURCE``."""


@dataclass(frozen=True, slots=True)
class Berth:
    """Where the head of a cluster is to be attached: how deep at most, and from which cluster (or ``SOURCE``)."""

    deepest: int
    parent: int


def share_out(above: Sequence[int], within: Sequence[int], limit: int, links: Links) -> list[Berth]:
    """Return each cluster's berth.

    Args:
        above: per cluster, the one before it on the way from the source, or ``SOURCE``; listed after that one.
        within: per cluster, the levels that its members need below their head.
        limit: the deepest level there is.
        links: how far clusters are from one another.

    A cluster that needs more levels within than there are is attached to the source.
    """
    plan = _Plan(above, within, limit, links)
    berths = [Berth(1, SOURCE)] * len(above)
    todo = [(SOURCE, 0, 0)]
    while todo:
        cluster, began, steps = todo.pop()
        for child in plan.below[cluster]:
            _, parent, next_began, next_steps = plan.best(cluster, child, began, steps)
            berths[child] = Berth(max(next_began + next_steps, limit - plan.tall[child]), parent)
            todo.append((child, next_began, next_steps))
    return berths


class _Plan:
    """The tables. ``below[SOURCE]`` are the clusters that follow the source at once; ``tall`` are the levels that the
    branch from a cluster on needs below that cluster as a plain chain."""

    def __init__(self, above: Sequence[int], within: Sequence[int], limit: int, links: Links) -> None:
        size = len(above)
        self._above = above
        self._limit = limit
        self._room = [max(1, limit - levels) for levels in within]
        self._links = links
        self._plain = [0] * size
        self._known: list[dict[int, int]] = [{} for _ in range(size)]
        self._measured: list[dict[int, int]] = [{} for _ in range(size)]
        self.tall = [limit - room for room in self._room]
        self.below: list[list[int]] = [[] for _ in range(size + 1)]  # the last one is the source's
        for cluster in range(size):
            self.below[above[cluster]].append(cluster)
        for cluster in range(size - 1, -1, -1):
            before = above[cluster]
            if before != SOURCE:
                self._plain[before] += self._plain[cluster] + self._distance(before, cluster)
                self.tall[before] = max(self.tall[before], self.tall[cluster] + 1)

    def _distance(self, parent: int, cluster: int) -> int:
        known = self._measured[cluster]
        if parent not in known:
            known[parent] = self._links(parent, cluster)
        return known[parent]

    def best(self, cluster: int, child: int, began: int, steps: int) -> tuple[int, int, int, int]:
        """Return the fewest links crossed in and above the child's branch, its parent, and its state."""
        found = self._feed(child, cluster, began, steps + 1)
        if began + steps + 1 + self.tall[child] <= self._limit:
            return found
        parent = cluster
        for step in range(steps - 1, -1, -1):
            parent = self._above[parent]
            found = min(found, self._feed(child, parent, began + step + 1, 0), key=_crossed)
        return min(found, self._feed(child, SOURCE, 1, 0), key=_crossed)

    def _feed(self, child: int, parent: int, began: int, steps: int) -> tuple[int, int, int, int]:
        return self._distance(parent, child) + self._cost(child, began, steps), parent, began, steps

    def _cost(self, cluster: int, began: int, steps: int) -> int:
        """Return how many links the branch below a cluster crosses at least."""
        depth = began + steps
        if depth + self.tall[cluster] <= self._limit:
            return self._plain[cluster]
        if depth > self._room[cluster]:
            return UNFIT
        state = began * (self._limit + 1) + steps
        cost = self._known[cluster].get(state)
        if cost is None:
            cost = min(UNFIT, sum(self.best(cluster, child, began, steps)[0] for child in self.below[cluster]))
            self._known[cluster][state] = cost
        return cost


def _crossed(found: tuple[int, int, int, int]) -> int:
    return found[0]
