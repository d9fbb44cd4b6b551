"""Local improvement while the group runs, for a stated gain, at a limited rate, never within a repair.

Owns: which members may do better elsewhere, a few at a time. Refuses: moving anybody whose plan is being carried out,
who was moved a while ago, or who would gain less than ``improve_gain`` of its delay.

In this order: guests of backup servers go back to peers; a site with more than one copy hangs the others inside; and
of the rest, looked at in turn, those that their large cluster may have as a further primary, and those whose delay
shrinks. That is also how a member that has received well for long enough becomes a primary, or ceases to be one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from overlaycast.overlay import clusters, moves, placement
from overlaycast.overlay.group import Group
from overlaycast.overlay.locality import Place
from overlaycast.overlay.members import Member, State
from overlaycast.overlay.placement import Rules
from overlaycast.overlay.tree import delay_ms

LOOKED_AT: Final = 64
"""Members that one step looks at."""
MOVED_PER_STEP: Final = 1000
"""One move, and one more for so many members."""
REST_S: Final = 60.0
"""Nobody is moved again for so long."""
LEAST_GAIN_MS: Final = 5.0


def step(group: Group, now: float) -> None:
    """Look at some members and move the few that gain most by it; then rest."""
    settings = group.settings
    if settings.improve_s <= 0:
        return
    group.timers.arm(now + settings.improve_s, "improve")
    if not group.begun or group.timers.armed("calm") or group.inquiries or group.releasing or group.waiting:
        return
    left = 1 + len(group.members) // MOVED_PER_STEP
    for member in _in_turn(group):
        if left and _well(group, member, now) and _better(group, member, now):
            left -= 1


def _in_turn(group: Group) -> Iterator[Member]:
    for server in group.servers:
        yield from [child for child in server.children if child.role != "backup"][:LOOKED_AT]
    if not group.improve_queue:
        group.improve_queue = list(group.members)
    batch, group.improve_queue = group.improve_queue[:LOOKED_AT], group.improve_queue[LOOKED_AT:]
    for member_id in batch:
        member = group.living(member_id)
        if member is not None:
            yield member


def _well(group: Group, member: Member, now: float) -> bool:
    return (
        member.parent is not None
        and member.state is State.ACTIVE
        and member.connected
        and member.role != "backup"
        and not (member.leaving or member.done)
        and member.status in ("streaming", "waiting")
        and now - member.moved_at >= REST_S
        and member.parent.id not in group.inquiries
    )


def _better(group: Group, member: Member, now: float) -> bool:
    """Move the member if another parent is worth it."""
    parent = member.parent
    assert parent is not None
    avoid = (parent,) if group.source is None or placement.ripe(group, member, now) else (parent, group.source)
    edge = member.edge_ms
    before = delay_ms(member)
    doubled = _doubled(group, member)
    promoted = group.source not in avoid and clusters.deserves(group, member)
    needed = parent.role == "backup" or doubled is not None or promoted
    moves.take_off(group, member, alone=False)
    found = group.source if promoted else placement.seek(group, member, avoid, Rules(inside=doubled))
    if found is not None and not needed:
        gain = before - placement.planned_ms(member, found)
        if gain < max(LEAST_GAIN_MS, group.settings.improve_gain * before):
            found = None
    moves.hang(group, member, found or parent)
    if found is None:
        member.edge_ms = edge
        return False
    member.moved_at = now
    group.note(now, "improved", member, was=parent.id, now=found.id, gain_ms=round(before - delay_ms(member), 3))
    return True


def _doubled(group: Group, member: Member) -> Place | None:
    """Return the place that the member's copy enters as one of several, its own before its site; or None."""
    place = member.place
    if place is None or member.parent is None or member.parent.place is None or member.parent.place is place:
        return None
    if place.inbound > clusters.tolerated(group, place):
        return place
    site = group.places.site(place)
    inside = group.places.site(member.parent.place) is site
    too_many = site.inbound > clusters.tolerated(group, site)
    return site if too_many and site.depth > group.places.core.depth and not inside else None
