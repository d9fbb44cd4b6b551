"""One member's search for a parent (Fig. 4, 410): who may feed it, what a copy from each costs, and who is best.

Owns: preference. Refuses: changing anything; ``placement`` does, through ``moves``.

The search goes outwards from the member's own router: a member with room there feeds it; then the branches of the next
router up are looked at, and so on to the source. Of those whose planned delay is within ``STRETCH`` of the direct way,
the one wins from which a copy passes the fewest links; of several whose delays are alike the highest in the tree, then
by name, so that the noise of a measurement chooses nobody. Once a site has its copy, others in it are preferred up to
``SITE_STRETCH``, and where the uplink is thin always. So exactly one copy enters a site whose members can forward, and
sites are fed by the source as long as it has room, by one another after that.

A newcomer that sits on the way to the member found goes in front of it: to the parent of that one, which follows by
``improve`` and then is attached to the newcomer. So an unlucky order of arrival costs no copies in the long run.

Where only the first levels of the tree are shallow enough, all members there are looked at instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from overlaycast.overlay.plan import mass_failure, moves
from overlaycast.overlay.plan.capacity import UNLIMITED, room, uplink_copies
from overlaycast.overlay.plan.reach import linked
from overlaycast.overlay.state.delays import alike_ms
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import Router, lies_in, meeting
from overlaycast.overlay.state.tree import LEVEL_BITS, RANK_LIMIT, ceiling, delay_ms, depth

STRETCH: Final = 1.6
"""A member's planned delay is at most so many times the direct one, where that can be had."""
SITE_STRETCH: Final = 2.0
"""The same for members of a site that has its copy already."""
SLACK_MS: Final = 1.0
FAILURE_MS: Final = 5.0
"""What a failure in the past costs a candidate, for each doubling of the branch that it would get."""
BRANCH_LOOKED_AT: Final = 64
TOO_LONG: Final = 1 << 30
SHALLOW: Final = 64
SHALLOW_LEVELS: Final = 3
"""For a branch so tall that only fewer levels than this may feed it, all there are looked at if they are few."""

Found = tuple[int, float, str, int, Member]
"""Links that the copy passes (``TOO_LONG``: the way is), delay in ms, name, id, the member; ``first`` chooses."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a search keeps to beside the limits: how deep the member may be, how many slots members of a router keep
    for their own neighbours that have not been placed yet, and from where a parent may come."""

    deepest: int = 1 << 30
    keep: Mapping[Router | None, int] | None = None
    lift: bool = False
    """The branch's ranks may be raised, so candidates of any rank will do."""
    flat: bool = False
    """The member is looked at as if it had no children."""
    inside: Router | None = None
    """Only members at and below this router, which is the member's or above it, will do."""
    feeder: Router | None = None
    """A router that is looked at whatever the search finds, and whose way may be longer."""


FREE: Final = Rules()


