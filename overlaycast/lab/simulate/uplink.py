"""Drives the failover machine in virtual time: performs what it decides, and feeds it what parents say. Pure.

Owns: the hops upwards and the one timer. Refuses: decisions; they are ``failover``'s, as in an agent.

A hop that carries is heard all the time, so its silence need not be awaited: to the machine it is heard until now, and
when the timer is set, for ever. Single heartbeats are simulated only while another parent is looked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Protocol

from overlaycast.failover.admission import is_called_by, proves
from overlaycast.failover.machine import Upstream
from overlaycast.failover.words import Action, CloseLink, Complain, Dial, ParentChanged, SendStart, SendStop, State
from overlaycast.lab.simulate.hop import End, Hop, Network, identity
from overlaycast.wire import grants
from overlaycast.wire.frames import (
    EDGE,
    IDLE,
    OLDEST,
    Call,
    Challenge,
    Data,
    Enter,
    Frame,
    Heartbeat,
    Hello,
    Knock,
    Offer,
    Proof,
    Refuse,
    RefuseCode,
    Start,
    Stop,
)
from overlaycast.wire.grants import Bond, Nonces
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Assign, Peer

BREATH: Final = 0.8
"""A parent's heartbeat goes after this part of the group's interval."""
CALL_KEPT_S: Final = 8.0
"""A parent's call is kept for so long before it is asked for."""

_LOOKING: Final = (State.CONNECTING, State.SWITCHING)


class Owner(End, Protocol):
    """The member whose uplink it is."""

    @property
    def next_seq(self) -> int | None:
        """The next record expected; None: nothing has come yet."""

    def after(self, delay_s: float, call: Callable[..., None], *args: Any) -> None:
        """Do something later, if we live then; frozen, when we run again."""

    def end(self, ident: int) -> End:
        """Return another member."""

    def skip_to(self, seq: int) -> None:
        """The records before this one are not to be had any more."""

    def is_new(self, hop: Hop) -> float:
        """Return in how many seconds a record comes over this hop that is not here yet; 0: at once."""

    def passes(self, hop: Hop, seq: int) -> None:
        """This record has come, on a hop that is read all the time."""

    def parent_changed(self, change: ParentChanged) -> None:
        """Another parent, or none."""

    def starved_changed(self) -> None:
        """Nothing comes from above, or it does again."""

    def complain(self, complaint: Complain) -> None:
        """The coordinator has to be told."""


