"""The coordinator's time: wall time at the start, and steady from there on.

Owns: one clock for decisions, events and snapshots. It never goes back and never jumps while the process lives, and it
goes on, within the wall clock's accuracy, after a restart or a reboot, which a monotonic clock alone would not.
"""

from __future__ import annotations

import time


class Clock:
    """Call it for seconds since 1970."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        return self._offset + time.monotonic()
