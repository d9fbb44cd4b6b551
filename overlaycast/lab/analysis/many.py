"""Many runs of one experiment, by seed and by swept field: what was the same, what varied, and by how much. Pure.

Owns: the figures of a study, from each run's ``result.json``. A figure is a metric (``metrics``), so whatever an
experiment may expect can be seen over many runs. Runs that came to no result count as failed and have no figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from overlaycast.lab.results.metrics import METRICS
from overlaycast.lab.results.result import Judged, Result

Point = tuple[tuple[str, Any], ...]
"""Swept fields with their values, in the order of the experiment; empty where nothing is swept."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run.

    Attributes:
        point: what was swept, and to which value.
        seed: of the run.
        folder: where its files are, relative to the study's own.
        result: what it concluded; None if it came to no result.
    """

    point: Point
    seed: int
    folder: str
    result: Result | None

    @property
    def verdict(self) -> str:
        """passed, failed, invalid, or none."""
        return "none" if self.result is None else self.result.verdict


@dataclass(frozen=True, slots=True)
class Spread:
    """One metric at one point: what each run measured (``seeds`` say which), and the middle and ends of it."""

    point: Point
    values: tuple[float, ...]
    seeds: tuple[int, ...]

    @property
    def median(self) -> float:
        """The middle."""
        return float(median(self.values))

    @property
    def low(self) -> float:
        """The least."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The most."""
        return max(self.values)


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric over all runs.

    Attributes:
        name, words, unit: of the metric.
        asked: what the experiment expects of it.
        flag: it is true (1) or false (0).
        spreads: one per point at which any run measured it.
    """

    name: str
    words: str
    unit: str
    asked: tuple[Judged, ...]
    flag: bool
    spreads: tuple[Spread, ...]

    @property
    def varies(self) -> bool:
        """Whether any two runs differ."""
        return len({value for spread in self.spreads for value in spread.values}) > 1


@dataclass(frozen=True, slots=True)
class Study:
    """All of it. ``fields`` are what was swept; ``points`` are in the order of the runs."""

    experiment: str
    title: str
    about: str
    topology: str
    system: str
    fields: tuple[str, ...]
    points: tuple[Point, ...]
    samples: tuple[Sample, ...]
    measured: tuple[Measured, ...]

    @property
    def passed(self) -> int:
        """How many runs met every expectation."""
        return sum(sample.verdict == "passed" for sample in self.samples)


def study(name: str, samples: Sequence[Sample]) -> Study:
    """Return the figures of some runs of one experiment.

    Args:
        name: the experiment's, in case that no run came to a result.
        samples: at least one run.
    """
    first = next((sample.result for sample in samples if sample.result is not None), None)
    points = tuple(dict.fromkeys(sample.point for sample in samples))
    return Study(
        experiment=name,
        title=first.title if first else name,
        about=first.about if first else "",
        topology=first.topology if first else "",
        system=first.system if first else "overlay",
        fields=tuple(field for field, _ in samples[0].point),
        points=points,
        samples=tuple(samples),
        measured=_measured(samples, points, first.expectations if first else ()),
    )


def _measured(samples: Sequence[Sample], points: Sequence[Point], expected: Sequence[Judged]) -> tuple[Measured, ...]:
    found = []
    for name, metric in METRICS.items():
        values: dict[Point, list[tuple[float, int]]] = {}
        flag = False
        for sample in samples:
            value = metric.read(sample.result, sample.result.faults) if sample.result else None
            if value is not None:
                flag = isinstance(value, bool)
                values.setdefault(sample.point, []).append((float(value), sample.seed))
        spreads = tuple(_spread(point, values[point]) for point in points if point in values)
        if spreads:
            asked = tuple(one for one in expected if one.metric == name)
            found.append(Measured(name, metric.words, metric.unit, asked, flag, spreads))
    return tuple(sorted(found, key=lambda one: not one.asked))


def _spread(point: Point, runs: Sequence[tuple[float, int]]) -> Spread:
    return Spread(point, tuple(value for value, _ in runs), tuple(seed for _, seed in runs))
