"""Chooses a parent (Fig. 4, 410).

Owns: preference. Refuses: changing anything but through ``moves``; breaking what ``tree`` guards.

The search goes outwards from the member's own router: whoever has room there feeds it; then the branches of the next
router up, and so on to the source. Of those whose planned delay is within ``STRETCH`` of the direct way, the one wins
from whom a copy passes the fewest links. Once a site has its copy, others in it are preferred up to ``SITE_STRETCH``,
and where the uplink is thin always. So exactly one copy enters a site whose members can forward, and sites hang from
the source as long as it has places, from one another after that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from overlaycast.overlay import candidates, moves, promises
from overlaycast.overlay.capacity import UNLIMITED, room, uplink_copies
from overlaycast.overlay.group import Group
from overlaycast.overlay.locality import Place, distance_ms
from overlaycast.overlay.members import Member
from overlaycast.overlay.reach import linked
from overlaycast.overlay.tree import RANK_LIMIT, ceiling, delay_ms, top

STRETCH: Final = 1.6
SITE_STRETCH: Final = 2.0
SLACK_MS: Final = 1.0
FAILURE_MS: Final = 5.0
"""What a failure in the past costs a candidate, for each doubling of the branch that it would get."""
SCAN_LIMIT: Final = 4096
LIFT_LIMIT: Final = 1024
TOO_LONG: Final = 1 << 30

_Found = tuple[int, float, str, int, Member]
"""Links, delay, name, id, who: the smaller the better."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a search keeps to beside the limits: how deep the member may hang, how many slots members of a place keep
    for their own neighbours that have not been placed yet, and from where a feeder may come."""

    deepest: int = 1 << 30
    keep: Mapping[Place | None, int] | None = None
    lift: bool = False
    """The branch's ranks may be raised, so candidates of any rank will do."""
    inside: Place | None = None
    """Only members at and below this place, which is the member's or above it, will do."""


FREE: Final = Rules()


class _Search:
    """One member's search for a parent."""

    def __init__(self, group: Group, member: Member, avoid: Iterable[Member] = (), rules: Rules = FREE) -> None:
        self.group = group
        self.member = member
        self.avoid = tuple(avoid)
        self.ceiling = RANK_LIMIT if rules.lift else ceiling(member)
        self.depth_left = min(group.tree.depth_limit - member.height, rules.deepest) - 1
        self.keep = rules.keep
        self.inside = rules.inside
        source = group.source
        direct = distance_ms(source, member) if source is not None else 0.0
        self.direct = direct + moves.HOP_MS + SLACK_MS

    def accepts(self, candidate: Member) -> bool:
        """Whether the candidate may feed the member at all, promises to others kept."""
        spare = candidate.spare
        if spare <= 0 or not candidate.trusted:
            return False
        if spare <= _for_siblings(candidate):
            return False
        if self.keep and candidate.place is not self.member.place and spare <= self.keep.get(candidate.place, 0):
            return False
        return self.possible(candidate) and room(self.group, candidate.place, self.member.place)

    def possible(self, candidate: Member) -> bool:
        """Whether the tree would take it: degree, rank, depth, a link, and fed by the source itself."""
        if candidate is self.member or candidate in self.avoid or candidate.rank >= self.ceiling - 1:
            return False
        if len(candidate.children) >= candidate.degree or not linked(candidate, self.member):
            return False
        hops = 0
        above: Member = candidate
        while above.parent is not None:
            hops += 1
            above = above.parent
        return above is self.group.source and hops <= self.depth_left

    def cost(self, candidate: Member) -> float:
        """Planned delay from the source by way of the candidate, in ms; past failures count as delay."""
        cost = planned_ms(self.member, candidate)
        if candidate.failures:
            cost += FAILURE_MS * candidate.failures * self.member.size.bit_length()
        return cost

    def run(self) -> Member | None:
        """Return the best parent, or None."""
        place = self.member.place or self.group.places.root
        own = candidates.near(place, self.accepts, 1)
        if own:
            return own[0]  # the list is in order of delay, and neighbours are equally near
        site = self.group.places.site(place)
        fed = site.inbound > 0 and site.depth > self.group.places.core.depth
        best: _Found | None = None
        searched: Place | None = None
        for above in place.up():
            steps = place.depth - above.depth
            if best is not None and best[0] < steps:
                break  # whoever is found from here on is further away
            further = best is None or best[0] > steps
            for one in self._at(above, searched, further):
                found = self._judge(one, above)
                best = found if best is None or found[:4] < best[:4] else best
            searched = above
            if above is self.inside or (above is site and fed and best is not None and self._stays(best, site)):
                break
        return best[4] if best else None

    def _at(self, above: Place, searched: Place | None, further: bool) -> list[Member]:
        """Return candidates at a router, and, if those may be near enough, at the places beyond it."""
        found = candidates.below(above, self.accepts, searched) if further else []
        return found if searched is None else found + candidates.near(above, self.accepts)

    def _judge(self, one: Member, shared: Place) -> _Found:
        """Links that one more copy passes, if the way is short enough; after all those come the others, by delay."""
        cost = self.cost(one)
        if cost > STRETCH * self.direct:
            return (TOO_LONG, cost, one.name, one.id, one)
        here, there = self.member.place, one.place
        links = sum(place.depth - shared.depth for place in (here, there) if place is not None)
        return (links, cost, one.name, one.id, one)

    def _stays(self, best: _Found, site: Place) -> bool:
        return best[1] <= SITE_STRETCH * self.direct or uplink_copies(self.group, site) < UNLIMITED


