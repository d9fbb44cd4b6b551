"""Counts how far other members are when the coordinator asks for it (Fig. 4, 406).

Owns: one count at a time, in a thread, since it waits for up to a second. Refuses: members at addresses that we may not
send to; more than one question at once, which is not answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from overlaycast.agent.parts import Program
from overlaycast.discovery.hop_counts import HopCount, count_hops
from overlaycast.wire.messages import Distance, DistanceReply, DistanceRequest

PATIENCE_S: Final = 1.0


class Distances:
    """Answers one question after the other.

    Args:
        program: tells the coordinator.
        permitted: may we send to this address?
    """

    def __init__(self, program: Program, permitted: Callable[[str], bool]) -> None:
        self._program = program
        self._permitted = permitted
        self._counting = False

    def asked(self, request: DistanceRequest) -> None:
        """The coordinator wants to know how far these members are."""
        if not self._counting:
            self._counting = True
            self._program.spawn(self._count(request))

    async def _count(self, request: DistanceRequest) -> None:
        asked = [one for one in request.members if self._permitted(one.address.host)]
        targets = [(one.address.host, one.address.port) for one in asked]
        try:
            found: list[HopCount | None] = await asyncio.to_thread(count_hops, targets, PATIENCE_S)
        except OSError:  # no descriptors, say: nothing was counted
            found = [None] * len(targets)
        finally:
            self._counting = False
        distances = tuple(
            Distance(member=one.member, hops=count.hops, rtt_ms=count.rtt_ms)
            for one, count in zip(asked, found, strict=True)
            if count is not None
        )
        self._program.tell(DistanceReply(nonce=request.nonce, distances=distances))
