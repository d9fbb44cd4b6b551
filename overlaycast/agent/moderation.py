"""How thick bytes come, and whether they should be read as they come or a few at a time.

Owns: the estimate and its bounds, for a live stream and for a file. Refuses: waiting. Pure.

What a record costs a relay is the wake-up and one ``send`` per child, whatever its size. Records that come some tenths
of a millisecond apart are read together after a short pause, as network cards do with their interrupts (interrupt
moderation): one wake-up and one ``send`` per child serve them all. A slower stream never waits, and neither does one
that fills its reads by itself.

Nobody waits for a part of a file's chunk, so a file's link rests after each small read. That saves more than wake-ups:
while segments wait unread the kernel does not acknowledge every second one, but all of them with the next read. Where a
relay passes on what it gets through the same thin uplink, acknowledgements take their room from data: with Linux's
usual one for two segments 2.2 % of it (66 bytes for 2 x 1514).
"""

from __future__ import annotations

from typing import Final

PAUSE_S: Final = 0.00025
"""What a record may wait at each hop of a thick stream."""
THICK_PER_S: Final = 4000.0
"""Records a second from which on two share a pause."""
REST_S: Final = 0.006
"""A file's link rests so long: some ten segments on a link of 20 Mbit/s, less than a chunk."""
LEAF_REST_S: Final = 0.02
"""The same at a node that feeds nobody."""
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


def rest_s(size: int, forwards: bool) -> float:
    """Return how many seconds a file's link is left alone after a read of ``size`` bytes."""
    if size >= FULL_READ:
        return 0.0
    return REST_S if forwards else LEAF_REST_S
