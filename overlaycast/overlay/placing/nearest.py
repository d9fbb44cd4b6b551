"""Which of many places are nearest to each of them, by links.

Owns: the search, from each place outwards. Refuses: nothing.

Each router above keeps its nearest ones below, as many as are asked for: so a place looks at that many per router on
its path, however many there are in all.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final

from overlaycast.overlay.placing.levels import SOURCE
from overlaycast.overlay.state.place import Place, links_between

NEIGHBOURS: Final = 8
"""Others that are looked at for each place: more find hardly anything."""


def neighbours(places: Sequence[Place]) -> list[list[tuple[int, int]]]:
    """Return who may come to feed each place when a plan is shortened: the nearest others, and the source.

    ``places``: the source's is the last one; it has no entry of its own, and is ``SOURCE`` in the others'.
    """
    found = nearest(places, NEIGHBOURS)
    source = len(places) - 1
    for near, place in zip(found, places, strict=True):
        links = links_between(places[source], place)
        near[:] = sorted({(links, SOURCE), *((way, SOURCE if one == source else one) for way, one in near)})
    return found[:source]


def nearest(places: Sequence[Place], most: int) -> list[list[tuple[int, int]]]:
    """Return for each place up to ``most`` others of them, as links and number, the nearest first."""
    below = _below(places, most + 1)
    return [_from(number, place, below, most) for number, place in enumerate(places)]


def _below(places: Sequence[Place], most: int) -> dict[int, list[tuple[int, int]]]:
    """Return by router up to ``most`` of the places at and below it: their depths and numbers, the least first."""
    routers: dict[int, Place] = {}
    found: dict[int, list[tuple[int, int]]] = {}
    for number, place in enumerate(places):
        found.setdefault(place.order, []).append((place.depth, number))
        for above in place.up():
            if above.order in routers:
                break
            routers[above.order] = above
    for router in sorted(routers.values(), key=lambda place: -place.depth):
        found[router.order] = heapq.nsmallest(most, found.get(router.order, ()))
        if router.parent is not None:
            found.setdefault(router.parent.order, []).extend(found[router.order])
    return found


def _from(number: int, place: Place, below: dict[int, list[tuple[int, int]]], most: int) -> list[tuple[int, int]]:
    links = {number: 0}
    for above in place.up():
        steps = place.depth - above.depth
        if len(links) > most and sorted(links.values())[most] <= steps:
            break  # whoever is found from here on is further away
        for depth, other in below[above.order]:
            links.setdefault(other, steps + depth - above.depth)
    del links[number]
    return heapq.nsmallest(most, ((way, other) for other, way in links.items()))
