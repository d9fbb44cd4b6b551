"""A timer for deadlines that matter to the millisecond, and which says how late it fired.

Owns: when it is due. Refuses: what is done then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from overlaycast.agent.hops.mishap import mishap

LONGEST_SLEEP_S: Final = 0.08
"""The timer fires at least so often: a limit that has shrunk since it was armed must not be overslept."""
TIMER_STEP_S: Final = 0.001
"""Timers fire on whole milliseconds."""


class Alarm:
    """One timer. ``fire`` gets by how many seconds it is late."""

    def __init__(self, fire: Callable[[float], None]) -> None:
        self._fire = fire
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def arm(self, deadline: float | None) -> None:
        """Fire at this monotonic time, or earlier; None: not at all. What was armed before is forgotten."""
        self.cancel()
        if deadline is not None:
            now = time.monotonic()
            self._due = min(max(deadline, now), now + LONGEST_SLEEP_S)
            self._timer = self._loop.call_later(self._due - now, self._ring)

    def cancel(self) -> None:
        """Do not fire."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        try:
            self._fire(max(0.0, time.monotonic() - self._due - TIMER_STEP_S))
        except Exception as error:  # silences must be noticed, whatever has gone wrong
            mishap(error)
            if self._timer is None:
                self.arm(time.monotonic() + LONGEST_SLEEP_S)
