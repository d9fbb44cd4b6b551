"""Fig. 5: many are placed in one go.

Owns: the order in which they are placed, and how deep each place may hang. Refuses: choosing parents (``placement``).

First the skeleton: one head per place, the best performing member there, from the core outwards and the largest
branches first, each with its heir and as many more neighbours as the branches beyond it will need for feeders. Then
the other forwarders of every place, which find their feeders among their neighbours, and last those who only receive.

Where more places follow one another than the depth limit has levels, the levels are shared out along the way: a place
after ``t`` others with ``h`` levels still to come hangs no deeper than ``limit * t / (t + h)``. So some links carry two
copies instead of the last ones carrying many.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from overlaycast.overlay import placement
from overlaycast.overlay.group import Group
from overlaycast.overlay.locality import Place, reach_ms
from overlaycast.overlay.members import Member
from overlaycast.overlay.placement import Rules

COARSE_MS: Final = 5.0
KEEP: Final = 1
"""Slots that a member keeps for neighbours to come while branches beyond are hung from it."""


@dataclass(slots=True)
class _Stop:
    """A place on the way outwards."""

    place: Place
    members: list[Member] = field(default_factory=list)
    passed: int = 0
    """Places with members from here to the core, this one included."""
    beyond: int = 0
    """Levels still to come, in the worst branch."""
    branches: int = 0
    """Places that will look for a feeder here first."""


def place_all(group: Group, members: Iterable[Member]) -> None:
    """Place all of these, who have none yet."""
    forwarders: list[Member] = []
    receivers: list[Member] = []
    for member in members:
        if member.role == "backup":
            placement.place_server(group, member)
        else:
            (forwarders if member.degree else receivers).append(member)
    stops = _outwards(group, forwarders)
    _look_ahead(group, stops)
    rest = _skeleton(group, stops)
    for member in rest:
        placement.place(group, member)
    for member in sorted(receivers, key=lambda one: merit(group, one)):
        placement.place(group, member)


def _skeleton(group: Group, stops: list[_Stop]) -> list[Member]:
    """Place the heads and the neighbours that will be needed; return those still to place."""
    rest: list[Member] = []
    keep: dict[Place | None, int] = {}
    levels = group.tree.depth_limit
    for stop in stops:
        order = sorted(stop.members, key=lambda one: merit(group, one))
        ahead = 1 + _feeders(order[0].degree, stop.branches, len(order) - 1)
        total = stop.passed + stop.beyond
        deepest = levels * stop.passed // total if total > levels else levels
        placement.place(group, order[0], rules=Rules(max(deepest, 1), keep))
        for member in order[1:ahead]:
            placement.place(group, member)
        if len(order) > ahead:
            keep[stop.place] = KEEP
            rest += order[ahead:]
    return rest


def _feeders(degree: int, branches: int, neighbours: int) -> int:
    """Return how many neighbours are placed together with their head: its heir, and whom branches beyond will need."""
    each = max(degree - KEEP - 1, 1)
    return min(neighbours, max(1, -(-(branches - each) // each)), degree)


def _outwards(group: Group, members: list[Member]) -> list[_Stop]:
    """Return the places of these members, each after those above it, and larger branches first."""
    root = group.places.root
    stops: dict[int, _Stop] = {}
    inside: set[int] = set()
    for member in members:
        where = member.place or root
        stop = stops.get(where.order)
        if stop is None:
            stop = stops[where.order] = _Stop(where)
            for above in where.up():
                if above.order in inside:
                    break
                inside.add(above.order)
        stop.members.append(member)
    queue = [(-root.count, root.label, root.order, root, 0)]
    found: list[_Stop] = []
    while queue:
        _, _, _, where, passed = heapq.heappop(queue)
        here = stops.get(where.order)
        if here is not None:
            passed += 1
            here.passed = passed
            found.append(here)
        for child in where.children:
            if child.order in inside:
                heapq.heappush(queue, (-child.count, child.label, child.order, child, passed))
    return found


def _look_ahead(group: Group, stops: list[_Stop]) -> None:
    """Tell each stop how many levels follow it and how many branches look to it."""
    by_place = {stop.place.order: stop for stop in stops}
    for stop in reversed(stops):
        stop.beyond = max(stop.beyond, _levels(stop))
        above = stop.place.parent
        while above is not None and above.order not in by_place:
            above = above.parent
        if above is not None:
            feeder = by_place[above.order]
            feeder.branches += 1
            feeder.beyond = max(feeder.beyond, stop.beyond + 1)


def _levels(stop: _Stop) -> int:
    """Return how many levels the members of one place need among themselves."""
    degree = max(min(member.degree for member in stop.members) - 1, 1)
    left, width, levels = len(stop.members) - 1, degree, 0
    while left > 0 and levels < 64:
        left -= width
        width *= degree
        levels += 1
    return levels


def merit(group: Group, member: Member) -> tuple[object, ...]:
    """Return the order within a place: planted servers, then the better performing, the stronger, by name.

    Performance is compared in coarse steps, for an echo is noisy; strategy "location" leaves it out.
    """
    reach: float = 0
    rate: float = 0
    if group.settings.strategy != "location":
        reach = round(reach_ms(member) / COARSE_MS)
        rate = -_octave(member.rate_mbit or group.settings.rate_mbit, group.settings.rate_mbit)
    return (member.role != "relay", member.failures, reach, rate, -member.degree, member.name, member.id)


def _octave(rate_mbit: float, stream_mbit: float) -> int:
    """How many copies of the stream an echo shows, in doublings, and not more than a host is asked for."""
    return min(int(rate_mbit / stream_mbit), 4).bit_length()
