"""From the plan to messages: who has to be told what, and only what has changed.

Owns: ``Assign``, ``Accept``, ``Revoke``; grants; the predefined list of fallbacks. Refuses: changing the plan.

A grant is a keyed hash of parent, child and the epoch in which the child joined: the same pair has the same grant as
long as the child is a member, so an order that is told again opens the same door. Two members that can prove grants get
one that neither of them ever shows: it is of the version of the data link between them, too. ``Accept`` goes out before
the ``Assign`` that needs it. A former parent is told to forget a child only when the child has settled elsewhere, so
that no link is cut before the next one delivers.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from overlaycast.overlay.plan.reach import linked, neighbours, opens, way
from overlaycast.overlay.state import credit
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member, Seat
from overlaycast.overlay.state.tree import depth
from overlaycast.wire.frames import SHOWN
from overlaycast.wire.messages import Accept, Address, Assign, CoordinatorMessage, Peer, Revoke

BATCH: Final = 4000
"""Orders made in one go: a driver has to hold them, and its members should not all answer at once."""
FALLBACKS: Final = 3
FALLBACK_LIMIT: Final = 256
"""Members that may have one and the same member on their predefined list: each costs it a door to keep open."""

_FIELDS: Final[dict[type[BaseModel], set[str]]] = {}

_M = TypeVar("_M", bound=BaseModel)

Outbox = list[tuple[int, CoordinatorMessage]]
_Lists = dict[tuple[Member, ...], tuple[Member, ...]]


def grant(group: Group, parent: Member, child: Member) -> str:
    """Return the grant that opens ``parent`` to ``child``: 32 hexadecimal digits."""
    text = b"%d %d %d" % (parent.id, child.id, child.joined_epoch)
    version = spoken(parent, child)
    if version is not None:
        text += b" %d" % version
    return hashlib.blake2b(text, digest_size=16, key=group.key).hexdigest()


def spoken(one: Member, other: Member) -> int | None:
    """Return the version of the data link between two members; None: the first one, in which grants are shown."""
    version = min(one.data_version, other.data_version)
    return version if version > SHOWN else None


def flush(group: Group, out: Outbox) -> None:
    """Append the orders of members whose place may have changed, as one epoch; at most ``BATCH`` of them at a time."""
    if not group.orders.dirty:
        return
    pending = list(islice(group.orders.dirty.items(), BATCH))
    if len(pending) == len(group.orders.dirty):
        group.orders.dirty = {}  # a new one: an emptied dict is walked from its former first entry on
    else:
        for member_id, _ in pending:
            del group.orders.dirty[member_id]
    pending.sort()
    teller: _Teller | None = None
    shared: _Lists = {}
    for member_id, force in pending:
        member = group.living(member_id)
        if member is None or member_id in group.orders.held or (member.parent is None and member.role != "source"):
            continue
        _choose_fallbacks(group, member, shared)
        seat = Seat(member.parent, member.rank, member.standbys, member.fallbacks, member.primary)
        if seat == member.sent and not force:
            continue
        if teller is None:
            group.epoch += 1
            teller = _Teller(group, out)
        teller.tell(member, seat, force)


class _Teller:
    """One epoch's messages. Made without validation: every value is our own, and a group may have a million members."""

    def __init__(self, group: Group, out: Outbox) -> None:
        self.group = group
        self.out = out
        self.addresses: dict[tuple[int, bool], tuple[Address, ...]] = {}
        self.extent = credit.extent(group)

    def tell(self, member: Member, seat: Seat, force: bool) -> None:
        """Announce the member where it is new, and tell it its place."""
        group = self.group
        before, after = _doors(member.sent), _doors(seat)
        grants: dict[int, str] = {}
        for target, standby in after.items():
            feeder = group.members[target]
            grants[target] = opener = grant(group, feeder, member)
            if force or before.get(target) != standby:
                self.out.append((target, accept(group, feeder, member, standby, opener)))
        gone = [target for target in before if target not in after]
        pending = [target for target in group.orders.revocations.pop(member.id, ()) if target not in after]
        if gone or pending:
            group.orders.revocations[member.id] = list(dict.fromkeys((*pending, *gone)))
        member.sent = seat
        member.order_epoch = group.epoch
        self.out.append((member.id, self._assign(member, grants)))

    def _assign(self, member: Member, grants: dict[int, str]) -> Assign:
        return make(
            Assign,
            kind="assign",
            epoch=self.group.epoch,
            rank=member.rank,
            depth=depth(member),
            primary=member.primary,
            parent=self._peer(member, member.parent, grants) if member.parent else None,
            standbys=tuple([self._peer(member, one, grants) for one in member.standbys]),
            fallbacks=tuple([self._peer(member, one, grants) for one in member.fallbacks]),
            extent=self.extent,
            relieved=True if member is self.group.source and self.group.relief is not None else None,
            incarnation=max(self.group.start.incarnation, 0),
            deposed=self.group.start.deposed,
        )

    def _peer(self, member: Member, feeder: Member, grants: dict[int, str]) -> Peer:
        addresses: tuple[Address, ...] | None = ()
        if opens(member, feeder):  # else the parent calls
            key = (feeder.id, neighbours(member, feeder))
            addresses = self.addresses.get(key)
            if addresses is None:
                addresses = self.addresses[key] = _listed(way(member, feeder))
        return make(
            Peer,
            member=feeder.id,
            name=feeder.name,
            addresses=addresses,
            grant=grants[feeder.id],
            rank=feeder.rank,
            data_version=spoken(feeder, member),
        )


