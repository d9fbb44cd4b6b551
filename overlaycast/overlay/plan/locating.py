"""Puts members at their routers as measurements come, early or late, complete or not (Fig. 4, 406), and as
members tell of their own networks.

Owns: that copies, counts and lists follow when a member, or the whole tree of routers, turns out to be elsewhere.
Refuses: moving anybody: edges of the tree stay, and ``mending`` looks at those that are now too long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from overlaycast.overlay.plan import capacity, moves, promises
from overlaycast.overlay.state.candidates import Candidates
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.measurement import Fact, Measurement, adds_nothing
from overlaycast.overlay.state.members import SENDERS, Member
from overlaycast.overlay.state.prefix import prefix_of
from overlaycast.overlay.state.router import Key, Router
from overlaycast.overlay.state.vicinity import vicinity

WORDS_S: Final = 30.0
"""What a member says of its network so soon after it has said something else is not taken: its children would follow
it from place to place."""


def take(group: Group, member: Member, measurement: Measurement) -> None:
    """Take what was measured of a member. All that its path tells of others counts at once."""
    if measurement.rtt_ms is not None:
        member.rtt_ms = measurement.rtt_ms
    if measurement.rate_mbit is not None:
        member.rate_mbit = measurement.rate_mbit
    member.rated = member.rated or measurement.rated
    routers = group.routers
    known = _behind(member, measurement)
    fact = routers.fact(known, member.addresses, member.near)
    entered, member.measured = member.measured, True
    if entered and adds_nothing(fact, member.fact):
        fact = member.fact
    if group.settings.strategy != "performance":
        routers.learn(fact.hops, known.hops_ms)
        routers.witnesses.hear(member.id, fact.last, fact.near)
    others = (one.fact.hops for one in group.members.values() if one.measured and one is not member)
    if routers.forget_former(len(group.members), chain((fact.hops,), others)) or routers.refresh():
        member.fact = fact
        enter_all(group)
    elif entered and fact == member.fact and _stays(group, member):
        _renew(group, member)
    elif entered:
        _put(group, member, fact)
    else:
        member.fact = fact
        member.router, member.located = _find(group, member)
        routers.enter(member)
    _settle_others(group)
    member.degree = max(capacity.degree(group, member), len(member.children))
    promises.trim(group, member)


def hear(group: Group, member: Member, gateway: str | None, hops: Sequence[str | None], now: float) -> bool:
    """Take what a member says of its own network; False: it is nothing new, or of no use, or comes too soon again."""
    seen = member.seen or next((host for host, _ in member.addresses), "")
    near = vicinity(seen, prefix_of(((seen, 0),)), member.inside is not None, gateway, hops)
    if near == member.near or member.role in SENDERS:
        return False
    same_place = near is not None and member.near is not None and near.where == member.near.where
    if same_place and now - member.watch.words_at < WORDS_S:
        return False
    member.near, member.watch.words_at = near, now
    if not member.measured:
        return True
    fact = member.fact._replace(near=near)
    if group.settings.strategy != "performance":
        group.routers.witnesses.hear(member.id, fact.last, near)
    former = member.router
    _enter_again(group, member, fact)
    if member.router is not former:
        _misplaced(group, member)
    _settle_others(group)
    return True


def enter_all(group: Group) -> None:
    """Enter all measured members into a tree of routers in which nobody is yet."""
    former = {member.id: member.router for member in group.members.values()}
    measured = [member for member in group.members.values() if member.measured]
    traced = sorted(measured, key=lambda member: not _traced(member))  # prefixes tell of others once these are there
    for member in traced:
        before = member.router
        member.router, member.located = _find(group, member)
        group.routers.enter(member)
        if before is not None and _keys(before) != _keys(member.router):
            _misplaced(group, member)
    for member in group.members.values():
        if member.parent is not None:
            group.routers.carry(member.parent.router, member.router, 1)
            moves.mark(group, member)
    group.candidates = Candidates()
    for member in measured:
        _offer(group, member)
    _settle_others(group)
    _keep_accounts(group, former)


def _keys(router: Router) -> list[Key]:
    return [one.key for one in router.up()]


def _traced(member: Member) -> bool:
    return bool(member.fact.hops) and member.fact.hops[-1] is not None


def _find(group: Group, member: Member, entered: bool = False) -> tuple[Router, bool]:
    routers = group.routers
    if group.settings.strategy == "performance":
        return routers.root, True
    router, located = routers.find(member.fact, member.rtt_ms, entered)
    if member.role in SENDERS and not located and routers.located:
        return routers.root, False  # a stranger's network would get a copy for each of its members
    return router, located


def _stays(group: Group, member: Member) -> bool:
    """Whether a member that is counted at its router is found there again."""
    router, located = _find(group, member, entered=True)
    return router is member.router and located == member.located


def _put(group: Group, member: Member, fact: Fact) -> None:
    """Put a member that is at a router already where this says; it keeps its edges."""
    _enter_again(group, member, fact)
    _misplaced(group, member)


def _enter_again(group: Group, member: Member, fact: Fact) -> None:
    _carry(group, member, -1)
    group.routers.withdraw(member)
    group.routers.leave(member)
    member.fact = fact
    member.router, member.located = _find(group, member)
    group.routers.enter(member)
    _carry(group, member, 1)
    for one in (member, *member.children):
        if one.parent is not None:
            moves.mark(group, one)
    _offer(group, member)


def _offer(group: Group, member: Member) -> None:
    """Have it found by those that look for a parent, if it may have children where it is now."""
    if member.near is not None:
        capacity.learn(group, member)
        promises.trim(group, member)
    moves.enter(group, member)


def _renew(group: Group, member: Member) -> None:
    """Take what a member's echo has shown by now; it is where it was.

    Where more or less is known to come through than was, copies may be too many for a link.
    """
    before = group.routers.renew(member)
    _misplaced(group, member)
    if member.router is not None and member.router.rate_mbit != before:
        for head in map(group.living, list(group.improvement.heads)):
            if head is not None and head.router is member.router:
                _misplaced(group, head)


def _misplaced(group: Group, member: Member) -> None:
    """Its own copy crosses other links than was planned, and so do those that it sends."""
    for one in (member, *member.children):
        if one.parent is not None:
            group.improvement.misplaced[one.id] = None


def _carry(group: Group, member: Member, copies: int) -> None:
    for other in member.children:
        group.routers.carry(member.router, other.router, copies)
    if member.parent is not None:
        group.routers.carry(member.parent.router, member.router, copies)


def _settle_others(group: Group) -> None:
    """Look where members belong that no path locates: their neighbours may be traced now, or be no neighbours."""
    routers = group.routers
    doubtful = [group.members[one] for one in routers.doubtful()]  # first: where these are tells of the others
    for member in (*doubtful, *routers.unsettled()):
        if not _stays(group, member):
            _put(group, member, member.fact)


def _keep_accounts(group: Group, former: dict[int, Router | None]) -> None:
    """What links were seen to carry is kept under the routers' new numbers."""
    numbers = {one.order: one.key for router in former.values() if router is not None for one in router.up()}
    known, carried = group.routers.known, group.watch.carried
    kept = ((known.get(numbers.get(order, "")), direction, one) for (order, direction), one in carried.items())
    group.watch.carried = {(router.order, way): one for router, way, one in kept if router is not None}
    group.file_rate = None


def _behind(member: Member, measurement: Measurement) -> Measurement:
    """A trace to a member that nobody can dial ends at its translator: that is its router, not the target."""
    if member.inside is None or member.reachable or member.inside[0] in measurement.path:
        return measurement
    return replace(measurement, path=(*measurement.path, member.inside[0]))
