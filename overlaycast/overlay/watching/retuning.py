"""What a group does with other settings while it runs.

Owns: which parts of its state were made from settings, and are made anew. Most rules read a setting where they need it,
and need nothing here. Refuses: which settings may change at all (``wire.changes``).

Invariants: nobody loses a parent, a child or a place by it; a limit that has become shorter counts from now on.
"""

from __future__ import annotations

from overlaycast.overlay.plan import capacity, moves, promises
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.watching import start, watch
from overlaycast.wire.group import GroupSettings


def objections(group: Group, settings: GroupSettings) -> dict[str, str]:
    """Return which of these settings the group cannot have as it is now, by name, and why."""
    deepest = max((member.height for member in group.members.values()), default=0)
    if settings.depth_limit < deepest:
        return {"depth_limit": f"the tree is {deepest} deep now"}
    return {}


def retune(group: Group, settings: GroupSettings, now: float) -> None:
    """Go on with these settings; nobody objects to them."""
    before, group.settings = group.settings, settings
    group.tree.depth_limit = settings.depth_limit
    group.file_rate = None
    _relearn(group)
    _rearm(group, before, now)
    start.maybe_start(group, now)


def _relearn(group: Group) -> None:
    """Who may have how many children depends on settings; whoever has more than that keeps them."""
    for member in group.members.values():
        if capacity.learn(group, member):
            promises.trim(group, member)
            moves.enter(group, member)
    group.repair.room_changed = True


def _rearm(group: Group, before: GroupSettings, now: float) -> None:
    settings, timers = group.settings, group.timers
    if settings.start_timeout_s != before.start_timeout_s and timers.armed("start"):
        timers.arm(now + settings.start_timeout_s, "start")
    if settings.improve_s != before.improve_s:
        timers.cancel("improve")
        start.improve_later(group, now)
    if settings.lost_after_s < before.lost_after_s:
        for member_id, at in timers.pending("lost"):
            timers.arm(min(at, now + settings.lost_after_s), "lost", member_id)
    if watch.silence_limit_s(settings) < watch.silence_limit_s(before):
        for member in group.members.values():  # who kept to the former interval is not silent
            member.watch.heard_at = now if member.connected else member.watch.heard_at
