"""Standbys that are not connected: when each is dialled again.

Owns: the pauses, growing with each failure and jittered, so that a returning member is not met by all at once.
Refuses: dialling. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 4.0
_MOST_DOUBLINGS: Final = 10


class Redials:
    """Member to the time of the next try.

    Args:
        jitter: returns a number in [0, 1); a pause is 0.5 to 1.5 of its usual length.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._due: dict[int, float] = {}
        self._failures: dict[int, int] = {}

    def failed(self, member: int, now: float) -> None:
        """The connection broke, or could not be made."""
        failures = self._failures.get(member, 0)
        self._failures[member] = min(failures + 1, _MOST_DOUBLINGS)
        self._due[member] = now + pause(failures, LONGEST_PAUSE, self._jitter)

    def dialled(self, member: int) -> None:
        """A try is under way: nothing is due until it fails."""
        self._due.pop(member, None)

    def hasten(self, member: int, now: float) -> None:
        """The next try need not wait any longer, if there is to be one."""
        if member in self._due:
            self._due[member] = now

    def answered(self, member: int) -> None:
        """It worked: the next failure begins with the shortest pause."""
        self._due.pop(member, None)
        self._failures.pop(member, None)

    def keep_only(self, members: Container[int]) -> None:
        """Forget all others."""
        for known in [member for member in self._failures if member not in members]:
            self.answered(known)

    def planned(self, member: int) -> bool:
        """Is a try due at some time?"""
        return member in self._due

    def due(self, now: float) -> list[int]:
        """Return the standbys to dial now, in order of id."""
        return sorted(member for member, at in self._due.items() if at <= now)

    def deadlines(self) -> list[float]:
        """Return when."""
        return list(self._due.values())


def pause(failures: int, longest: float, jitter: Callable[[], float]) -> float:
    """Return the seconds to wait after so many failures before this one."""
    doubled: float = FIRST_PAUSE * 2.0 ** min(failures, _MOST_DOUBLINGS)
    return min(doubled, longest) * (0.5 + jitter())
