"""Reports, errors, pings: what members tell, and what follows (Fig. 7, Fig. 8).

Owns: who under-performs, who is accused, whose errors are set aside. Refuses: choosing parents; finding out who has
failed (``inquiries``).

Invariants: an error from inside a broken branch is set aside until its top is mended or its flag runs out, and then
looked at again; a receiver that was moved and still gets too little is moved again ever more rarely.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.mending import drain, gather, repair
from overlaycast.overlay.placing import placement
from overlaycast.overlay.plan import capacity, moves, orders, promises, unusable_pair
from overlaycast.overlay.state import carried, credit
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.lateness import Lateness
from overlaycast.overlay.state.members import SENDERS, SUSPECT, Member, State
from overlaycast.overlay.state.processes import Complaint
from overlaycast.overlay.state.tree import ancestors
from overlaycast.overlay.watching import extent, forgers, inquiries, laggards, lapses, liars, relief, source_lost, start
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import NotReceiving, Ping, Pong, Report

RATE_MEMORY: Final = 0.3
"""Weight of the newest report in the running rates."""
CHECK_S: Final = 1.0
CHECK_SHARE: Final = 8
"""One check looks at this part of the members, so that a large group is never looked at all at once."""
SILENT_REPORTS: Final = 5
SHORTEST_MS: Final = 1.0
MOST_MBIT: Final = 1e6
THIN_S: Final = 60.0
"""A receiver that lacks again so soon after it was moved for it lacks for reasons of its own."""
DRIFT_S: Final = 3.0
"""So long a member may be fed by another than its parent before it is told again."""


# --- Fig. 7 ---------------------------------------------------------------------------------------------------------


def on_report(group: Group, member: Member, message: Report, now: float) -> None:
    """Fig. 7, 700 to 710: keep what the report says, and move the receiver if it has gone on too low for too long."""
    watch = member.watch
    watch.status, watch.lost, watch.latency_ms = message.state, message.lost, message.latency_p50_ms
    lapses.on_report(group, member, message, now)
    if member.role == "source":
        _source_report(group, message)
        extent.on_source_report(group, message, now)
    if message.next_seq > watch.next_seq:
        watch.next_seq = max(watch.next_seq, credit.believed(group, message.next_seq))
    watch.fed_by = message.parent or 0
    for entry in message.children:
        child = group.members.get(entry.child)
        progress = credit.believed(group, entry.next_seq)
        if child is not None and inquiries.may_feed(member, child) and progress > child.watch.next_seq:
            child.watch.next_seq, child.watch.heard_at = progress, now
    if message.asks:
        extent.asked(group, member)
    if message.untrue:
        liars.on_report(group, member, message.untrue, now)
    parent = member.parent
    if _not_told(group, member, message.epoch, now) or parent is None:
        return
    if message.parent == parent.id:
        _in_place(group, member, parent, message, now)
    elif message.parent is not None and now - max(member.history.moved_at, 0.0) > DRIFT_S:
        _drifted(group, member, message.parent, now)


def _not_told(group: Group, member: Member, epoch: int, now: float) -> bool:
    """Whether the member speaks without having its newest order; one that goes on so is told again."""
    if epoch >= member.order_epoch:
        if group.watch.overdue:
            group.watch.overdue.pop(member.id, None)
        return False
    if now - group.watch.overdue.setdefault(member.id, now) > DRIFT_S:
        group.watch.overdue[member.id] = now
        group.touch(member, force=True)
    return True


def _source_report(group: Group, message: Report) -> None:
    if message.interval_ms > 0 and message.bytes:
        rate = _rate_mbit(message)
        before = group.watch.stream_mbit
        group.watch.stream_mbit = rate if before is None else before + RATE_MEMORY * (rate - before)


def _in_place(group: Group, member: Member, parent: Member, message: Report, now: float) -> None:
    watch = member.watch
    if member.id in group.orders.revocations:
        orders.settle(group, member)
    if group.start.unconfirmed:
        start.confirmed(group, member, now)
    if group.start.ahead:
        laggards.reported(group, member)
    if message.state == "streaming":
        watch.flag_until = 0.0  # mended: errors from below are its members' own from now on
        group.watch.set_aside.pop(member.id, None)
    if message.interval_ms <= 0 or message.state in ("waiting", "ended", "switching"):
        watch.slow_since = None
        return
    rate = _rate_mbit(message)
    watch.receive_mbit = _blend(watch.receive_mbit, rate)
    parent.watch.transmit_mbit = _blend(parent.watch.transmit_mbit, rate)
    carried.note(group, member, parent, now)
    if parent.id in group.watch.hosts and capacity.learn(group, parent):
        promises.trim(group, parent)
    late = None if message.latency_p50_ms is None else _late_ms(member, message.latency_p50_ms, now)
    if not _too_slow(group, member, parent, rate, late, now):
        watch.slow_since = None
    elif watch.slow_since is None:
        watch.slow_since = now
    elif now - watch.slow_since >= group.settings.slow_after_s * (1 << min(member.history.moves, 6)):
        _move_receiver(group, member, parent, now)


def _rate_mbit(message: Report) -> float:
    """The rate that a report shows; whatever it claims, it is a number that one can go on with."""
    rate = message.bytes * 8e-3 / max(message.interval_ms, SHORTEST_MS)
    return rate if rate < MOST_MBIT else MOST_MBIT


def _blend(before: float | None, rate: float) -> float:
    return rate if before is None else before + RATE_MEMORY * (rate - before)


def _late_ms(member: Member, latency_ms: float, now: float) -> float:
    if member.watch.lateness is None:
        member.watch.lateness = Lateness.beginning(latency_ms, now)
    return member.watch.lateness.above(latency_ms, now)


def _too_slow(group: Group, member: Member, parent: Member, rate: float, late_ms: float | None, now: float) -> bool:
    if not _lacks(group, member, parent, rate, late_ms):
        return False
    # what the parent does not get it cannot give: only the top of a slow branch is moved
    return parent.watch.slow_since is None and start.sends(group, now)


def _lacks(group: Group, member: Member, parent: Member, rate: float, late_ms: float | None) -> bool:
    settings = group.settings
    if settings.mode == "file":
        return rate == 0 and parent.watch.next_seq > member.watch.next_seq
    if settings.measure == "latency":
        return late_ms is not None and late_ms > settings.latency_threshold_ms
    sent = group.watch.stream_mbit
    expected = settings.rate_mbit if sent is None else min(settings.rate_mbit, sent)
    return rate < settings.rate_threshold * expected


def _move_receiver(group: Group, member: Member, parent: Member, now: float) -> None:
    """Fig. 7, 706. If it was the same below another parent, its own line is thin: then it feeds nobody for now."""
    member.watch.slow_since = None
    again = member.history.moves and now - member.history.moved_at <= THIN_S
    if again and member.children and not _site_has_leaf(group, member):
        moved = repair.make_leaf(group, member, now, repair.LEAF_S)
        group.note(now, "thin", member, moved=[child.id for child in moved])
        return
    rank_before = member.rank
    moves.detach(group, member)
    found = placement.choose(group, member, (parent,))
    moves.attach(group, member, found or parent)
    if found is None:
        return
    member.past(moves=member.history.moves + 1, moved_at=now)
    group.note(now, "slow", member, was=parent.id, now=found.id, rank_grew=member.rank != rank_before)


def _site_has_leaf(group: Group, member: Member) -> bool:
    """Whether a neighbour has just been found thin: then it may be the uplink that they share."""
    if member.router is None:
        return False
    site = group.routers.site(member.router)
    leaves = map(group.living, group.repair.leaves)
    return any(one is not None and one.router and group.routers.site(one.router) is site for one in leaves)


def _drifted(group: Group, member: Member, fed_by: int, now: float) -> None:
    """It has the newest order and is fed by somebody else: adopt that if the plan allows it, else tell it again.

    Told twice in vain, it gets another parent: the one that feeds it now has not been asked whether there is room.
    """
    feeder, parent = group.living(fed_by), member.parent
    member.past(moved_at=now)
    apart = parent is not None and unusable_pair.failed(group, parent, member, now)
    expected = feeder is not None and (feeder in member.standbys or feeder in member.fallbacks)
    if expected and feeder is not None and adopt(group, member, feeder, now):
        return
    if apart and parent is not None:
        inquiries.new_sender(group, member, parent, now)
    group.touch(member, force=True)


# --- Fig. 8 ---------------------------------------------------------------------------------------------------------


def on_not_receiving(group: Group, member: Member, message: NotReceiving, now: float) -> None:
    """Fig. 8, 802 to 818."""
    if member.role == "source" or member.leaving:
        return
    parent = member.parent
    if _not_told(group, member, message.epoch, now) and (parent is None or message.parent != parent.id):
        return  # about an order that a newer one, on its way, replaces
    member.watch.fed_by = message.now_from or 0
    member.watch.status = "streaming" if message.now_from else "stalled"
    if parent is None:
        group.repair.room_changed = True
        return
    told = group.settings.mode == "file" and message.reason == "damaged"  # nothing of a live stream can be checked
    if told and _forged(group, member, message.parent, now):
        return
    if message.now_from is None and _flagged(member, now):
        _set_aside(group, member, parent, now)
        return
    member.watch.flag_until = now + group.settings.flag_s
    group.note(
        now,
        "not-receiving",
        member,
        parent=parent.id,
        reason=message.reason,
        now_from=message.now_from,
        next_seq=message.next_seq,
    )
    if message.reason == "unreachable" and message.parent == parent.id and parent.connected:
        unusable_pair.not_opened(group, parent, member, now)
    feeder = group.living(message.now_from)
    if feeder is parent:
        group.touch(member, force=True)
        return
    if feeder is not None:
        adopt(group, member, feeder, now)
    inquiries.accuse(group, parent, member, now)


def _forged(group: Group, member: Member, feeder_id: int | None, now: float) -> bool:
    """Whether the member got forged data from a parent that it was sent to; it is kept away from that one at once.

    Nobody has to be asked whether it lives: the data came from somebody that does.
    """
    feeder = group.living(feeder_id)
    if feeder is None or not inquiries.may_feed(feeder, member):
        return False
    if not forgers.accused(group, feeder, member, now) and feeder is member.parent:
        inquiries.new_sender(group, member, feeder, now)
    group.touch(member, force=True)
    return True


def _flagged(member: Member, now: float) -> bool:
    return any(above.watch.flag_until > now for above in ancestors(member))


def _set_aside(group: Group, member: Member, parent: Member, now: float) -> None:
    if member.id not in group.watch.set_aside:
        group.watch.set_aside[member.id] = Complaint(member.id, parent.id, now)
        until = max(above.watch.flag_until for above in ancestors(member))
        group.timers.arm(until, "aside", member.id)
    group.counts["set-aside"] = group.counts.get("set-aside", 0) + 1


def look_again(group: Group, member: Member, now: float) -> None:
    """A flag has run out: an error that was set aside counts now, unless data flows again."""
    complaint = group.watch.set_aside.pop(member.id, None)
    if complaint is None or member.parent is None or member.watch.status == "streaming":
        return
    member.watch.flag_until = now + group.settings.flag_s
    inquiries.accuse(group, member.parent, member, now)


def adopt(group: Group, member: Member, feeder: Member, now: float) -> bool:
    """Confirm a local failover: the member's plan becomes what it did by itself.

    The parent's control link may be down, as after a restart of the coordinator: its child sees that it lives.
    """
    if not repair.usable(group, member, feeder, seen=True):
        return False
    if feeder.id in member.barred:
        unusable_pair.forgive(member)  # it works after all
    was = moves.detach(group, member, alone=False)
    moves.attach(group, member, feeder)
    member.past(moved_at=now, mended_at=now)
    source_lost.note_parting(group, member, was, now)
    group.note(now, "failover", member, was=was.id if was else None, now=feeder.id)
    gather.note_stray(group, member)
    return True


def on_pong(group: Group, member: Member, message: Pong, now: float) -> None:
    """An answer to a ping: of the source's former children, or of those that accuse and are accused."""
    claimed = credit.believed(group, message.next_seq)
    member.watch.next_seq = max(member.watch.next_seq, claimed)
    if not start.on_pong(group, member, message, claimed, now):
        relief.on_pong(group, member, message.parent, now)
        inquiries.answered(group, member, message.nonce, now)