class Uplink:
    """The receiving half of a member."""

    def __init__(self, owner: Owner, network: Network, settings: GroupSettings, jitter: Callable[[], float]) -> None:
        self.machine = Upstream(settings.silence_ms / 1000, settings.heartbeat_ms / 1000, settings.flag_s, jitter)
        self.hops: dict[int, Hop] = {}
        self._owner = owner
        self._network = network
        self._agenda = network.agenda
        self._start = OLDEST if settings.start_from == "oldest" else EDGE
        self._breath_s = BREATH * settings.heartbeat_ms / 1000
        self._calls: dict[Call | Offer, tuple[Nonces | None, float]] = {}
        self._armed: float | None = None
        self._starved = True

    # --- inputs --------------------------------------------------------------------------------------------------

    def assign(self, order: Assign) -> None:
        """An order has come."""
        self._hear_until(self._agenda.now)
        self.machine.assign(order, self._agenda.now)
        self._perform()
        self.risen(order.rank)

    def risen(self, rank: int) -> None:
        """Our rank may have grown: greet again, so that a parent's own order need not refuse us."""
        for hop in self.hops.values():
            if hop.greeted and hop.rank < rank:
                self._greet(hop, rank, IDLE)

    def read(self, hop: Hop, frame: Frame | None) -> None:
        """A parent says something, or has closed."""
        if hop.number not in self.hops:
            return
        now = self._agenda.now
        self._hear_until(now)
        match frame:
            case Challenge() if hop.nonces is not None and not hop.greeted:
                hop.nonces = Nonces(hop.nonces.dialling, frame.nonce)
                self._greet_first(hop)
            case Proof() if hop.nonces is not None and grants.answers(
                bytes.fromhex(hop.peer.grant), self._bond(hop), hop.nonces, frame
            ):
                hop.proven = True
            case Heartbeat() if hop.proven:
                self._heartbeat(hop, frame, now)
            case Data() if hop.proven:
                hop.stalled = hop.empty = False
                if hop.at_once:
                    self._owner.passes(hop, frame.seq)
            case Refuse(code, oldest):
                if code is not RefuseCode.GONE:
                    self._drop(hop.number)
                self.machine.refused(hop.number, code, oldest, now)
            case _:
                self._drop(hop.number)
                self.machine.lost(hop.number, "reset", now)
        hop.settle()
        self._perform()

    def _heartbeat(self, hop: Hop, frame: Heartbeat, now: float) -> None:
        link, hop.stalled = self.machine.links.get(hop.number), frame.stalled
        again = link is not None and link.stalled_since is not None and not frame.stalled
        wanted = self._owner.next_seq
        hop.empty = not frame.seek and frame.next_seq == 0
        if frame.seek and hop.asking and (wanted is None or frame.next_seq > wanted):
            if wanted is not None and not self._may_skip(hop, frame.next_seq, now):
                return
            self._owner.skip_to(frame.next_seq)
        self._lives(hop, now)
        if again:  # records follow
            self.advance(hop)

    def may_skip(self, hop: Hop, offered: int) -> bool:
        """A parent's next record is further on than ours: is the loss taken?"""
        now = self._agenda.now
        self._hear_until(now)
        may = self._may_skip(hop, offered, now)
        self._perform()
        return may

    def _may_skip(self, hop: Hop, offered: int, now: float) -> bool:
        hop.gap = not self.machine.may_skip(hop.number)
        if hop.gap:  # it cannot give us what comes next, and we have not agreed to lose it
            self.machine.refused(hop.number, RefuseCode.GONE, offered, now)
        return not hop.gap

    def _lives(self, hop: Hop, now: float) -> None:
        empty = hop.empty and bool(self._owner.next_seq)
        self.machine.heartbeat(hop.number, hop.stalled, now, empty=empty)

    def unreachable(self, hop: Hop) -> None:
        """A parent could not be connected."""
        if self.hops.pop(hop.number, None) is not None:
            self._hear_until(self._agenda.now)
            self.machine.lost(hop.number, "unreachable", self._agenda.now)
            self._perform()

    def carries(self, hop: Hop, carries: bool) -> None:
        """A parent is heard from now on, or not any more."""
        self._hear_until(self._agenda.now)
        hop.carries = carries
        if carries:
            self._lives(hop, self._agenda.now)
        self._perform()

    def advance(self, hop: Hop) -> None:
        """Records come over this hop."""
        if not hop.feeds or hop.number not in self.hops:
            return
        self._hear_until(self._agenda.now)
        wait = self._owner.is_new(hop)
        self.machine.data(hop.number, not wait, self._agenda.now)
        if wait:
            self._owner.after(wait, self.advance, hop)
        self._perform()

    def took(self, hop: Hop) -> None:
        """New records came over this hop, and no more follow for now."""
        self._hear_until(self._agenda.now)
        self.machine.data(hop.number, True, self._agenda.now)
        self._perform()

    def called(self, said: Call | Offer, nonces: Nonces | None) -> None:
        """A parent has opened a connection to us and said this."""
        self._calls[said] = nonces, self._agenda.now + CALL_KEPT_S
        awaited = (hop for hop in self.hops.values() if hop.called and not hop.open)
        hop = next((hop for hop in awaited if self._is(hop.peer, said, nonces)), None)
        if hop is not None:
            self._take_call(hop)
        elif (peer := self._caller(said, nonces)) is not None:
            self._hear_until(self._agenda.now)
            self.machine.called(peer.member, self._agenda.now)
            self._perform()

    def _caller(self, said: Call | Offer, nonces: Nonces | None) -> Peer | None:
        order = self.machine.order
        peers = (order.parent, *order.standbys) if order else ()
        return next((peer for peer in peers if peer and not peer.addresses and self._is(peer, said, nonces)), None)

    def _is(self, peer: Peer, said: Call | Offer, nonces: Nonces | None) -> bool:
        return is_called_by(peer, identity(self._owner.ident), said, nonces)

    def _take_call(self, hop: Hop) -> None:
        now = self._agenda.now
        self._calls = {said: (nonces, until) for said, (nonces, until) in self._calls.items() if until > now}
        for said, (nonces, _) in self._calls.items():
            if self._is(hop.peer, said, nonces):
                del self._calls[said]
                hop.nonces = nonces
                hop.connect()
                return

    def greet(self, hop: Hop) -> None:
        """The connection stands."""
        if proves(hop.peer.data_version) and hop.nonces is None:
            hop.nonces = Nonces(self._network.nonce(), b"")
            hop.say(self._owner, Knock(hop.nonces.dialling))
        else:
            self._greet_first(hop)

    def _greet_first(self, hop: Hop) -> None:
        order = self.machine.order
        hop.greeted, hop.proven = True, hop.nonces is None
        self._greet(hop, order.rank if order else 0, self._resume_point() if hop.asking else IDLE)

    def _greet(self, hop: Hop, rank: int, resume: int) -> None:
        hop.rank = rank
        grant, order = bytes.fromhex(hop.peer.grant), self.machine.order
        if hop.nonces is None:
            hop.say(self._owner, Hello(grant, rank, resume))
        else:
            unproven = Enter(self._owner.ident, order.epoch if order else 0, rank, resume, b"")
            hop.say(self._owner, grants.enter(grant, self._bond(hop), hop.nonces, unproven))

    def _bond(self, hop: Hop) -> Bond:
        me = identity(self._owner.ident)
        return Bond(me.group, hop.peer.member, me.member)

    # --- actions -------------------------------------------------------------------------------------------------

    def _perform(self) -> None:
        while actions := self.machine.actions():
            for action in actions:
                self._do(action)
        if self.machine.starved != self._starved:
            self._starved = self.machine.starved
            self._owner.starved_changed()
        self._arm()

    def _do(self, action: Action) -> None:
        match action:
            case Dial():
                self._dial(action)
            case SendStart():
                if (hop := self.hops.get(action.link)) is not None:  # it may have broken a moment ago
                    self._start_on(hop, action.oldest)
            case SendStop():
                if (hop := self.hops.get(action.link)) is not None:
                    hop.asking = False
                    if hop.greeted:
                        hop.say(self._owner, Stop())
                    hop.settle()
            case CloseLink():
                self._drop(action.link)
            case Complain():
                self._owner.complain(action)
            case ParentChanged():
                self._owner.parent_changed(action)

    def _dial(self, action: Dial) -> None:
        hop = Hop(self._network, action.link, self._owner, self._owner.end(action.peer.member), action.peer)
        self.hops[action.link] = hop
        hop.asking = action.feed
        if hop.called:
            self._take_call(hop)
        else:
            hop.dial()

    def _start_on(self, hop: Hop, oldest: bool) -> None:
        hop.asking, hop.gap = True, False
        if hop.greeted:
            hop.say(self._owner, Start(OLDEST if oldest else self._resume_point()))

    def _resume_point(self) -> int:
        return self._start if self._owner.next_seq is None else self._owner.next_seq

    def _drop(self, number: int) -> None:
        hop = self.hops.pop(number, None)
        if hop is not None:
            hop.close(self._owner)

    # --- time ----------------------------------------------------------------------------------------------------

    def _hear_until(self, at: float) -> None:
        """Whoever carries is heard until then."""
        for hop in self.hops.values():
            if hop.carries and (link := self.machine.links.get(hop.number)) is not None:
                link.heard = at

    def _arm(self) -> None:
        self._hear_until(math.inf)
        deadline = self.machine.next_deadline()
        if self.machine.state in _LOOKING and any(hop.carries for hop in self.hops.values()):
            deadline = min(self._agenda.now + self._breath_s, math.inf if deadline is None else deadline)
        if deadline is None or deadline == math.inf or not self._owner.alive:
            return
        deadline = max(deadline, self._agenda.now)
        if self._armed is None or deadline < self._armed:
            self._armed = deadline
            self._owner.after(deadline - self._agenda.now, self._look, deadline)

    def _look(self, armed: float) -> None:
        if armed != self._armed:
            return
        self._armed = None
        now = self._agenda.now
        self.machine.woke_late(now - armed, now)
        self._hear_until(now)
        if self.machine.state in _LOOKING:
            self._hear_all(now)
        deadline = self.machine.next_deadline()
        if deadline is not None and deadline <= now:
            self.machine.tick(now)
        self._perform()

    def _hear_all(self, now: float) -> None:
        """What parents say all the time."""
        for hop in list(self.hops.values()):
            if hop.feeds and not self._owner.is_new(hop):
                self.machine.data(hop.number, True, now)
            elif hop.carries:
                self._lives(hop, now)
