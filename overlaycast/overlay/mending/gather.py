"""Branches that a death has scattered are gathered: one copy enters a router, not one for each orphan.

Owns: ``Repair.strays``, members that turned to somebody further away because nobody near had promised them a slot, and
``Repair.remote``, those of them for which the usual search found nobody. Refuses: moving anybody else, but for a small
branch that makes room; moving a stray to where data is in doubt.

A family's heir has slots for its siblings; after an heir's death, or a second one in the same family, nobody there may
have that many. Then each sibling has a standby of its own elsewhere, and each crosses the links. As soon as it is known
who has failed, the plan is made good: in the same batch of orders every stray is sent to a member nearer to it that
has room, mostly a neighbour. It changes over while it is fed, so nothing is lost.

The usual search looks at those that have room, which a stray with children of its own may outrank, for they are leaves.
So those that are left are looked at again, a few in each check, with all of the router's tree in view from its top:
where only full members rank low enough, a small branch of theirs goes to a neighbour and leaves its slot to the stray,
or a small stray gets new ranks.

Invariant: a stray's copy passes fewer links afterwards, and its router or site is entered by another copy already.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from overlaycast.overlay.placing import placement
from overlaycast.overlay.placing.search import FREE, SITE_STRETCH, Rules
from overlaycast.overlay.plan import moves
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import Router, lies_in
from overlaycast.overlay.state.tree import ancestors, depth

AT_ONCE: Final = 64
"""Strays that are looked at in one go; those beyond wait until the next failure is settled, or the next check."""
REMOTE_AT_ONCE: Final = 16
LOOKS: Final = 30
"""Checks in which a stray is looked at; after them it is left to improvement."""
LIFTED: Final = 128
"""Members in the largest branch whose ranks are raised for this: its links may have to be made anew."""
IN_VIEW: Final = 512
"""Members of a router's tree that are looked at for one stray."""


def note_stray(group: Group, member: Member) -> None:
    """Take note of an orphan that was attached in haste; it is looked at when its parent's failure is settled."""
    if member.parent is not None and member.parent.router is not member.router:
        group.repair.strays[member.id] = None


def gather_strays(group: Group, now: float) -> None:
    """Send the strays to members nearer to them, where there are such."""
    for member_id in list(group.repair.strays)[:AT_ONCE]:
        del group.repair.strays[member_id]
        member = group.living(member_id)
        if member is not None and _stays(member) and not _bring(group, member, now):
            group.repair.remote[member_id] = 0


def look_for_room(group: Group, now: float) -> None:
    """The same, and a few of those that found nobody are looked at again, with all of their router's tree in view."""
    gather_strays(group, now)
    for member_id, looks in list(group.repair.remote.items())[:REMOTE_AT_ONCE]:
        del group.repair.remote[member_id]
        member = group.living(member_id)
        if member is None or not _stays(member):
            continue
        if not _bring(group, member, now, thorough=True) and looks + 1 < LOOKS:
            group.repair.remote[member_id] = looks + 1


def _stays(member: Member) -> bool:
    return member.trusted and member.role != "backup"


def _bring(group: Group, member: Member, now: float, thorough: bool = False) -> bool:
    """Move one stray nearer; False: its copy still enters its router as one of several."""
    parent = member.parent
    inside = _doubled(group, member)
    if parent is None or inside is None:
        return True
    edge, present = member.edge_ms, placement.judge(group, member, parent, SITE_STRETCH)
    moves.detach(group, member, alone=False)
    rules = Rules(inside=inside)
    found = placement.seek(group, member, (), rules)
    feeder = found[4] if found is not None and found[0] < present[0] else None
    if feeder is None and thorough:
        feeder = _with_room(group, member, inside) or _make_room(group, member, inside, now)
        if feeder is None and member.size <= LIFTED:
            feeder = _with_room(group, member, inside, Rules(lift=True))
        if feeder is None:
            feeder = _higher(group, member, inside, present[0])
    if feeder is None or not _sound(group, feeder):
        moves.put_back(group, member, parent, edge)
        if feeder is not None:
            # another failure is being looked into there: again when that is settled
            group.repair.strays[member.id] = None
        return feeder is not None
    placement.lift(group, member, feeder)
    moves.attach(group, member, feeder)
    member.past(moved_at=now, mended_at=now)
    group.note(now, "gathered", member, was=parent.id, now=feeder.id)
    return True


