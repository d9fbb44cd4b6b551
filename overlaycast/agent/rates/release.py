"""How much may go at once: a source that is behind its schedule, and a node's children on one uplink.

Owns: the two bounds. Refuses: waiting and sockets. Pure.

A source that was held up has a heap of records that are all due. Sent at once they would overrun the queue of a thin
uplink, and what is lost there comes again a round trip later. So they go at twice the schedule's rate, after a first
burst of a few milliseconds' worth (the generic cell rate algorithm, ITU-T I.371, annex A).

A node that states its upload gives each child it feeds an equal share of it. Placement allows no more children than
0.8 of the upload carries, so a share is always more than the stream: a child that was left behind catches up with what
is left of its own share, and neither its siblings nor the uplink's queue notice.
"""

from __future__ import annotations

from typing import Final

CATCH_UP: Final = 2.0
"""Times the schedule's rate at which a delay is made up for."""
BURST_S: Final = 0.01
"""What may go at once, in seconds of that rate."""
LATEST_S: Final = 0.25
"""Further behind than this, the schedule is moved instead."""


class Release:
    """When the next record goes.

    Args:
        live: the input has no past: what came late is due when it came, so the rate is never exceeded at all.
    """

    def __init__(self, live: bool) -> None:
        self._latest_s = 0.0 if live else LATEST_S
        self._begun: float | None = None
        self._before = 0.0
        self._earliest = 0.0

    def wait_s(self, due: float, now: float) -> float:
        """Return in how many seconds the next record goes, which is ``due`` so long after the first; never negative."""
        if self._begun is None:
            self._begun = now - due
        at = self._begun + due
        if now - at > self._latest_s:
            self._begun, at = now - due, now
        at = max(at, now, self._earliest - BURST_S)
        step = max(0.0, due - self._before) / CATCH_UP
        self._before, self._earliest = due, max(self._earliest, at) + step
        return at - now
