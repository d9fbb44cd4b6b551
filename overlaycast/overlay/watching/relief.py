"""A standby source takes the place of a source that goes, dies or does not answer, and the stream goes on.

Owns: which standbys there are (``Start.standbys``), and when one of them takes over. Refuses: to begin the stream, and
to hand over the former source's children (``start``); to take a source for gone that feeds anybody (``source_lost``);
file groups, whose file only its source has.

A standby is in no tree, so nobody is placed, moved or counted for it. One takes over when the source says that it
leaves; when it is gone, as ``source_lost`` has it; and when it is accused and does not answer. The source knows whether
there is one (``Assign.relieved``), for then it leaves without END.

Invariants: the stream's numbers go on behind the highest one that anybody was seen to have; one source sends at a time,
and a source that has lost its place is told to end; a stream that has ended stays ended.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.mending import drain
from overlaycast.overlay.state import credit
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.watching import extent, source_lost, start
from overlaycast.wire.messages import Ended, Ping

ANSWER_S: Final = 0.4
"""An accused source has so long to answer where a standby could take over."""
ASK_S: Final = 0.3
"""So long a standby waits for what the failed source's children tell."""
ASK_EVERY_S: Final = 0.1
"""Children are asked so often whether a source whose control link is down feeds them."""
ASKS: Final = 10
"""And so many times: later on, those that are not fed say so by themselves."""
FIRST_S: Final = 10.0
"""A standby begins a group that has had no source for so long: both senders may have been started as standbys."""


# --- standbys come and go -------------------------------------------------------------------------------------------


def came(group: Group, standby: Member, now: float) -> None:
    """A new member waits to take the source's place."""
    group.start.standbys[standby.id] = standby
    extent.asked(group, standby)  # it ends with the stream
    if group.source is None:
        group.timers.arm(now + FIRST_S, "relief")
    _inquire(group, now)
    changed(group)


def changed(group: Group) -> None:
    """The source has to know whether a standby would take over."""
    if group.source is not None:
        group.touch(group.source, force=True)


def back(group: Group, member: Member, now: float) -> None:
    """A member's control link is there again: a standby's, or that of another member, which may tell what is fed."""
    if member.role == "standby":
        extent.asked(group, member)
        _inquire(group, now)
        changed(group)


def gone(group: Group, member: Member) -> None:
    """A member is not to be counted on any more: it goes, or is drained."""
    if member.role == "standby":
        changed(group)


def link_lost(group: Group, member: Member, now: float) -> None:
    """The control link of a source or of a standby is down."""
    if member is group.source:
        _inquire(group, now)
    else:
        changed(group)


def due(group: Group, now: float) -> None:
    """The timer: look whether a source that is away is gone; one that never was is not waited for any longer."""
    source = group.source
    if source is None:
        if (first := group.relief) is not None:
            _take_over(group, first, now, "the group has had no source")
    elif source.id in group.watch.returning:  # since a restart of ours it has had its time to come back
        group.watch.returning.discard(source.id)
        _inquire(group, now)
    else:
        _ask_whether_fed(group, source, now)
        look(group, now)


def _away(source: Member) -> bool:
    return source.leaving or not source.connected


def _inquire(group: Group, now: float) -> None:
    """Find out whether a source that is away is gone: what children have reported of it is of a while ago."""
    if group.source is not None:
        group.start.asks_left = ASKS
        _ask_whether_fed(group, group.source, now)
        look(group, now)


def _ask_whether_fed(group: Group, source: Member, now: float) -> None:
    if group.relief is None or not group.start.asks_left or not _away(source):
        return
    group.start.asks_left -= 1
    for child in source.children:
        if child.connected:
            group.orders.outbox.append((child.id, Ping(nonce=group.watch.nonce())))
    group.timers.arm(now + ASK_EVERY_S, "relief")


def on_pong(group: Group, member: Member, fed_by: int | None, now: float) -> None:
    """A member says who feeds it; that counts while the source is away."""
    if group.source is not None and _away(group.source) and member.parent is group.source:
        member.watch.fed_by = fed_by or 0
        look(group, now)


# --- taking over ----------------------------------------------------------------------------------------------------


def look(group: Group, now: float, but: Member | None = None) -> None:
    """Let a standby take over if the source is gone; ``but`` for this member, nobody says that it feeds it."""
    source = group.source
    if source is None or source.id in group.watch.returning or not source_lost.is_gone(group, but):
        return
    relieve(group, now, "it left" if source.leaving else "its control link is gone and it feeds nobody")


def relieve(group: Group, now: float, reason: str) -> bool:
    """Let a standby take over from a source that has failed; False: there is none, or nothing to be sent any more."""
    source, standby = group.source, group.relief
    if source is None or standby is None or source.done or group.watch.end is not None:
        return False
    if source.connected:
        group.orders.outbox.append((source.id, Ended(reason=f"{standby.name} ({standby.id}) has taken over as source")))
    _take_over(group, standby, now, reason)
    return True


def silent(group: Group, source: Member, asked_at: float, now: float) -> bool:
    """An accused source has not answered in time: relieve it, unless a child has said since that it is fed."""
    fed = any(
        one.connected and one.watch.heard_at > asked_at and one.watch.status == "streaming"
        for one in source.children
        if one.watch.fed_by == source.id
    )
    return not fed and relieve(group, now, "accused and silent")


def hand_over(group: Group, source: Member, now: float, reason: str) -> bool:
    """Let a standby take over from the source, which leaves and has said how far it is; False: there is none.

    The former source goes on feeding its children until they have changed over; then it is let go.
    """
    standby = group.relief
    if source is not group.source or source.leaving or standby is None:
        return False
    source.leaving = True
    group.note(now, "leaving", source, reason=reason, children=len(source.children))
    children = _replace(group, source, standby, now, "it leaves")
    source.role = "standby"
    state = group.start
    if state.begun:
        said = group.watch.progress
        state.next_seq = max(state.next_seq, 0 if said is None else said.next_seq)
        state.begun, state.begin_wanted = False, True
        start.begin(group, now)
    start.maybe_start(group, now)
    drain.let_go(group, source, children, now)
    return True


def _take_over(group: Group, standby: Member, now: float, reason: str) -> None:
    former, state = group.source, group.start
    if former is None:
        _promote(group, standby)
        start.source_came(group, standby, now)
        group.note(now, "took-over", standby, reason=reason, former=None, incarnation=state.incarnation)
        start.maybe_start(group, now)
        return
    children = _replace(group, former, standby, now, reason)
    start.send_guests_home(group)
    start.dismiss(group, former)
    start.maybe_start(group, now)
    if not state.begun:
        return
    state.former = former.id
    state.next_seq = max(state.next_seq, credit.furthest(group))
    deaf = [below for child in children if not child.connected for below in child.children]
    start.ask(group, [*children, *deaf], now + ASK_S)


def _promote(group: Group, standby: Member) -> None:
    standby.role = "source"
    del group.start.standbys[standby.id]


def _replace(group: Group, former: Member, standby: Member, now: float, reason: str) -> list[Member]:
    """Make the standby the source; return the children that it has now."""
    _promote(group, standby)
    children = start.inherit(group, former, standby, now)
    details = {"former": former.id, "incarnation": group.start.incarnation}
    group.note(now, "took-over", standby, reason=reason, **details)
    return children
