"""What parents claim about a stream, weighed before it counts: how far it is, what is lost, and that it is over.

Owns: when others are asked about an END that waits, and how much a parent may send (``records.credible`` and
``rates.flood`` decide). Refuses: which parent feeds us (``failover``), and the chunks of files; those are checked one
by one. Of a file's parents only the claim of records that do not come is weighed.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

from overlaycast.agent.hops.parent_link import ParentLink
from overlaycast.agent.rates.flood import Flow
from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.credible import HeldEnds, Horizon, UntrueError, Verdict
from overlaycast.agent.records.ring import Ring
from overlaycast.failover.machine import Upstream
from overlaycast.wire.frames import End, Heartbeat
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Extent, Untruth

LOOK_S: Final = 0.25
"""A warm standby has so long to say whether the stream is over; then the coordinator is asked, again and again."""
ASK_EVERY_S: Final = 1.0
"""The coordinator is asked about a parent that sends much no more often than this."""
NEARLY: Final = 0.5
"""Of what may come at once: when so much has come, the coordinator is asked at which rate the source really sends."""


class ClaimsListener(Protocol):
    """Who is told what has been found out."""

    def end_counts(self) -> None:
        """An END that waited is in the ring now."""

    def ask_extent(self) -> None:
        """The coordinator is to say how far the stream is."""

    def found_untrue(self, member: int, what: Untruth, why: str) -> None:
        """This member has said what cannot be."""


class Claims:
    """The claims of all parents."""

    def __init__(self, settings: GroupSettings, machine: Upstream, ring: Ring, listener: ClaimsListener) -> None:
        self._settings = settings
        self._live = settings.mode == "live"
        self._machine = machine
        self._ring = ring
        self._listener = listener
        self._horizon = Horizon(settings.rate_mbit)
        self._ends = HeldEnds()
        self._flows: dict[int, Flow] = {}
        self._stream_mbit: float | None = None
        self._asked_at = 0.0
        self._look_later: asyncio.TimerHandle | None = None

    def configured(self, settings: GroupSettings) -> None:
        """The group has other settings: what parents may send is counted anew by them."""
        self._settings = settings
        self._horizon.plan(settings.rate_mbit)
        self._flows.clear()

    # --- how far the stream is ---------------------------------------------------------------------------------

    def told(self, extent: Extent) -> None:
        """The coordinator says how far the stream is."""
        now = time.monotonic()
        self._horizon.told(extent, now)
        self._stream_mbit = extent.mbit or 0.0
        self._apply(self._ends.told(extent, now))

    def saw(self, now: float) -> None:
        """Records have come: the stream is as far as the ring."""
        self._horizon.saw(self._ring.position, now)
        if self._ends.waiting:
            self._apply(self._ends.passed(self._ring.position))

    def check(self, seq: int) -> None:
        """Can the stream be so far?

        Raises:
            UntrueError: it cannot.
        """
        self._horizon.check(seq, time.monotonic())

    def owes(self, link: ParentLink, said: Heartbeat) -> bool:
        """Does it claim records that should have come before it?"""
        if said.seek or self._ends.holds(link.peer.member):
            return False
        begun = not self._live or self._ring.position > 0  # the first record of a live stream may be any
        return begun and link.position < said.next_seq

    # --- how much comes ----------------------------------------------------------------------------------------

    def weigh(self, link: ParentLink, arrival: Arrival, now: float) -> None:
        """So much has come over this link.

        Raises:
            UntrueError: it is more than a stream of this group can bring.
        """
        flow = self._flows.get(link.number)
        if flow is None:
            flow = self._flows[link.number] = Flow(self._settings, self._ring.capacity_bytes)
        if arrival.said and flow.words(len(arrival.said), now):
            raise UntrueError("flood", "the parent sends too many heartbeats")
        if not self._live or self._stream_mbit is None:  # an older coordinator does not say how fast the source is
            return
        full = flow.bytes(arrival.size, self._stream_mbit, now)
        if full > 1.0:
            raise UntrueError("flood", "the parent sends more than the source can send")
        if full > NEARLY and now - self._asked_at > ASK_EVERY_S:
            self._ask(now)

    # --- whether it is over ------------------------------------------------------------------------------------

    def may_end(self, link: ParentLink, end: End) -> bool:
        """The source's END counts at once, a forwarder's when it is confirmed, or nobody has refuted it for long."""
        order, now = self._machine.order, time.monotonic()
        if order is not None and order.depth <= 1 and order.parent and order.parent.member == link.peer.member:
            return True
        if self._ends.hold(link.peer.member, end, now):
            return True
        if not set(self._machine.standbys_ready) - {link.peer.member}:
            self._ask(now)
        self._look_again()
        return False

    def weigh_ends(self, by: int, said: Heartbeat) -> None:
        """A member says how far it is: that confirms or refutes the ENDs of others that wait."""
        verdict = self._ends.said(by, said)
        if verdict.refuted:
            self._ask(time.monotonic())  # either of the two lies
        self._apply(verdict)

    def gone(self, link: ParentLink) -> None:
        """This link is closed."""
        self._ends.gone(link.peer.member)
        self._flows.pop(link.number, None)

    def close(self) -> None:
        """Nothing is weighed any more."""
        if self._look_later is not None:
            self._look_later.cancel()

    def _ask(self, now: float) -> None:
        self._asked_at = now
        self._listener.ask_extent()

    def _look_again(self) -> None:
        if self._look_later is None:
            self._look_later = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._look_later = None
        now = time.monotonic()
        self._apply(self._ends.due(now))
        if self._ends.waiting:
            self._ask(now)
            self._look_again()

    def _apply(self, verdict: Verdict) -> None:
        end = verdict.believed
        if end is not None and self._ring.end is None and end.seq == self._ring.next_seq:
            self._ring.insert_end(end)
            self._listener.end_counts()
        for member in verdict.refuted:
            self._listener.found_untrue(member, "end", "END before the end of the stream")
