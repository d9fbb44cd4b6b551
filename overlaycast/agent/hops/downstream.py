"""A member's children: which are admitted, what they hear while no data flows, and how far they are.

Owns: the child links and the door. Refuses: to choose children; the coordinator's Accepts do that, and
``failover.admission`` says what follows from them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final

from overlaycast.agent.hops.calling import Calls
from overlaycast.agent.hops.child_link import ChildLink
from overlaycast.agent.hops.door import Called, Door
from overlaycast.agent.hops.mishap import mishap
from overlaycast.agent.hops.read_back import Archive
from overlaycast.agent.rates.upload import share_of
from overlaycast.agent.records.ring import Ring
from overlaycast.failover.admission import Admission, Admissions
from overlaycast.failover.parents import STANDBY_SLOWDOWN
from overlaycast.failover.rise import Rise
from overlaycast.wire.frames import Call, Decoder, Enter, Hello, Offer, RefuseCode, Start
from overlaycast.wire.grants import Identity, Nonces
from overlaycast.wire.messages import Accept, Assign, ChildReport, Revoke

BREATH: Final = 0.8
"""A silent link gets a heartbeat after this part of the group's interval: what is left is for the way."""
TICK_S: Final = 0.001
"""A loop's clock may count whole milliseconds, so a timer may come a little early."""


