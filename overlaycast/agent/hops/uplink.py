"""The sockets around ``failover.machine``: does what it decides on real links, and tells it what they hear.

Owns: the parent links and the one timer. Refuses: decisions.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from typing import Final, Protocol

from overlaycast.agent.hops.called import Called
from overlaycast.agent.hops.parent_link import ParentLink
from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.chunk_intake import ChunkIntake
from overlaycast.agent.records.chunks import Checks
from overlaycast.agent.records.credible import HOLD_S, HeldEnds, Horizon
from overlaycast.agent.records.intake import Intake
from overlaycast.agent.records.live_intake import LiveIntake
from overlaycast.agent.records.ring import Ring
from overlaycast.failover.machine import Upstream
from overlaycast.failover.words import (
    Action,
    CloseLink,
    Complain,
    Dial,
    Fruitless,
    ParentChanged,
    SendStart,
    SendStop,
    Silent,
    State,
)
from overlaycast.wire.frames import OLDEST, End, Heartbeat, RefuseCode
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.journal import DataDamaged, Entry, Fed, FellSilent, Switched
from overlaycast.wire.messages import Assign, Begin, MemberMessage, NotReceiving, Peer, ReportState

LONGEST_SLEEP_S: Final = 0.08
"""The timer looks at least so often: a limit that has shrunk since it was armed must not be overslept."""
DISTRUST_S: Final = 60.0
"""Seconds in which a parent whose chunk was not the source's is not dialled: there is time to find others, and one
bit that changed on the way does not exclude a parent for good."""
TIMER_STEP_S: Final = 0.001
"""Timers fire on whole milliseconds."""

_STATES: Final[dict[State, ReportState]] = {
    State.WAITING: "waiting",
    State.CONNECTING: "waiting",
    State.STREAMING: "streaming",
    State.STALLED: "stalled",
    State.SWITCHING: "switching",
    State.ENDED: "ended",
}


class UplinkListener(Protocol):
    """What is told what happens above."""

    def received(self, arrival: Arrival) -> float | None:
        """New bytes are in the ring. Return the gap in ms between the newest records and those before."""

    def journal(self, entry: Entry) -> None:
        """Something for the journal."""

    def tell(self, message: MemberMessage) -> None:
        """Something for the coordinator."""

    def parent_changed(self) -> None:
        """Another parent, or none."""

    def delivers(self, parent: int) -> None:
        """A record has come from another parent than the one before."""

    def fruitless(self, parents: tuple[int, ...]) -> None:
        """These answered one after the other, and no record came."""

    def starved_changed(self) -> None:
        """We have become starved, or are no more."""


class Uplink:
    """The receiving half of a member; its ``parts.Feed``.

    Args:
        start: where a stream begins for us as long as we have nothing: ``EDGE``, ``OLDEST``, ``BACK + ms`` or 0.
        spawn: starts a task in the agent's group.

    In a file group orders wait until ``open``. ``forwards``: children wait for what we get.
    """

    sends = False

    def __init__(
        self,
        ring: Ring,
        settings: GroupSettings,
        start: int,
        listener: UplinkListener,
        spawn: Callable[..., object],
        rng: random.Random,
    ) -> None:
        self.machine = Upstream(settings.silence_ms / 1000, settings.heartbeat_ms / 1000, settings.flag_s, rng.random)
        self.links: dict[int, ParentLink] = {}
        self.called = Called(self._awaited)
        self._ring = ring
        self._start = start
        self._listener = listener
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._now = time.monotonic  # the loop's own clock counts whole milliseconds, and stands still in a callback
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._was_starved = True
        self._switch: ParentChanged | None = None
        self._checks: Checks | None = None
        self._held_back = settings.mode == "file"
        self._waiting: Assign | None = None
        self.forwards = False
        self._distrusted: dict[int, float] = {}
        self._delivering: int | None = None
        self._horizon = Horizon(settings.rate_mbit)
        self._held_ends = HeldEnds()

    # --- what reports and children are told --------------------------------------------------------------------

    @property
    def state(self) -> ReportState:
        """As reports name it."""
        state = _STATES[self.machine.state]
        return "waiting" if state == "streaming" and self._ring.next_seq is None else state

    @property
    def starved(self) -> bool:
        """Does nothing come from above?"""
        return self.machine.starved

    @property
    def parent(self) -> int | None:
        """The member that feeds us."""
        return self.machine.parent

    @property
    def settled_parent(self) -> int | None:
        """The same as the coordinator is told."""
        return self.machine.settled_parent

    @property
    def standbys_ready(self) -> tuple[int, ...]:
        """The standbys that are connected."""
        return self.machine.standbys_ready

    def welcomed(self, anew: bool) -> None:
        """The coordinator has taken us in again; ``anew``: as a new member."""
        if anew:
            self.machine.new_identity()

    def begin(self, order: Begin) -> None:
        """For sources only."""

    def stop(self) -> bool:
        """No END of our own follows."""
        return False

    # --- inputs ------------------------------------------------------------------------------------------------

    def open(self, checks: Checks) -> None:
        """File mode: what the source announced is known, and what we have of it. Now parents may be asked."""
        self._checks, self._held_back = checks, False
        if self._waiting is not None:
            self.assign(self._waiting)

    def assign(self, order: Assign) -> None:
        """An order has come."""
        if self._held_back:
            self._waiting = order
            return
        if self.machine.state is State.ENDED:
            return
        self.machine.assign(order, self._now())
        self._perform()
        for link in list(self.links.values()):
            link.risen(order.rank)

    def arrived(self, link: ParentLink, arrival: Arrival) -> None:
        """A link was read. Children first: the ring has been filled, they are pumped before anything is decided."""
        gap_ms = self._listener.received(arrival)
        now = self._now()
        for said in arrival.said:
            self._hear(link, said, now)
        if arrival.records:
            self._horizon.saw(self._ring.position, now)
        if arrival.records or arrival.duplicates:
            self.machine.data(link.number, arrival.records > 0, now, arrival.size)
        elif not arrival.said:
            self.machine.trickled(link.number, arrival.size, now)
        if self._ring.end is not None and self.machine.state is not State.ENDED:
            self.machine.ended(now)
            self.progress()
        self._perform(rearm=bool(arrival.said))
        if arrival.records and self.machine.current is not None and self.machine.current.number == link.number:
            self._note_delivery(link.peer.member, gap_ms)

    def _note_delivery(self, parent: int, gap_ms: float | None) -> None:
        """The parent has brought a record: now it may be said that it feeds us."""
        if self._switch and self._switch.parent == parent:
            self._note_switch(gap_ms)
        if self._delivering != parent:
            self._delivering = parent
            self._listener.delivers(parent)

    def _hear(self, link: ParentLink, said: object, now: float) -> None:
        if isinstance(said, Heartbeat):
            self.machine.heartbeat(link.number, said.stalled, now, self._owes(link, said))
            self._weigh_ends(link.number, said.next_seq)
            if said.seek and self._ring.next_seq is not None and said.next_seq > self._ring.next_seq:
                # it cannot give us what comes next, and we have not agreed to lose it
                self.machine.refused(link.number, RefuseCode.GONE, said.next_seq, now)
        else:
            code = getattr(said, "code", RefuseCode.PROTOCOL)
            if code is not RefuseCode.GONE:
                self._drop(link.number)
            self.machine.refused(link.number, code, getattr(said, "oldest", 0), now)

    def _owes(self, link: ParentLink, said: Heartbeat) -> bool:
        """Does it claim records that should have come before it? In a file group the disk may be what we wait for."""
        if self._checks is not None or said.seek or self._held_ends.holds(link.number):
            return False
        return 0 < self._ring.position < said.next_seq

    def lost(self, link: ParentLink, why: str, damaged: bool = False) -> None:
        """A link broke. Who brought what the source did not announce is not asked again for a while."""
        self.links.pop(link.number, None)
        self._held_ends.gone(link.number)
        if damaged:
            self._distrusted[link.peer.member] = self._now() + DISTRUST_S
            self._listener.journal(DataDamaged(parent=link.peer.member, what=why))
        self.machine.lost(link.number, "damaged" if damaged else "reset", self._now())
        self._perform()

    def intake(self, link: ParentLink) -> Intake:
        """A link's way into the ring: in a file group through the check of each chunk."""
        if self._checks is not None:
            return ChunkIntake(self._ring, self._checks)
        return LiveIntake(self._ring, lambda _, seq: self._may_skip(link, seq), lambda end: self._may_end(link, end))

    def _may_end(self, link: ParentLink, end: End) -> bool:
        """The source's END counts at once, a forwarder's when no standby that is further on has refuted it."""
        order, others = self.machine.order, set(self.standbys_ready) - {link.peer.member}
        if order is None or order.depth <= 1 or not others:
            return True
        if not self._held_ends.holds(link.number):
            self._loop.call_later(HOLD_S, self._believe_end, link.number)
        return self._held_ends.hold(link.number, end.seq)

    def _believe_end(self, number: int) -> None:
        """Have the END said again: now it counts."""
        link = self.links.get(number)
        if self._held_ends.believe(number) and link is not None:
            link.start()

    def _weigh_ends(self, by: int, next_seq: int) -> None:
        confirmed, refuted = self._held_ends.said(by, next_seq)
        for number in confirmed:
            self._believe_end(number)
        for number in refuted:
            self._held_ends.gone(number)
            if (link := self.links.get(number)) is not None:
                link.give_up("END before the end of the stream")

    def _may_skip(self, link: ParentLink, seq: int) -> bool:
        """A loss is taken from the present parent, or from one that we have asked for its oldest record."""
        self._horizon.check(seq, self._now())
        current = self.machine.current
        return link.loss_accepted or (current is not None and current.number == link.number)

    @property
    def paused(self) -> bool:
        """Are parents not read for now?"""
        return not self.machine.listening

    def pause(self) -> None:
        """Read no parent until ``go_on``: our own disk is behind. Nobody is suspected meanwhile."""
        for link in self.links.values():
            link.pause()
        self.machine.listening = False

    def go_on(self) -> None:
        """Read again."""
        self.machine.listening = True
        self.machine.links.heard_all(self._now())
        for link in self.links.values():
            link.go_on()
        self._arm()

    def progress(self) -> None:
        """Tell every parent how far we are."""
        for link in list(self.links.values()):
            link.progress(self._ring.position)

    # --- calls -------------------------------------------------------------------------------------------------

    def answer(self, grant: bytes, sock: socket.socket) -> None:
        """A parent has opened a connection to us and shown this grant: greet if that is awaited, else keep it."""
        if self.machine.state is State.ENDED:
            sock.close()
            return
        for link in self.links.values():
            if not link.connected and link.called and link.peer.grant == grant.hex():
                link.adopt(sock, self._rank())
                return
        peer = self._caller(grant)
        if self.called.keep(grant, sock) and peer is not None:
            self.machine.called(peer.member, self._now())
            self._perform()

    def _caller(self, grant: bytes) -> Peer | None:
        order = self.machine.order
        if order is None:
            return None
        peers = (order.parent, *order.standbys)
        return next((peer for peer in peers if peer and not peer.addresses and peer.grant == grant.hex()), None)

    def _awaited(self, grant: bytes) -> bool:
        return self._caller(grant) is not None

    # --- actions -----------------------------------------------------------------------------------------------

    def _perform(self, rearm: bool = True) -> None:
        while actions := self.machine.actions():
            rearm = True
            for action in actions:
                self._do(action)
        if self.machine.starved != self._was_starved:
            self._was_starved = self.machine.starved
            self._listener.starved_changed()
        if rearm:
            self._arm()

    def _do(self, action: Action) -> None:
        match action:
            case Dial():
                self._dial(action)
            case SendStart():
                self._send_start(action)
            case SendStop():
                if action.link in self.links:  # it may have broken a moment ago
                    self.links[action.link].stop()
            case CloseLink():
                self._drop(action.link)
            case Complain():
                self._complain(action)
            case ParentChanged():
                self._parent_changed(action)
            case Silent():
                self._listener.journal(FellSilent(parent=action.parent, silent_ms=action.silent_ms))
            case Fruitless():
                self._listener.fruitless(action.parents)

    def _dial(self, action: Dial) -> None:
        if self._distrusted.get(action.peer.member, 0.0) > self._now():
            self.machine.lost(action.link, "damaged", self._now())
            return
        link = ParentLink(action.link, action.peer, self, self._resume_point)
        self.links[action.link] = link
        if action.feed:
            link.start()
        if not link.called:
            self._spawn(self._open(link))
        elif (sock := self.called.take(bytes.fromhex(action.peer.grant))) is not None:
            link.adopt(sock, self._rank())
        # else it has to call us; the machine gives it up if it does not in time

    def _rank(self) -> int:
        return self.machine.order.rank if self.machine.order else 0

    async def _open(self, link: ParentLink) -> None:
        if not await link.dial(self._rank):
            self.links.pop(link.number, None)
            self.machine.lost(link.number, "unreachable", self._now())
            self._perform()

    def _send_start(self, action: SendStart) -> None:
        link = self.links.get(action.link)
        if link is not None:
            link.loss_accepted = action.oldest
            link.start(OLDEST if action.oldest else None)

    def _resume_point(self) -> int:
        return self._start if self._ring.next_seq is None else self._ring.next_seq

    def _drop(self, number: int) -> None:
        link = self.links.pop(number, None)
        if link is not None:
            link.close()

    def _complain(self, action: Complain) -> None:
        order = self.machine.order
        self._listener.tell(
            NotReceiving(
                epoch=order.epoch if order else 0,
                parent=action.parent,
                next_seq=self._ring.position,
                silent_ms=action.silent_ms,
                reason=action.reason,
                now_from=action.now_from,
            )
        )

    def _parent_changed(self, action: ParentChanged) -> None:
        current = self.machine.current
        link = self.links.get(current.number) if current is not None else None
        self._listener.journal(Fed(parent=action.parent, called=link is not None and link.called))
        if action.was is not None:
            self._switch = action
        self._listener.parent_changed()

    def _note_switch(self, gap_ms: float | None) -> None:
        fed, self._switch = self._switch, None
        if fed is not None:
            gap = None if gap_ms is None else round(gap_ms, 3)
            self._listener.journal(Switched(from_parent=fed.was, to_parent=fed.parent, reason=fed.reason, gap_ms=gap))

    # --- time --------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.machine.next_deadline()
        if deadline is not None:
            now = self._now()
            self._due = min(max(deadline, now), now + LONGEST_SLEEP_S)
            self._timer = self._loop.call_later(self._due - now, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._now()
        self.machine.woke_late(max(0.0, now - self._due - TIMER_STEP_S), now)
        deadline = self.machine.next_deadline()
        if deadline is not None and now >= deadline:
            # what is readable now was said before the deadline: that first
            for link in list(self.links.values()):
                link.read_what_is_there()
            deadline = self.machine.next_deadline()
        if deadline is not None and now >= deadline:
            self.machine.tick(now)
        self._perform()

    def close(self) -> None:
        """Close everything."""
        if self._timer is not None:
            self._timer.cancel()
        self.called.close()
        for number in list(self.links):
            self._drop(number)
