"""Which streams are read a few records at a time."""

from __future__ import annotations

import pytest

from overlaycast.agent.moderation import FULL_READ, PAUSE_S, THICK_PER_S, WINDOW, Moderation, rest_s


def pauses(per_s: float, per_read: int = 1, size: int = 1300, reads: int = 1000) -> list[bool]:
    moderation, said = Moderation(), []
    for n in range(1, reads + 1):
        moderation.took(per_read, size * per_read, 100 + n * per_read / per_s)
        said.append(moderation.pausing)
    return said[2 * WINDOW :]


@pytest.mark.parametrize("per_s", [1.0, 130.0, 1923.0, 0.9 * THICK_PER_S])
def test_a_thin_stream_never_waits(per_s: float) -> None:
    assert not any(pauses(per_s))


@pytest.mark.parametrize("per_read", [1, 2, 3])
def test_a_thick_stream_is_read_a_few_records_at_a_time(per_read: int) -> None:
    """However many share a read because of it: a pause does not make the stream look thinner."""
    assert all(pauses(1.1 * THICK_PER_S, per_read))


def test_full_reads_need_no_pause() -> None:
    assert not any(pauses(50_000, per_read=8, size=FULL_READ // 8))


def test_records_that_were_held_up_and_come_at_once_do_not_make_a_stream_thick() -> None:
    moderation, now = Moderation(), 100.0
    for _ in range(100):
        now += 0.1
        moderation.took(200, 20_000, now)  # 2000 records a second, in heaps
        assert not moderation.pausing


def test_a_stream_that_becomes_thin_is_found_out_within_a_window() -> None:
    moderation = Moderation()
    for n in range(10 * WINDOW):
        moderation.took(1, 1300, n / (2 * THICK_PER_S))
    assert moderation.pausing
    begun = 10 * WINDOW / (2 * THICK_PER_S)
    for n in range(2 * WINDOW):
        moderation.took(1, 1300, begun + n * 0.008)
    assert not moderation.pausing


def test_a_pause_holds_two_records_of_the_thinnest_thick_stream() -> None:
    assert THICK_PER_S * PAUSE_S >= 1


@pytest.mark.parametrize("forwards", [True, False])
def test_a_file_is_read_at_full_speed_where_reads_are_full(forwards: bool) -> None:
    assert rest_s(FULL_READ, forwards) == 0.0


def test_a_file_rests_after_a_small_read_and_longer_where_nobody_waits() -> None:
    assert 0.0 < rest_s(FULL_READ - 1, forwards=True) < rest_s(1, forwards=False)
