"""The only way in which the plan changes: a member is attached somewhere, or taken off.

Owns: that tree, link counts, lists of candidates, promises and pending orders change together. Refuses: choosing.
"""

from __future__ import annotations

from overlaycast.overlay.plan import promises
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member, State
from overlaycast.overlay.state.router import links_between

HOP_MS = 0.2
"""What one more hop costs in a host that forwards, beside the way."""
LEVELS_A_LINK = 64
"""Levels of ranks for each link that a router is further from the source: as many as a tree may have."""


def rank_level(group: Group, member: Member) -> int:
    """Return the least level that the member's rank should have, by links from the source.

    So nearer members rank below further ones, whichever member came first, and may come to feed them.
    """
    source = group.source
    return LEVELS_A_LINK * links_between(source.router, member.router) if source is not None else 0


def attach(group: Group, member: Member, parent: Member) -> None:
    """Make the orphan (with its branch) a child of ``parent``.

    Raises:
        LocalProtocolError: an invariant of the tree would break; nothing has changed.
    """
    before = member.rank
    group.tree.attach(member, parent, group.ways.delay_ms(parent, member) + HOP_MS, rank_level(group, member))
    group.routers.carry(parent.router, member.router, 1)
    mark(group, member)
    group.repair.waiting.pop(member.id, None)
    if member.state is State.JOINING:
        member.become(State.ACTIVE)
    if member.rank != before:
        promises.drop_overtaken(group, member)
    promises.join(group, member)
    group.touch(member)
    if member.degree:
        group.candidates.offer(member)
        group.repair.room_changed = True  # for members that none of those before could reach


def take_rank(group: Group, member: Member, rank: int) -> None:
    """Believe a member that it has this rank, higher than the one known; whoever is below it rises above it."""
    member.rank = rank
    below = sorted(member.children, key=lambda child: child.rank)
    for one in (member, *(lifted for child in below for lifted in group.tree.lift(child, rank))):
        promises.drop_overtaken(group, one)
        group.touch(one)


def lift(group: Group, member: Member, above: int) -> None:
    """Raise the ranks of a branch above this one, where they are not."""
    for one in group.tree.lift(member, above):
        promises.drop_overtaken(group, one)
        group.touch(one)


def put_back(group: Group, member: Member, parent: Member, edge_ms: float) -> None:
    """Attach an orphan where it was, with the delay of that link as it was known."""
    attach(group, member, parent)
    member.edge_ms = edge_ms


def mark(group: Group, member: Member) -> None:
    """Take note of whether the member's copy passes links."""
    if member.parent is not None and member.parent.router is not member.router:
        group.improvement.heads[member.id] = None
    else:
        group.improvement.heads.pop(member.id, None)


def detach(group: Group, member: Member, alone: bool = True) -> Member | None:
    """Take the member with its branch off its parent; return the parent it had.

    ``alone``: its siblings stay, and get another heir if it was theirs; otherwise they are expected to follow it.
    """
    parent = member.parent
    if parent is None:
        return None
    group.routers.carry(parent.router, member.router, -1)
    group.improvement.heads.pop(member.id, None)
    group.tree.detach(member)
    promises.part(group, member, parent, alone)
    group.candidates.offer(parent)
    group.repair.room_changed = True
    return parent


def enter(group: Group, member: Member) -> None:
    """Make known that a member may have children from now on, or again."""
    if member.degree and (member.parent is not None or member.role == "source"):
        group.candidates.offer(member)
        group.repair.room_changed = True
