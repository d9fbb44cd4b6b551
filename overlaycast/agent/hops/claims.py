"""What parents claim about a stream, weighed before it counts: how far it is, what is lost, and that it is over.

Owns: the ENDs that wait for what others say, and how far record numbers can be (``records.credible`` decides). Refuses:
which parent feeds us (``failover``), and the chunks of files; those are checked one by one. Of a file's parents only
the claim of records that do not come is weighed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from overlaycast.agent.hops.parent_link import ParentLink
from overlaycast.agent.records.credible import HOLD_S, HeldEnds, Horizon
from overlaycast.agent.records.ring import Ring
from overlaycast.failover.machine import Upstream
from overlaycast.wire.frames import End, Heartbeat
from overlaycast.wire.group import GroupSettings


class Claims:
    """The claims of all parents.

    Args:
        links: all parent links, by number; the owner keeps them.
    """

    def __init__(self, settings: GroupSettings, machine: Upstream, links: Mapping[int, ParentLink], ring: Ring) -> None:
        self._files = settings.mode == "file"
        self._machine = machine
        self._links = links
        self._ring = ring
        self._horizon = Horizon(settings.rate_mbit)
        self._held_ends = HeldEnds()

    def saw(self, now: float) -> None:
        """Records have come: the stream is as far as the ring."""
        self._horizon.saw(self._ring.position, now)

    def owes(self, link: ParentLink, said: Heartbeat) -> bool:
        """Does it claim records that should have come before it?"""
        if said.seek or self._held_ends.holds(link.number):
            return False
        begun = self._files or self._ring.position > 0  # the first record of a live stream may be any
        return begun and link.position < said.next_seq

    def may_skip(self, link: ParentLink, seq: int) -> bool:
        """Is the loss taken of what this link does not have?

        Raises:
            RemoteProtocolError: the stream cannot be so far.
        """
        self._horizon.check(seq, time.monotonic())
        return self._machine.may_skip(link.number)

    def may_end(self, link: ParentLink, end: End) -> bool:
        """The source's END counts at once, a forwarder's when no standby that is further on has refuted it."""
        order, others = self._machine.order, set(self._machine.standbys_ready) - {link.peer.member}
        if order is None or order.depth <= 1 or not others:
            return True
        if not self._held_ends.holds(link.number):
            asyncio.get_running_loop().call_later(HOLD_S, self._believe_end, link.number)
        return self._held_ends.hold(link.number, end.seq)

    def weigh_ends(self, by: int, next_seq: int) -> None:
        """Another link says how far it is: that confirms or refutes the ENDs that wait."""
        confirmed, refuted = self._held_ends.said(by, next_seq)
        for number in confirmed:
            self._believe_end(number)
        for number in refuted:
            self._held_ends.gone(number)
            if (link := self._links.get(number)) is not None:
                link.give_up("END before the end of the stream")

    def gone(self, number: int) -> None:
        """This link is closed."""
        self._held_ends.gone(number)

    def _believe_end(self, number: int) -> None:
        """Have the END said again: now it counts."""
        link = self._links.get(number)
        if self._held_ends.believe(number) and link is not None:
            link.start()
