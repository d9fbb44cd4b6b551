"""Lost records are told as soon as they are known, and at most once a second.

Owns: which are told and which still wait. Refuses: words and clocks.
"""

from __future__ import annotations

from typing import Final

EVERY_S: Final = 1.0


class Losses:
    """One count of lost records."""

    def __init__(self) -> None:
        self._told = 0
        self._told_at = float("-inf")

    def due(self, lost: int, now: float) -> int:
        """Return how many of ``lost`` are to be told now, and were not before; 0: none yet."""
        return self.rest(lost, now) if now - self._told_at >= EVERY_S else 0

    def rest(self, lost: int, now: float) -> int:
        """The same, without waiting."""
        fresh = lost - self._told
        if fresh <= 0:
            return 0
        self._told, self._told_at = lost, now
        return fresh
