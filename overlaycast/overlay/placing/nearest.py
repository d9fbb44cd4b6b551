"""Which of many routers are nearest to each of them, by links.

Owns: the search, from each router outwards. Refuses: nothing.

Each router above keeps its nearest ones below, as many as are asked for: so a router looks at that many per router on
its path, however many there are in all.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final

from overlaycast.overlay.placing.levels import SOURCE
from overlaycast.overlay.state.router import Router
from overlaycast.overlay.state.ways import Ways

NEIGHBOURS: Final = 8
"""Others that are looked at for each router: more find hardly anything."""


def neighbours(routers: Sequence[Router], ways: Ways) -> list[list[tuple[int, int]]]:
    """Return what may come to feed each router when a plan is shortened: the nearest others, and the source.

    ``routers``: the source's is the last one; it has no entry of its own, and is ``SOURCE`` in the others'.
    """
    found = nearest(routers, NEIGHBOURS)
    source = len(routers) - 1
    numbers = {router.key: number for number, router in enumerate(routers)}
    for number, near in enumerate(found):
        counted = (numbers.get(key) for key in ways.near(routers[number]))
        feeders = {source, *(one for _, one in near), *(one for one in counted if one is not None)} - {number}
        near[:] = sorted(
            (ways.links(routers[one], routers[number]), SOURCE if one == source else one) for one in feeders
        )
    return found[:source]


def nearest(routers: Sequence[Router], most: int) -> list[list[tuple[int, int]]]:
    """Return for each router up to ``most`` others of them, as links and number, the nearest first."""
    below = _below(routers, most + 1)
    return [_from(number, router, below, most) for number, router in enumerate(routers)]


def _below(routers: Sequence[Router], most: int) -> dict[int, list[tuple[int, int]]]:
    """Return by router up to ``most`` of the routers at and below it: their depths and numbers, the least first."""
    above_them: dict[int, Router] = {}
    found: dict[int, list[tuple[int, int]]] = {}
    for number, router in enumerate(routers):
        found.setdefault(router.order, []).append((router.depth, number))
        for above in router.up():
            if above.order in above_them:
                break
            above_them[above.order] = above
    for router in sorted(above_them.values(), key=lambda router: -router.depth):
        found[router.order] = heapq.nsmallest(most, found.get(router.order, ()))
        if router.parent is not None:
            found.setdefault(router.parent.order, []).extend(found[router.order])
    return found


def _from(number: int, router: Router, below: dict[int, list[tuple[int, int]]], most: int) -> list[tuple[int, int]]:
    links = {number: 0}
    for above in router.up():
        steps = router.depth - above.depth
        if len(links) > most and sorted(links.values())[most] <= steps:
            break  # whichever member is found from here on is further away
        for depth, other in below[above.order]:
            links.setdefault(other, steps + depth - above.depth)
    del links[number]
    return heapq.nsmallest(most, ((way, other) for other, way in links.items()))
