"""Parents that their children have found to say what cannot be (live groups, and what is no frame in any group).

Owns: what follows from a child's word on that. Refuses: to believe it of anybody but those that the child was sent to,
and to do more than keep the two apart: nobody but the child has seen it, and the child may be the liar.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from overlaycast.overlay.plan import unusable_pair
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.watching import inquiries
from overlaycast.wire.messages import Untrue

EVERY_S: Final = 1.0
"""A member's accusations count at most so often: after each it gets another parent, as far as there is one."""


def on_report(group: Group, member: Member, accused: Iterable[Untrue], now: float) -> None:
    """Keep the member away from each parent that it accuses; give it another one if that is its present parent."""
    if now - member.watch.accused_at < EVERY_S:
        return
    for one in accused:
        parent = group.living(one.parent)
        if parent is None or parent.role == "source" or not inquiries.may_feed(parent, member):
            continue
        member.watch.accused_at = now
        group.note(now, "untrue", member, parent=parent.id, what=one.what)
        unusable_pair.bar(group, parent, member, now)
        if parent is member.parent:
            inquiries.new_sender(group, member, parent, now)
