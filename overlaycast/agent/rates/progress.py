"""How much of a file is here, how fast it comes, and how long the rest will take.

Owns: the smoothed rate and the words. Refuses: clocks and terminals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_MEMORY_S: Final = 5.0
"""The rate is a mean in which so many seconds ago counts 1/e."""
STEP: Final = 10
"""Percent between two journal lines."""


@dataclass(frozen=True, slots=True)
class FileState:
    """``percent`` is rounded down, so 100 means all; ``left_s`` is None while there is no rate."""

    done: int
    size: int
    percent: int
    rate_mbit: float
    left_s: float | None

    def words(self) -> str:
        """Return it for people."""
        left = "" if self.left_s is None or self.done >= self.size else f"  {clock(self.left_s)} left"
        return f"{self.percent} %  {self.rate_mbit:.2f} Mbit/s{left}"


class FileProgress:
    """Looks at a growing number of bytes; ``last`` is what it saw last.

    Args:
        size: bytes in all.
        done: bytes that are there at the start; they say nothing about the rate.
        now: seconds, as in ``look``.
    """

    def __init__(self, size: int, done: int, now: float) -> None:
        self._size = size
        self._done = done
        self._at = now
        self._rate = 0.0
        self._weight = 0.0
        self._noted = self._percent(done) // STEP
        self.last: FileState | None = None

    def look(self, done: int, now: float) -> FileState:
        """Return the file's state with ``done`` bytes."""
        seconds = now - self._at
        if seconds > 0:
            keep = math.exp(-seconds / _MEMORY_S)
            self._rate = keep * self._rate + (1 - keep) * (done - self._done) / seconds
            self._weight = keep * self._weight + 1 - keep
            self._done, self._at = done, now
        rate = self._rate / self._weight if self._weight else 0.0
        left = (self._size - done) / rate if rate > 0 else None
        self.last = FileState(done, self._size, self._percent(done), rate * 8e-6, left)
        return self.last

    def is_news(self, state: FileState) -> bool:
        """Has another tenth been passed since this was last asked?"""
        before, self._noted = self._noted, max(self._noted, state.percent // STEP)
        return self._noted > before

    def _percent(self, done: int) -> int:
        return 100 if done >= self._size else done * 100 // self._size


def clock(seconds: float) -> str:
    """Return a time for people, rounded up: ``0:07``, ``12:34``, ``1:02:03``."""
    whole = math.ceil(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