def _for_siblings(candidate: Member) -> int:
    """Slots that an heir keeps for siblings that may still come: neighbours, while their parent has room."""
    parent = candidate.parent
    if parent is None or parent.place is not candidate.place:
        return 0
    heir = next(sibling for sibling in parent.children if sibling.degree and sibling.place is parent.place)
    if heir is not candidate:
        return 0
    return 0 if parent.role == "source" else parent.degree - len(parent.children)


def choose(group: Group, member: Member, avoid: Iterable[Member] = (), rules: Rules = FREE) -> Member | None:
    """Return the parent for an orphan (with its branch), or None if nobody may take it.

    Peers and planted servers first, then backup servers, then, in groups small enough to look at everybody, whoever
    has a place left that is promised to others.
    """
    search = _Search(group, member, avoid, rules)
    best = search.run()
    if best is None and rules is not FREE and not rules.lift:
        search = _Search(group, member, avoid)
        best = search.run()
    if best is not None:
        return best
    for server in sorted(group.servers, key=lambda one: (len(one.children), one.id)):
        if search.accepts(server):
            return server
    return _last_resort(group, search) if len(group.members) <= SCAN_LIMIT else None


def _last_resort(group: Group, search: _Search) -> Member | None:
    found = [
        (not room(group, one.place, search.member.place), search.cost(one), one.id, one)
        for one in group.members.values()
        if one.degree and one.trusted and search.possible(one)
    ]
    return min(found, key=lambda item: item[:3])[3] if found else None


def _by_lifting(group: Group, member: Member, avoid: Iterable[Member]) -> Member | None:
    """Only members of too high a rank have room: raise the ranks of the whole branch, from its top, and go there.

    The branch stays in one piece and where it is; its links are made anew where a HELLO's rank has been overtaken.
    """
    if not member.children or member.size > LIFT_LIMIT:
        return None
    found = choose(group, member, avoid, Rules(lift=True))
    if found is not None and found.rank >= ceiling(member) - 1:
        lifted = group.tree.lift(member, found.rank)
        for one in lifted:
            promises.drop_overtaken(group, one)
            group.touch(one)
    return found


def seek(group: Group, member: Member, avoid: Iterable[Member], rules: Rules) -> Member | None:
    """Return the best peer or planted server for an orphan, by the search alone: no backup server, no last resort."""
    return _Search(group, member, avoid, rules).run()


def planned_ms(member: Member, parent: Member) -> float:
    """Return the delay from the source that the member would have below ``parent``."""
    return delay_ms(parent) + distance_ms(parent, member) + moves.HOP_MS


def ripe(group: Group, member: Member, now: float) -> bool:
    """Whether the member has received for long enough to be fed by the source itself."""
    return now - member.placed_at >= group.settings.primary_after_s


def place(group: Group, member: Member, avoid: Iterable[Member] = (), rules: Rules = FREE) -> bool:
    """Place one orphan (Fig. 4, 408 to 416); False: it has to wait."""
    parent = choose(group, member, avoid, rules) or _by_lifting(group, member, avoid)
    if parent is None:
        group.waiting[member.id] = None
        return False
    moves.hang(group, member, parent)
    return True


# --- servers ----------------------------------------------------------------------------------------------------


def place_server(group: Group, server: Member) -> None:
    """Feed a backup server from the source, so that its rank is below everybody's whom it may have to take.

    Where the source has no place left, another backup server feeds it, or whoever feeds a peer there.
    """
    group.waiting.pop(server.id, None)
    if not server.rank:
        server.rank = group.tree.fresh_rank(0)
    for parent in (group.source, *group.servers):
        if parent is None or parent is server or not parent.trusted or top(parent) is not group.source:
            continue
        if linked(parent, server) and group.tree.fits(server, parent) and room(group, parent.place, server.place):
            moves.hang(group, server, parent)
            return
    place(group, server)
