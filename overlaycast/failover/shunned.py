"""Parents that said what cannot be: when each may be dialled again.

Owns: the pauses, each twice as long as the one before. Refuses: to judge what they said. Pure.
"""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 1.0
LONGEST_S: Final = 300.0
FORGIVEN_S: Final = 3600.0
"""Seconds after the last pause in which a parent has to lie again for the next one to be longer."""


class Shunned:
    """Member to how long it is not dialled."""

    def __init__(self) -> None:
        self._until: dict[int, tuple[float, float]] = {}

    def add(self, member: int, now: float) -> float:
        """It has done so now; return for how many seconds it is not dialled."""
        for known in [one for one, (until, _) in self._until.items() if now - until > FORGIVEN_S]:
            del self._until[known]
        _, before = self._until.get(member, (0.0, FIRST_S / 2))
        pause = min(2 * before, LONGEST_S)
        self._until[member] = now + pause, pause
        return pause

    def bans(self, member: int, now: float) -> bool:
        """Is it not to be dialled now?"""
        return now < self._until.get(member, (0.0, 0.0))[0]
