"""Newcomers behind links of which nothing is known wait a moment for a rate, so that no thin link gets several copies.

Owns: who waits, and for how long. Refuses: finding a parent (``repair``).

Members behind one router have the same links. So one of them is measured before the others, and those get their places
when that one's rate is known; their own rates may come later.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.mending import repair
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member

WAIT_S: Final = 1.5
"""With the half of a second after which a route is told at the latest, the start does not wait for more than two."""


def note(group: Group, member: Member, now: float) -> None:
    """A member has been measured for the first time, but perhaps for its rate."""
    if not member.rated and member.role in ("peer", "relay") and not _shown(member):
        group.start.unrated[member.id] = None
        group.timers.arm(now + WAIT_S, "unrated", member.id)


def look_again(group: Group) -> None:
    """Place those that wait and need not any more."""
    found = [member for one in group.start.unrated if (member := group.members[one]).rated or _shown(member)]
    for member in found:
        group.timers.cancel("unrated", member.id)
        wait_no_more(group, member)


def wait_no_more(group: Group, member: Member) -> None:
    """Something is known of its links, or its time is up: it gets a place with what is known."""
    del group.start.unrated[member.id]
    repair.place_orphan(group, member)


def _shown(member: Member) -> bool:
    return member.router is not None and member.router.rate_mbit is not None
