"""Many fall silent at once: members that have been heard since it began are known to live, the others are not yet.

Owns: when there is a mass failure, and since when. Refuses: judging single members. Only those count that were asked
and did not answer: a member whose control link ends is known to be gone at once, and nobody mistakes it for one that
lives.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member

MASS: Final = 2
"""So many silent members, each within ``APART_S`` of the one before, are a mass failure."""
APART_S: Final = 5.0
LONG_S: Final = 0.5
"""Others asked so long ago that have not answered count already: of many, the first to be judged is not alone."""


def fell_silent(group: Group, since: float, now: float) -> None:
    """A member that had children was asked at ``since`` and has not answered."""
    if now - group.watch.silences.at > APART_S:
        group.watch.silences.since, group.watch.silences.count = since, 0
    group.watch.silences.since = min(group.watch.silences.since, since)
    group.watch.silences.at = now
    group.watch.silences.count += 1 + sum(
        one.parent not in one.answered and now - one.asked_at >= LONG_S for one in group.watch.inquiries.values()
    )


def under_way(group: Group) -> bool:
    """Whether there is a mass failure."""
    return group.watch.silences.count >= MASS and group.clock - group.watch.silences.at <= APART_S


def known_alive(group: Group, member: Member) -> bool:
    """Whether the member may be given children as far as a mass failure goes: there is none, or it was heard since."""
    return not under_way(group) or member.role == "source" or member.watch.heard_at > group.watch.silences.since
