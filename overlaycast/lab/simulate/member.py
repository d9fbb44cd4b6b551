"""A simulated agent: its control link. Pure, in virtual time.

Owns: what a member does with each of the coordinator's messages, and what it says by itself. Its data links, and what
it does when its parent dies, are ``node``'s. Orders older than the newest seen change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from overlaycast.failover.words import REPORTED, Complain, ParentChanged
from overlaycast.lab.simulate.hop import RECORDS_PER_S
from overlaycast.lab.simulate.node import Node, Surroundings
from overlaycast.wire.messages import (
    Accept,
    Assign,
    Begin,
    CoordinatorMessage,
    DistanceReply,
    DistanceRequest,
    Ended,
    Leaving,
    MemberMessage,
    NotReceiving,
    Part,
    Ping,
    Pong,
    Released,
    Report,
    ReportState,
    Resume,
    Revoke,
)

LEAVE_S: Final = 5.0  # a leaver waits so long to be released


class ControlLink(Surroundings, Protocol):
    """What a member needs of the world around it: the network, and the way to the coordinator."""

    def tell(self, sender: Member, message: MemberMessage) -> None:
        """Send a message to the coordinator."""

    def count_hops(self, member: Member, request: DistanceRequest, say: Callable[[DistanceReply], None]) -> None:
        """Say how far others are, as soon as their answers are here."""


class Member(Node):
    """One member."""

    def __init__(self, world: ControlLink, ident: int, seat: int, role: Part) -> None:
        super().__init__(world, ident, seat, role)
        self.leaving = False
        self.order: Assign | None = None
        self._control = world
        self._reported_at, self._reported = self.now, 0.0  # when the last report went, and the records until then

    @property
    def epoch(self) -> int:
        """The newest order's."""
        return self.order.epoch if self.order else 0

    @property
    def rank(self) -> int:
        """The newest order's."""
        return self.order.rank if self.order else 0

    @property
    def settled_parent(self) -> int | None:
        """Who feeds us, as the coordinator is told."""
        return self.uplink.machine.settled_parent

    def receive(self, message: CoordinatorMessage) -> None:
        """Do what the coordinator says."""
        self.do(self._obey, message)

    def _obey(self, message: CoordinatorMessage) -> None:
        match message:
            case Assign():
                self._take_place(message)
            case Accept():
                self.downlink.accept(message)
            case Revoke():
                self.downlink.revoke(message)
            case Ping():
                self._say(Pong(nonce=message.nonce, next_seq=self.next_seq or 0, parent=self.settled_parent))
            case Begin():
                self.role = "source"
                self.send(message.next_seq)
            case Released() | Ended():
                self.die("reset")
            case DistanceRequest():
                self._control.count_hops(self, message, self._say)

    def _take_place(self, order: Assign) -> None:
        if order.epoch >= self.epoch:
            self.downlink.assign(order, self._take_it)

    def _take_it(self, order: Assign) -> None:
        self.order = order
        self.downlink.set_rank(order.rank)
        if self.role not in ("source", "standby"):
            self.uplink.assign(order)

    # --- what it says ----------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Go properly (SIGTERM)."""
        if self.alive and not self.leaving:
            self.leaving = True
            if self.role == "source":
                self.halt()
                self._report()
            self._say(Leaving())
            self.after(LEAVE_S, self.die, "reset")

    def resume(self) -> Resume:
        """Return what a member that already has a place tells a coordinator that comes back."""
        return Resume(
            member=self.ident,
            secret="s" * 16,
            epoch=self.epoch,
            rank=self.rank,
            parent=self.settled_parent,
            next_seq=self.next_seq or 0,
        )

    def report(self) -> None:
        """Send what Fig. 9B asks for; also at once, when the parent changes."""
        self.do(self._report)

    def _report(self) -> None:
        settings = self.world.settings
        interval_s, before = self.now - self._reported_at, self._reported
        after = 0.0 if self.began is None else self.position() - self.began - self.lost
        after = max(after, before)  # the part of a record at which a loss began is not taken back
        self._reported_at, self._reported = self.now, after
        machine = self.uplink.machine
        self._say(
            Report(
                epoch=self.epoch,
                parent=self.settled_parent,
                state=self._state(),
                next_seq=self.next_seq or 0,
                interval_ms=interval_s * 1000,
                bytes=int((after - before) / RECORDS_PER_S * settings.rate_mbit * 125_000),
                records=int(after) - int(before),
                latency_p50_ms=self.latency_ms(),
                lost=self.lost,
                standbys_ready=machine.standbys_ready[:16],
                children=self.downlink.reports(),
            )
        )

    def _state(self) -> ReportState:
        if self.role in ("source", "standby"):
            return "streaming" if self.flowing else "waiting"
        state = REPORTED[self.uplink.machine.state]
        return "waiting" if state == "streaming" and self.began is None else state

    def complain(self, complaint: Complain) -> None:
        """Say that the feed is broken (Fig. 9A)."""
        self._say(
            NotReceiving(
                epoch=self.epoch,
                parent=complaint.parent,
                next_seq=self.next_seq or 0,
                silent_ms=complaint.silent_ms,
                reason=complaint.reason,
                now_from=complaint.now_from,
            )
        )

    def parent_changed(self, change: ParentChanged) -> None:
        """The coordinator must know at once (Fig. 9B)."""
        self.world.moved(self, change.was, change.parent)
        self.after(0.0, self.report)

    def _say(self, message: MemberMessage) -> None:
        self._control.tell(self, message)
