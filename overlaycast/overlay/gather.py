"""Branches that a death has scattered come home: one copy enters a place, not one for each orphan.

Owns: ``Group.strays``, members that turned to somebody further away because nobody near had promised them a slot.
Refuses: moving anybody else; moving a stray to where data is in doubt.

A family's heir has slots for its siblings; after an heir's death, or a second one in the same family, nobody there may
have that many. Then each sibling has a standby of its own elsewhere, and each crosses the links. As soon as it is known
who has failed, the plan is made good: in the same batch of orders every stray is sent to a member nearer to it that
has room, mostly a neighbour. It changes over while it is fed, so nothing is lost.

Invariant: a stray's copy passes fewer links afterwards, and its place or site is entered by another copy already.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay import moves, placement
from overlaycast.overlay.group import Group
from overlaycast.overlay.locality import Place
from overlaycast.overlay.members import Member
from overlaycast.overlay.placement import SITE_STRETCH, Rules
from overlaycast.overlay.tree import ancestors

AT_ONCE: Final = 64
"""Strays that are looked at in one go; those beyond wait until the next failure is settled."""


def astray(group: Group, member: Member) -> None:
    """Take note of an orphan that was hung somewhere in haste; it is looked at when its parent's failure is settled."""
    if member.parent is not None and member.parent.place is not member.place:
        group.strays[member.id] = None


def home(group: Group, now: float) -> None:
    """Send the strays to members nearer to them, where there are such."""
    for member_id in list(group.strays)[:AT_ONCE]:
        del group.strays[member_id]
        member = group.living(member_id)
        if member is not None and member.trusted and member.role != "backup":
            _bring(group, member, now)


def _bring(group: Group, member: Member, now: float) -> None:
    parent = member.parent
    inside = _doubled(group, member)
    if parent is None or inside is None:
        return
    edge, present = member.edge_ms, placement.judge(group, member, parent, SITE_STRETCH)
    moves.take_off(group, member, alone=False)
    found = placement.seek(group, member, (), Rules(inside=inside))
    nearer = found is not None and found[0] < present[0]
    if found is None or not nearer or not _sound(group, found[4]):
        moves.hang(group, member, parent)
        member.edge_ms = edge
        if nearer:
            group.strays[member.id] = None  # another failure there is being looked into: again when that is settled
        return
    moves.hang(group, member, found[4])
    member.moved_at = member.mended_at = now
    group.note(now, "gathered", member, was=parent.id, now=found[4].id)


def _doubled(group: Group, member: Member) -> Place | None:
    """Return the site, or else the router, that the member's copy enters as one of several; or None."""
    place = member.place
    feeder = member.parent.place if member.parent is not None else None
    if place is None or feeder is None or feeder is place:
        return None
    site = group.places.site(place)
    entered = place if group.places.site(feeder) is site else site
    return entered if entered.inbound > 1 else None


def _sound(group: Group, feeder: Member) -> bool:
    """Whether nobody on the way from the source to the feeder is accused, out of reach or known to lack data."""
    return all(
        one.connected and one.id not in group.inquiries and one.status != "stalled"
        for one in (feeder, *ancestors(feeder))
    )
