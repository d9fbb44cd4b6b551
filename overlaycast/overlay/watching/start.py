"""How a group begins, and how it begins again when its source comes back (Fig. 5).

Owns: when all are placed in one go, when the source may send and from which record on. Refuses: choosing parents.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from overlaycast.overlay.placing import many, placement, search
from overlaycast.overlay.plan import capacity, moves, orders, promises
from overlaycast.overlay.plan.reach import linked
from overlaycast.overlay.state import credit
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import SENDERS, Member, State
from overlaycast.overlay.watching import distances, laggards, source_lost
from overlaycast.wire.messages import Begin, Ping, Pong

MEASURED_S: Final = 2.0
"""So long after the last of ``start_members`` has come those are placed that are measured; the others follow."""
RATED_S: Final = 1.2
"""So long after the last has come the start waits for everybody's rate: a train beside a stream shows too little."""
LOOK_AGAIN_S: Final = 0.25
BEGIN_AFTER_S: Final = 5.0
"""The source begins so long after the placing, even if somebody has not reported yet."""
FOLLOW_S: Final = 2.5
"""So long it waits for those that were not measured in time: with very many members their paths take longer."""
ASK_S: Final = 0.5
"""So long a returned source waits for what its former children tell."""
ASK_AGAIN_S: Final = 0.03
"""Whoever says that a source that has failed still feeds it is asked again after so long."""
TIMERS: Final = ("start", "rated", "gathered", "begin", "ask")
REPORTS: Final = 2
"""A report that comes so many intervals after the source was back tells of nothing before that."""


def source_came(group: Group, source: Member, now: float) -> None:
    """Make a new member the group's source; one that replaces another takes over its children at once."""
    former = group.source
    if former is not None:
        _come_back(group, former, source, now)
        return
    _arrive(group, source, now)
    group.tree.plant(source)
    group.touch(source, force=True)


def _arrive(group: Group, source: Member, now: float) -> None:
    source.degree = capacity.degree(group, source)
    group.timers.arm(now + group.settings.start_timeout_s, "start")
    group.start.incarnation += 1


def _come_back(group: Group, former: Member, source: Member, now: float) -> None:
    children = inherit(group, former, source, now)
    send_guests_home(group)
    dismiss(group, former)
    group.note(now, "source-back", source, former=former.id, incarnation=group.start.incarnation)
    if group.start.begun:
        ask(group, children, now + ASK_S)


def inherit(group: Group, former: Member, source: Member, now: float) -> list[Member]:
    """Plant a source in place of another one, whose children become its own; return them."""
    _arrive(group, source, now)
    source.router = source.router or former.router
    children = sorted([*former.children, *source_lost.parted(group, former)], key=lambda child: child.rank)
    source.degree = max(source.degree, len(children))
    promises.withdraw(group, former)
    for child in children:
        moves.detach(group, child)
    group.tree.plant(source)
    for child in children:
        if linked(source, child):
            moves.attach(group, child, source)
        else:
            group.repair.waiting[child.id] = None  # the former source could be dialled, or could call; this one cannot
    moves.enter(group, source)
    orders.relist(group, former)
    group.touch(source, force=True)
    return children


def dismiss(group: Group, former: Member) -> None:
    """Forget a source that has failed, and that has no children any more; it does not know, and may send again."""
    group.start.deposed = former.id
    orders.dismiss(group, former)
    group.forget(former, State.DEAD)


def ask(group: Group, children: Iterable[Member], until: float) -> None:
    """Have a source that replaces another one wait for what these tell of their progress, but not longer."""
    state = group.start
    state.begun, state.begin_wanted = False, True
    state.asked.clear()
    state.unsure.clear()
    for child in children:
        _ask(group, child)
    group.timers.arm(until, "begin")


def _ask(group: Group, child: Member) -> None:
    nonce = group.watch.nonce()
    group.start.asked[nonce] = child.id
    group.orders.outbox.append((child.id, Ping(nonce=nonce)))


def ask_again(group: Group) -> None:
    """Ask those who said that the source that has failed still feeds them: they have read all of it by and by."""
    unsure, group.start.unsure = group.start.unsure, set()
    for child in sorted(unsure):
        _ask(group, group.members[child])


def send_guests_home(group: Group) -> None:
    """Place anew whom a backup server has taken while there was no source: nobody is fed now, so it costs nothing."""
    for guest in [one for server in group.servers for one in server.children if one.role != "backup"]:
        server, edge = guest.parent, guest.edge_ms
        assert server is not None
        moves.detach(group, guest)
        found = placement.seek(group, guest, (), search.FREE)
        if found is None:
            moves.put_back(group, guest, server, edge)
        else:
            moves.attach(group, guest, found[4])


def returned(group: Group, member: Member, rank: int) -> None:
    """Take the rank of a member that is back, if our state may be older than it and the rank was ever handed out.

    Each member is believed once after a restart: later on we know what it was told.
    """
    if member.id in group.watch.returning and member is not group.source:
        claimed = min(rank, group.tree.highest)
        if claimed > member.rank:
            moves.take_rank(group, member, claimed)
    group.watch.returning.discard(member.id)


