"""Parents that said what cannot be, or brought what the source did not announce: when each may be dialled again.

Owns: the pauses, each twice as long as the one before. Refuses: to judge what they said. Pure.

A chunk that is not the source's is a longer pause from the beginning: there is time to find others, and one bit that
changed on the way does not exclude a parent for good.
"""

from __future__ import annotations

from typing import Final

from overlaycast.failover.words import Reason

FIRST_S: Final[dict[Reason, float]] = {"refused": 1.0, "damaged": 60.0}
"""The first pause, by why a link to such a parent is said to be lost."""
LONGEST_S: Final = 300.0
FORGIVEN_S: Final = 3600.0
"""Seconds after the last pause in which a parent has to do it again for the next one to be longer."""


class Shunned:
    """Member to how long it is not dialled, and why."""

    def __init__(self) -> None:
        self._until: dict[int, tuple[float, float, Reason]] = {}

    def add(self, member: int, why: Reason, now: float) -> float:
        """It has done so now; return for how many seconds it is not dialled."""
        for known in [one for one, (until, *_) in self._until.items() if now - until > FORGIVEN_S]:
            del self._until[known]
        _, before, _ = self._until.get(member, (0.0, 0.0, why))
        pause = min(max(2 * before, FIRST_S[why]), LONGEST_S)
        self._until[member] = now + pause, pause, why
        return pause

    def bans(self, member: int, now: float) -> Reason | None:
        """Return why it is not to be dialled now; None: it may be."""
        until, _, why = self._until.get(member, (0.0, 0.0, "refused"))
        return why if now < until else None
