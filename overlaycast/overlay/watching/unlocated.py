"""Members whose path ends in silence wait a moment for a better one, so that they are not attached at random.

Owns: who waits, and for how long. Refuses: finding their place (``locating``), and a parent (``repair``).

Routers that limit their answers are asked again after a second or two, also for the neighbours of those that got none.
Where no path at all tells anything, as with tracing switched off, there is nothing to wait for.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.mending import repair
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member

WAIT_S: Final = 2.0
"""Linux answers six probes at once and then one a second (net.ipv4.icmp_ratelimit): a second answer is here by then."""


def note(group: Group, member: Member, now: float) -> None:
    """A member has been measured for the first time."""
    if not member.located and member.role == "peer":
        group.start.unlocated[member.id] = None
        group.timers.arm(now + WAIT_S, "unlocated", member.id)


def look_again(group: Group) -> None:
    """Place those that wait and are located by now."""
    if not group.start.unlocated:
        return
    for member_id in list(group.start.unlocated):
        member = group.members[member_id]
        if member.located:
            group.timers.cancel("unlocated", member_id)
            wait_no_more(group, member)


def wait_no_more(group: Group, member: Member) -> None:
    """It is located, or its time is up: it gets a place with what is known."""
    del group.start.unlocated[member.id]
    repair.place_orphan(group, member)
