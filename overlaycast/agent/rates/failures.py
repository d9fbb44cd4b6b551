"""Links that fail and parents that are asked in vain: all are counted, few are told.

Owns: the counts, and when a line is due: at once where a kind of failure begins, then at most one a minute. Refuses:
words and clocks. Pure.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

AGAIN_S: Final = 60.0
"""Seconds between two lines about failures of one kind."""
IN_VAIN: Final = "in vain"
"""The kind of a parent that was asked and brought nothing."""
CALL: Final = "call"
"""The kind of a child that was called and did not come."""


@dataclass(frozen=True, slots=True)
class Told:
    """``count`` failures of a kind since the last line about it; the newest was with ``member``."""

    kind: str
    member: int
    count: int


class Failures:
    """What has failed since the start. A kind is one of the reasons of ``failover``, ``IN_VAIN`` or ``CALL``."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._untold: Counter[str] = Counter()
        self._newest: dict[str, int] = {}
        self._told_at: dict[str, float] = {}

    @property
    def links(self) -> dict[str, int]:
        """How many links have failed, by kind."""
        return {kind: count for kind, count in sorted(self._counts.items()) if kind != IN_VAIN}

    @property
    def links_failed(self) -> int:
        """How many in all."""
        return sum(self.links.values())

    @property
    def asked_in_vain(self) -> int:
        """How many parents were asked in vain."""
        return self._counts[IN_VAIN]

    def note(self, kind: str, member: int) -> None:
        """There was another one."""
        self._counts[kind] += 1
        self._untold[kind] += 1
        self._newest[kind] = member

    def due(self, now: float) -> list[Told]:
        """Return, once, what is to be told now."""
        kinds = [kind for kind in self._untold if now - self._told_at.get(kind, now - AGAIN_S) >= AGAIN_S]
        self._told_at |= dict.fromkeys(kinds, now)
        return [Told(kind, self._newest[kind], self._untold.pop(kind)) for kind in kinds]
