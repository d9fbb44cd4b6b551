"""What a member counts of its stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.agent.rates.stats import MOST_MS, Histogram, Reception


def histogram(*values: float) -> Histogram:
    made = Histogram()
    for value in values:
        made.add(value)
    return made


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_percentiles_are_exact_to_nine_percent(values: list[float], share: float) -> None:
    exact = sorted(values)[max(0, -(-int(share * len(values) * 100) // 100) - 1)]
    told = histogram(*values).percentile(share)
    assert told is not None
    assert told >= min(exact, 200_000) - 0.001
    assert told <= max(values) + 0.001


def test_no_values_no_percentile() -> None:
    assert Histogram().percentile(0.5) is None


def test_what_is_beyond_the_last_bound_or_believable() -> None:
    assert histogram(1e6).percentile(0.5) == 1e6
    assert histogram(1e30).percentile(1.0) == MOST_MS


def test_gaps_and_records_are_counted_once_for_reports_and_samples() -> None:
    seen = Reception(0.0)
    assert seen.silent_ms(5.0) == 0
    assert seen.newest_ms is None
    assert seen.arrived(1.0, 101.0, 1, 100, 100_990_000, 100_990_000) is None
    assert seen.arrived(1.5, 101.5, 2, 200, 101_480_000, 101_490_000) == pytest.approx(500)
    assert (seen.records, seen.bytes) == (3, 300)
    assert seen.arrived(1.6, 101.6, 1, 100, 101_590_000, 101_590_000) == pytest.approx(100)
    sample = seen.take_sample(2.0)
    assert (sample.records, sample.bytes) == (4, 400)
    assert sample.longest_gap_ms == pytest.approx(500)
    assert seen.arrived(1.61, 101.61, 1, 100, 101_600_000, 101_600_000) == pytest.approx(10)
    assert seen.take_sample(3.0).longest_gap_ms == pytest.approx(10)
    report = seen.take_report(4.0)
    assert report.records == seen.records == 5
    assert seen.bytes == 500
    assert report.longest_gap_ms == pytest.approx(500)
    assert seen.longest_gap_ms == pytest.approx(500)
    assert seen.longest_gap_at == 101.5
    assert seen.latency.total == 5
    assert seen.silent_ms(1.71) == pytest.approx(100)
    assert seen.newest_ms == pytest.approx(10)


@given(st.lists(st.floats(-86_400, 86_400).filter(lambda step: abs(step) > 3), max_size=5))
def test_a_clock_that_is_set_is_no_latency(steps: list[float]) -> None:
    seen, wall, now = Reception(0.0), 1_000_000.0, 0.0
    for step in [0.0, *steps]:
        wall += step
        for _ in range(10):
            now += 0.1
            wall += 0.1
            made = 1_000_000.0 + now
            seen.arrived(now, wall + 0.02, 1, 100, int(made * 1e6), int(made * 1e6))
    assert seen.latency.maximum < 2000


def test_latency_counts_above_the_lowest_where_the_clock_is_behind() -> None:
    seen = Reception(0.0)
    for tick, late in enumerate([0.0, 0.0, 0.5, 1.0, 1.0]):
        now = 1.0 + tick
        seen.arrived(now, 50.0 + now + late, 2, 100, int((100 + now) * 1e6), int((100 + now) * 1e6))
    assert seen.latency.maximum == pytest.approx(1000, abs=0.01)
