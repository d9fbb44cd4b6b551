"""How long a silence is too long: adapts to the gaps that have been usual of late, and to our own machine.

Owns: the estimates. Refuses: what to do about it. A link delivers hundreds of times a second, so a mean over deliveries
(as in RFC 6298 over round trips) forgets a stall within a tenth of a second, and a busy machine would raise the same
false alarm again and again. So the longest recent gap counts, and fades with time, not with deliveries.

How late our own timers fire is a second witness: a machine that does not run us in time does not run a parent on it in
time either, and it says so before the first false alarm.
"""

from __future__ import annotations

import math
from typing import Final

_MARGIN: Final = 1.5
"""A silence is suspect when it is so many times as long as the longest recent gap that ended well."""
_HALF_LIFE_S: Final = 4.0
_CEILING: Final = 2
"""Gaps raise the limit to so many floors at most. A false alarm costs a few duplicates, as the request is hedged and
the old parent may come back; a late one costs a gap."""
_MOST_LATENESS_S: Final = 0.4
_WINDOW_S: Final = 1.0
"""Seconds over which a rate is usual."""
PATIENCE: Final = 8.0
"""Links are shared: a rate may fall to so small a part of the usual and still be nothing unusual."""


class _Fading:
    """The longest of late; halves every ``_HALF_LIFE_S`` seconds."""

    __slots__ = ("_at", "_longest")

    def __init__(self) -> None:
        self._longest = 0.0
        self._at = 0.0

    def saw(self, seconds: float, now: float) -> None:
        if seconds > self.seconds(now):
            self._longest, self._at = seconds, now

    def seconds(self, now: float) -> float:
        faded: float = self._longest * 0.5 ** ((now - self._at) / _HALF_LIFE_S)
        return faded


class UsualRate:
    """How fast bytes have been coming of late: what a part of a record is worth as a sign of life.

    A link that is cut to a hundredth of its rate is not silent: a packet of a record comes now and then. So a part
    counts for as long as so many bytes usually take (``PATIENCE`` times), not as a record does.
    """

    __slots__ = ("_bytes", "_rate", "_since")

    def __init__(self) -> None:
        self._bytes = 0
        self._since: float | None = None
        self._rate = 0.0

    def took(self, size: int, now: float) -> None:
        """So many bytes came."""
        self._bytes += size
        if self._since is None:
            self._since, self._bytes = now, 0
        elif now - self._since >= _WINDOW_S:
            self._rate = self._bytes / (now - self._since)
            self._since, self._bytes = now, 0

    def worth_s(self, size: int) -> float:
        """Return for how many seconds so many bytes say that the other side lives; for ever while nothing is usual."""
        return PATIENCE * size / self._rate if self._rate else math.inf


class SilenceLimit:
    """The adaptive limit of one node; its stalls are mostly its own machine's, not the parent's.

    Args:
        floor: seconds; a shorter silence is never suspect.
    """

    __slots__ = ("_floor", "_gaps", "_lateness", "_least")

    def __init__(self, floor: float) -> None:
        self.set_floor(floor)
        self._gaps = _Fading()
        self._lateness = _Fading()

    def set_floor(self, floor: float) -> None:
        """From now on a silence shorter than ``floor`` is never suspect."""
        self._floor = floor
        self._least = floor / (2 * _MARGIN)

    def gap(self, seconds: float, now: float) -> None:
        """A parent was heard again, ``seconds`` after the time before."""
        if seconds > self._least:  # the many short ones cost nothing
            self._gaps.saw(seconds, now)

    def late(self, seconds: float, now: float) -> None:
        """One of our own timers fired so late."""
        self._lateness.saw(min(seconds, _MOST_LATENESS_S), now)

    def seconds(self, now: float) -> float:
        """Return the limit at this time."""
        by_gaps = min(max(self._floor, _MARGIN * self._gaps.seconds(now)), _CEILING * self._floor)
        return by_gaps + self._lateness.seconds(now)

    def unusual(self, now: float) -> float:
        """Return what would be unusual even so: longer than anything of late. For what costs more than a request."""
        return max(self.seconds(now), _MARGIN * self._gaps.seconds(now))
