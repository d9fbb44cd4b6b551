"""A member's children in virtual time: which are admitted, and what they hear. Pure.

Owns: the hops downwards, and calling children that cannot dial. Which children are let in, and which have to go, is
the agents' own code (``failover.admission``, ``failover.rise``).

Refuses: to choose children; the coordinator's Accepts do that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from overlaycast.failover.admission import HOLD_S, Admission, Admissions
from overlaycast.failover.redial import LONGEST_PAUSE, pause
from overlaycast.failover.rise import Rise
from overlaycast.lab.simulate.hop import USER_TIMEOUT_S, End, Hop, Network, identity
from overlaycast.wire.frames import (
    EDGE,
    IDLE,
    OLDEST,
    SEQ_LIMIT,
    Challenge,
    Data,
    Enter,
    Frame,
    Heartbeat,
    Hello,
    Knock,
    Offer,
    Refuse,
    RefuseCode,
    Start,
    Stop,
)
from overlaycast.wire.grants import Nonces
from overlaycast.wire.messages import Accept, Assign, ChildReport, Revoke

NO_LIMIT: Final = sys.maxsize
"""Children at once: the coordinator never announces more than a member's out-degree and its promises."""


class Owner(End, Protocol):
    """The member whose children they are."""

    @property
    def next_seq(self) -> int | None:
        """The number of the next record; None: there has been none."""

    @property
    def oldest(self) -> int:
        """The oldest record still held."""

    @property
    def starved(self) -> bool:
        """Nothing comes from above."""

    @property
    def now(self) -> float:
        """Virtual time in seconds."""

    def after(self, delay_s: float, call: Callable[..., None], *args: Any) -> None:
        """Do something later, if we live then; frozen, when we run again."""

    def call(self, order: Accept) -> None:
        """Open a connection to a child that cannot dial us, and prove to it, or show it, its grant."""


@dataclass(frozen=True, slots=True)
class Child:
    """A child that was let in, by the grant of this epoch, with the rank that it said."""

    hop: Hop
    rank: int
    epoch: int


