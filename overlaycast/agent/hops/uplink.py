"""The sockets around ``failover.machine``: does what it decides on real links, and tells it what they hear.

Owns: the parent links. Refuses: decisions, what parents may claim (``claims``), and what is told of them
(``parent_reports``).
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable

from overlaycast.agent.hops.alarm import Alarm
from overlaycast.agent.hops.called import Called, Caller
from overlaycast.agent.hops.claims import Claims
from overlaycast.agent.hops.mishap import mishap
from overlaycast.agent.hops.parent_link import ParentLink
from overlaycast.agent.hops.parent_reports import ParentReports, UplinkListener
from overlaycast.agent.hops.parent_view import ParentView
from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.chunk_intake import ChunkIntake
from overlaycast.agent.records.chunks import Checks
from overlaycast.agent.records.credible import UntrueError
from overlaycast.agent.records.intake import Intake
from overlaycast.agent.records.lineage import Lineage
from overlaycast.agent.records.live_intake import LiveIntake
from overlaycast.agent.records.ring import Ring
from overlaycast.failover.admission import is_called_by
from overlaycast.failover.machine import Upstream
from overlaycast.failover.shunned import Shunned
from overlaycast.failover.words import (
    Action,
    AskedInVain,
    CloseLink,
    Complain,
    Dial,
    Fruitless,
    LinkFailed,
    ParentChanged,
    SendStart,
    SendStop,
    Silent,
    State,
)
from overlaycast.wire.frames import OLDEST, Call, Heartbeat, Offer, RefuseCode
from overlaycast.wire.grants import Identity, Nonces
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.journal import DataDamaged, FellSilent, FoundUntrue
from overlaycast.wire.messages import Assign, Begin, Extent, Peer, Untruth


def _times(settings: GroupSettings) -> tuple[float, float, float]:
    """Return what the machine is told of silences: the limit's floor, the heartbeat's interval, and the flag's time."""
    return settings.silence_ms / 1000, settings.heartbeat_ms / 1000, settings.flag_s


