"""The group as people and tools see it (HTTP, reports). Owns: filling in the views. Refuses: secrets, changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from overlaycast.overlay.mending import drain
from overlaycast.overlay.state.group import Event, Group
from overlaycast.overlay.state.members import Member, State
from overlaycast.overlay.state.tree import depth
from overlaycast.wire.views import (
    CountersView,
    DrainView,
    MemberView,
    MoveView,
    NamedMember,
    PerformanceView,
    RebalancedView,
    SeatView,
    TreeView,
)

SILENT_REPORTS: Final = 3
SILENT_S: Final = 2.5
"""A member of which nothing was heard for so many reports, and for so long, is shown as silent."""
_UNFED: Final = {"stalled": "STALLED", "switching": "SEARCHING"}
"""What members say of themselves that get nothing: their parent lives and gets nothing itself, or is being replaced."""


def members(group: Group) -> list[MemberView]:
    """Return Fig. 6B of every member, in order of id."""
    return [_member(group, group.members[member_id]) for member_id in sorted(group.members)]


def _member(group: Group, member: Member) -> MemberView:
    return MemberView(
        **_seat(group, member),
        connected=member.connected,
        reachable=member.reachable,
        addresses=tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in member.addresses),
        performance=PerformanceView(rtt_ms=member.rtt_ms, rate_mbit=member.rate_mbit),
        transmit_mbit=_rounded(member.watch.transmit_mbit),
        routers=tuple(router.name for router in member.router.up() if router.parent is not None)
        if member.router
        else (),
        children=tuple(sorted(child.id for child in member.children)),
        degree=member.degree,
        next_seq=member.watch.next_seq,
        fed_by=member.watch.delivers or None,
        links_failed=member.watch.links_failed or 0,
        asked_in_vain=member.watch.asked_in_vain or 0,
        status=member.watch.status,
        failures=member.history.failures,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _seat(group: Group, member: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "name": member.name,
        "host": member.addresses[0][0] if member.addresses else None,
        "role": member.role,
        "site": group.routers.site(member.router).label if member.router else None,
        "parent": member.parent.id if member.parent else None,
        "rank": member.rank,
        "depth": depth(member),
        "primary": member.primary,
        "standbys": tuple(standby.id for standby in member.standbys),
        "state": _state(group, member),
        "receive_mbit": _rounded(member.watch.receive_mbit),
        "latency_ms": _rounded(member.watch.latency_ms),
        "lost": member.watch.lost,
        "behind": member.watch.behind,
    }


def _state(group: Group, member: Member) -> str:
    """Return the state that is known, that the member says it gets nothing, or that neither it nor anybody next to it
    has been heard of lately."""
    if member.done:
        return "DONE"
    if member.leaving:
        return "LEAVING"
    silent_s = max(SILENT_REPORTS * group.settings.report_ms / 1000, SILENT_S)
    if member.state is not State.ACTIVE:
        return member.state.name
    if group.clock - member.watch.heard_at > silent_s:
        return "SILENT"
    return _UNFED.get(member.watch.status, "DRAINING" if member.draining else member.state.name)


def tree(group: Group) -> TreeView:
    """Return which member feeds which: epoch, the root's id, and every member's seat in order of id."""
    root = group.source
    return TreeView(
        epoch=group.epoch,
        root=root.id if root else None,
        members=tuple(SeatView(**_seat(group, group.members[member_id])) for member_id in sorted(group.members)),
    )


def draining(group: Group, member_id: int) -> DrainView:
    """Return whether a member is drained, and who still needs it. One that is gone is not drained."""
    member = group.living(member_id)
    if member is None:
        return DrainView(member=member_id, name="", draining=False)
    left = tuple(_named(group, one) for one in drain.dependents(group, member))
    return DrainView(member=member.id, name=member.name, draining=member.draining, left=left)


def rebalanced(group: Group, log: Sequence[Event], hindrance: str | None) -> RebalancedView:
    """Return these events as moves, which all of them are."""
    moves = [
        MoveView(
            member=_named(group, event.member),
            was=_named(group, event.details["was"]),
            now=_named(group, event.details["now"]),
            gain_links=event.details.get("gain_links"),
            gain_ms=event.details.get("gain_ms"),
        )
        for event in log
    ]
    return RebalancedView(moves=tuple(moves), hindrance=hindrance)


def _named(group: Group, member_id: int | None) -> NamedMember:
    assert member_id is not None
    return NamedMember(id=member_id, name=group.members[member_id].name)


def counters(group: Group) -> CountersView:
    """Return counts of what has happened since this coordinator started, and of what there is."""
    root = group.source
    return CountersView(
        events=dict(sorted(group.counts.items())),
        epoch=group.epoch,
        members=len(group.members),
        placed=root.size if root else 0,
        waiting=len(group.repair.waiting),
        primaries=sum(child.role != "backup" for child in root.children) if root else 0,
        depth=root.height if root else 0,
        started=group.start.started,
        begun=group.start.begun,
        incarnation=group.start.incarnation,
        links_failed=group.watch.links_failed,
        asked_in_vain=group.watch.asked_in_vain,
    )
