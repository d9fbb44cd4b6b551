"""How long a silence is too long: adapts to the gaps that are usual on a link.

Owns: the estimate. Refuses: what to do about it. The estimator is that of TCP's retransmission timer (RFC 6298: mean
and mean deviation, gains 1/8 and 1/4): a link with regular gaps is suspected early, a ragged one later.
"""

from __future__ import annotations

from typing import Final

_MEAN_GAIN: Final = 1 / 8
_DEVIATION_GAIN: Final = 1 / 4
_DEVIATIONS: Final = 4
_CEILING: Final = 5
"""The limit never exceeds so many floors: a dead parent must not hide behind a ragged past."""


class SilenceLimit:
    """The adaptive limit of one link.

    Args:
        floor: seconds; a shorter silence is never suspect.
    """

    __slots__ = ("_deviation", "_floor", "_mean")

    def __init__(self, floor: float) -> None:
        self._floor = floor
        self._mean = 0.0
        self._deviation = 0.0

    def gap(self, seconds: float) -> None:
        """The link was heard ``seconds`` after the time before."""
        error = seconds - self._mean
        self._mean += _MEAN_GAIN * error
        self._deviation += _DEVIATION_GAIN * (abs(error) - self._deviation)

    @property
    def seconds(self) -> float:
        """The limit now."""
        usual = self._mean + _DEVIATIONS * self._deviation
        return min(max(self._floor, usual), _CEILING * self._floor)