class Downstream:
    """The forwarding half of a node.

    Args:
        sock: the listening socket.
        most: children at once, warm ones included.
        starved: tells whether nothing reaches us from above.
        changed: told when a child came, went or said how far it is.
        call_failed: told the child that was called and did not come.
        answer: takes over a connection that a parent of ours has opened, and what it has said.
        spawn: starts a task in the agent's group.
        jitter: returns a number in [0, 1).
        permitted: whether we may connect to this address.
        upload_mbit: what the fed children share equally; None: nothing is held back.
        identity: says who we are now.
    """

    def __init__(
        self,
        sock: socket.socket,
        ring: Ring,
        heartbeat_s: float,
        most: int,
        starved: Callable[[], bool],
        changed: Callable[[], None],
        call_failed: Callable[[int], None],
        answer: Callable[[Call | Offer, Nonces | None, socket.socket], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        jitter: Callable[[], float],
        permitted: Callable[[str], bool],
        upload_mbit: float | None = None,
        identity: Callable[[], Identity] = Identity,
    ) -> None:
        self._late = False
        self.archive: Archive | None = None
        self.children: dict[int, ChildLink] = {}
        self.skipped_by_gone = 0
        self.bytes_out_by_gone = 0
        self._ring = ring
        self._heartbeat_s = heartbeat_s
        self._starved = starved
        self._changed = changed
        self._call_failed = call_failed
        self._upload_mbit = upload_mbit
        self._sharing = 0
        self.admissions = Admissions(most, identity)
        self._left_at: dict[int, int] = {}
        self._rise = Rise()
        self._obey: Callable[[Assign], None] = lambda order: None
        self._loop = asyncio.get_running_loop()
        self.door = Door(sock, self, answer)
        self.calls = Calls(self, spawn, jitter, permitted)

    # --- orders ------------------------------------------------------------------------------------------------

    def assign(self, order: Assign, obey: Callable[[Assign], None]) -> None:
        """Have an order obeyed: now, or as soon as its rank overtakes no child, or as it has waited long enough."""
        self._rise.offer(order, self._loop.time())
        self._obey = obey
        self._wait_to_rise()

    def _wait_to_rise(self) -> None:
        self._try_to_rise()
        if (until := self._rise.next_deadline()) is not None:
            self._loop.call_at(max(until, self._loop.time() + TICK_S), self._wait_to_rise)

    def _try_to_rise(self) -> None:
        order = self._rise.ready((child.rank for child in self.children.values()), self._loop.time())
        if order is not None:
            self._obey(order)

    def retime(self, heartbeat_s: float) -> None:
        """The group's heartbeat has another interval."""
        self._heartbeat_s = heartbeat_s

    def new_identity(self) -> None:
        """We are a new member: an order that still waits was for the former one."""
        self._rise.forget()

    def accept(self, order: Accept) -> None:
        """Expect a child, and call it if it cannot come by itself."""
        self.admissions.accept(order)
        self.door.announced()
        self.calls.announced(order)

    def revoke(self, order: Revoke) -> None:
        """Expect it no more; one that is fed has a moment to leave by itself."""
        self.admissions.revoke(order)
        if not self.admissions.expects(order.child):
            self.calls.drop(order.child)
            self._left_at.pop(order.child, None)
            self._changed()
        child = self.children.get(order.child)
        if child is not None:
            left_s = self.admissions.leave_within_s(order, child.admission.epoch, child.feeding)
            if left_s is not None:
                self._loop.call_later(left_s, self._evict, child)

    def _evict(self, child: ChildLink) -> None:
        if self.children.get(child.member) is child and not self.admissions.expects(child.member):
            child.refuse(RefuseCode.UNKNOWN_GRANT)

    def set_rank(self, rank: int) -> None:
        """Our own rank, from the order that we obey. Children whose rank it overtakes have to come again."""
        overtaken = self.admissions.rise(rank, {member: child.rank for member, child in self.children.items()})
        for child in [self.children[member] for member in overtaken]:
            child.refuse(RefuseCode.RANK)
        self.door.announced()

    # --- calling -----------------------------------------------------------------------------------------------

    def here(self, child: int) -> bool:
        """Is it connected?"""
        return child in self.children

    def call_failed(self, child: int) -> None:
        """A call was in vain."""
        self._call_failed(child)

    def offer(self, order: Accept, nonces: Nonces) -> Offer:
        """What proves to a child that we are its parent."""
        return self.admissions.offer(order, nonces)

    def called(self, sock: socket.socket, called: Called, seconds: float, done: Callable[[], None]) -> None:
        """We have called a child on this connection."""
        self.door.called(sock, called, seconds, done)

    # --- the door ----------------------------------------------------------------------------------------------

    def verdict(self, said: Enter | Hello, nonces: Nonces | None) -> Admission | RefuseCode | None:
        """Who is this, if it may come in; else why not. None: it waits."""
        return self.admissions.verdict(said, nonces, self.children)

    def admitted(self, sock: socket.socket, decoder: Decoder, admission: Admission, rank: int, asked: Start) -> None:
        """A child has come."""
        if (before := self.children.get(admission.child)) is not None:
            before.close("came again")
        child = ChildLink(
            sock,
            decoder,
            admission,
            rank,
            self._ring,
            self.archive,
            self._starved,
            lambda: self._late,
            self._closed,
            self._progressed,
        )
        self.children[admission.child] = child
        if self._upload_mbit is not None:
            child.pace(share_of(self._upload_mbit, self.feeding + 1))
        child.begin(asked.resume_from, asked.digests)
        self._progressed(child)

    def _progressed(self, child: ChildLink) -> None:
        self._share_upload()
        self._changed()
        self._try_to_rise()

    def _share_upload(self) -> None:
        """Every fed child gets the same part of what we can upload; a warm one knows the part that it would get."""
        if self._upload_mbit is None or (fed := self.feeding) == self._sharing:
            return
        self._sharing = fed
        for child in self.children.values():
            child.pace(share_of(self._upload_mbit, fed if child.feeding else fed + 1))

    def _closed(self, child: ChildLink, why: str) -> None:
        if self.children.get(child.member) is child:
            del self.children[child.member]
        if self.admissions.expects(child.member):
            self._left_at[child.member] = child.next_seq
        self.skipped_by_gone += child.skipped
        self.bytes_out_by_gone += child.bytes_out
        self.calls.changed(child.member)
        self._progressed(child)

    # --- data --------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """The ring has something new: send it."""
        for child in list(self.children.values()):
            if child.cursor is not None:
                try:
                    child.pump()
                except Exception as error:  # one child's link ends, and its siblings get theirs
                    mishap(error)
                    child.close("a defect")

    def beat(self) -> float:
        """Send the heartbeats that are due; return the seconds until the next is."""
        now, usual = self._loop.time(), BREATH * self._heartbeat_s
        wait = usual
        for child in list(self.children.values()):
            every = usual if child.feeding else STANDBY_SLOWDOWN * usual
            wait = min(wait, child.breathe(now, every))
        return max(wait, 0.001)

    def pay_digests(self) -> None:
        """More of the list of digests is known: children that asked for it get it."""
        for child in list(self.children.values()):
            child.pay_digests()

    def tell_state(self) -> None:
        """We have become starved, or are no more: the children must know before they act."""
        for child in list(self.children.values()):
            child.tell_state()

    def set_late(self, late: bool) -> None:
        """What reaches us is late, or is no more: then it is not the children's own links that they wait for."""
        if late != self._late:
            self._late = late
            self.tell_state()

    # --- figures -----------------------------------------------------------------------------------------------

    @property
    def feeding(self) -> int:
        """Children that get records."""
        return sum(child.feeding for child in self.children.values())

    def all_have(self, next_seq: int) -> bool:
        """Do all that are connected, warm ones included, and all that have their place here expect this or later?

        One that belongs here may be between two links: to be gone before it is back would starve it.
        """
        here = all(child.next_seq >= next_seq for child in self.children.values())
        away = self.admissions.fed() - self.children.keys()
        return here and all(self._left_at.get(child, 0) >= next_seq for child in away)

    def progress(self) -> int:
        """Return a number that grows whenever some child gets on; claims beyond our own end count for nothing."""
        end = self._ring.position
        return sum(min(child.next_seq, end) + child.bytes_out for child in self.children.values())

    def least_lag(self) -> int:
        """Return how many bytes of the ring the fastest child has still to get; 0 without children."""
        lags = [self._ring.lag_bytes(child.cursor) for child in self.children.values() if child.cursor is not None]
        return min(lags, default=0)

    def reports(self) -> tuple[ChildReport, ...]:
        """How far each fed child is, as it says itself."""
        fed = (child for child in self.children.values() if child.feeding)
        return tuple(ChildReport(child=child.member, next_seq=child.next_seq) for child in fed)

    @property
    def skipped(self) -> int:
        """Records that children were too slow for, over all children."""
        return self.skipped_by_gone + sum(child.skipped for child in self.children.values())

    @property
    def bytes_out(self) -> int:
        """Bytes sent to children."""
        return self.bytes_out_by_gone + sum(child.bytes_out for child in self.children.values())

    def close(self) -> None:
        """Close everything."""
        self._rise.forget()
        self.calls.close()
        self.door.close()
        for child in list(self.children.values()):
            child.close("leaving")