class Search:
    """One member's search for a parent."""

    def __init__(self, group: Group, member: Member, avoid: Iterable[Member] = (), rules: Rules = FREE) -> None:
        self.group = group
        self.member = member
        self.avoid = tuple(avoid)
        self.ceiling = RANK_LIMIT if rules.lift or rules.flat else ceiling(member)
        height = 0 if rules.flat else member.height
        self.depth_left = min(group.tree.depth_limit - height, rules.deepest) - 1
        self.follower: Member | None = None
        """Who is to be attached to the member as soon as it has its place."""
        self.keep = rules.keep
        self.inside = rules.inside
        self.planned = rules.feeder
        self.anybody = False
        """In a mass failure: also those that have not been heard since it began."""
        self.thin = False
        """Also those behind an uplink thinner than the member's: a file may come slower than it could."""
        self.lost = member.role == "peer" and not member.located and group.routers.located > 0
        """Nobody knows where it is: each such member of a site would be one more copy of the source's."""
        self.direct = direct_ms(group, member)

    def accepts(self, candidate: Member) -> bool:
        """Whether the candidate may feed the member at all, promises to others kept."""
        spare = candidate.spare
        if spare <= 0 or not candidate.trusted or not (self.anybody or mass_failure.known_alive(self.group, candidate)):
            return False
        if spare <= _for_siblings(candidate) or (candidate.role == "source" and self.lost):
            return False
        if self.keep and candidate.router is not self.member.router and spare <= self.keep.get(candidate.router, 0):
            return False
        return self.possible(candidate) and room(self.group, candidate.router, self.member.router, thin=self.thin)

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
        cost = planned_ms(self.group, self.member, candidate)
        if candidate.history.failures:
            cost += FAILURE_MS * candidate.history.failures * self.member.size.bit_length()
        return cost

    def run(self) -> Member | None:
        """Return the best parent, or None."""
        best = self.found()
        return best[4] if best else None

    def found(self) -> Found | None:
        """Return the best parent and what a copy from it costs, or None."""
        shallow = self._shallow()
        found = self._outwards() if shallow is None else list(map(self.judge, filter(self.accepts, shallow)))
        planned = self.as_planned()
        best = first(found if planned is None else [*found, planned])
        return best and self._ahead(best)

    def as_planned(self) -> Found | None:
        """Return a member of the router that is to feed this one, if it has room."""
        own = self.group.candidates.near(self.planned, self.accepts, 1) if self.planned is not None else []
        return self.judge(own[0], SITE_STRETCH) if own else None

    def _beside(self) -> list[Found]:
        """Return members that were counted to be near, though the paths do not show it."""
        group = self.group
        near = map(group.routers.known.get, group.ways.near(self.member.router))
        routers = (
            router for router in near if router is not None and (self.inside is None or lies_in(router, self.inside))
        )
        return [self.judge(one) for router in routers for one in group.candidates.near(router, self.accepts, 1)]

    def _links(self, feeder: Member, fed: Member) -> int:
        return self.group.ways.links(feeder.router, fed.router)

    def _shallow(self) -> list[Member] | None:
        """Return all that are near enough to the source, or None if they are many."""
        source = self.group.source
        if source is None or self.depth_left >= SHALLOW_LEVELS:
            return None
        row, found = [source], [source]
        for _ in range(self.depth_left):
            row = [child for one in row for child in one.children]
            found += row
            if len(found) > SHALLOW:
                return None
        return [one for one in found if one.role != "backup" and self._is_inside(one)]

    def _is_inside(self, one: Member) -> bool:
        return self.inside is None or lies_in(one.router, self.inside)

    def _outwards(self) -> list[Found]:
        router = self.member.router or self.group.routers.root
        own = self.group.candidates.near(router, self.accepts, 1)
        if own:
            return [self._judge(own[0], router)]  # the list is in order of delay, and neighbours are equally near
        site = self.group.routers.site(router)
        fed = site.inbound > 0 and site.depth > self.group.routers.core.depth
        found: list[Found] = []
        searched: Router | None = None
        for above in router.up():
            steps = router.depth - above.depth
            least = min(found, key=_links_and_delay, default=None)
            if least is not None and least[0] < steps:
                break  # whichever member is found from here on is further away
            further = least is None or least[0] > steps
            found += [self._judge(one, above) for one in self._at(above, searched, further)]
            searched = above
            if above is self.inside or (above is site and fed and found and self._stays(found, site)):
                break
        return found + self._beside()

    def judge(self, one: Member, stretch: float = STRETCH) -> Found:
        """Return what a copy from this candidate costs; ``stretch``: how much longer than the direct way it may be."""
        here, there = self.member.router, one.router
        return self._judge(one, meeting(here, there) if here and there else self.group.routers.root, stretch)

    def _ahead(self, best: Found) -> Found:
        """Go in front of the one found, if the member sits on the way to it."""
        while True:
            follower = best[4]
            feeder = follower.parent
            if feeder is None or not self._precedes(feeder, follower):
                return best
            self.follower = follower
            net = self._links(feeder, self.member) - self._follower_saves(feeder, follower)
            best = (net, self.cost(feeder), feeder.name, feeder.id, feeder)

    def _follower_saves(self, feeder: Member, follower: Member) -> int:
        return self._links(feeder, follower) - self._links(self.member, follower)

    def _precedes(self, feeder: Member, follower: Member) -> bool:
        """Whether the copy from ``feeder`` to ``follower`` should come by way of the member, and may."""
        group, member = self.group, self.member
        passed = self._links(feeder, follower)
        improves = group.start.begun and group.settings.improve_s > 0
        if not improves or self._links(feeder, member) >= passed:
            return False
        saved = self._follower_saves(feeder, follower)
        level = max((feeder.rank >> LEVEL_BITS) + 1, moves.rank_level(group, member))
        rank = member.rank if member.rank > feeder.rank else (level + 1) << LEVEL_BITS
        delay = planned_ms(group, member, feeder) + group.ways.delay_ms(member, follower) + moves.HOP_MS
        return (
            saved >= max(1.0, group.settings.improve_gain * passed)
            and member.spare > 0
            and linked(member, follower)
            and rank < ceiling(follower) - 1
            and depth(feeder) + 2 + follower.height <= group.tree.depth_limit
            and delay <= STRETCH * direct_ms(group, follower)
            and self.accepts(feeder)
            and room(group, member.router, follower.router, True)
        )

    def _at(self, above: Router, searched: Router | None, further: bool) -> list[Member]:
        """Return candidates at a router, and, if those may be near enough, at the routers beyond it."""
        candidates = self.group.candidates
        found = candidates.below(above, self.accepts, searched) if further else []
        return found if searched is None else found + candidates.near(above, self.accepts)

    def _judge(self, one: Member, shared: Router, stretch: float = STRETCH) -> Found:
        """Links that one more copy passes, if the way is short enough; after all those come the others, by delay."""
        cost = self.cost(one)
        if cost > stretch * self.direct:
            return (TOO_LONG, cost, one.name, one.id, one)
        here, there = self.member.router, one.router
        links = sum(router.depth - shared.depth for router in (here, there) if router is not None)
        if (
            links
            and here is not None
            and there is not None
            and (way := self.group.ways.counted(there, here)) is not None
        ):
            links = min(links, way.links)
        return (links, cost, one.name, one.id, one)

    def _stays(self, found: Sequence[Found], site: Router) -> bool:
        best = min(found, key=_links_and_delay)
        return best[1] <= SITE_STRETCH * self.direct or uplink_copies(self.group, site) < UNLIMITED


