"""Gives an orphan its parent (Fig. 4, 408 to 416): the best that the search finds, and what is done if it finds none.

Owns: the order of resorts. Refuses: changing anything but through ``moves``; breaking what ``tree`` guards.

First the search (``search``) among peers and relays, promises to others kept. Then backup servers. Then
whatever room is left, promised or not. A branch that only members of too high a rank may feed gets new ranks; a branch
that is too tall for all that have room loses its tallest parts, which are attached elsewhere. Last, a member that is
kept away from parents for failed links is forgiven. If all of that fails it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from overlaycast.overlay.placing.search import FREE, STRETCH, TOO_LONG, Found, Rules, Search, first
from overlaycast.overlay.plan import mass_failure, moves, unusable_pair
from overlaycast.overlay.plan.capacity import room, slowed
from overlaycast.overlay.plan.reach import linked
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import Router
from overlaycast.overlay.state.tree import ceiling, top

SCAN_LIMIT: Final = 4096
"""In a group with more members, not all of them are looked at for one orphan."""
LIFT_LIMIT: Final = 1024
"""Members in the largest branch whose ranks are raised."""


def choose(group: Group, member: Member, avoid: Iterable[Member] = (), rules: Rules = FREE) -> Member | None:
    """Return the parent for an orphan (with its branch), or None if nobody may take it.

    Peers and relays first, then backup servers, then, in groups small enough to look at all, any member that
    has a place left that is promised to others.
    """
    search = Search(group, member, avoid, rules)
    best = search.run()
    if best is None and rules is not FREE and not (rules.lift or rules.flat):
        search = Search(group, member, avoid)
        best = search.run()
    if best is not None:
        if search.follower is not None:
            group.improvement.hinted[search.follower.id] = None
        return best
    for server in sorted(group.servers, key=lambda one: (len(one.children), one.id)):
        if search.accepts(server):
            return server
    if mass_failure.under_way(group):
        search.anybody = True
        if (best := search.run()) is not None:
            return best
    if len(group.members) <= SCAN_LIMIT:
        return _last_resort(group, search)
    search.thin = True
    return search.run() if group.settings.mode == "file" else None


def find(group: Group, member: Member, avoid: Iterable[Member] = (), rules: Rules = FREE) -> Member | None:
    """Return the parent for an orphan; where only those of too high a rank have room, its branch gets new ranks."""
    return choose(group, member, avoid, rules) or _by_lifting(group, member, avoid)


def _last_resort(group: Group, search: Search) -> Member | None:
    router = search.member.router
    found = [
        (
            (not mass_failure.known_alive(group, one), not room(group, one.router, router), slowed(group, one, router)),
            (0, search.cost(one), one.name, one.id, one),
        )
        for one in group.members.values()
        if one.degree and one.trusted and search.possible(one)
    ]
    least = min((harm for harm, _ in found), default=None)
    best = first([one for harm, one in found if harm == least])
    return best[4] if best else None


def _by_lifting(group: Group, member: Member, avoid: Iterable[Member]) -> Member | None:
    """Only members of too high a rank have room: raise the ranks of the whole branch, from its top, and go there.

    The branch stays in one piece and where it is; its links are made anew where a HELLO's rank has been overtaken.
    """
    if not member.children or member.size > LIFT_LIMIT:
        return None
    found = choose(group, member, avoid, Rules(lift=True))
    if found is not None:
        lift(group, member, found)
    return found


def lift(group: Group, member: Member, parent: Member) -> None:
    """Raise the ranks of an orphan's whole branch, if they have to be for it to be attached to ``parent``."""
    if parent.rank >= ceiling(member) - 1:
        moves.lift(group, member, parent.rank)


def seek(group: Group, member: Member, avoid: Iterable[Member], rules: Rules) -> Found | None:
    """Return the best peer or relay for an orphan, by the search alone: no backup server, no last resort."""
    return Search(group, member, avoid, rules).found()


def at(group: Group, member: Member, router: Router) -> Found | None:
    """Return a member of this very router for an orphan, or None if none has room or its way is too long."""
    found = Search(group, member, (), Rules(feeder=router)).as_planned()
    return found if found is not None and found[0] < TOO_LONG else None


def judge(group: Group, member: Member, parent: Member, stretch: float = STRETCH) -> Found:
    """Return what a copy from ``parent`` costs, as the search for a parent sees it."""
    return Search(group, member).judge(parent, stretch)


def acceptance(group: Group, member: Member, rules: Rules = FREE) -> Callable[[Member], bool]:
    """Return what tells whether somebody may feed this orphan, promises to others kept."""
    return Search(group, member, (), rules).accepts


def ripe(group: Group, member: Member, now: float) -> bool:
    """Whether the member has received for long enough to be fed by the source itself."""
    return now - member.placed_at >= group.settings.primary_after_s


def attach_to_best(group: Group, member: Member, avoid: Iterable[Member] = (), rules: Rules = FREE) -> bool:
    """Place one orphan (Fig. 4, 408 to 416); False: it has to wait."""
    parent = find(group, member, avoid, rules)
    if parent is not None:
        moves.attach(group, member, parent)
        return True
    if _by_cutting(group, member, avoid):
        return True
    if member.barred:
        unusable_pair.forgive(member)
        return attach_to_best(group, member, avoid, rules)
    group.repair.waiting[member.id] = None
    return False


def _by_cutting(group: Group, member: Member, avoid: Iterable[Member]) -> bool:
    """Nobody may take so tall a branch: attach its tallest parts elsewhere, until what is left of it fits."""
    found = choose(group, member, avoid, Rules(flat=True)) if member.children else None
    if found is None:
        return False
    cut: list[Member] = []
    while not group.tree.fits(member, found):
        for child in [one for one in member.children if one.height == member.height - 1]:
            moves.detach(group, child)
            cut.append(child)
    moves.attach(group, member, found)
    for child in cut:
        attach_to_best(group, child, avoid)
    return True


# --- servers ----------------------------------------------------------------------------------------------------


def attach_server(group: Group, server: Member) -> None:
    """Feed a backup server from the source, so that its rank is below the rank of any member that it may have to take.

    Where the source has no place left, another backup server feeds it, or the parent of a peer there.
    """
    group.repair.waiting.pop(server.id, None)
    if not server.rank:
        server.rank = group.tree.fresh_rank(0)
    for parent in (group.source, *group.servers):
        if parent is None or parent is server or not parent.trusted or top(parent) is not group.source:
            continue
        if linked(parent, server) and group.tree.fits(server, parent) and room(group, parent.router, server.router):
            moves.attach(group, server, parent)
            return
    attach_to_best(group, server)