def _with_room(group: Group, stray: Member, inside: Router, rules: Rules = FREE) -> Member | None:
    """Return the highest in the router's tree of those that may feed the stray."""
    accepts = placement.acceptance(group, stray, rules)
    return next((one for one in _from_the_top(group, inside) if accepts(one) and _sound(group, one)), None)


def _make_room(group: Group, stray: Member, inside: Router, now: float) -> Member | None:
    """Let a small branch go to another neighbour, for the one that it leaves to feed the stray; return that one."""
    accepts = placement.acceptance(group, stray)
    for one in _from_the_top(group, inside):
        small = _smallest(one)
        if small is None or small.size > stray.size or not _sound(group, one):
            continue
        edge = small.edge_ms
        moves.detach(group, small)
        other = _neighbour(group, small, one) if accepts(one) else None
        if other is not None:
            moves.attach(group, small, other)
            small.past(moved_at=now)
            group.note(now, "made-room", small, was=one.id, now=other.id)
            return one
        moves.put_back(group, small, one, edge)
    return None


def _higher(group: Group, stray: Member, inside: Router, links: int) -> Member | None:
    """Where all that enter the router are as deep as may be, nobody there can feed another: let one be fed from a level
    further up, so that the others can go below it. Return its new feeder; what its copy may cost is what theirs do."""
    deepest = group.tree.depth_limit
    if any(depth(one) + 1 + stray.height <= deepest for one in _from_the_top(group, inside)):
        return None
    found = placement.seek(group, stray, (), Rules(deepest=deepest - 1 - stray.height))
    return found[4] if found is not None and found[0] <= links * inside.inbound else None


def _smallest(parent: Member) -> Member | None:
    """Return the child at the same router, and settled there, that has the fewest below it."""
    able = (child for child in parent.children if child.router is parent.router and child.trusted)
    return min(able, key=lambda child: (child.size, -child.rank), default=None)


def _neighbour(group: Group, member: Member, avoid: Member) -> Member | None:
    """Return another member at its router, which is known, that may feed an orphan."""
    assert member.router is not None
    found = placement.seek(group, member, (avoid,), Rules(inside=member.router))
    other = found[4] if found is not None and found[4].router is member.router else None
    other = other or _with_room(group, member, member.router)
    return other if other is not None and other is not avoid and _sound(group, other) else None


def _from_the_top(group: Group, inside: Router) -> Iterator[Member]:
    """Yield the members of a router (or of all routers below it), those that others feed there last."""
    row = [one for one in map(group.living, list(group.improvement.heads)) if one is not None and _enters(one, inside)]
    for seen, one in enumerate(row):
        if seen == IN_VIEW:
            return
        yield one
        row += [child for child in one.children if lies_in(child.router, inside)]


def _enters(member: Member, inside: Router) -> bool:
    return lies_in(member.router, inside) and not (member.parent is not None and lies_in(member.parent.router, inside))


def _doubled(group: Group, member: Member) -> Router | None:
    """Return the site, or else the router, that the member's copy enters as one of several; or None."""
    router = member.router
    feeder = member.parent.router if member.parent is not None else None
    if router is None or feeder is None or feeder is router:
        return None
    site = group.routers.site(router)
    entered = router if group.routers.site(feeder) is site else site
    return entered if entered.inbound > 1 else None


def _sound(group: Group, feeder: Member) -> bool:
    """Whether nobody on the way from the source to ``feeder`` is accused, out of reach or known to lack data."""
    return all(
        one.connected and one.id not in group.watch.inquiries and one.watch.status != "stalled"
        for one in (feeder, *ancestors(feeder))
    )
