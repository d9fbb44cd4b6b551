"""Many members are placed at once (Fig. 5).

Owns: the order in which they are placed, and how deep each cluster may be. Refuses: choosing parents (``placement``).

First a plan of which cluster feeds which: along the branches outwards, the depth limit shared out (``levels``) where
more clusters follow one another than it has levels, and shortened by exchanges (``exchange``). Then the skeleton by
that plan: one head per cluster, the best performing member there, from the source on and the largest branches first,
each with its heir and as many more neighbours as the branches beyond it will need for parents. Then the further
primaries of large clusters (``clusters``), the other forwarders of every cluster, which find their parents among their
neighbours, and last those that only receive.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from overlaycast.overlay.placing import clusters, placement
from overlaycast.overlay.placing.exchange import shorten
from overlaycast.overlay.placing.levels import SOURCE, share_out
from overlaycast.overlay.placing.nearest import neighbours
from overlaycast.overlay.placing.search import Rules
from overlaycast.overlay.plan import capacity, moves
from overlaycast.overlay.state.delays import reach_ms
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import Router

COARSE_MS: Final = 5.0
SAME_RATE: Final = 0.6
"""A member that has shown this share of the best rate at its router counts as its equal."""
KEEP: Final = 1
"""Slots that a member keeps for neighbours to come while branches beyond are attached to it."""


@dataclass(slots=True)
class _Stop:
    """A cluster on the way outwards."""

    router: Router
    members: list[Member] = field(default_factory=list)
    before: _Stop | None = None
    """Who is to feed it; None: the source."""
    deepest: int = 1
    """How deep its head may be."""
    branches: int = 0
    """Places that will look for a parent here first."""

    @property
    def head(self) -> Member:
        """Who is to receive the cluster's copy: the members are in order of merit."""
        return self.members[0]


def attach_all(group: Group, members: Iterable[Member]) -> None:
    """Attach all of these; none has a parent yet."""
    forwarders: list[Member] = []
    receivers: list[Member] = []
    for member in members:
        if member.role == "backup":
            placement.attach_server(group, member)
        else:
            (forwarders if member.degree else receivers).append(member)
    stops = _look_ahead(group, _outwards(group, forwarders))
    rest = _skeleton(group, stops)
    _further_primaries(group, stops)
    for member in rest:
        if member.parent is None:
            placement.attach_to_best(group, member)
    for member in sorted(receivers, key=lambda one: merit(group, one)):
        placement.attach_to_best(group, member)


def _skeleton(group: Group, stops: list[_Stop]) -> list[Member]:
    """Place the heads and the neighbours that will be needed; return those still to place."""
    rest: list[Member] = []
    keep: dict[Router | None, int] = {}
    for stop in stops:
        order = stop.members
        ahead = 1 + _feeders(stop.head.degree, stop.branches, len(order) - 1)
        feeder = stop.before.router if stop.before is not None else None
        placement.attach_to_best(group, stop.head, rules=Rules(stop.deepest, keep, feeder=feeder))
        for member in order[1:ahead]:
            placement.attach_to_best(group, member)
        if len(order) > ahead:
            keep |= dict.fromkeys((one.router for one in order), KEEP)
            rest += order[ahead:]
    return rest


def _further_primaries(group: Group, stops: list[_Stop]) -> None:
    """Give large clusters more primaries: the largest first, one to each before another to any."""
    source = group.source
    if source is None or not group.settings.primary_copies:
        return
    able = [one for stop in sorted(stops, key=lambda stop: -stop.router.count) for one in _by_turns(group, stop)]
    for _, member in sorted(able, key=lambda one: one[0]):
        if clusters.deserves(group, member):
            moves.attach(group, member, source)


def _by_turns(group: Group, stop: _Stop) -> list[tuple[int, Member]]:
    """Return those of a cluster's members that have no parent yet, the better first, each with its turn."""
    order = [one for one in stop.members if one.parent is None]
    return list(enumerate(order[: clusters.granted(group, stop.router.count)]))


