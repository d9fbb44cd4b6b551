"""The hosts' clocks: how far each was from the source's host's, and journals dated as if they had agreed. Pure.

Owns: the arithmetic of offsets. A host's clock is measured before the stream and after it; between these its offset
goes along a straight line, before and after it stays. Refuses: to hide the uncertainty; half of the shortest round trip
stays in every figure that compares two hosts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from overlaycast.lab.recording.journals import Journal
from overlaycast.wire.journal import Entry, Sample, SinkLatency, Summary


@dataclass(frozen=True, slots=True)
class Exchange:
    """One measurement: at ``at`` (the host's own wall clock) it was so far ahead of the reference."""

    at: float
    offset_ms: float
    uncertainty_ms: float
    rtt_ms: float


@dataclass(frozen=True, slots=True)
class Clock:
    """A host's clock against the reference's. Without an exchange it is the reference."""

    exchanges: tuple[Exchange, ...] = ()

    def offset_s(self, t: float) -> float:
        """Return by how much the host was ahead when its own clock showed ``t``."""
        if not self.exchanges:
            return 0.0
        first, last = self.exchanges[0], self.exchanges[-1]
        if last.at <= first.at or t <= first.at:
            return first.offset_ms / 1000
        share = min(1.0, (t - first.at) / (last.at - first.at))
        return (first.offset_ms + share * (last.offset_ms - first.offset_ms)) / 1000

    def right(self, t: float) -> float:
        """Return what the reference's clock showed when this host's showed ``t``."""
        return t - self.offset_s(t)

    def own(self, t: float) -> float:
        """Return what this host's clock shows when the reference's shows ``t``."""
        return t + self.offset_s(t)

    @property
    def uncertainty_ms(self) -> float:
        """Return by how much the offset may be wrong."""
        return max((one.uncertainty_ms for one in self.exchanges), default=0.0)

    @property
    def drift_ms(self) -> float:
        """Return what the offset changed by from the first measurement to the last."""
        return self.exchanges[-1].offset_ms - self.exchanges[0].offset_ms if self.exchanges else 0.0


REFERENCE: Final = Clock()


def set_right(journal: Journal, clock: Clock) -> Journal:
    """Return a journal as it would be had the host's clock agreed with the source's.

    A latency is this host's clock less the source's, so the offset is taken from it.
    """
    return Journal(journal.host, tuple(_entry(entry, clock) for entry in journal.entries))


def _entry(entry: Entry, clock: Clock) -> Entry:
    off_ms = clock.offset_s(entry.t) * 1000
    changed: dict[str, object] = {"t": clock.right(entry.t)}
    if isinstance(entry, Sample) and entry.latency_ms is not None:
        changed["latency_ms"] = entry.latency_ms - off_ms
    if isinstance(entry, Summary):
        if entry.latency_ms is not None:
            changed["latency_ms"] = _latency(entry.latency_ms, off_ms)
        if entry.longest_gap_at is not None:
            changed["longest_gap_at"] = clock.right(entry.longest_gap_at)
    return entry.model_copy(update=changed)


def _latency(seen: SinkLatency, off_ms: float) -> SinkLatency:
    shifted = {name: value - off_ms for name, value in seen.model_dump().items() if value is not None}
    return seen.model_copy(update=shifted)
