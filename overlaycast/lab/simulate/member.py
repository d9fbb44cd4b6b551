"""A simulated agent: its control link. Pure, in virtual time.

Owns: what a member does with each of the coordinator's messages, and what it says by itself. Its data links, and what
it does when its parent dies, are ``node``'s. Orders older than the newest seen change nothing.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

from overlaycast.lab.simulate.node import RECORDS_PER_S, REPEAT_S, Node, Reason, Surroundings
from overlaycast.wire.messages import (
    Accept,
    Assign,
    Begin,
    ChildReport,
    CoordinatorMessage,
    Ended,
    Leaving,
    MemberMessage,
    NotReceiving,
    Ping,
    Pong,
    Released,
    Report,
    Revoke,
    Role,
)

LEAVE_S: Final = 5.0  # a leaver waits so long to be released


class ControlLink(Surroundings, Protocol):
    """What a member needs of the world around it: the network, and the way to the coordinator."""

    def tell(self, sender: Member, message: MemberMessage) -> None:
        """Send a message to the coordinator."""


class Member(Node):
    """One member."""

    def __init__(self, world: ControlLink, ident: int, seat: int, role: Role) -> None:
        super().__init__(world, ident, seat, role)
        self._control = world
        self._answered = True  # the last error has been answered by an order
        self._reported_at, self._reported = world.now, 0.0  # when the last report went, and the records until then

    def receive(self, message: CoordinatorMessage) -> None:
        """Do what the coordinator says."""
        if not self.alive:
            return
        if isinstance(message, Assign):
            self._take_place(message)
        elif isinstance(message, Accept):
            self._grants.setdefault(message.child, set()).add(message.grant)
            if message.child in self._held:
                self.hello(message.child, *self._held.pop(message.child))
        elif isinstance(message, Revoke):
            self.revoke(message.child)
        elif isinstance(message, Ping):
            self._say(Pong(nonce=message.nonce, next_seq=self.next_seq, parent=self.feeder))
        elif isinstance(message, Begin):
            self.flowing = True
            self._pass_on()
        elif isinstance(message, Released | Ended):
            self.die("reset")

    def leave(self) -> None:
        """Go properly (SIGTERM)."""
        if self.alive and not self.leaving:
            self.leaving = True
            self._say(Leaving())
            self.world.after(LEAVE_S, self.die, "reset")

    def report(self) -> None:
        """Send what Fig. 9B asks for."""
        if not self.alive:
            return
        settings = self.world.settings
        interval_s, before = self.world.now - self._reported_at, self._reported
        after = self.count()
        self._reported_at, self._reported = self.world.now, after
        state: Literal["waiting", "streaming", "stalled", "switching"] = "streaming"
        if not self.flowing:
            state = "waiting" if self.cut_at is None else "switching" if self._search else "stalled"
        self._say(
            Report(
                epoch=self.epoch,
                parent=self.feeder,
                state=state,
                next_seq=self.next_seq,
                interval_ms=interval_s * 1000,
                bytes=int((after - before) / RECORDS_PER_S * settings.rate_mbit * 125_000),
                records=int(after) - int(before),
                latency_p50_ms=self.latency_ms(),
                standbys_ready=tuple(peer.member for peer in self.standbys if self.ups.get(peer.member)),
                children=tuple(ChildReport(child=c, next_seq=self.next_seq) for c, on in self.downs.items() if on),
            )
        )

    def complain(self, reason: Reason, now_from: int | None = None) -> None:
        """Say it, and go on saying it until an order comes (Fig. 9A)."""
        silent_ms = 0.0 if self.cut_at is None else (self.world.now - self.cut_at) * 1000
        parent = self.assigned.member if self.assigned else None
        self._answered = False
        self._say(
            NotReceiving(
                epoch=self.epoch,
                parent=parent,
                next_seq=self.next_seq,
                silent_ms=silent_ms,
                reason=reason,
                now_from=now_from,
            )
        )
        if now_from is not None:
            self.world.after(REPEAT_S, self._complain_again, reason, now_from)

    def _complain_again(self, reason: Reason, now_from: int) -> None:
        if self.alive and not self._answered and self.flowing and self.feeder == now_from:
            self.complain(reason, now_from)

    def _say(self, message: MemberMessage) -> None:
        self._control.tell(self, message)

    def _take_place(self, order: Assign) -> None:
        if order.epoch < self.epoch:
            return
        self.epoch, self.depth, self.primary = order.epoch, order.depth, order.primary
        self.rank = max(self.rank, order.rank)
        self.assigned, self.standbys, self.fallbacks = order.parent, order.standbys, order.fallbacks
        self._answered = True
        self.look_anew()
        wanted = {peer.member for peer in self.standbys}
        if order.parent is not None:
            wanted.add(order.parent.member)
            if self.feeder != order.parent.member or order.parent.member not in self.ups:
                self._ask(order.parent)
        for up in [up for up in self.ups if up not in wanted and up != self.feeder]:
            self._close(up)
        for peer in self.standbys:
            if peer.member not in self.ups:
                self._dial(peer, active=False)
        self._tidy()