def _links_and_delay(found: Found) -> tuple[int, float]:
    return found[:2]


def first(found: Sequence[Found]) -> Found | None:
    """Return the candidate with the fewest links, and of those whose delays are alike the first."""
    if len(found) < 2:
        return found[0] if found else None
    links = min(one[0] for one in found)
    fewest = [one for one in found if one[0] == links]
    enough = alike_ms(min(one[1] for one in fewest))
    return min((one for one in fewest if one[1] <= enough), key=lambda one: (depth(one[4]), one[2], one[3]))


def _for_siblings(candidate: Member) -> int:
    """Slots that an heir keeps for siblings that may still come: neighbours, while their parent has room."""
    parent = candidate.parent
    if parent is None or parent.router is not candidate.router:
        return 0
    heir = next(sibling for sibling in parent.children if sibling.degree and sibling.router is parent.router)
    if heir is not candidate:
        return 0
    return 0 if parent.role == "source" else parent.degree - len(parent.children)


def direct_ms(group: Group, member: Member) -> float:
    """Return the delay that the member would have if the source itself fed it."""
    source = group.source
    return (group.ways.delay_ms(source, member) if source is not None else 0.0) + moves.HOP_MS + SLACK_MS


def planned_ms(group: Group, member: Member, parent: Member) -> float:
    """Return the delay from the source that the member would have below ``parent``."""
    return delay_ms(parent) + group.ways.delay_ms(parent, member) + moves.HOP_MS


def short_enough(group: Group, member: Member, delay: float, stretch: float = STRETCH) -> bool:
    """Whether those that the member's branch feeds elsewhere still have a short enough way if it has this delay."""
    row = [(member, delay)]
    for one, to_here in row:
        for child in one.children:
            if child.router is not one.router and len(row) <= BRANCH_LOOKED_AT:
                row.append((child, to_here + child.edge_ms))
    return all(to_here <= stretch * direct_ms(group, one) for one, to_here in row[1:])
