"""From the plan to messages: who has to be told what, and only what has changed for him.

Owns: ``Assign``, ``Accept``, ``Revoke``; grants; the predefined list of fallbacks. Refuses: changing the plan.

A grant is a keyed hash of parent, child and the epoch in which the child joined: the same pair has the same grant as
long as the child is a member, so an order that is told again opens the same door. ``Accept`` goes out before the
``Assign`` that needs it. A former parent is told to forget a child only when the child has settled elsewhere, so that
no link is cut before the next one delivers.
"""

from __future__ import annotations

import hashlib
from typing import Final

from overlaycast.overlay.group import Group
from overlaycast.overlay.members import Member
from overlaycast.overlay.tree import depth
from overlaycast.wire.messages import Accept, Address, Assign, CoordinatorMessage, Peer, Revoke

FALLBACKS: Final = 3
FALLBACK_LIMIT: Final = 256
"""Members that may have one and the same member on their predefined list: each costs it a door to keep open."""

Outbox = list[tuple[int, CoordinatorMessage]]


def grant(group: Group, parent: Member, child: Member) -> str:
    """Return the grant that opens ``parent`` to ``child``: 32 hexadecimal digits."""
    text = b"%d %d %d" % (parent.id, child.id, child.joined_epoch)
    return hashlib.blake2b(text, digest_size=16, key=group.key).hexdigest()


def flush(group: Group, out: Outbox) -> None:
    """Append the orders of all members whose place may have changed, as one epoch."""
    if not group.dirty:
        return
    pending, group.dirty = sorted(group.dirty.items()), {}
    fresh = False
    for member_id, force in pending:
        member = group.living(member_id)
        if member is None or (member.parent is None and not force):
            continue
        _choose_fallbacks(group, member)
        order = _order(member)
        if order == member.sent and not force:
            continue
        if not fresh:
            fresh = True
            group.epoch += 1
        _tell(group, member, order, out, force)


def _order(member: Member) -> tuple[object, ...]:
    parent = member.parent.id if member.parent else 0
    return (
        parent,
        member.rank,
        tuple(one.id for one in member.standbys),
        tuple(one.id for one in member.fallbacks),
        member.primary,
    )


def _doors(order: tuple[object, ...]) -> dict[int, bool]:
    """Return the members whose doors an order needs: id to "as standby"."""
    if not order:
        return {}
    parent, _, standbys, fallbacks, _ = order
    assert isinstance(parent, int)
    assert isinstance(standbys, tuple)
    assert isinstance(fallbacks, tuple)
    doors: dict[int, bool] = dict.fromkeys((*standbys, *fallbacks), True)
    if parent:
        doors[parent] = False
    return doors


def _tell(group: Group, member: Member, order: tuple[object, ...], out: Outbox, force: bool) -> None:
    before, after = _doors(member.sent), _doors(order)
    for target, standby in after.items():
        if force or before.get(target) != standby:
            out.append((target, accept(group, member, group.members[target], standby)))
    gone = [target for target in before if target not in after]
    pending = [target for target in group.revocations.pop(member.id, []) if target not in after]
    if gone or pending:
        group.revocations[member.id] = list(dict.fromkeys((*pending, *gone)))
    member.sent = order
    member.order_epoch = group.epoch
    out.append((member.id, assign(group, member)))


def accept(group: Group, child: Member, target: Member, standby: bool) -> Accept:
    """Return the message that announces ``child`` to ``target``."""
    return Accept.model_construct(
        kind="accept",
        epoch=group.epoch,
        child=child.id,
        name=child.name,
        grant=grant(group, target, child),
        standby=standby,
    )


def assign(group: Group, member: Member) -> Assign:
    """Return the member's place as a message."""
    return Assign.model_construct(
        kind="assign",
        epoch=group.epoch,
        rank=member.rank,
        depth=depth(member),
        primary=member.primary,
        parent=_peer(group, member.parent, member) if member.parent else None,
        standbys=tuple(_peer(group, one, member) for one in member.standbys),
        fallbacks=tuple(_peer(group, one, member) for one in member.fallbacks),
    )


def _peer(group: Group, feeder: Member, child: Member) -> Peer:
    return Peer.model_construct(
        member=feeder.id,
        name=feeder.name,
        addresses=tuple(Address.model_construct(host=host, port=port) for host, port in feeder.addresses),
        grant=grant(group, feeder, child),
        rank=feeder.rank,
    )


def _choose_fallbacks(group: Group, member: Member) -> None:
    parent = member.parent
    if parent is None:
        return
    above = parent.parent
    found: list[Member] = []
    for one in (above, *group.servers[:2], group.source):
        if one is None or one is parent or one is member or one in member.standbys or one in found:
            continue
        known = one in member.fallbacks
        full = group.fallback_load.get(one.id, 0) >= FALLBACK_LIMIT
        if one.alive and one.rank < member.rank and (known or not full) and len(found) < FALLBACKS:
            found.append(one)
    if tuple(found) == member.fallbacks:
        return
    load = group.fallback_load
    for one in member.fallbacks:
        load[one.id] = load.get(one.id, 1) - 1
    for one in found:
        load[one.id] = load.get(one.id, 0) + 1
    member.fallbacks = tuple(found)


def settle(group: Group, child: Member) -> None:
    """The child is where it was ordered to be: its former parents may forget it."""
    for target in group.revocations.pop(child.id, ()):
        if group.living(target) is not None:
            group.outbox.append((target, Revoke(epoch=group.epoch, child=child.id)))


def dismiss(group: Group, member: Member) -> None:
    """The member is gone: all who were told to expect it forget it."""
    targets = [*_doors(member.sent), *group.revocations.pop(member.id, ())]
    for target in dict.fromkeys(targets):
        if group.living(target) is not None and target != member.id:
            group.outbox.append((target, Revoke(epoch=group.epoch, child=member.id)))
    for one in member.fallbacks:
        group.fallback_load[one.id] = group.fallback_load.get(one.id, 1) - 1
    member.fallbacks = ()
    member.sent = ()


def repeat(group: Group, member: Member) -> None:
    """Have everything told again that a member may have missed while its link was down: its place, and its children."""
    group.touch(member, force=True)
    for child in (*member.children, *member.wards):
        standby = child.parent is not member
        group.outbox.append((member.id, accept(group, child, member, standby)))