# --- control links --------------------------------------------------------------------------------------------------


def heard(group: Group, member: Member, now: float) -> None:
    """Anything from a member shows that it lives."""
    if now > group.clock:
        group.clock = now
    member.watch.heard_at = now
    if member.state == SUSPECT and member.connected:
        repair.trust(group, member, now)


def link_lost(group: Group, member: Member, now: float) -> None:
    """A control link has ended. That alone moves nobody: data may flow on, and the member may come back."""
    member.connected = False
    if member.role in SENDERS:
        relief.link_lost(group, member, now)
    if member.leaving or member.done:
        if member.role != "source":
            repair.bury(group, member, State.LEFT, now)
        return
    if any(child.watch.status == "stalled" for child in member.children) and member.role != "source":
        repair.suspect(group, member, now, "its control link is gone and a child is not fed")
    group.timers.arm(now + group.settings.lost_after_s, "lost", member.id)


def still_lost(group: Group, member: Member, now: float) -> None:
    """The control link stayed away: the member is gone, unless those next to it see its data."""
    if member.connected or member.role == "source":
        return
    if _data_seen(group, member, now):
        group.timers.arm(now + group.settings.lost_after_s, "lost", member.id)
        return
    repair.bury(group, member, State.DEAD, now)


def _look_at_host(group: Group, host: Member, now: float) -> None:
    """What it was seen not to carry counts for a while; then it may be tried again.

    Who has more children than a new setting grants them keeps those, and gets none in the place of one that goes.
    """
    if host.id in group.watch.hosts:
        carried.settled(group, host, now)
    if capacity.learn(group, host):
        promises.trim(group, host)
        moves.enter(group, host)