class Downlink:
    """The forwarding half of a member."""

    def __init__(self, owner: Owner, network: Network, jitter: Callable[[], float]) -> None:
        self.children: dict[int, Child] = {}
        self._owner = owner
        self._jitter = jitter
        self._network = network
        self._admissions = Admissions(NO_LIMIT, lambda: identity(owner.ident))
        self._held: dict[Hop, tuple[Enter | Hello, int]] = {}
        self._called: dict[int, Accept] = {}
        self._rise = Rise()
        self._obey: Callable[[Assign], None] = lambda order: None

    @property
    def feeding(self) -> list[int]:
        """The children that want records."""
        return [member for member, child in self.children.items() if child.hop.wanted]

    @property
    def hops(self) -> list[Hop]:
        """All connections from below."""
        return [*(child.hop for child in self.children.values()), *self._held]

    def reports(self) -> tuple[ChildReport, ...]:
        """How far each of them is, as it says itself."""
        fed = ((member, child.hop) for member, child in self.children.items() if child.hop.wanted)
        return tuple(ChildReport(child=member, next_seq=hop.hear_child()) for member, hop in fed)

    # --- orders --------------------------------------------------------------------------------------------------

    def assign(self, order: Assign, obey: Callable[[Assign], None]) -> None:
        """Have an order obeyed: now, or as soon as its rank overtakes no child, or as it has waited long enough."""
        self._rise.offer(order, self._owner.now)
        self._obey = obey
        self._try_to_rise()
        if (until := self._rise.next_deadline()) is not None:
            self._owner.after(until - self._owner.now, self._try_to_rise)

    def _try_to_rise(self) -> None:
        order = self._rise.ready((child.rank for child in self.children.values()), self._owner.now)
        if order is not None:
            self._obey(order)

    def accept(self, order: Accept) -> None:
        """Expect a child, and call it if it cannot come by itself."""
        self._admissions.accept(order)
        self._called.pop(order.child, None)
        if order.addresses:
            self._called[order.child] = order
            self._call(order, 0)
        self._decide_all()

    def _call(self, order: Accept, tries: int) -> None:
        if self._called.get(order.child) is order:
            if order.child not in self.children:
                self._owner.call(order)
            wait = pause(tries, LONGEST_PAUSE, self._jitter)
            self._owner.after(wait, self._call, order, tries + 1)

    def offer(self, order: Accept, nonces: Nonces) -> Offer:
        """Return what proves to a child that we are its parent."""
        return self._admissions.offer(order, nonces)

    def revoke(self, order: Revoke) -> None:
        """Expect it no more; one that is fed has a moment to leave by itself."""
        self._admissions.revoke(order)
        if not self._admissions.expects(order.child):
            self._called.pop(order.child, None)
        child = self.children.get(order.child)
        if child is not None:
            left_s = self._admissions.leave_within_s(order, child.epoch, child.hop.wanted)
            if left_s is not None:
                self._owner.after(left_s, self._evict, order.child, child)

    def _evict(self, member: int, child: Child) -> None:
        if self.children.get(member) is child and not self._admissions.expects(member):
            self._refuse(child.hop, RefuseCode.UNKNOWN_GRANT)

    def set_rank(self, rank: int) -> None:
        """Our own rank has come: children that do not rank below it have to come again."""
        overtaken = self._admissions.rise(rank, {member: child.rank for member, child in self.children.items()})
        for child in [self.children[member] for member in overtaken]:
            self._refuse(child.hop, RefuseCode.RANK)
        self._decide_all()

    # --- children that come ------------------------------------------------------------------------------------------

    def read(self, hop: Hop, frame: Frame | None) -> None:
        """A child, or one that wants to be, says something or has closed."""
        match frame:
            case Knock():
                nonces = Nonces(frame.nonce, self._network.nonce())
                hop.nonces = nonces
                hop.say(self._owner, Challenge(nonces.dialled))
            case Enter() | Hello() if hop.admitted:
                self._said_again(hop, frame.rank)
            case Enter() | Hello():
                self._held[hop] = frame, self._held[hop][1] if hop in self._held else frame.resume_from
                self._owner.after(HOLD_S, self._give_up, hop)
                self._decide(hop)
            case Start() | Stop():
                resume = frame.resume_from if isinstance(frame, Start) else IDLE
                if hop in self._held:  # the last word counts
                    self._held[hop] = self._held[hop][0], resume
                elif hop.admitted:
                    self._begin(hop, resume)
            case None:
                self._forget(hop)
                hop.close(self._owner)

    def _said_again(self, hop: Hop, rank: int) -> None:
        member = hop.child.ident
        child = self.children.get(member)
        if child is not None and child.hop is hop:
            self.children[member] = replace(child, rank=max(child.rank, rank))
            self._try_to_rise()

    def _decide_all(self) -> None:
        for hop in list(self._held):
            self._decide(hop)

    def _decide(self, hop: Hop) -> None:
        said, resume = self._held[hop]
        match self._admissions.verdict(said, hop.nonces, self.children):
            case RefuseCode() as code:
                del self._held[hop]
                self._refuse(hop, code)
            case Admission() as admission:
                del self._held[hop]
                self._admit(hop, said.rank, resume, admission)

    def _admit(self, hop: Hop, rank: int, resume: int, admission: Admission) -> None:
        before = self.children.get(admission.child)
        if before is not None:
            self._forget(before.hop)
            before.hop.close(self._owner)
        self.children[admission.child] = Child(hop, rank, admission.epoch)
        hop.admitted = True
        if admission.answer is not None:
            hop.say(self._owner, admission.answer)
        self._begin(hop, resume)

    def _give_up(self, hop: Hop) -> None:
        if self._held.pop(hop, None) is not None:
            self._refuse(hop, RefuseCode.UNKNOWN_GRANT)

    def _refuse(self, hop: Hop, code: RefuseCode) -> None:
        hop.say(self._owner, Refuse(code, self._owner.oldest))
        self._forget(hop)
        hop.close(self._owner)

    def _forget(self, hop: Hop) -> None:
        self._held.pop(hop, None)
        hop.wanted = False
        member = hop.child.ident
        if member in self.children and self.children[member].hop is hop:
            del self.children[member]
            self._try_to_rise()

    # --- what they get -------------------------------------------------------------------------------------------

    def _begin(self, hop: Hop, resume: int) -> None:
        """Answer HELLO, START or STOP: say which record comes next, and send from there."""
        owner, next_seq = self._owner, self._owner.next_seq
        marks = {EDGE: next_seq, OLDEST: owner.oldest}
        start = marks.get(resume, resume)
        hop.wanted = resume != IDLE and (start is None or next_seq is None or start >= owner.oldest)
        if resume != IDLE and not hop.wanted:
            hop.say(owner, Refuse(RefuseCode.GONE, owner.oldest))
        seek = hop.wanted and next_seq is not None and start is not None
        number = min(start, next_seq) if seek and start is not None and next_seq is not None else next_seq or 0
        hop.say(owner, Heartbeat(min(number, SEQ_LIMIT - 1), owner.oldest, owner.starved, seek))
        if hop.wanted and owner.flowing:
            self._send_record(hop)

    def _send_record(self, hop: Hop) -> None:
        """The first record that stands for all that follow."""
        hop.say(self._owner, Data(self._owner.next_seq or 0, 1, b"\0"))

    def tell_state(self) -> None:
        """We are starved, or are no more: the children must know before they act."""
        heartbeat = Heartbeat(self._owner.next_seq or 0, self._owner.oldest, self._owner.starved)
        for child in list(self.children.values()):
            child.hop.say(self._owner, heartbeat)

    def flow_changed(self) -> None:
        """Records arrive here, or do not any more."""
        for child in list(self.children.values()):
            if child.hop.wanted and self._owner.flowing:
                self._send_record(child.hop)
            elif child.hop.wanted:
                child.hop.settle_later()

    # --- the end -------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """What we can say or read has changed: it shows at the children after a while, and here at once."""
        for hop in self.hops:
            hop.settle_later()

    def close(self) -> None:
        """Close everything."""
        for hop in self.hops:
            hop.close(self._owner)

    def lose_silently(self, hop: Hop) -> None:
        """A child's host is gone without a word: its connection ends much later."""
        self._owner.after(USER_TIMEOUT_S, hop.fail, self._owner)
