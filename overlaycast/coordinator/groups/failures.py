"""How long a group that failed stays set aside: not at all the first time, longer if it fails again and again (pure).

Owns: the pauses. Refuses: what a failure is, and how a group comes back.
"""

from __future__ import annotations

from typing import Final

PAUSES_S: Final = (0.0, 1.0, 10.0, 60.0)
WELL_S: Final = 600.0
"""A group that has not failed for so long starts with the first pause again."""


class Failures:
    """One group's."""

    def __init__(self) -> None:
        self._count = 0
        self._last = 0.0

    def pause_s(self, now: float) -> float:
        """Take note that the group fails at ``now`` seconds, and return for how long it is set aside."""
        if self._count and now - self._last >= WELL_S:
            self._count = 0
        self._last = now
        self._count += 1
        return PAUSES_S[min(self._count, len(PAUSES_S)) - 1]