def _data_seen(group: Group, member: Member, now: float) -> bool:
    recent = now - max(group.settings.lost_after_s, 3 * group.settings.report_ms / 1000)
    if member.watch.heard_at > recent:
        return True
    return any(
        child.watch.fed_by == member.id
        and child.watch.status == "streaming"
        and child.watch.heard_at > recent
        and child.connected
        for child in member.children
    )


def silence_limit_s(settings: GroupSettings) -> float:
    """Return the seconds after which a member that says nothing is asked whether it lives."""
    return max(settings.lost_after_s, SILENT_REPORTS * settings.report_ms / 1000)


def check_members(group: Group, now: float) -> None:
    """Ask those that have said nothing for long, give up those that did not answer, and gather the strays."""
    group.timers.arm(now + CHECK_S, "check")
    gather.look_for_room(group, now)
    drain.look_again(group, now)
    if not group.watch.queue:
        group.watch.queue = list(group.members)
    share = max(64, len(group.members) // CHECK_SHARE)
    batch, group.watch.queue = group.watch.queue[:share], group.watch.queue[share:]
    limit = silence_limit_s(group.settings)
    for member_id in batch:
        member = group.living(member_id)
        if member is None:
            continue
        _look_at_host(group, member, now)
        if not member.connected or member.role == "source" or now - member.watch.heard_at < limit:
            continue
        if now - member.watch.heard_at < 2 * limit + CHECK_SHARE * CHECK_S:
            group.orders.outbox.append((member.id, Ping(nonce=group.watch.nonce())))
        elif member.state is State.ACTIVE and member.parent is not None and not _data_seen(group, member, now):
            repair.suspect(group, member, now, "silent for too long")