def _feeders(degree: int, branches: int, neighbours: int) -> int:
    """Return how many neighbours are placed together with their head: its heir, and those that branches beyond need."""
    each = max(degree - KEEP - 1, 1)
    return min(neighbours, max(1, -(-(branches - each) // each)), degree)


def _outwards(group: Group, members: list[Member]) -> list[_Stop]:
    """Return the clusters of these members, each after the one before it, and larger branches first.

    A router without members is represented by the nearest cluster below it: that one is fed from further up, and feeds
    the other branches.
    """
    root = group.routers.root
    stops: dict[int, _Stop] = {}
    inside: dict[int, Router] = {}
    for member in members:
        where = clusters.cluster(group, member.router or root)
        stop = stops.get(where.order)
        if stop is None:
            stop = stops[where.order] = _Stop(where)
            for above in where.up():
                if above.order in inside:
                    break
                inside[above.order] = above
        stop.members.append(member)
    for stop in stops.values():
        stop.members.sort(key=lambda one: merit(group, one))
    followers = _followers(group, stops, inside)
    for stop in stops.values():
        for follower in followers.get(stop.router.order, ()):
            follower.before = stop
    return _in_order(group, stops.values())


def _in_order(group: Group, stops: Iterable[_Stop]) -> list[_Stop]:
    """Return the stops, each after the one before it: those behind thin uplinks late, and larger branches first."""
    followers: dict[int | None, list[_Stop]] = {}
    for stop in stops:
        followers.setdefault(stop.before.router.order if stop.before is not None else None, []).append(stop)
    queue: list[tuple[tuple[int, int], int, str, int, _Stop]] = []
    found: list[_Stop] = []
    ready = followers.get(None, [])
    while True:
        for stop in ready:
            turn = capacity.turn(group, stop.router)
            heapq.heappush(queue, (turn, -stop.router.count, stop.router.label, stop.router.order, stop))
        if not queue:
            return found
        found.append(heapq.heappop(queue)[4])
        ready = followers.get(found[-1].router.order, [])


def _followers(group: Group, stops: dict[int, _Stop], inside: dict[int, Router]) -> dict[int | None, list[_Stop]]:
    """Return, per cluster with members (None: the source), the clusters that come next on the way outwards."""
    source = group.source.router if group.source is not None else None
    before_source = {router.order for router in source.up()} if source is not None else {group.routers.root.order}
    heads: dict[int, list[_Stop]] = {}
    followers: dict[int | None, list[_Stop]] = {}
    tall: dict[int, int] = {}
    for where in sorted(inside.values(), key=lambda router: -router.depth):
        below = heads.pop(where.order, [])
        own = stops.get(where.order)
        if where.order in before_source:
            followers.setdefault(None, []).extend([*below, own] if own is not None else below)
            continue
        if own is None:
            own = min(below, key=lambda stop: (capacity.turn(group, stop.router), _near_and_tall(stop, tall)))
            below.remove(own)
        followers.setdefault(own.router.order, []).extend(below)
        levels = max((tall[stop.router.order] + 1 for stop in below), default=0)
        tall[own.router.order] = max(levels, tall.get(own.router.order, _levels(own)))
        assert where.parent is not None
        heads.setdefault(where.parent.order, []).append(own)
    return followers


def _near_and_tall(stop: _Stop, tall: dict[int, int]) -> tuple[int, int, str, int]:
    """Return the order among those below one router: the nearest, the tallest branch, the name."""
    return stop.router.depth, -tall[stop.router.order], stop.router.label, stop.router.order


def _look_ahead(group: Group, stops: list[_Stop]) -> list[_Stop]:
    """Plan who feeds which stop, and how deep it may be; return the stops in the order in which to place them."""
    number = {stop.router.order: index for index, stop in enumerate(stops)}
    source = group.source.router if group.source is not None and group.source.router is not None else group.routers.root
    routers = [*(stop.router for stop in stops), source]  # the last one is ``SOURCE``'s

    def links(feeder: int, router: int) -> int:
        return group.ways.links(routers[feeder], routers[router])

    above = [SOURCE if stop.before is None else number[stop.before.router.order] for stop in stops]
    within = [_levels(stop) for stop in stops]
    limit = group.tree.depth_limit
    near = [
        [(way, feeder) for way, feeder in row if not capacity.holds_up(group, routers[feeder], stop.router)]
        for row, stop in zip(neighbours(routers, group.ways), stops, strict=True)
    ]
    feeders = [berth.parent for berth in share_out(above, within, limit, links)]
    room = [max(1, limit - levels) for levels in within]
    most = [*map(_branches, stops), group.source.degree if group.source is not None else 1]
    berths = shorten(feeders, room, most, near, links)
    for stop, berth in zip(stops, berths, strict=True):
        stop.deepest = berth.deepest
        stop.before = None if berth.parent == SOURCE else stops[berth.parent]
        if stop.before is not None:
            stop.before.branches += 1
    return _in_order(group, stops)


def _branches(stop: _Stop) -> int:
    """Return how many other clusters the head had better feed: it keeps slots for its heir and for those to come."""
    return max(stop.head.degree - KEEP - (len(stop.members) > 1), 1)


def _levels(stop: _Stop) -> int:
    """Return how many levels the members of one cluster need among themselves."""
    degree = max(min(member.degree for member in stop.members) - 1, 1)
    left, width, levels = len(stop.members) - 1, degree, 0
    while left > 0 and levels < 64:
        left -= width
        width *= degree
        levels += 1
    return levels


def merit(group: Group, member: Member) -> tuple[object, ...]:
    """Return the order within a cluster: relays, dialable ones, the better performing, the stronger, name.

    Performance is compared in coarse steps, for an echo is noisy; strategy "location" leaves it out.
    """
    reach: float = 0
    rate: float = 0
    if group.settings.strategy != "location":
        reach = round(reach_ms(member) / COARSE_MS)
        rate = -_octave(_rate_mbit(group, member), group.settings.rate_mbit)
    return (
        member.role != "relay",
        not member.reachable,
        member.history.failures,
        reach,
        rate,
        -member.degree,
        member.name,
        member.id,
    )


def _rate_mbit(group: Group, member: Member) -> float:
    """Return the rate that a member is taken for: its router's best, if it has shown nearly that.

    An echo never shows more than there is, and less on a busy host; what is thin is most often shared. Otherwise the
    noise of the moment would decide between equals, and two runs on one network would differ.
    """
    rate = member.rate_mbit or group.settings.rate_mbit
    best = member.router.rate_mbit if member.router is not None else None
    return best if best is not None and rate >= SAME_RATE * best else rate


def _octave(rate_mbit: float, stream_mbit: float) -> int:
    """How many copies of the stream an echo shows, in doublings, and not more than a host is asked for."""
    return min(int(rate_mbit / stream_mbit), 4).bit_length()
