"""How densely records arrive, and whether to read them as they come or several together.

Owns: the estimate and its bounds, for a live stream and for a file. Refuses: waiting. Pure.

What a record costs a relay is the wake-up and one ``send`` per child, whatever its size. Records that come some tenths
of a millisecond apart are read together after a short pause, as network cards do with their interrupts (interrupt
moderation): one wake-up and one ``send`` per child serve them all. A slower stream never waits, and neither does one
that fills its reads by itself.

Nobody waits for a part of a file's chunk, so a file's link is not listened to but read when a whole chunk should be
there, by the rate at which it comes. That saves more than wake-ups: while segments wait unread the kernel does not
acknowledge every second one, but all of them with the next read. (``SO_RCVLOWAT`` would wake us just in time, and have
every second segment acknowledged.) Where a relay passes on what it gets through the same thin uplink, acknowledgements
take their room from data: with Linux's usual one for two segments 2.2 % of it (66 bytes for 2 x 1514).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

PAUSE_S: Final = 0.00025
"""What a record may wait at each hop of a thick stream."""
THICK_PER_S: Final = 4000.0
"""Records a second from which on two share a pause."""
REST_S: Final = 0.006
"""A file's link is read every so often, or as soon after as another chunk is whole: some ten segments at 20 Mbit/s."""
LEAF_REST_S: Final = 0.05
"""The same at a node without children."""
LONGEST_REST_S: Final = 0.02
"""A node that feeds others looks at least so often, whatever a chunk takes."""
_NEWEST: Final = 0.25
"""What the newest read counts in the rate."""
WINDOW: Final = 64
"""Records between two looks at the clock."""
FULL_READ: Final = 1 << 16
"""A read of so many bytes needs no company."""
FULL_FILE_READ: Final = 1 << 20
"""The same of a file's link."""
EAGER_BYTES: Final = 1 << 18
"""So much is read as it comes where a child waits for it: while a connection's window opens (slow start), segments
that wait unread would keep it shut, at each hop one after the other."""
WORTH_READ: Final = FULL_FILE_READ // 4
"""A fourth of a full read is worth a read: no link waits for more, except for its last chunk."""
ROOM_PART: Final = 4
"""Nor for more than such a part of what the kernel keeps for us: about half of that is its own accounting, and a sender
that sees its window shut would wait for us as we wait for it."""
TIMER_S: Final = 0.001
"""Timers count in these. uvloop takes the nearest: a rest a little too short finds no chunk whole, one below half of it
is none."""


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


class Polling:
    """When a file's link is worth a read: told each read, as one link's."""

    __slots__ = ("_at", "_eager", "_rate")

    def __init__(self) -> None:
        self._eager = EAGER_BYTES
        self._at: float | None = None
        self._rate = 0.0

    def rest_s(self, size: int, now: float, forwards: bool, due: Callable[[float], int], kept: int) -> float:
        """A read brought ``size`` bytes; return in how many seconds the next one is due, 0: as soon as something comes.

        Args:
            forwards: this node has children, which wait for what it receives.
            due: returns how many more bytes, at least so many, make a chunk whole.
            kept: bytes of the socket's receive buffer as it is now.
        """
        before, self._at = self._at, now
        self._eager -= size
        if before is None or now <= before:
            return 0.0
        self._rate += _NEWEST * (size / (now - before) - self._rate)
        if size >= FULL_FILE_READ or (forwards and self._eager > 0):
            return 0.0
        usual, room = REST_S if forwards else LEAF_REST_S, kept / ROOM_PART
        longest = TIMER_S * int(min(room / self._rate, max(usual, LONGEST_REST_S)) / TIMER_S)
        wanted = due(min(self._rate * usual, WORTH_READ, room))
        return min(TIMER_S * math.ceil(wanted / self._rate / TIMER_S), longest)
