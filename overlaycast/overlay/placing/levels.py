"""Shares out the depth limit where more places follow one another than it has levels.

Owns: how deep the head of each place may hang. Refuses: choosing members; it knows none.

Along a branch a place is fed by the one before it, which costs the fewest copies, until the levels run out. Then one
copy passes places by: this *express* goes from a place further up to one further down, and a chain goes on from there.
The plan crosses the fewest links of all in which an express starts at a place of the chain that it follows, or at the
source: dynamic programming from the leaves up, exact within that family.

With ``began`` the depth at which the present chain began and ``steps`` the places since, a place's depth is their sum,
and the place ``p`` steps into the chain is the one ``steps - p`` further up. So a place has at most limit^2 / 2 states,
and one whose branch fits as a plain chain needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

SOURCE: Final = -1
UNFIT: Final = 1 << 60
"""More links than any plan crosses that keeps the limit."""

Links = Callable[[int, int], int]
"""The number of links between two places; the first may be ``SOURCE``."""


@dataclass(frozen=True, slots=True)
class Berth:
    """Where the head of a place is to hang: how deep at most, and from which place (or ``SOURCE``)."""

    deepest: int
    feeder: int


def share_out(above: Sequence[int], within: Sequence[int], limit: int, links: Links) -> list[Berth]:
    """Return each place's berth.

    Args:
        above: per place, the one before it on the way from the source, or ``SOURCE``; listed after that one.
        within: per place, the levels that its members need below their head.
        limit: the deepest level there is.
        links: how far places are from one another.

    A place that needs more levels within than there are hangs from the source.
    """
    plan = _Plan(above, within, limit, links)
    berths = [Berth(1, SOURCE)] * len(above)
    todo = [(SOURCE, 0, 0)]
    while todo:
        place, began, steps = todo.pop()
        for child in plan.below[place]:
            _, feeder, next_began, next_steps = plan.best(place, child, began, steps)
            berths[child] = Berth(max(next_began + next_steps, limit - plan.tall[child]), feeder)
            todo.append((child, next_began, next_steps))
    return berths


class _Plan:
    """The tables. ``below[SOURCE]`` are the places that follow the source at once; ``tall`` are the levels that the
    branch from a place on needs below that place as a plain chain."""

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
        for place in range(size):
            self.below[above[place]].append(place)
        for place in range(size - 1, -1, -1):
            before = above[place]
            if before != SOURCE:
                self._plain[before] += self._plain[place] + self._distance(before, place)
                self.tall[before] = max(self.tall[before], self.tall[place] + 1)

    def _distance(self, feeder: int, place: int) -> int:
        known = self._measured[place]
        if feeder not in known:
            known[feeder] = self._links(feeder, place)
        return known[feeder]

    def best(self, place: int, child: int, began: int, steps: int) -> tuple[int, int, int, int]:
        """Return the fewest links crossed in and above the child's branch, its feeder, and its state."""
        found = self._feed(child, place, began, steps + 1)
        if began + steps + 1 + self.tall[child] <= self._limit:
            return found
        feeder = place
        for step in range(steps - 1, -1, -1):
            feeder = self._above[feeder]
            found = min(found, self._feed(child, feeder, began + step + 1, 0), key=_crossed)
        return min(found, self._feed(child, SOURCE, 1, 0), key=_crossed)

    def _feed(self, child: int, feeder: int, began: int, steps: int) -> tuple[int, int, int, int]:
        return self._distance(feeder, child) + self._cost(child, began, steps), feeder, began, steps

    def _cost(self, place: int, began: int, steps: int) -> int:
        """Return how many links the branch below a place crosses at least."""
        depth = began + steps
        if depth + self.tall[place] <= self._limit:
            return self._plain[place]
        if depth > self._room[place]:
            return UNFIT
        state = began * (self._limit + 1) + steps
        cost = self._known[place].get(state)
        if cost is None:
            cost = min(UNFIT, sum(self.best(place, child, began, steps)[0] for child in self.below[place]))
            self._known[place][state] = cost
        return cost


def _crossed(found: tuple[int, int, int, int]) -> int:
    return found[0]
