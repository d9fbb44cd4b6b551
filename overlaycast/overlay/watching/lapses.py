"""Members that cannot keep up, and records that they lose: events as it happens, whether or not a better parent exists.

Owns: which of it becomes an event. Refuses: to move anybody for it (``watch``), and to be flooded: a change that comes
too soon after the one before is looked at again with the member's next report.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Lapse, Member
from overlaycast.wire.messages import Report

CHANGE_S: Final = 3.0
"""A member's lapses are told at most so often: an honest one is behind for longer."""
LOST_S: Final = 10.0
"""The same for its losses."""


def on_report(group: Group, member: Member, message: Report, now: float) -> None:
    """Keep what a report says about it, and tell what is new."""
    watch = member.watch
    watch.behind = message.behind
    watch.delivers = message.fed_by or 0
    if message.links_failed != watch.links_failed or message.asked_in_vain != watch.asked_in_vain:
        _failures(group, member, message)
    if message.lost != watch.lost_told:
        _losses(group, member, message.lost, now)
    lapse = watch.lapse
    told = lapse.what if lapse else None
    if message.behind == told or (lapse is not None and now - lapse.told_at < CHANGE_S):
        return
    if lapse is None or told is None:
        lapse = watch.lapse = Lapse(message.behind, now, message.lost, now)
    if message.behind is None:
        lost = max(0, message.lost - lapse.lost_before)
        group.note(now, "caught-up", member, what=told, seconds=round(now - lapse.since, 1), lost=lost)
    else:
        parent = member.parent.id if member.parent else None
        group.note(now, "behind", member, what=message.behind, parent=parent, lost=message.lost)
    lapse.what, lapse.told_at = message.behind, now


def _failures(group: Group, member: Member, message: Report) -> None:
    """Count what is new; what a member counted before a restart of ours is no news."""
    watch, sums = member.watch, group.watch
    if watch.links_failed is not None and watch.asked_in_vain is not None:
        sums.links_failed += max(0, message.links_failed - watch.links_failed)
        sums.asked_in_vain += max(0, message.asked_in_vain - watch.asked_in_vain)
    watch.links_failed, watch.asked_in_vain = message.links_failed, message.asked_in_vain


def _losses(group: Group, member: Member, lost: int, now: float) -> None:
    watch = member.watch
    if watch.lost_told is None:  # what it lost before a restart of ours is no news
        watch.lost_told = lost
    fresh = lost - watch.lost_told
    if fresh > 0 and now - watch.lost_told_at >= LOST_S:
        watch.lost_told, watch.lost_told_at = lost, now
        group.note(now, "lost", member, records=fresh, in_all=lost)
