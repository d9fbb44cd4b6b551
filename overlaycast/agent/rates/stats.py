"""What one member saw of the stream: counters, latency, gaps.

Owns: the figures behind reports, journal samples and the summary. Refuses: clocks (times come in) and files. Memory
is fixed, however long the stream runs.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

_BUCKETS_PER_OCTAVE: Final = 8
_LEAST_MS: Final = 0.05
_BOUNDS: Final = [_LEAST_MS * 2 ** (i / _BUCKETS_PER_OCTAVE) for i in range(22 * _BUCKETS_PER_OCTAVE)]
"""Upper bounds of the histogram's buckets: 0.05 ms to about 200 s, each 9 % above the one before."""
STEP_MS: Final = 1000.0
"""Data cannot become later faster than time passes: what exceeds that by so much is a clock that was set."""
MOST_MS: Final = 1e9
"""A record's time is what a stranger may have written there."""


class Histogram:
    """Latencies in milliseconds with a fixed number of buckets; percentiles are exact to 9 %."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS) + 1)
        self.total = 0
        self.maximum = 0.0

    def add(self, ms: float) -> None:
        """Count one value; a clock that runs behind the source's counts as 0, no more than ``MOST_MS`` is believed."""
        if ms > self.maximum:
            self.maximum = ms = min(ms, MOST_MS)
        self._counts[bisect_left(_BOUNDS, ms)] += 1
        self.total += 1

    def merge(self, other: Histogram) -> None:
        """Count all values of another one too."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]
        self.total += other.total
        self.maximum = max(self.maximum, other.maximum)

    def percentile(self, share: float) -> float | None:
        """Return the value that ``share`` (0 to 1) of all do not exceed; None without values."""
        if not self.total:
            return None
        left = share * self.total
        for bound, count in zip(_BOUNDS, self._counts, strict=False):
            left -= count
            if left <= 0:
                return round(min(bound, self.maximum), 3)
        return round(self.maximum, 3)


class Interval:
    """Figures since the last report or sample."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.records = 0
        self.bytes = 0
        self.longest_gap_ms = 0.0
        self.latency = Histogram()

    def merge(self, other: Interval) -> None:
        """Take over what another interval counted."""
        self.records += other.records
        self.bytes += other.bytes
        self.longest_gap_ms = max(self.longest_gap_ms, other.longest_gap_ms)
        self.latency.merge(other.latency)


class Reception:
    """What arrives: counted once per read, with the latencies of the first and the last record of each read.

    A gap is the time between two reads that brought new records, from the first record to END.
    """

    def __init__(self, now: float) -> None:
        self.duplicates = 0
        self.lost = 0
        self.longest_gap_ms = 0.0
        self.longest_gap_at = 0.0
        self.last_arrival: float | None = None
        self._shift_ms = 0.0
        self._latency_ms = 0.0
        self._whole = Interval(now)
        self._report = Interval(now)
        self._sample = Interval(now)
        self._fresh = Interval(now)

    def arrived(self, now: float, wall: float, records: int, size: int, first_us: int, last_us: int) -> float | None:
        """Count one read. ``now`` is monotonic, ``wall`` seconds since 1970. Return the gap before it in ms.

        Counted in one place only, as this runs with every read; samples and reports merge it.
        """
        fresh, gap_ms = self._fresh, None
        if self.last_arrival is not None:
            gap_ms = (now - self.last_arrival) * 1000
            if gap_ms > fresh.longest_gap_ms:
                fresh.longest_gap_ms = gap_ms
                if gap_ms > self.longest_gap_ms:
                    self.longest_gap_ms, self.longest_gap_at = gap_ms, wall
        self.last_arrival = now
        fresh.records += records
        fresh.bytes += size
        fresh.latency.add(self._latency(wall * 1000 - first_us / 1000, gap_ms))
        if records > 1:
            fresh.latency.add(self._latency(wall * 1000 - last_us / 1000, 0.0))
        return gap_ms

    def _latency(self, apart_ms: float, passed_ms: float | None) -> float:
        """Return the latency that two clocks show; one that was set since, or that is behind, does not count in it."""
        latency = apart_ms + self._shift_ms
        if latency < 0:
            self._shift_ms -= latency
            latency = 0.0
        elif passed_ms is not None and latency - self._latency_ms > passed_ms + STEP_MS:
            self._shift_ms -= latency - self._latency_ms
            latency = self._latency_ms
        self._latency_ms = latency
        return latency

    @property
    def records(self) -> int:
        """New records so far."""
        return self._whole.records + self._fresh.records

    @property
    def bytes(self) -> int:
        """Their payload."""
        return self._whole.bytes + self._fresh.bytes

    @property
    def newest_ms(self) -> float | None:
        """How late the newest record came; None before the first."""
        return None if self.last_arrival is None else self._latency_ms

    def _settle(self, now: float) -> None:
        """Merge what is fresh into everything that it counts for."""
        fresh, self._fresh = self._fresh, Interval(now)
        for interval in (self._report, self._sample, self._whole):
            interval.merge(fresh)

    @property
    def latency(self) -> Histogram:
        """All latencies so far."""
        whole = Histogram()
        whole.merge(self._whole.latency)
        whole.merge(self._fresh.latency)
        return whole

    def take_report(self, now: float) -> Interval:
        """Return the figures since the last report and begin anew."""
        self._settle(now)
        taken, self._report = self._report, Interval(now)
        return taken

    def take_sample(self, now: float) -> Interval:
        """Return the figures since the last sample and begin anew."""
        self._settle(now)
        taken, self._sample = self._sample, Interval(now)
        return taken

    def silent_ms(self, now: float) -> float:
        """Return for how long nothing new has come; 0 before the first record."""
        return 0.0 if self.last_arrival is None else (now - self.last_arrival) * 1000
