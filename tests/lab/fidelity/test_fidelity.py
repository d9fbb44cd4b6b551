"""What the fidelity check makes of its measurements. No network."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.lab.fidelity.fidelity import Tolerance, judge, loss_probes, rate_groups, train_frames
from overlaycast.lab.fidelity.probes import HEADERS, Received, rate_of
from overlaycast.lab.topology.shape import FRAME_BYTES, Shape

EXACT = {"delay_ms": 5.0, "rate_mbit": 20.0}
ASKED = Shape(rate_mbit=20, delay_ms=5)
shapes = st.builds(
    lambda rate, queue: Shape(rate_mbit=rate, queue_bytes=queue),
    st.none() | st.floats(0.01, 10_000),
    st.none() | st.integers(FRAME_BYTES, 1 << 24),
)


@pytest.mark.parametrize(
    ("wish", "measured", "complaint"),
    [
        (ASKED, EXACT, ""),
        (ASKED, {**EXACT, "delay_ms": 5.9}, ""),
        (ASKED, {**EXACT, "delay_ms": 6.2}, "delay asked 5 ms, measured 6.2"),
        (ASKED, {**EXACT, "delay_ms": 3.9}, "delay asked 5 ms, measured 3.9"),
        (Shape(delay_ms=5, jitter_ms=2), {"delay_ms": 7.5}, ""),
        (ASKED, {}, "no probe came through"),
        (ASKED, {**EXACT, "rate_mbit": 18.5}, "rate asked 20 Mbit/s, measured 18.5"),
        (ASKED, {**EXACT, "rate_mbit": 21.5}, "rate asked 20 Mbit/s, measured 21.5"),
        (ASKED, {"delay_ms": 5.0}, "rate asked 20 Mbit/s, measured 0"),
        (Shape(rate_mbit=1000), {"delay_ms": 0.0, "rate_mbit": 800.0}, ""),
        (Shape(rate_mbit=1000), {"delay_ms": 0.0, "rate_mbit": 700.0}, "rate asked 1000 Mbit/s, measured 700"),
        (Shape(rate_mbit=0.1), {"delay_ms": 4.64, "rate_mbit": 0.1}, ""),  # the probe itself takes that long
        (Shape(loss=0.1), {"delay_ms": 0.0, "loss": 0.12, "duplicate": 0.0, "probes": 400.0}, ""),
        (
            Shape(loss=0.1),
            {"delay_ms": 0.0, "loss": 0.3, "duplicate": 0.0, "probes": 400.0},
            "loss asked 0.1, measured 0.3 over 400 probes",
        ),
        (
            Shape(loss=0.1),
            {"delay_ms": 0.0, "loss": 0.1, "duplicate": 0.1, "probes": 400.0},
            "duplicate asked 0, measured 0.1 over 400 probes",
        ),
        (Shape(), {"delay_ms": 0.1}, ""),
    ],
)
def test_a_link_is_judged_by_what_was_asked(wish: Shape, measured: dict[str, float], complaint: str) -> None:
    assert judge(wish, measured, Tolerance()) == complaint


@given(st.lists(shapes, max_size=30), st.floats(1, 1000))
def test_every_rate_is_measured_once_and_no_group_is_too_much(asked: list[Shape], at_once: float) -> None:
    groups = rate_groups(asked, at_once)
    assert sorted(n for group in groups for n in group) == [n for n, wish in enumerate(asked) if wish.rate_mbit]
    for group in groups:
        assert len(group) == 1 or sum(asked[n].rate_mbit or 0 for n in group) <= at_once * 1.001


@given(shapes)
def test_probes_are_bounded_and_a_train_fits_the_queue(wish: Shape) -> None:
    frames = train_frames(wish)
    assert frames == 8 or frames * FRAME_BYTES <= 0.8 * wish.queue
    assert frames * FRAME_BYTES * 8e-6 / (wish.rate_mbit or 1e3) <= 0.05 or frames <= 24
    assert 20 <= loss_probes(wish) <= 400


@given(st.sampled_from([4, 6]), st.floats(1, 1000), st.integers(24, 200), st.randoms(use_true_random=False))
def test_the_rate_of_a_train_survives_a_burst_at_its_start_and_a_late_end(
    family: int, rate: float, frames: int, chance: Random
) -> None:
    payload = FRAME_BYTES - HEADERS[family]
    gap = FRAME_BYTES * 8e3 / rate
    times = [int(number * gap) for number in range(frames)]
    heard = Received(times, [payload] * frames)
    assert rate_of(heard, payload) == pytest.approx(rate, rel=0.001)
    burst = frames // 6
    heard.times_ns[:burst] = [times[burst]] * burst
    for late in chance.sample(range(frames), frames // 10):
        heard.times_ns[late] += int(3 * gap)
    heard.times_ns.sort()
    assert rate_of(heard, payload) == pytest.approx(rate, rel=0.25 if frames < 40 else 0.1)


def test_too_short_a_train_has_no_rate() -> None:
    assert rate_of(Received(), 1472) == 0
    assert rate_of(Received([1], [1472]), 1472) == 0
    assert rate_of(Received([5, 5, 5], [1472] * 3), 1472) == 0
