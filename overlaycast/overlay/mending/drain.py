"""Members that give up their children: one that leaves is let go when it has none left, one that is drained stays.

Owns: who still depends on such a member (``Repair.releasing``), and ``Member.draining``. Refuses: choosing where its
children go (``repair``); taking a child from a drained member for which there is no other place.

Both are one: the children are attached elsewhere, go on being fed by the member until they have changed over, and each
one's report shows that it need not be waited for any more. The heir takes the member's very place. A drained member is
attached again where it was if there is room for it beside the heir, else as a leaf would be. It is told so only when
its children have changed over, for a new rank could cost it their links.

Invariants: a drained member gets no child; one that it keeps has no other place, and is looked at again in each check;
a drained member keeps its feed, whatever that costs.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.mending import repair
from overlaycast.overlay.placing import placement
from overlaycast.overlay.plan import capacity, moves, orders
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.wire.messages import Released

RELEASE_S: Final = 3.0
"""A leaver is let go after so long, even if a child still names it."""
AT_ONCE: Final = 16
"""Children of one drained member for which another parent is sought in one check."""


def leave(group: Group, member: Member, now: float, kind: str, reason: str) -> None:
    """Children first; the leaver is let go when none of them names it any more."""
    if member.leaving:
        return
    member.leaving = True
    group.note(now, kind, member, reason=reason, children=len(member.children))
    if member.role == "source":
        release(group, member)
        return
    moved = repair.regraft(group, member, now, leaving=True)
    group.repair.waiting.pop(member.id, None)
    let_go(group, member, moved, now)


def let_go(group: Group, member: Member, moved: list[Member], now: float) -> None:
    """A member goes, and these have other parents: it may go when they have changed over."""
    group.repair.releasing[member.id] = {child.id for child in moved if not child.done}
    if group.repair.releasing[member.id]:
        group.timers.arm(now + RELEASE_S, "release", member.id)
    else:
        release(group, member)


def release(group: Group, member: Member) -> None:
    """The leaver may go."""
    group.repair.releasing.pop(member.id, None)
    group.timers.cancel("release", member.id)
    group.orders.held.discard(member.id)
    group.orders.outbox.append((member.id, Released()))


def drain(group: Group, member: Member, now: float, reason: str) -> None:
    """Attach a member's children elsewhere, and give it none from now on, while it goes on receiving."""
    if member.draining or member.leaving:
        return
    member.draining = True
    group.note(now, "draining", member, reason=reason, children=len(member.children))
    parent, edge = member.parent, member.edge_ms
    moved = [child for child in repair.regraft(group, member, now, leaving=True) if not child.done]
    capacity.learn(group, member)
    if parent is not None:
        _stay(group, member, parent, edge, moved)
    for child in moved:
        if child.parent is None:
            _keep(group, member, child)
    orders.relist(group, member)
    group.repair.releasing[member.id] = {child.id for child in moved}
    member.past(moved_at=now)
    if moved:
        group.orders.held.add(member.id)
        group.timers.arm(now + RELEASE_S, "release", member.id)
    else:
        group.note(now, "drained", member)


def _stay(group: Group, member: Member, parent: Member, edge_ms: float, moved: list[Member]) -> None:
    """Attach a member that is drained where it was, or else where it finds a place; or take back the heir's."""
    if group.tree.fits(member, parent) and capacity.room(group, parent.router, member.router):
        moves.put_back(group, member, parent, edge_ms)
        return
    repair.place_orphan(group, member)
    if member.parent is not None:
        return
    # nobody can feed it but its parent, and an heir has taken that slot
    for heir in [child for child in moved if child.parent is parent][:1]:
        moves.detach(group, heir)
        moves.put_back(group, member, parent, edge_ms)


def _keep(group: Group, member: Member, child: Member) -> None:
    """Nobody else has room for this child: it stays where it is, for now."""
    member.degree += 1
    if group.tree.fits(child, member):
        moves.attach(group, child, member)
    else:
        capacity.learn(group, member)
        group.repair.waiting[child.id] = None


def undo(group: Group, member: Member, now: float, reason: str) -> None:
    """It may have children again."""
    if not member.draining:
        return
    member.draining = False
    waited_for(group, member)
    group.repair.releasing.pop(member.id, None)
    capacity.learn(group, member)
    moves.enter(group, member)
    group.note(now, "drain-ended", member, reason=reason)


def dependents(group: Group, member: Member) -> list[int]:
    """Return who still needs a member that is drained: its children, and those that have not changed over."""
    waited = group.repair.releasing.get(member.id, set())
    return sorted({child.id for child in member.children} | {one for one in waited if group.living(one) is not None})


def reported(group: Group, child: Member, now: float) -> None:
    """A report shows for which child a giver need not wait; or that a leaver has not heard that it may go."""
    releasing = group.repair.releasing
    if not releasing and not child.leaving:
        return
    if child.leaving and child.id not in releasing:
        release(group, child)
    for giver_id in list(releasing):
        giver, waited = group.living(giver_id), releasing[giver_id]
        if giver is None:
            continue
        if child.watch.fed_by == giver_id and giver.draining:
            waited.add(child.id)  # also one that has turned to it by itself
        elif child.id in waited and child.watch.fed_by != giver_id and child.parent is not giver:
            waited.discard(child.id)
            _look_whether_empty(group, giver, now)


def _look_whether_empty(group: Group, giver: Member, now: float) -> None:
    if group.repair.releasing[giver.id]:
        return
    waited_for(group, giver)
    if not giver.leaving:
        group.note(now, "drained", giver)


def waited_for(group: Group, giver: Member) -> None:
    """Nobody needs it any more, or it was waited for long enough: a leaver may go, a drained one gets its new place."""
    if giver.leaving:
        release(group, giver)
        return
    group.timers.cancel("release", giver.id)
    group.orders.held.discard(giver.id)
    group.touch(giver)


def look_again(group: Group, now: float) -> None:
    """Look for other parents of children that drained members had to keep, and forget those that are gone."""
    for giver_id in list(group.repair.releasing):
        giver = group.living(giver_id)
        if giver is None or not giver.draining:
            continue
        for child in giver.children[:AT_ONCE]:
            _move(group, giver, child, now)
        capacity.learn(group, giver)
        waited = group.repair.releasing[giver_id]
        gone = {one for one in waited if group.living(one) is None}
        waited -= gone
        if gone:
            _look_whether_empty(group, giver, now)


def _move(group: Group, giver: Member, child: Member, now: float) -> None:
    edge = child.edge_ms
    moves.detach(group, child)
    found = placement.find(group, child, (giver,))
    if found is None:
        moves.put_back(group, child, giver, edge)
        return
    moves.attach(group, child, found)
    child.past(moved_at=now, mended_at=now)
