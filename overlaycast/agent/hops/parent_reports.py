"""What the journal, the coordinator and the rest of the member are told about parents.

Owns: the words, and that a switch is told only when its first record has come. Refuses: the decisions told
(``failover``).
"""

from __future__ import annotations

from typing import Protocol

from overlaycast.agent.hops.parent_link import ParentLink
from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.ring import Ring
from overlaycast.failover.machine import Upstream
from overlaycast.failover.words import AskedInVain, Complain, LinkFailed, ParentChanged
from overlaycast.wire.journal import Attached, Entry, Fed, InVain, ParentLinkFailed, Switched
from overlaycast.wire.messages import MemberMessage, NotReceiving, Untruth


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

    def link_failed(self, parent: int, reason: str) -> None:
        """The link to a possible parent failed."""

    def asked_in_vain(self, parents: tuple[int, ...]) -> None:
        """These brought nothing."""

    def fruitless(self, parents: tuple[int, ...]) -> None:
        """These answered one after the other, and no record came."""

    def untrue(self, parent: int, what: Untruth, why: str, pause_s: float) -> None:
        """This parent has said what cannot be; it is not asked for so long."""

    def ask_extent(self) -> None:
        """The coordinator is to say how far the stream is."""

    def starved_changed(self) -> None:
        """We have become starved, or are no more."""


class ParentReports:
    """Tells the listener of changes of parents, and of parents that fail."""

    def __init__(self, listener: UplinkListener, machine: Upstream, ring: Ring) -> None:
        self._listener = listener
        self._machine = machine
        self._ring = ring
        self._switch: ParentChanged | None = None
        self._delivering: int | None = None
        self._delivering_link: int | None = None
        self._was_starved = True

    def delivered(self, link: ParentLink, gap_ms: float | None) -> None:
        """The parent has brought a record: now it may be said that it feeds us."""
        parent = link.peer.member
        if self._delivering_link != link.number:
            self._delivering_link = link.number
            self._listener.journal(Fed(parent=parent, called=link.called))
        if self._delivering != parent:
            self._delivering = parent
            self._listener.delivers(parent)
        if self._switch and self._switch.parent == parent:
            self._tell_switch(self._switch, gap_ms)

    def complain(self, action: Complain) -> None:
        """A parent does not send."""
        order = self._machine.order
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

    def link_failed(self, action: LinkFailed) -> None:
        """A link broke, was refused, or did not come about."""
        self._listener.journal(ParentLinkFailed(parent=action.parent, reason=action.reason))
        self._listener.link_failed(action.parent, action.reason)

    def asked_in_vain(self, action: AskedInVain) -> None:
        """They did not help."""
        self._listener.journal(InVain(parents=action.parents))
        self._listener.asked_in_vain(action.parents)

    def changed(self, action: ParentChanged) -> None:
        """Another parent is to feed us."""
        self._listener.journal(Attached(parent=action.parent))
        if action.was is not None:
            self._switch = action
        self._listener.parent_changed()

    def starvation(self) -> None:
        """Tell whether something comes from above, if that has changed."""
        if self._machine.starved != self._was_starved:
            self._was_starved = self._machine.starved
            self._listener.starved_changed()

    def _tell_switch(self, change: ParentChanged, gap_ms: float | None) -> None:
        self._switch = None
        gap = None if gap_ms is None else round(gap_ms, 3)
        self._listener.journal(
            Switched(from_parent=change.was, to_parent=change.parent, reason=change.reason, gap_ms=gap)
        )