def on_pong(group: Group, member: Member, message: Pong, next_seq: int, now: float) -> bool:
    """Take a former child's answer; False: the nonce was not for this, or not for this member."""
    state = group.start
    if state.asked.get(message.nonce) != member.id:
        return False
    del state.asked[message.nonce]
    state.next_seq = max(state.next_seq, next_seq)
    if state.former and message.parent == state.former and member.watch.status == "streaming":
        state.unsure.add(member.id)
        group.timers.arm(now + ASK_AGAIN_S, "ask")
    gone_ahead(group, now)
    return True


def came(group: Group, member: Member, now: float) -> None:
    """A member has come; when it is the last of those that are awaited, so much time is left to measure them."""
    state = group.start
    state.came += member.role == "peer"
    if member.role in ("source", "peer") and not state.started and group.source is not None:
        wanted = _wanted(group, group.source)
        if wanted and state.came >= wanted and not group.timers.armed("gathered"):
            state.all_came_at = now
            group.timers.arm(now + RATED_S, "rated")
            group.timers.arm(now + MEASURED_S, "gathered")


def gathered(group: Group, now: float) -> None:
    """Begin with those that are measured, if there are any; a moment later otherwise."""
    source = group.source
    if group.start.started or source is None:
        return
    if source.measured and group.start.measured_peers:
        maybe_start(group, now, at_last=True)
    else:
        group.timers.arm(now + LOOK_AGAIN_S, "gathered")


def due(group: Group, kind: str, now: float) -> None:
    """Do what one of the start's timers was armed for."""
    if kind in ("start", "rated"):
        maybe_start(group, now, at_last=kind == "start")
    elif kind == "gathered":
        gathered(group, now)
    elif kind == "begin":
        begin(group, now)
    else:
        ask_again(group)


def maybe_start(group: Group, now: float, at_last: bool = False) -> bool:
    """Place all that are measured, once enough of them are, or ``at_last`` with those that are there."""
    state = group.start
    source = group.source
    if state.started or source is None:
        return False
    if not at_last and not _complete(group, source, now):
        return False
    state.started = True
    group.timers.cancel("start")
    later = [*(state.unlocated if group.routers.located else ()), *state.unrated]
    members = [one for one in group.members.values() if one.role not in SENDERS]
    ready = [one for one in members if one.measured and one.id not in later]
    if at_last:
        later += [one.id for one in members if one.connected and not one.measured]
    moves.enter(group, source)
    many.attach_all(group, ready)
    group.note(now, "placed", None, members=len(ready), waiting=len(group.repair.waiting))
    improve_later(group, now)
    # those that are not measured yet, or whose path has gaps, get their place within a few seconds, and miss nothing if
    # the source waits for them
    state.unconfirmed = {one.id for one in ready if one.parent is not None} | set(later)
    state.begin_wanted = True
    group.timers.arm(now + (FOLLOW_S if at_last else BEGIN_AFTER_S), "begin")
    if not state.unconfirmed:
        begin(group, now)
    return True


def improve_later(group: Group, now: float) -> None:
    """Have the tree improved after the group's interval, if it has one and has been placed."""
    if group.settings.improve_s > 0 and group.start.started:
        group.timers.arm(now + group.settings.improve_s, "improve")
        distances.wake(group, now)


def _complete(group: Group, source: Member, now: float) -> bool:
    state, wanted = group.start, _wanted(group, source)
    if not source.measured or state.measured_peers < wanted or (wanted and state.unrated):
        return False
    if state.rated_peers < wanted and now < state.all_came_at + RATED_S:
        return False
    return all(one.measured or not one.connected for one in group.start.planted.values())


def _wanted(group: Group, source: Member) -> int:
    """Return how many peers have to be measured before the start."""
    wanted = group.settings.start_members
    return min(wanted, source.degree) if group.settings.evaluate == "enough" else wanted


def confirmed(group: Group, member: Member, now: float) -> None:
    """A member reports that it is where it was placed; the last one lets the source begin."""
    if member.id in group.start.unconfirmed:
        group.start.unconfirmed.discard(member.id)
        gone_ahead(group, now)


def gone_ahead(group: Group, now: float) -> None:
    """Begin if nobody is awaited any more."""
    state = group.start
    if state.begin_wanted and not (state.unconfirmed or state.asked or state.unsure):
        begin(group, now)


def sends(group: Group, now: float) -> bool:
    """Whether the source is there, and has been during all of the time that a report tells of."""
    settled_at = group.start.back_at + REPORTS * group.settings.report_ms / 1000
    return group.start.begun and now >= settled_at and not source_lost.is_gone(group)


def begin(group: Group, now: float) -> None:
    """Let the source send; from now on it is a member like those that have their place."""
    state = group.start
    source = group.source
    group.timers.cancel("begin")
    for awaited in (state.unconfirmed, state.asked, state.unsure):
        awaited.clear()
    if source is None or not state.begin_wanted:
        return
    state.begin_wanted = False
    state.begun = True
    if state.incarnation:
        state.back_at = now
    if source.state is State.JOINING:
        source.become(State.ACTIVE)
    first = state.next_seq
    incarnation = state.incarnation
    if state.former:
        state.former = 0
        laggards.offer(group, source)
    credit.on_begin(group, first, now)
    group.orders.outbox.append((source.id, Begin(epoch=group.epoch, incarnation=incarnation, next_seq=first)))
    group.note(now, "begin", source, incarnation=incarnation, next_seq=first)