def make(model: type[_M], **values: Any) -> _M:
    """Return a message with these values, unchecked; all of its fields have to be there.

    The same as ``model_construct``, at a fifth of its cost: there are four messages to a member. The set of fields
    that were given is one for all messages of a model, for they are frozen and all of their fields are given.
    """
    fields = _FIELDS.get(model)
    if fields is None:
        fields = _FIELDS[model] = set(model.model_fields)
    message = model.__new__(model)
    object.__setattr__(message, "__dict__", values)
    object.__setattr__(message, "__pydantic_fields_set__", fields)
    object.__setattr__(message, "__pydantic_extra__", None)
    object.__setattr__(message, "__pydantic_private__", None)
    return message


def _listed(addresses: tuple[tuple[str, int], ...]) -> tuple[Address, ...]:
    return tuple([make(Address, host=host, port=port) for host, port in addresses])


def _doors(seat: Seat | None) -> dict[int, bool]:
    """Return the members whose doors an order needs: id to "as standby"."""
    if seat is None:
        return {}
    doors = {one.id: True for one in (*seat.standbys, *seat.fallbacks)}
    if seat.parent is not None:
        doors[seat.parent.id] = False
    return doors


def accept(group: Group, feeder: Member, child: Member, standby: bool, opener: str) -> Accept:
    """Return the message that announces ``child`` to ``feeder``, with its addresses if it has to be called."""
    return make(
        Accept,
        kind="accept",
        epoch=group.epoch,
        child=child.id,
        name=child.name,
        grant=opener,
        standby=standby,
        addresses=() if opens(child, feeder) else _listed(way(feeder, child)),
        data_version=spoken(feeder, child),
    )


def _choose_fallbacks(group: Group, member: Member, shared: _Lists) -> None:
    """Choose the predefined list; siblings mostly have the same one, and share it."""
    parent = member.parent
    above = parent.parent if parent else None
    found: list[Member] = []
    ahead = group.start.ahead.get(member.id)
    for one in (ahead, above, *group.servers[:2], group.source) if parent else ():
        if one is None or one is parent or one is member or one in member.standbys or one in found:
            continue
        known = one in member.fallbacks
        full = len(group.orders.listed.get(one.id, ())) >= FALLBACK_LIMIT
        # a member that would have to call cannot know when: it is dialled only in need
        if (
            one.alive
            and one.degree
            and opens(member, one)
            and linked(one, member)
            and one.rank < member.rank
            and (known or not full)
            and len(found) < FALLBACKS
        ):
            found.append(one)
    if tuple(found) == member.fallbacks:
        return
    chosen = tuple(found)
    list_fallbacks(group, member, shared.setdefault(chosen, chosen))


def list_fallbacks(group: Group, member: Member, chosen: tuple[Member, ...]) -> None:
    """From now on these are the member's predefined list."""
    listed = group.orders.listed
    for one in member.fallbacks:
        holders = listed.get(one.id, {})
        holders.pop(member.id, None)
        if not holders:
            listed.pop(one.id, None)
    for one in chosen:
        listed.setdefault(one.id, {})[member.id] = None
    member.fallbacks = chosen


def relist(group: Group, listed: Member) -> None:
    """Have those looked at again that have this member on their predefined list."""
    for holder in group.orders.listed.get(listed.id, ()):
        group.touch(group.members[holder])


def settle(group: Group, child: Member) -> None:
    """The child is where it was ordered to be: its former parents may forget it."""
    for target in group.orders.revocations.pop(child.id, ()):
        if group.living(target) is not None:
            group.orders.outbox.append((target, Revoke(epoch=group.epoch, child=child.id)))


def dismiss(group: Group, member: Member) -> None:
    """The member is gone: all that were told to expect it forget it."""
    targets = [*_doors(member.sent), *group.orders.revocations.pop(member.id, ())]
    for target in dict.fromkeys(targets):
        if group.living(target) is not None and target != member.id:
            group.orders.outbox.append((target, Revoke(epoch=group.epoch, child=member.id)))
    list_fallbacks(group, member, ())
    member.sent = None


def repeat(group: Group, member: Member) -> None:
    """Have everything told again that a member may have missed while its link was down: its place, and who may turn to
    it."""
    group.touch(member, force=True)
    listing = [group.members[holder] for holder in group.orders.listed.get(member.id, ())]
    for child in {one.id: one for one in (*member.children, *member.wards, *listing)}.values():
        standby = child.parent is not member
        group.orders.outbox.append((member.id, accept(group, member, child, standby, grant(group, member, child))))
