"""More than a parent can have to say: words (heartbeats, refusals) and bytes of a live stream, each with a rate.

Owns: the rates, by the group's settings, and how much may come at once. Refuses: sockets, clocks. Pure.

What waited while we stood still comes at once, and so does what a child lacks that was cut off for a while. So far more
than a second's worth may come at once, but not for long.
"""

from __future__ import annotations

from typing import Final

from overlaycast.wire.group import GroupSettings

FASTER: Final = 4.0
"""Bytes, and words, may come so many times as fast as they usually do at most."""
MOST_WORDS: Final = 1000
WORDS_PER_S: Final = 50.0
"""Words beside the heartbeats of an idle link: changes of state, and skips."""
PAUSE_S: Final = 600.0
"""We may have stood still for so long: the heartbeats of that time wait for us."""
LEAST_BACKLOG: Final = 256 << 20
BACKLOGS: Final = 4
"""Bytes that a parent may have to make up for: so many times what our own ring holds, since its ring may be larger."""


class Bucket:
    """What comes at no more than ``per_s``, and ``burst`` at once; ``saved_s``: a pause saves up for so long."""

    def __init__(self, per_s: float, burst: float, saved_s: float = 0.0) -> None:
        self.per_s = per_s
        self._burst = burst
        self._saved_s = saved_s
        self._level = 0.0
        self._at: float | None = None

    def take(self, amount: float, now: float) -> float:
        """So much has come. Return how full it is: 1.0 is too much."""
        passed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._level = max(self._level - self.per_s * passed, -self.per_s * self._saved_s) + amount
        return self._level / self._burst


class Flow:
    """What one parent sends.

    Args:
        ring_bytes: what our own ring holds.
    """

    def __init__(self, settings: GroupSettings, ring_bytes: int) -> None:
        self._planned = settings.rate_mbit
        self._words = Bucket(WORDS_PER_S + FASTER * 1000 / settings.heartbeat_ms, MOST_WORDS, PAUSE_S)
        self._bytes = Bucket(0.0, max(LEAST_BACKLOG, BACKLOGS * ring_bytes))

    def words(self, count: int, now: float) -> bool:
        """So many words have come. True: too many."""
        return self._words.take(count, now) > 1.0

    def bytes(self, count: int, stream_mbit: float, now: float) -> float:
        """So many bytes have come, while the stream has this rate. Return how much of what may come at once has come:
        above 1.0 it is too much."""
        self._bytes.per_s = FASTER * max(self._planned, stream_mbit) * 125_000
        return self._bytes.take(count, now)
