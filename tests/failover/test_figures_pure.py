"""Histogram, reception, silence limit, redials: the small pure parts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.agent.rates.stats import MOST_MS, Histogram, Reception
from overlaycast.failover.redial import LONGEST_PAUSE, Redials
from overlaycast.failover.silence import SilenceLimit

latencies = st.lists(st.floats(0.05, 100_000), min_size=1, max_size=200)


@given(latencies, st.floats(0.01, 1))
def test_percentiles_are_within_a_bucket(values: list[float], share: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = sorted(values)[math.ceil(share * len(values) - 1e-9) - 1]
    found = histogram.percentile(share)
    assert found is not None
    assert exact - 0.001 <= found <= exact * 1.1 + 0.001
    assert histogram.maximum == max(values)


def test_a_time_from_the_stone_age_is_not_believed() -> None:
    reception = Reception(0.0)
    reception.arrived(1.0, 1.8e9, 1, 5, 1, 1)
    assert reception.latency.maximum == MOST_MS


def test_an_empty_histogram_says_nothing_and_a_clock_behind_counts_as_zero() -> None:
    histogram = Histogram()
    assert histogram.percentile(0.5) is None
    histogram.add(-5)
    assert histogram.percentile(0.5) == 0.0


@given(st.lists(st.tuples(st.floats(0.001, 5), st.integers(1, 9)), min_size=1, max_size=40))
def test_reception_counts_records_and_the_longest_gap(reads: list[tuple[float, int]]) -> None:
    reception = Reception(0.0)
    now = 0.0
    gaps = []
    for wait, records in reads:
        now += wait
        gap = reception.arrived(now, 1000 + now, records, 10 * records, int((1000 + now) * 1e6), 0)
        gaps.append(gap)
    assert gaps[0] is None
    assert reception.records == sum(records for _, records in reads)
    longest = max((wait * 1000 for wait, _ in reads[1:]), default=0)
    assert math.isclose(reception.longest_gap_ms, longest, rel_tol=1e-6, abs_tol=1e-6)
    assert reception.take_report(now).records == reception.take_sample(now).records == reception.records
    assert reception.take_report(now).records == 0


@given(st.lists(st.floats(0, 10), max_size=60))
def test_the_limit_stays_between_floor_and_ceiling(gaps: list[float]) -> None:
    limit = SilenceLimit(0.08)
    now = 0.0
    for gap in gaps:
        now += gap
        limit.gap(gap, now)
        assert 0.08 <= limit.seconds(now) <= 0.16
        assert limit.unusual(now) >= limit.seconds(now)


def test_the_limit_follows_the_link() -> None:
    limit = SilenceLimit(0.08)
    now = 0.0
    for _ in range(50):
        now += 0.01
        limit.gap(0.01, now)
    assert limit.seconds(now) == 0.08
    limit.gap(0.15, now)
    assert limit.seconds(now) == 0.16
    for _ in range(100):  # a second of regular deliveries does not make it forget
        now += 0.01
        limit.gap(0.01, now)
    assert limit.seconds(now) > 0.12
    assert limit.unusual(now) > 0.18
    assert limit.seconds(now + 10) == 0.08


def test_a_machine_that_wakes_us_late_is_believed_before_the_first_false_alarm() -> None:
    limit = SilenceLimit(0.04)
    limit.late(0.1, 5.0)
    assert limit.seconds(5.0) == pytest.approx(0.14)
    limit.late(0.001, 5.1)
    assert limit.seconds(5.1) > 0.13
    assert limit.seconds(60.0) == pytest.approx(0.04, abs=1e-4)
    limit.late(30.0, 60.0)  # a night's sleep is not a habit
    assert limit.seconds(60.0) < 0.5


def test_pauses_grow_and_a_success_forgives() -> None:
    redials = Redials(lambda: 0.5)
    pauses = []
    for _ in range(8):
        redials.failed(1, 100.0)
        pauses.append(redials.deadlines()[0] - 100.0)
        redials.dialled(1)
    assert pauses == sorted(pauses)
    assert [round(pause, 3) for pause in pauses[:3]] == [0.2, 0.4, 0.8]
    assert round(pauses[-1], 3) == LONGEST_PAUSE
    redials.answered(1)
    redials.failed(1, 100.0)
    assert round(redials.deadlines()[0] - 100.0, 3) == 0.2


def test_only_what_is_due_is_dialled_and_only_who_is_wanted() -> None:
    redials = Redials(lambda: 0.5)
    redials.failed(2, 10.0)
    redials.failed(1, 10.0)
    assert redials.due(10.1) == []
    assert redials.due(10.3) == [1, 2]
    redials.keep_only({2})
    assert (redials.planned(1), redials.planned(2)) == (False, True)


def test_only_a_planned_try_can_be_hastened() -> None:
    redials = Redials(lambda: 0.5)
    redials.hasten(7, 1.0)
    assert redials.due(9.0) == []
    redials.failed(7, 1.0)
    redials.hasten(7, 1.0)
    assert redials.due(1.0) == [7]
