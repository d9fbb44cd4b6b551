"""How long a silence is too long: adapts to the gaps that have been usual of late.

Owns: the estimate. Refuses: what to do about it. A link delivers hundreds of times a second, so a mean over deliveries
(as in RFC 6298 over round trips) forgets a stall within a tenth of a second, and a busy machine would raise the same
false alarm again and again. So the longest recent gap counts, and fades with time, not with deliveries.
"""

from __future__ import annotations

from typing import Final

_MARGIN: Final = 1.5
"""A silence is suspect when it is so many times as long as the longest recent gap that ended well."""
_HALF_LIFE_S: Final = 4.0
_CEILING: Final = 5
"""The limit never exceeds so many floors: a dead parent must not hide behind a ragged past."""


class SilenceLimit:
    """The adaptive limit of one node; its stalls are mostly its own machine's, whoever the parent is.

    Args:
        floor: seconds; a shorter silence is never suspect.
    """

    __slots__ = ("_at", "_floor", "_longest")

    def __init__(self, floor: float) -> None:
        self._floor = floor
        self._longest = 0.0
        self._at = 0.0

    def gap(self, seconds: float, now: float) -> None:
        """A parent was heard again, ``seconds`` after the time before."""
        if seconds > self._faded(now):
            self._longest, self._at = seconds, now

    def _faded(self, now: float) -> float:
        faded: float = self._longest * 0.5 ** ((now - self._at) / _HALF_LIFE_S)
        return faded

    def seconds(self, now: float) -> float:
        """Return the limit at this time."""
        return min(max(self._floor, _MARGIN * self._faded(now)), _CEILING * self._floor)
