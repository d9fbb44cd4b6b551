"""What outlives a crash of the coordinator, as JSON-able values.

Owns: the format, with its version, and the way back. Refuses: storage. Kept are ids, epoch, routers, the tree and its
ranks; promises and orders are kept as they were told, so that nobody well is moved or told anything new by a restart.
Members that feed nobody for a while, and unusable pairs, remain so until the same time. Times of the watch (flags,
inquiries, under-performance) and what uplinks and hosts were seen to carry start afresh: what is still wrong will be
told again. What was measured of the members is kept beside the routers that it told of: releases of before read those.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any, Final

from overlaycast.errors import ConfigError
from overlaycast.overlay.plan import capacity, locating, moves, orders
from overlaycast.overlay.state import credit
from overlaycast.overlay.state.account import Progress
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.measurement import NOWHERE, Fact
from overlaycast.overlay.state.members import NEVER, NO_MEMBERS, SERVERS, UNTOUCHED, History, Member, Seat, State
from overlaycast.overlay.state.router import Key, Router
from overlaycast.overlay.state.skeleton import usable
from overlaycast.overlay.state.tree import check
from overlaycast.overlay.state.vicinity import Vicinity
from overlaycast.overlay.watching.forgers import SHUNNED_S
from overlaycast.overlay.watching.watch import CHECK_S
from overlaycast.wire.frames import SHOWN
from overlaycast.wire.hosts import is_host
from overlaycast.wire.messages import Contents

VERSION = 1
KEPT_TIMERS = ("leaf", "unusable-pair")
"""Timers that go on over a restart: the ends of what was decided for a stated time."""
_EARLIER_KINDS = {"rift": "unusable-pair"}
"""Kinds of timers by the names that earlier snapshots have for them."""
RETURN_FACTOR = 6.0
"""After a restart members have so many times ``lost_after_s`` to come back."""

_PLAIN = (
    *("id", "name", "role", "reachable", "upload_mbit", "out_degree", "joined_epoch", "rtt_ms", "rate_mbit"),
    *("measured", "rank", "edge_ms", "order_epoch", "placed_at", "leaving", "done"),
)
_WATCHED = ("fed_by", "next_seq", "status")
NOBODY: Final = 0
AMPLE: Final = "ample"
"""What earlier snapshots have for an echo that showed no rate: that was taken for a fast one."""


def dump(group: Group) -> dict[str, Any]:
    """Return the snapshot.

    Raises:
        LocalProtocolError: the tree is broken; what could not be loaded is not kept.
    """
    check(group.tree, iter(group.members.values()))
    source, progress = group.source, group.watch.progress
    routers = sorted(group.routers.known.values(), key=lambda router: router.depth)
    number = {id(router): index for index, router in enumerate(dict.fromkeys(routers))}
    facts = {fact: index for index, fact in enumerate(dict.fromkeys(one.fact for one in group.members.values()))}
    return {
        "version": VERSION,
        "next_id": group.next_id,
        "epoch": group.epoch,
        "order": group.tree.order,
        "highest": group.tree.highest,
        "progress": [progress.next_seq, progress.at, progress.pace] if progress else None,
        "started": group.start.started,
        "begun": group.start.begun,
        "begin_wanted": group.start.begin_wanted,
        "incarnation": group.start.incarnation,
        "deposed": group.start.deposed,
        "next_seq": max(group.start.next_seq, credit.furthest(group)),
        "nonces": group.watch.nonces,
        "contents": group.start.contents.model_dump() if group.start.contents else None,
        "source": source.id if source else None,
        "facts": [[list(fact.hops), fact.reached, fact.prefix] for fact in facts],
        "words": [None if fact.near is None else list(fact.near) for fact in facts],
        "places": [_place(router, number) for router in dict.fromkeys(routers)],
        "members": [_member(member, number, facts) for member in group.members.values()],
        "waiting": list(group.repair.waiting),
        "leaves": list(group.repair.leaves),
        "timers": [
            [kind, member, at]
            for kind in KEPT_TIMERS
            for member, at in group.timers.pending(kind)
            if group.living(member)
        ],
    }


def _place(router: Router, number: dict[int, int]) -> list[Any]:
    above = number[id(router.parent)] if router.parent else None
    key = list(router.key) if isinstance(router.key, tuple) else router.key
    readings = [list(one) for one in router.readings.items()]
    return [key, router.name, above, router.delay_ms, router.timed, router.heard, router.rate_mbit, readings]


def _member(member: Member, number: dict[int, int], facts: dict[Fact, int]) -> dict[str, Any]:
    return {
        **{name: getattr(member, name) for name in _PLAIN},
        **{name: getattr(member.watch, name) for name in _WATCHED},
        "moved_at": max(member.history.moved_at, 0.0),  # never: JSON has no infinity
        "failures": member.history.failures,
        "draining": member.draining,
        "rated": member.rated,
        "dials": member.dials,
        "data_version": member.data_version,
        "inside": member.inside,
        "seen": member.seen,
        "open": member.open,
        "claimed": [list(address) for address in member.claimed],
        "proven": [[list(address) for address in pair] for pair in member.proven],
        "state": int(member.state),
        "addresses": [list(address) for address in member.addresses],
        "fact": facts[member.fact],
        "place": number[id(member.router)] if member.router else None,
        "parent": member.parent.id if member.parent else None,
        "standbys": [[s.id, c] for s, c in zip(member.standbys, member.counted, strict=True)],
        "fallbacks": [one.id for one in member.fallbacks],
        "barred": list(member.barred),
        "sent": _seat(member.sent),
    }


def _seat(seat: Seat | None) -> list[Any]:
    if seat is None:
        return []
    parent = seat.parent.id if seat.parent else 0
    standbys, fallbacks = ([one.id for one in some] for some in (seat.standbys, seat.fallbacks))
    return [parent, seat.rank, standbys, fallbacks, seat.primary]


def load(group: Group, snapshot: dict[str, Any], now: float) -> None:
    """Fill a new group from a snapshot.

    Raises:
        ConfigError: the snapshot is of another version.
        LocalProtocolError: the tree in it is broken.
    """
    if snapshot.get("version") != VERSION:
        raise ConfigError(f"snapshot of version {snapshot.get('version')}; accepted: {VERSION}")
    group.next_id, group.epoch, group.watch.nonces = snapshot["next_id"], snapshot["epoch"], snapshot["nonces"]
    for name in ("started", "begun", "begin_wanted", "incarnation", "next_seq"):
        setattr(group.start, name, snapshot[name])
    group.start.deposed = snapshot.get("deposed")  # snapshots of before do not say it
    kept_contents = snapshot.get("contents")
    group.repair.leaves = dict.fromkeys(snapshot.get("leaves", ()))
    group.start.contents = None if kept_contents is None else Contents.model_validate(kept_contents)
    group.tree.order = snapshot["order"]
    highest = max((kept["rank"] for kept in snapshot["members"]), default=0)
    group.tree.highest = max(highest, snapshot.get("highest", 0))  # snapshots of before do not say either of these
    progress = snapshot.get("progress")
    group.watch.progress = None if progress is None else Progress(*progress)
    facts = _facts(snapshot)
    for kept in snapshot["members"]:
        _load_member(group, kept, facts, now)
    _load_routers(group, snapshot)
    by_rank = sorted(snapshot["members"], key=lambda kept: kept["rank"])
    source = snapshot["source"]
    if source is not None:
        group.tree.plant(group.members[source])
    for kept in by_rank:
        _link(group, kept)
    _measure_tree(group, by_rank)
    _finish(group, snapshot, now)


def _facts(snapshot: dict[str, Any]) -> list[Fact]:
    if "facts" in snapshot:
        words = snapshot.get("words") or repeat(None)  # snapshots of before have no members' words
        return [
            Fact(usable(tuple(hops)), reached, prefix, None if said is None else Vicinity(*said))
            for (hops, reached, prefix), said in zip(snapshot["facts"], words, strict=False)
        ]
    found: list[Fact] = []  # snapshots of before have the tree of routers alone, the upper ones first
    for _, name, above, *_ in snapshot["places"]:
        found.append(Fact() if above is None else Fact(usable((*found[above].hops, name)), reached=True))
    return found


def _load_routers(group: Group, snapshot: dict[str, Any]) -> None:
    """Make the tree of routers from what was measured of the members, and put them there."""
    members = [member for member in group.members.values() if member.measured]
    for member in members:
        group.routers.learn(member.fact.hops)
        if group.settings.strategy != "performance":
            group.routers.witnesses.hear(member.id, member.fact.last, member.fact.near)
    group.routers.refresh()
    for key, _, _, delay, timed, heard, rate, *kept in snapshot["places"]:
        router = group.routers.known.get(_frozen(key))
        if router is not None:
            router.delay_ms, router.timed, router.heard = delay, timed, heard
            before = [] if rate is None else [(NOBODY, rate)]  # snapshots of before do not say whose echo it was
            readings = kept[0] if kept else before
            group.routers.show(router, {member: one for member, one in readings if one != AMPLE})
    locating.enter_all(group)


def _frozen(key: Any) -> Key:
    """JSON makes lists of tuples, also within one another: a hop behind several silent ones has a key of keys."""
    return tuple(_frozen(part) for part in key) if isinstance(key, list) else key


def _load_member(group: Group, kept: dict[str, Any], facts: list[Fact], now: float) -> None:
    member = Member(kept["id"], kept["name"], kept["role"])
    for part, names in ((member, _PLAIN), (member.watch, _WATCHED)):
        for name in names:
            setattr(part, name, kept[name])
    history = History(moved_at=kept["moved_at"] or NEVER, failures=kept["failures"])
    member.history = UNTOUCHED if history == UNTOUCHED else history
    member.dials = kept.get("dials", True)  # snapshots of before have none of ``get``
    member.data_version = kept.get("data_version", SHOWN)
    member.draining = kept.get("draining", False)
    member.rated = kept.get("rated", member.measured)
    member.seen = kept.get("seen", "")
    member.barred = tuple(kept.get("barred", ()))
    inside = kept.get("inside")
    member.inside = None if inside is None else (inside[0], inside[1], inside[2])
    member.state = State(kept["state"])
    member.connected = False
    member.addresses = _addresses(kept["addresses"])
    member.open = kept.get("open", member.reachable)
    member.claimed = _addresses(kept.get("claimed", ()))
    member.proven = tuple((one, other) for one, other in map(_addresses, kept.get("proven", ())))
    known = kept["fact"] if "fact" in kept else kept["place"]
    member.fact = NOWHERE if known is None else facts[known]
    member.near = member.fact.near
    member.watch.heard_at = now
    group.members[member.id] = member
    group.watch.returning.add(member.id)
    _take_part(group, member)


def _take_part(group: Group, member: Member) -> None:
    """Have a member count for the start, and be among those of its role."""
    group.start.measured_peers += member.measured and member.role == "peer"
    group.start.rated_peers += member.rated and member.role == "peer"
    if member.role in SERVERS:
        group.start.planted[member.id] = member
    if member.role == "backup":
        group.servers.append(member)
    if member.role == "standby" and not member.leaving:
        group.start.standbys[member.id] = member


def _addresses(kept: Iterable[Any]) -> tuple[tuple[str, int], ...]:
    return tuple((host, port) for host, port in kept if is_host(host))  # members refuse what else was once kept


def _link(group: Group, kept: dict[str, Any]) -> None:
    member = group.members[kept["id"]]
    member.sent = _load_seat(group, kept["sent"])
    for standby_id, counts in kept["standbys"]:
        standby = group.members[standby_id]
        member.standbys, member.counted = (*member.standbys, standby), (*member.counted, counts)
        if standby.wards is NO_MEMBERS:
            standby.wards = []
        standby.wards.append(member)
        standby.promised += counts
    orders.list_fallbacks(group, member, _known(group, kept["fallbacks"]))
    if kept["parent"] is not None:
        parent = group.members[kept["parent"]]
        member.parent = parent
        if parent.children is NO_MEMBERS:
            parent.children = []
        parent.children.append(member)
        group.routers.carry(parent.router, member.router, 1)
        moves.mark(group, member)


def _load_seat(group: Group, kept: list[Any]) -> Seat | None:
    if not kept:
        return None
    parent, rank, standbys, fallbacks, primary = kept
    return Seat(group.members.get(parent), rank, _known(group, standbys), _known(group, fallbacks), primary)


def _known(group: Group, ids: Iterable[int]) -> tuple[Member, ...]:
    """Return those that are still members."""
    return tuple(group.members[one] for one in ids if one in group.members)


def _measure_tree(group: Group, by_rank: list[dict[str, Any]]) -> None:
    """Heights and sizes from the leaves up: a parent ranks below its children."""
    for kept in reversed(by_rank):
        member = group.members[kept["id"]]
        member.degree = max(capacity.degree(group, member), len(member.children))
        if member.parent is not None:
            member.parent.size += member.size
            member.parent.height = max(member.parent.height, member.height + 1)
    # a crash may come between the keeping of a lower limit and that of the tree which fits it
    group.tree.depth_limit = max((group.tree.depth_limit, *(member.height for member in group.members.values())))
    check(group.tree, iter(group.members.values()))


def _needing(group: Group, drained: Member) -> set[int]:
    """Return the members that say that a drained one feeds them, or are to be fed by it."""
    return {one.id for one in group.members.values() if one.watch.fed_by == drained.id or one.parent is drained}


def _finish(group: Group, snapshot: dict[str, Any], now: float) -> None:
    grace = RETURN_FACTOR * group.settings.lost_after_s
    for member in group.members.values():
        if member.degree and (member.parent is not None or member is group.source):
            group.candidates.offer(member)
        if member is not group.source:
            group.timers.arm(now + grace, "lost", member.id)
    group.repair.waiting = dict.fromkeys(snapshot["waiting"])
    group.repair.releasing = {one.id: _needing(group, one) for one in group.members.values() if one.draining}
    for leaf in group.repair.leaves:
        group.timers.arm(now + SHUNNED_S, "leaf", leaf)  # snapshots of before do not say until when
    for kind, member_id, at in snapshot.get("timers", ()):
        group.timers.arm(at, _EARLIER_KINDS.get(kind, kind), member_id)
    if group.start.standbys:
        group.timers.arm(now + group.settings.lost_after_s, "relief")
    if group.start.begin_wanted:
        group.timers.arm(now + group.settings.lost_after_s, "begin")
    if group.source is not None and not group.start.started:
        group.timers.arm(now + group.settings.start_timeout_s, "start")
    group.timers.arm(now + CHECK_S, "check")
    if group.start.started and group.settings.improve_s > 0:
        group.timers.arm(now + grace, "improve")
