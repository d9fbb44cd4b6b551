"""Branches whose top has lost its parent are attached elsewhere in one piece (Fig. 8, 810 to 814).

Owns: where each child of a failed, leaving or distrusted forwarder goes. Refuses: deciding that somebody failed.

The order of preference: where the child already is by itself (local failover), where the plan sends it (its standby),
else a new choice. So the coordinator confirms what the data plane has done, and nobody is moved twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from overlaycast.overlay.mending import gather
from overlaycast.overlay.placing import placement, search
from overlaycast.overlay.plan import capacity, mass_failure, moves, orders, promises
from overlaycast.overlay.plan.reach import linked
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import SENDERS, Member, State
from overlaycast.overlay.state.tree import top

WAITING_AT_ONCE = 256
LEAF_S = 120.0
"""A member that gets too little from whomever feeds it feeds nobody for so long, and then is asked to again."""


def usable(group: Group, child: Member, parent: Member | None, seen: bool = False) -> bool:
    """Whether the child may be attached there now, promised or not. ``seen``: it says that it is fed from there."""
    return (
        parent is not None
        and parent is not child
        and (seen or linked(parent, child))
        and (parent.trusted or (seen and parent.state is State.ACTIVE and not (parent.leaving or parent.draining)))
        and top(parent) is group.source
        and group.tree.fits(child, parent)
    )


def regraft(group: Group, forwarder: Member, now: float, leaving: bool = False) -> list[Member]:
    """Take a forwarder out of the tree and attach its children elsewhere; return those that were moved.

    ``leaving``: it goes on forwarding for a while, so that the heir may take its very place.
    """
    families = promises.families(group, forwarder)
    wishes = {child.id: wish for family in families for child, wish in _wishes(group, forwarder, family, leaving)}
    moves.detach(group, forwarder)
    promises.withdraw(group, forwarder)
    children = [child for family in families for child in family]
    for child in children:
        moves.detach(group, child)
        child.past(mended_at=now)
        if child.done:
            continue
        if not settle(group, child, wishes[child.id]):
            placement.attach_to_best(group, child, (forwarder,))
        gather.note_stray(group, child)
    gather.gather_strays(group, now)
    return children


def settle(group: Group, child: Member, wishes: list[Member]) -> bool:
    """Attach an orphan to the first of these that may take it; False: none may."""
    for wish in wishes:
        if usable(group, child, wish) and (wish.id == child.watch.fed_by or mass_failure.known_alive(group, wish)):
            moves.attach(group, child, wish)
            return True
    return False


def _wishes(
    group: Group, forwarder: Member, family: list[Member], leaving: bool
) -> Iterator[tuple[Member, list[Member]]]:
    """Yield each child of one family and where it should go: the heir outwards, the others to the heir."""
    heir = family[0]
    for child in family:
        wishes = [*child.standbys, heir]
        fed_by = group.living(child.watch.fed_by)
        if leaving and child is heir and forwarder.parent is not None:
            wishes.insert(0, forwarder.parent)
        elif fed_by is not None and fed_by is not forwarder:
            wishes.insert(0, fed_by)
        yield child, wishes


def make_leaf(group: Group, member: Member, now: float, seconds: float) -> list[Member]:
    """Let a member that stays feed nobody for so long; return the children that were attached elsewhere."""
    group.repair.leaves[member.id] = None
    group.timers.arm(now + seconds, "leaf", member.id)
    moved = regraft(group, member, now)
    member.degree = capacity.degree(group, member)
    orders.relist(group, member)
    place_orphan(group, member)
    return moved


def may_forward(group: Group, member: Member, now: float) -> None:
    """The time as a leaf is up, unless the member still gets too little itself."""
    if member.watch.slow_since is not None:
        group.timers.arm(now + LEAF_S, "leaf", member.id)
        return
    group.repair.leaves.pop(member.id, None)
    member.degree = capacity.degree(group, member)
    moves.enter(group, member)


def suspect(group: Group, member: Member, now: float, reason: str) -> None:
    """Give a silent member's children to others; the member itself waits outside until it is heard again."""
    if member.state is State.ACTIVE:
        member.become(State.SUSPECT)
    member.past(failures=member.history.failures + 1)
    moved = regraft(group, member, now)
    group.repair.waiting.pop(member.id, None)
    group.note(now, "suspect", member, reason=reason, moved=[child.id for child in moved])


def trust(group: Group, member: Member, now: float) -> None:
    """A suspect is heard again: it gets a place like a newcomer, with no children."""
    member.become(State.ACTIVE)
    group.note(now, "back", member)
    place_orphan(group, member)


def place_orphan(group: Group, member: Member) -> None:
    """Find a place for a member without one, if it is to have one."""
    if member.parent is not None or member.role in SENDERS or member.leaving or member.done:
        return
    if not group.start.started or not member.measured:
        return
    if (member.id in group.start.unlocated and group.routers.located) or member.id in group.start.unrated:
        return
    if member.role == "backup":
        placement.attach_server(group, member)
    elif not _probation(group, member):
        placement.attach_to_best(group, member)
    if member.parent is not None:
        group.touch(member, force=True)


def _probation(group: Group, member: Member) -> bool:
    """Fig. 4, 408: where the group asks for it, a newcomer is no primary at first if anybody else can feed it."""
    source = group.source
    if group.settings.primary_after_s <= 0 or source is None:
        return False
    found = placement.seek(group, member, (source,), search.FREE)
    if found is not None:
        moves.attach(group, member, found[4])
    return found is not None


def bury(group: Group, member: Member, state: State, now: float) -> None:
    """A member is gone for good."""
    moved = regraft(group, member, now)
    orders.dismiss(group, member)
    promises.release(group, member)
    group.forget(member, state)
    kind = "left" if state is State.LEFT else "dead"
    group.note(now, kind, member, name=member.name, moved=[child.id for child in moved])


def place_waiting(group: Group) -> None:
    """Those that wait for a place are looked at again when somebody may have one."""
    if not group.repair.waiting or not group.repair.room_changed:
        return
    group.repair.room_changed = False
    # forwarders first: they bring room for the others
    first = sorted(list(group.repair.waiting)[:WAITING_AT_ONCE], key=lambda one: not group.members[one].degree)
    for member_id in first:
        member = group.living(member_id)
        if member is None or member.state is State.SUSPECT or member.parent is not None:
            group.repair.waiting.pop(member_id, None)
            continue
        place_orphan(group, member)