class Uplink(ParentView):
    """The receiving half of a member; its ``parts.Feed``.

    Args:
        start: where a stream begins for us as long as we have nothing: ``EDGE``, ``OLDEST``, ``BACK + ms`` or 0.
        spawn: starts a task in the agent's group.
        permitted: whether we may connect to this address.
        identity: says who we are now.

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
        permitted: Callable[[str], bool],
        identity: Callable[[], Identity] = Identity,
    ) -> None:
        machine = Upstream(*_times(settings), rng.random)
        super().__init__(machine, ring)
        self.called = Called(self._known)
        self._identity = identity
        self._ordered_as = identity()
        self._start = start
        self._listener = listener
        self._spawn = spawn
        self._permitted = permitted
        self._now = time.monotonic  # the loop's own clock counts whole milliseconds, and stands still in a callback
        self._alarm = Alarm(self._look)
        self._checks: Checks | None = None
        self._held_back = settings.mode == "file"
        self._waiting: Assign | None = None
        self.forwards = False
        self._shunned = Shunned()
        self._lineage = Lineage()
        self._claims = Claims(settings, self.machine, ring, self)
        self._reports = ParentReports(listener, self.machine, ring)

    # --- orders ------------------------------------------------------------------------------------------------

    def welcomed(self, anew: bool) -> None:
        """The coordinator has taken us in again; ``anew``: as a new member."""
        if anew:
            self.machine.new_identity()
            self._lineage.told = None

    def configured(self, settings: GroupSettings) -> None:
        """The group has other settings."""
        self._claims.configured(settings)
        self.machine.retime(*_times(settings), self._now())
        self._perform()

    def begin(self, order: Begin) -> None:
        """For sources only."""

    def learned(self, extent: Extent) -> None:
        """The coordinator says how far the stream is."""
        self._claims.told(extent)
        self._perform()

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
        if order.extent is not None:
            self._claims.told(order.extent)
        if self._held_back:
            self._waiting = order
            return
        if self.machine.state is State.ENDED:
            return
        if order.incarnation is not None:
            self._lineage.told = order.incarnation
        if order.deposed is not None:
            for link in [one for one in self.links.values() if one.peer.member == order.deposed]:
                link.read_up()  # it is the last that is taken from there
        self._ordered_as = self._identity()  # grants are for who we were when the order came
        self.machine.assign(order, self._now())
        self._perform()
        for link in list(self.links.values()):
            link.risen(order.rank)

    def arrived(self, link: ParentLink, arrival: Arrival) -> None:
        """A link was read. Children first: the ring has been filled, they are pumped before anything is decided."""
        gap_ms = self._listener.received(arrival)
        now = self._now()
        try:
            self._claims.weigh(link, arrival, now)
        except UntrueError as error:
            link.give_up(str(error), error.what)
            return
        for said in arrival.said:
            self._hear(link, said, now)
        if arrival.records:
            self._claims.saw(now)
        if arrival.records or arrival.duplicates:
            self.machine.data(link.number, arrival.records > 0, now, arrival.size)
        elif not arrival.said:
            self.machine.trickled(link.number, arrival.size, now)
        self._look_for_end(now)
        self._perform(rearm=bool(arrival.said))
        if arrival.records and self.machine.current is not None and self.machine.current.number == link.number:
            self._reports.delivered(link, gap_ms)

    def _look_for_end(self, now: float) -> None:
        if self._ring.end is not None and self.machine.state is not State.ENDED:
            self.machine.ended(now)
            self.progress()

    def _hear(self, link: ParentLink, said: object, now: float) -> None:
        if isinstance(said, Heartbeat):
            link.late = said.late
            self._claims.weigh_ends(link.peer.member, said)
            if said.seek and self._ring.next_seq is not None and said.next_seq > self._ring.next_seq:
                # it cannot give us what comes next, and we have not agreed to lose it
                self.machine.refused(link.number, RefuseCode.GONE, said.next_seq, now)
            else:
                empty = self._checks is None and not said.seek and said.next_seq == 0 < self._ring.position
                self.machine.heartbeat(link.number, said.stalled, now, self._claims.owes(link, said), empty)
        else:
            code = getattr(said, "code", RefuseCode.PROTOCOL)
            if code is not RefuseCode.GONE:
                self._drop(link.number)
            self.machine.refused(link.number, code, getattr(said, "oldest", 0), now)

    def lost(self, link: ParentLink, why: str, damaged: bool = False, untrue: Untruth | None = None) -> None:
        """A link broke. Who brought what the source did not announce, or what cannot be, is not asked again for a
        while."""
        self.links.pop(link.number, None)
        self._claims.gone(link)
        if damaged:
            self._shunned.add(link.peer.member, "damaged", self._now())
            self._listener.journal(DataDamaged(parent=link.peer.member, what=why))
        elif untrue is not None:
            self._shun(link.peer.member, untrue, why)
        self.machine.lost(link.number, "damaged" if damaged else "reset", self._now())
        self._perform()

    def _shun(self, member: int, what: Untruth, why: str) -> None:
        pause_s = self._shunned.add(member, "refused", self._now())
        self._listener.journal(FoundUntrue(parent=member, what=what, why=why, pause_s=pause_s))
        self._listener.untrue(member, what, why, pause_s)

    def found_untrue(self, member: int, what: Untruth, why: str) -> None:
        """This member, whose link may be closed by now, has said what cannot be."""
        link = next((one for one in self.links.values() if one.peer.member == member), None)
        if link is None:
            self._shun(member, what, why)
        else:
            link.give_up(why, what)

    def ask_extent(self) -> None:
        """The coordinator is to say how far the stream is."""
        self._listener.ask_extent()

    def end_counts(self) -> None:
        """An END that waited is in the ring now."""
        self._listener.received(Arrival())
        self._look_for_end(self._now())
        self._perform()

    def intake(self, link: ParentLink) -> Intake:
        """A link's way into the ring: in a file group through the check of each chunk."""
        if self._checks is not None:
            return ChunkIntake(self._ring, self._checks)
        return LiveIntake(
            self._ring,
            lambda *_: self.machine.may_skip(link.number),
            lambda end: self._claims.may_end(link, end),
            self._claims.check,
            self._lineage,
        )

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

    def answer(self, said: Call | Offer, nonces: Nonces | None, sock: socket.socket) -> None:
        """A parent has opened a connection to us and said this: greet if that is awaited, else keep it."""
        if self.machine.state is State.ENDED:
            sock.close()
            return
        caller = Caller(said, nonces)
        for link in self.links.values():
            if not link.connected and link.called and self._is(link.peer, caller):
                link.adopt(sock, self._place(), nonces)
                return
        self.called.keep(caller, sock)
        if (member := self._known(caller)) is not None:
            self.machine.called(member, self._now())
            self._perform()

    def _known(self, caller: Caller) -> int | None:
        order = self.machine.order
        peers = (order.parent, *order.standbys) if order else ()
        found = (peer.member for peer in peers if peer and not peer.addresses and self._is(peer, caller))
        return next(found, None)

    def _is(self, peer: Peer, caller: Caller) -> bool:
        return is_called_by(peer, self._ordered_as, caller.said, caller.nonces)

    # --- actions -----------------------------------------------------------------------------------------------

    def _perform(self, rearm: bool = True) -> None:
        while actions := self.machine.actions():
            rearm = True
            for action in actions:
                self._do(action)
        self._reports.starvation()
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
            case _:
                self._tell(action)

    def _tell(self, action: Action) -> None:
        match action:
            case Complain():
                self._reports.complain(action)
            case ParentChanged():
                self._reports.changed(action)
            case LinkFailed():
                self._reports.link_failed(action)
            case AskedInVain():
                self._reports.asked_in_vain(action)
            case Silent():
                self._listener.journal(FellSilent(parent=action.parent, silent_ms=action.silent_ms))
            case Fruitless():
                self._listener.fruitless(action.parents)

    def _dial(self, action: Dial) -> None:
        if why := self._shunned.bans(action.peer.member, self._now()):
            self.machine.lost(action.link, why, self._now())
            return
        link = ParentLink(action.link, action.peer, self, self._resume_point, self._ordered_as)
        self.links[action.link] = link
        if action.feed:
            link.start()
        if not link.called:
            self._spawn(self._open(link))
        elif (found := self.called.take(lambda caller: self._is(action.peer, caller))) is not None:
            caller, sock = found
            link.adopt(sock, self._place(), caller.nonces)
        # else it has to call us; the machine gives it up if it does not in time

    def _place(self) -> tuple[int, int]:
        order = self.machine.order
        return (order.epoch, order.rank) if order else (0, 0)

    async def _open(self, link: ParentLink) -> None:
        if not await self._dialled(link):
            self.links.pop(link.number, None)
            self.machine.lost(link.number, "unreachable", self._now())
            self._perform()

    async def _dialled(self, link: ParentLink) -> bool:
        try:
            return await link.dial(self._place, self._permitted)
        except Exception as error:  # whatever it was: this parent is not reached, and there are others
            mishap(error)
            link.close()
            return False

    def _send_start(self, action: SendStart) -> None:
        link = self.links.get(action.link)
        if link is not None:
            link.start(OLDEST if action.oldest else None)

    def _resume_point(self) -> int:
        return self._start if self._ring.next_seq is None else self._ring.next_seq

    def _drop(self, number: int) -> None:
        link = self.links.pop(number, None)
        if link is not None:
            self._claims.gone(link)
            link.close()

    # --- time --------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        self._alarm.arm(self.machine.next_deadline())

    def _look(self, late_s: float) -> None:
        now = self._now()
        self.machine.woke_late(late_s, now)
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
        self._alarm.cancel()
        self._claims.close()
        self.called.close()
        for number in list(self.links):
            self._drop(number)
