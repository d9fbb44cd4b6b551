"""The coordinator's time: wall time at the start, and steady from there on.

Owns: one clock for decisions, events and snapshots. It never goes back and never jumps while the process lives. After a
restart or a reboot it goes on, as a monotonic clock alone would not, and never before the time that was kept, as a wall
clock alone might: a token that has expired stays expired.
"""

from __future__ import annotations

import time


class Clock:
    """Call it for seconds since 1970. ``kept`` is the latest time that is known to have been."""

    def __init__(self, kept: float = 0.0) -> None:
        self._offset = max(time.time(), kept) - time.monotonic()

    def __call__(self) -> float:
        return self._offset + time.monotonic()
