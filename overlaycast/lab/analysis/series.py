"""What happened over time, in steps, for the report's timelines: ``series.json``. Pure.

Owns: the step and what is in it. Invariant: every list has one value per step, and step ``i`` covers
``[i × step_s, (i + 1) × step_s)`` after the source began.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

from overlaycast.lab.analysis.copies import Direction, wire_curve
from overlaycast.lab.analysis.delivery import NOTHING, began, ended
from overlaycast.lab.analysis.joins import Join, joins
from overlaycast.lab.analysis.moments import Moment, moments
from overlaycast.lab.faults.tree import Tree
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import Curve, Recording
from overlaycast.wire.journal import Sample

STEP_S: Final = 0.2
TAIL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Receiver:
    """One receiver's rate, and the longest silence and median latency of each step (None: nothing was written)."""

    host: str
    rate_mbit: tuple[float, ...]
    gap_ms: tuple[float | None, ...]
    latency_ms: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """The tree at one moment: ``edges`` are child -> parent, by host."""

    label: str
    at_s: float
    edges: dict[str, str]
    standbys: dict[str, tuple[str, ...]]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """All timelines of a run. ``uplinks``: what entered each site, in Mbit/s; ``moments``: each change of the tree."""

    step_s: float
    source_mbit: tuple[float, ...]
    receivers: tuple[Receiver, ...]
    uplinks: dict[str, tuple[float, ...]]
    pictures: tuple[Picture, ...]
    moments: tuple[Moment, ...] = ()
    joins: tuple[Join, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain values, ready for ``json.dumps``."""
        return asdict(self)


def build(recording: Recording) -> Series:
    """Return the timelines of a run."""
    t0 = began(recording)
    steps = max(1, math.ceil((ended(recording) + TAIL_S - t0) / STEP_S))
    edges = [t0 + index * STEP_S for index in range(steps + 1)]
    source = recording.journals.get(recording.cast.source, NOTHING)
    return Series(
        step_s=STEP_S,
        source_mbit=_rates(_written(source), edges),
        receivers=tuple(_receiver(recording, host, edges) for host in recording.cast.peers),
        uplinks=_uplinks(recording, edges),
        pictures=_pictures(recording, t0),
        moments=moments(recording),
        joins=joins(recording),
    )


def _written(journal: Journal) -> Curve:
    points = [(sample.t, float(sample.bytes)) for sample in journal.running()]
    if points and points[0][1]:  # the bytes of the first sample came in the interval that ends with it
        points.insert(0, (points[0][0] - STEP_S, 0.0))
    return Curve(tuple(t for t, _ in points), tuple(size for _, size in points))


def _rates(curve: Curve, edges: Sequence[float]) -> tuple[float, ...]:
    marks = [curve.at(edge) for edge in edges]
    return tuple(round(max(0.0, after - before) * 8e-6 / STEP_S, 3) for before, after in pairwise(marks))


def _receiver(recording: Recording, host: str, edges: Sequence[float]) -> Receiver:
    journal = recording.journals.get(host, NOTHING)
    gaps: list[float | None] = [None] * (len(edges) - 1)
    latencies: list[float | None] = [None] * (len(edges) - 1)
    for sample in journal.all(Sample):
        # a sample covers the interval that ends with it
        index = math.floor((sample.t - 0.5 * STEP_S - edges[0]) / STEP_S)
        if 0 <= index < len(gaps):
            gaps[index] = max(gaps[index] or 0.0, round(sample.gap_ms, 1))
            latencies[index] = sample.latency_ms
    return Receiver(host, _rates(_written(journal), edges), tuple(gaps), tuple(latencies))


def _uplinks(recording: Recording, edges: Sequence[float]) -> dict[str, tuple[float, ...]]:
    found: dict[str, tuple[float, ...]] = {}
    for link in recording.network.links:
        if link.site is None or link.into_site not in ("ab", "ba"):
            continue
        direction: Direction = "ab" if link.into_site == "ab" else "ba"
        rates = _rates(wire_curve(recording.counters, link.name, direction, recording.system), edges)
        before = found.get(link.site, (0.0,) * len(rates))
        found[link.site] = tuple(round(one + other, 3) for one, other in zip(before, rates, strict=True))
    return found


def _pictures(recording: Recording, t0: float) -> tuple[Picture, ...]:
    """The tree at the start, and before and after each fault where it changed."""
    found = [_picture("as the stream began", 0.0, recording.start_tree, ())]
    gone: list[str] = []
    for fault in sorted(recording.faults, key=lambda fault: fault.at):
        if fault.before.edges() != found[-1].edges:
            found.append(_picture(f"before {fault.id}", fault.at - t0, fault.before, gone))
        gone += [host for host in fault.away if host not in gone]
        if fault.after is not None:
            found.append(_picture(f"after {fault.id}", fault.at - t0, fault.after, gone))
        if fault.healed_at is not None:
            gone = [host for host in gone if host not in fault.away]
    return tuple(found)


def _picture(label: str, at_s: float, tree: Tree, gone: Sequence[str]) -> Picture:
    names: Mapping[int, str] = {seat.id: seat.host for seat in tree.seats}
    standbys = {seat.host: tuple(names[one] for one in seat.standbys if one in names) for seat in tree.seats}
    edges = {child: parent for child, parent in tree.edges().items() if child not in gone}
    return Picture(label, round(at_s, 1), edges, standbys, tuple(gone))
