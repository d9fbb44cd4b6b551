"""When each byte of the input is due: the media's own clock, a constant rate, or as fast as possible.

Owns: MPEG-TS clock references (ISO/IEC 13818-1, 2.4.3.5: 33 bits at 90 kHz, 9 bits at 27 MHz) and the
piecewise-linear schedule between them. Refuses: waiting. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, Protocol

from overlaycast.agent.records.cutter import SYNC
from overlaycast.wire.frames import TS_PACKET

_WRAP_S: Final = (1 << 33) / 90_000
_LONGEST_STEP_S: Final = 5.0
"""Two references further apart than this are a discontinuity, not a time."""


class Schedule(Protocol):
    """Byte offset to seconds after the first byte."""

    def due(self, offset: int) -> float | None:
        """Return when the byte at ``offset`` is to be sent; None: more input has to be seen first."""

    def saw(self, data: bytes, last: bool) -> None:
        """The next portion of the input, in order; ``last``: there is no more after it."""


class AtOnce:
    """As fast as it comes."""

    def due(self, offset: int) -> float | None:
        """Return 0."""
        return 0.0

    def saw(self, data: bytes, last: bool) -> None:
        """Nothing to learn."""


class ConstantRate:
    """``rate_mbit`` Mbit/s of payload."""

    def __init__(self, rate_mbit: float) -> None:
        self._bytes_per_s = rate_mbit * 125_000

    def due(self, offset: int) -> float | None:
        """Return when at this rate."""
        return offset / self._bytes_per_s

    def saw(self, data: bytes, last: bool) -> None:
        """Nothing to learn."""


def pcr_of(packet: bytes | memoryview) -> float | None:
    """Return the clock reference in a packet, in seconds; None if it has none."""
    if packet[0] != SYNC or not packet[3] & 0x20 or packet[4] < 7 or not packet[5] & 0x10:
        return None
    base = int.from_bytes(packet[6:10], "big") << 1 | packet[10] >> 7
    extension = (packet[10] & 1) << 8 | packet[11]
    return base / 90_000 + extension / 27_000_000


def pid_of(packet: bytes | memoryview) -> int:
    """Return the packet's programme id."""
    return (packet[1] & 0x1F) << 8 | packet[2]


class MediaClock:
    """The schedule that a transport stream carries in itself.

    Between two references the rate is constant; before the first and after the last it is that of the nearest
    pair. A wrap of the counter is time going on, a discontinuity goes on at the rate before it.
    """

    def __init__(self) -> None:
        self._offsets: list[int] = []
        self._times: list[float] = []
        self._pid: int | None = None
        self._last_pcr = 0.0
        self._rest = b""
        self._seen = 0
        self._complete = False

    def saw(self, data: bytes, last: bool) -> None:
        """Look for clock references."""
        data = self._rest + data
        start = self._seen
        whole = len(data) // TS_PACKET * TS_PACKET
        for at in range(0, whole, TS_PACKET):
            # the cheap test first: adaptation field, long enough, with a reference
            if data[at + 3] & 0x20 and data[at + 4] >= 7 and data[at + 5] & 0x10:
                self._reference(data[at : at + 12], start + at)
        self._rest = data[whole:]
        self._seen = start + whole
        self._complete = self._complete or last

    def _reference(self, packet: bytes, offset: int) -> None:
        pcr = pcr_of(packet)
        if pcr is None:
            return
        if self._pid is None:
            self._pid = pid_of(packet)
        if pid_of(packet) != self._pid:
            return
        if not self._offsets:
            self._add(offset, 0.0)
        else:
            step = pcr - self._last_pcr
            if step < -_WRAP_S / 2:
                step += _WRAP_S
            if not 0 <= step <= _LONGEST_STEP_S:
                step = (offset - self._offsets[-1]) / self._rate_before()
            self._add(offset, self._times[-1] + step)
        self._last_pcr = pcr

    def _add(self, offset: int, time: float) -> None:
        self._offsets.append(offset)
        self._times.append(time)

    def _rate_before(self) -> float:
        """Bytes per second over all that is known; 1 MB/s before anything is."""
        if len(self._times) < 2 or self._times[-1] <= 0:
            return 1_000_000.0
        return (self._offsets[-1] - self._offsets[0]) / self._times[-1]

    def due(self, offset: int) -> float | None:
        """Return when, relative to the first reference; earlier bytes are due at once."""
        place = bisect_right(self._offsets, offset)
        if place == 0:
            return 0.0 if self._offsets or self._complete else None
        if place < len(self._offsets):
            before, after = self._offsets[place - 1], self._offsets[place]
            share = (offset - before) / (after - before)
            return self._times[place - 1] + share * (self._times[place] - self._times[place - 1])
        if not self._complete:
            return None
        return self._times[-1] + (offset - self._offsets[-1]) / self._rate_before()
