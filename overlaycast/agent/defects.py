"""What goes wrong inside a node without ending it: told in a line each, and counted.

Owns: which of them are told, and when there are so many that the node cannot go on. Refuses: to print. Pure.
"""

from __future__ import annotations

from collections import deque
from typing import Final

TOO_MANY: Final = 100
WITHIN_S: Final = 10.0
AGAIN_S: Final = 60.0
"""Seconds before the same line is told again."""
MOST_LINES: Final = 64


class Defects:
    """The defects of one program."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=TOO_MANY)
        self._told: dict[str, float] = {}

    def told(self, line: str, now: float) -> bool:
        """Take note of a defect at ``now`` seconds. True: people have to hear of it."""
        self._times.append(now)
        if now - self._told.get(line, now - AGAIN_S) < AGAIN_S:
            return False
        if len(self._told) >= MOST_LINES:
            del self._told[min(self._told, key=self._told.__getitem__)]
        self._told[line] = now
        return True

    @property
    def too_many(self) -> bool:
        """Were there so many lately that it makes no sense to go on?"""
        return len(self._times) == TOO_MANY and self._times[-1] - self._times[0] < WITHIN_S
