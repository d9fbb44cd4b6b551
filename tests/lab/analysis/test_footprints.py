"""A program that grows is found, however slowly; one that only warmed up, breathes or has a bad moment is not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from overlaycast.lab.analysis import judge
from overlaycast.lab.analysis.footprints import footprints, trend
from overlaycast.lab.recording.recording import Footprint
from overlaycast.lab.results.metrics import METRICS
from tests.lab import made_up

MIB = 1 << 20
HOUR_S = 3600


def watched(mib: dict[int, float] | None = None, seconds: int = HOUR_S, **leaks: float) -> list[Footprint]:
    """Return an hour of a program whose ring fills for 34 s, which breathes, and which leaks so much per hour.

    ``mib``: what it holds besides at single seconds.
    """
    found = []
    for t in range(seconds):
        ring, breath = 32 * min(1, t / 34), 0.3 * math.sin(t / 40)
        held = 40 + ring + breath + leaks.get("memory", 0) * t / HOUR_S + (mib or {}).get(t, 0)
        descriptors = 20 + t // 7 % 3 + int(leaks.get("descriptors", 0) * t / HOUR_S)
        found.append(Footprint(1e9 + t, "202a", 77, round(held * MIB), descriptors))
    return found


def test_a_program_that_fills_its_ring_and_breathes_is_flat() -> None:
    (one,) = footprints(watched())
    assert one.watched_s == HOUR_S - 61
    assert one.rss_mib == pytest.approx(72, abs=0.5)
    assert (one.grown_mib < 0.2, one.grown_descriptors < 1) == (True, True)


def test_ten_bytes_a_record_are_a_leak() -> None:
    # 127 records a second of 8 Mbit/s
    (one,) = footprints(watched(memory=10 * 127 * HOUR_S / MIB))
    assert one.grown_mib == pytest.approx(4.3, abs=0.3)


def test_a_descriptor_that_each_departure_leaves_behind_is_a_leak() -> None:
    (one,) = footprints(watched(descriptors=150))
    assert one.grown_descriptors == pytest.approx(148, abs=4)


def test_one_bad_moment_is_no_trend() -> None:
    (one,) = footprints(watched(dict.fromkeys(range(3500, 3599), 200)))
    assert one.grown_mib < 0.2


def test_who_was_not_watched_long_enough_is_not_judged() -> None:
    assert footprints(watched(seconds=90)) == ()
    assert [one.watched_s for one in footprints(watched(seconds=92))] == [31]
    assert footprints([]) == ()


def test_starts_of_a_program_are_told_apart() -> None:
    again = [Footprint(one.t + HOUR_S, one.host, 78, one.rss_bytes + 50 * MIB, one.descriptors) for one in watched()]
    assert [one.grown_mib < 0.2 for one in footprints([*watched(), *again])] == [True, True]


def test_a_trend_needs_two_parts() -> None:
    assert trend([1.0], [5.0]) == 0
    assert trend([0.0, 1.0, 2.0], [0.0, 2.0, 4.0]) == 2


def test_the_metrics_are_of_the_worst_program() -> None:
    result = judge.build(replace(made_up.recording(), footprints=[*watched(), *other(memory=40.0)]))
    assert METRICS["memory_growth_mib"].read(result, ()) == pytest.approx(39.3, abs=0.5)
    assert METRICS["descriptor_growth"].read(result, ()) == pytest.approx(0, abs=1)
    assert METRICS["memory_growth_mib"].read(judge.build(made_up.recording()), ()) is None, "nobody was watched"


def other(memory: float) -> list[Footprint]:
    """Return the same hour of another program, which leaks."""
    return [Footprint(one.t, "source", 78, one.rss_bytes, one.descriptors) for one in watched(memory=memory)]
