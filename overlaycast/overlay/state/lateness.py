"""How late data comes, judged above the lowest latency seen lately: two hosts' clocks differ by anything.

Owns: a member's lowest latency of the last minutes. Refuses: to take a clock that was set for lateness. Data cannot
become later faster than time passes, so a latency that grows faster than that shows a clock that was set, and is what
the next ones are compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 300.0
"""The lowest of this window and the one before counts: clocks drift apart by some 0.1 ms a second."""
SLACK_MS: Final = 1000.0
"""Reports are made and heard at times that differ by so much."""


@dataclass(slots=True)
class Lateness:
    """One member's latencies. Times are seconds of the caller's clock."""

    since: float
    lowest: float
    before: float
    last: float
    at: float

    @classmethod
    def beginning(cls, latency_ms: float, now: float) -> Lateness:
        """Return that of a member whose first latency this is."""
        return cls(now, latency_ms, latency_ms, latency_ms, now)

    def above(self, latency_ms: float, now: float) -> float:
        """Take a latency and return by how much it is above the lowest one lately."""
        if latency_ms - self.last > (now - self.at) * 1000 + SLACK_MS:
            self.since, self.lowest, self.before = now, latency_ms, latency_ms
        if now - self.since >= WINDOW_S:
            self.since, self.before, self.lowest = now, self.lowest, latency_ms
        self.lowest = min(self.lowest, latency_ms)
        self.last, self.at = latency_ms, now
        return latency_ms - min(self.lowest, self.before)
