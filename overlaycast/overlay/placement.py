"""Chooses a parent (Fig. 4, 410), and the order in which many are placed (Fig. 5, 504 to 510).

Owns: preference. Refuses: changing anything but through ``moves``; breaking what ``tree`` guards.

The search goes outwards from the member's own router: whoever has room there feeds it; then the branches of the next
router up, and so on to the source. The nearest candidate whose planned delay is within ``STRETCH`` of the direct way
wins: the nearer the feeder, the fewer links carry one more copy. Once a site has its copy, others in it are preferred
up to ``SITE_STRETCH``, and where the uplink is thin always. So exactly one copy enters a site whose members can
forward, and sites hang from the source as long as it has places, from one another after that.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

from overlaycast.overlay import candidates, moves
from overlaycast.overlay.capacity import UNLIMITED, room, uplink_copies
from overlaycast.overlay.group import Group
from overlaycast.overlay.locality import Place, distance_ms, reach_ms
from overlaycast.overlay.members import Member
from overlaycast.overlay.tree import ceiling, delay_ms

STRETCH: Final = 1.35
SITE_STRETCH: Final = 3.0
SLACK_MS: Final = 1.0
FAILURE_MS: Final = 5.0
"""What a failure in the past costs a candidate, for each doubling of the branch that it would get."""
SCAN_LIMIT: Final = 4096
COARSE_MS: Final = 5.0


class _Search:
    """One member's search for a parent."""

    def __init__(self, group: Group, member: Member, avoid: Iterable[Member] = ()) -> None:
        self.group = group
        self.member = member
        self.avoid = tuple(avoid)
        self.ceiling = ceiling(member)
        self.depth_left = group.tree.depth_limit - 1 - member.height
        source = group.source
        direct = distance_ms(source, member) if source is not None else 0.0
        self.direct = direct + moves.HOP_MS + SLACK_MS

    def accepts(self, candidate: Member) -> bool:
        """Whether the candidate may feed the member at all, promises to others kept."""
        if candidate.spare <= 0 or not candidate.trusted:
            return False
        return self.possible(candidate) and room(self.group, candidate.place, self.member.place)

    def possible(self, candidate: Member) -> bool:
        """Whether the tree would take it: degree, rank, depth, and fed by the source itself."""
        if candidate is self.member or candidate in self.avoid or candidate.rank >= self.ceiling - 1:
            return False
        if len(candidate.children) >= candidate.degree:
            return False
        hops = 0
        above: Member = candidate
        while above.parent is not None:
            hops += 1
            above = above.parent
        return above is self.group.source and hops <= self.depth_left

    def cost(self, candidate: Member) -> float:
        """Planned delay from the source by way of the candidate, in ms; past failures count as delay."""
        cost = delay_ms(candidate) + distance_ms(candidate, self.member) + moves.HOP_MS
        if candidate.failures:
            cost += FAILURE_MS * candidate.failures * self.member.size.bit_length()
        return cost

    def run(self) -> Member | None:
        """Return the best parent, or None."""
        place = self.member.place or self.group.places.root
        own = candidates.near(place, self.accepts)
        if own:
            return self._best(own)[1]
        site = self.group.places.site(place)
        fed = site.inbound > 0 and site.depth > self.group.places.core.depth
        best: tuple[float, Member] | None = None
        searched: Place | None = None
        for above in place.up():
            found = candidates.below(above, self.accepts, searched)
            if above is not place:
                found += candidates.near(above, self.accepts)
            searched = above
            if found:
                here = self._best(found)
                if here[0] <= STRETCH * self.direct:
                    return here[1]
                best = here if best is None or here[0] < best[0] else best
            if above is site and fed and best is not None and self._stays(best[0], site):
                return best[1]
        return best[1] if best else None

    def _stays(self, cost: float, site: Place) -> bool:
        return cost <= SITE_STRETCH * self.direct or uplink_copies(self.group, site) < UNLIMITED

    def _best(self, found: list[Member]) -> tuple[float, Member]:
        cost, _, _, best = min(((self.cost(one), one.name, one.id, one) for one in found), key=lambda item: item[:3])
        return cost, best


def choose(group: Group, member: Member, avoid: Iterable[Member] = ()) -> Member | None:
    """Return the parent for an orphan (with its branch), or None if nobody may take it.

    Peers and planted servers first, then backup servers, then, in groups small enough to look at everybody, whoever
    has a place left that is promised to others.
    """
    search = _Search(group, member, avoid)
    best = search.run()
    if best is not None:
        return best
    for server in sorted(group.servers, key=lambda one: (len(one.children), one.id)):
        if search.accepts(server):
            return server
    if len(group.members) > SCAN_LIMIT:
        return None
    return _last_resort(group, search)


def _last_resort(group: Group, search: _Search) -> Member | None:
    found = [
        (not room(group, one.place, search.member.place), search.cost(one), one.id, one)
        for one in group.members.values()
        if one.degree and one.trusted and search.possible(one)
    ]
    return min(found, key=lambda item: item[:3])[3] if found else None


def place(group: Group, member: Member, avoid: Iterable[Member] = ()) -> bool:
    """Place one orphan (Fig. 4, 408 to 416); False: it has to wait."""
    parent = choose(group, member, avoid)
    if parent is None:
        group.waiting[member.id] = None
        return False
    moves.hang(group, member, parent)
    return True


# --- many at once (Fig. 5) ------------------------------------------------------------------------------------------


def place_all(group: Group, members: Iterable[Member]) -> None:
    """Place many in one go: servers, then by place from the core outwards, the largest branch first, forwarders before
    those who only receive; within a place the best come first, so that they are fed first and feed the others."""
    forwarders: dict[Place, list[Member]] = {}
    receivers: list[Member] = []
    for member in members:
        if member.role == "backup":
            place_server(group, member)
        elif member.degree:
            forwarders.setdefault(member.place or group.places.root, []).append(member)
        else:
            receivers.append(member)
    for where in _outwards(group, forwarders):
        for member in sorted(forwarders[where], key=lambda one: merit(group, one)):
            place(group, member)
    for member in sorted(receivers, key=lambda one: merit(group, one)):
        place(group, member)


def _outwards(group: Group, wanted: dict[Place, list[Member]]) -> list[Place]:
    """Return the wanted places, each after those above it, and places of larger branches first."""
    inside: set[int] = set()
    for where in wanted:
        for above in where.up():
            if above.order in inside:
                break
            inside.add(above.order)
    root = group.places.root
    queue = [(-root.count, root.label, root.order, root)]
    found = []
    while queue:
        where = heapq.heappop(queue)[3]
        if where in wanted:
            found.append(where)
        for child in where.children:
            if child.order in inside:
                heapq.heappush(queue, (-child.count, child.label, child.order, child))
    return found


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


def place_server(group: Group, server: Member) -> None:
    """Feed a backup server from the source, so that its rank is below everybody's whom it may have to take."""
    source = group.source
    group.waiting.pop(server.id, None)
    if not server.rank:
        server.rank = group.tree.fresh_rank(0)
    parents = [source, *group.servers]
    for parent in parents:
        if parent is not None and parent is not server and parent.trusted and group.tree.fits(server, parent):
            moves.hang(group, server, parent)
            return
    group.waiting[server.id] = None
