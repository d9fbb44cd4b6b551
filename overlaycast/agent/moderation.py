"""How thick records come, and whether a relay should read them one by one or a few at a time.

Owns: the estimate and its bounds. Refuses: waiting. Pure.

What a record costs a relay is the wake-up and one ``send`` per child, whatever its size. Records that come some tenths
of a millisecond apart are read together after a short pause, as network cards do with their interrupts (interrupt
moderation): one wake-up and one ``send`` per child serve them all. A slower stream never waits, and neither does one
that fills its reads by itself.
"""

from __future__ import annotations

from typing import Final

PAUSE_S: Final = 0.00025
"""What a record may wait at each hop of a thick stream."""
THICK_PER_S: Final = 4000.0
"""Records a second from which on two share a pause."""
WINDOW: Final = 64
"""Records between two looks at the clock."""
FULL_READ: Final = 1 << 16
"""A read of so many bytes needs no company."""


class Moderation:
    """One link's: told each read, says whether the next should be waited for a little."""

    __slots__ = ("_left", "_since", "_thick", "pausing")

    def __init__(self) -> None:
        self.pausing = False
        self._thick = False
        self._left = WINDOW
        self._since = 0.0

    def took(self, records: int, size: int, now: float) -> None:
        """A read brought ``records`` in ``size`` bytes."""
        self._left -= records
        if self._left <= 0:
            self._thick = WINDOW - self._left >= THICK_PER_S * (now - self._since)
            self._since, self._left = now, WINDOW
        self.pausing = self._thick and size < FULL_READ
