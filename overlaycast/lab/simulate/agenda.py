"""Virtual time: what is to happen, in order. Pure.

Owns: the clock of one simulation. Invariants: time never runs backwards; what is due at the same time happens in the
order in which it was asked for, so that same inputs give same runs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from overlaycast.errors import LocalProtocolError


class Agenda:
    """A queue of calls, each with its time in seconds. ``now`` starts at 0."""

    __slots__ = ("_count", "_heap", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, delay_s: float, call: Callable[..., None], *args: Any) -> None:
        """Let ``call(*args)`` happen in so many seconds.

        Raises:
            LocalProtocolError: a negative delay.
        """
        if delay_s < 0:
            raise LocalProtocolError(f"asked for something to happen {-delay_s} s ago")
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay_s, self._count, call, args))

    def run(self, until: float, done: Callable[[], bool] | None = None) -> None:
        """Let everything happen that is due up to ``until``, or until ``done()`` says so; ``now`` is then that time."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, call, args = heapq.heappop(self._heap)
            call(*args)
            if done is not None and done():
                return
        self.now = max(self.now, until)


class Alarm:
    """Calls when somebody's next deadline comes. A later one than it waits for is to be set again after the call."""

    def __init__(self, agenda: Agenda, call: Callable[[], None]) -> None:
        self._agenda = agenda
        self._call = call
        self._armed: float | None = None

    def set(self, deadline: float | None) -> None:
        """Wait for this, if it is not None and earlier than what is waited for; at once, if it is in the past."""
        if deadline is not None and (self._armed is None or deadline < self._armed):
            self._armed = deadline
            self._agenda.after(max(0.0, deadline - self._agenda.now), self._ring, deadline)

    def cancel(self) -> None:
        """Wait for nothing."""
        self._armed = None

    def _ring(self, armed: float) -> None:
        if armed == self._armed:
            self._armed = None
            self._call()
