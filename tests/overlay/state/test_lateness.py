"""Lateness is what is above the lowest latency lately, whatever two clocks say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay.state.lateness import SLACK_MS, WINDOW_S, Lateness
from tests.overlay.scene import Scene

DAY_MS = 86_400_000.0


@given(st.floats(0, 1e9), st.lists(st.floats(0, 900), min_size=1, max_size=20))
def test_the_difference_of_two_clocks_is_no_lateness(offset: float, late: list[float]) -> None:
    seen = Lateness.beginning(offset, 0.0)
    for second, more in enumerate(late, 1):
        told = seen.above(offset + more, float(second))
        assert abs(told - more) < 1e-3


@given(st.lists(st.tuples(st.floats(0.1, 60), st.floats(-2 * DAY_MS, 2 * DAY_MS)), max_size=30))
def test_no_step_of_a_clock_is_lateness_beyond_the_time_that_has_passed(steps: list[tuple[float, float]]) -> None:
    seen, now, latency = Lateness.beginning(DAY_MS, 0.0), 0.0, DAY_MS
    for seconds, step in steps:
        now += seconds
        latency = max(latency + step, 0.0)
        assert 0 <= seen.above(latency, now) <= now * 1000 + SLACK_MS * len(steps) + 1e-3


def test_data_that_comes_ever_later_is_late() -> None:
    seen = Lateness.beginning(20.0, 0.0)
    assert [seen.above(20.0 + 500 * second, second) for second in range(1, 6)] == [500, 1000, 1500, 2000, 2500]


def test_what_was_lowest_is_forgotten_in_time() -> None:
    seen = Lateness.beginning(0.0, 0.0)
    told = [seen.above(900.0, 100.0 * step) for step in range(1, 10)]
    assert told[0] == 900
    assert told[-1] == 0
    assert told[int(WINDOW_S / 100) - 2] == 900


def test_a_clock_that_is_set_moves_nobody_and_a_growing_queue_does() -> None:
    scene = Scene(measure="latency", latency_threshold_ms=1000, source_out_degree=1, improve_s=0)
    scene.join("s", ("r0",), "source")
    for name in "abc":
        scene.join(name, ("r0", name))
    scene.pass_time(2)
    victim = scene[next(name for name in "abc" if scene.parents()[name] != "s")]
    for _ in range(20):
        scene.now += 1
        scene.report(victim, latency_p50_ms=DAY_MS)
    assert "slow" not in scene.kinds()
    for step in range(20):
        scene.now += 1
        scene.report(victim, latency_p50_ms=DAY_MS + 500 * step)
    scene.deliver()
    assert "slow" in scene.kinds()
