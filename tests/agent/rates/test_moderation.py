"""Which streams are read a few records at a time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import pytest

from overlaycast.agent.rates.moderation import (
    EAGER_BYTES,
    FULL_FILE_READ,
    FULL_READ,
    LEAF_REST_S,
    LONGEST_REST_S,
    PAUSE_S,
    REST_S,
    THICK_PER_S,
    TIMER_S,
    WINDOW,
    WORTH_READ,
    Moderation,
    Polling,
)


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


CHUNK = 16_408
LARGE_CHUNK = 131_120
"""A chunk of a file of 1 GiB: two records of 64 KiB."""
LARGE = 6 << 20
"""A receive buffer as Linux lets it grow."""


def due_of(chunk: int, had: int) -> Callable[[float], int]:
    """Return the intake's say in the matter, once so many bytes came."""

    def due(least: float) -> int:
        missing = chunk - had % chunk
        return missing + max(0, math.ceil((least - missing) / chunk)) * chunk

    return due


def rests(rate: float, forwards: bool, chunk: int = CHUNK) -> list[tuple[float, int]]:
    """A link that brings so many bytes a second, read when it is due: how long it rested, how many chunks that made."""
    polling, now, had = Polling(), 100.0, 0
    rested = []
    for _ in range(200):
        came = max(1, int(rate * (now - 100.0)) - had)
        before, had = had, had + came
        rest_s = polling.rest_s(min(came, FULL_FILE_READ), now, forwards, due_of(chunk, had), LARGE)
        if forwards and had < EAGER_BYTES:
            assert rest_s == 0.0
            now += chunk / rate  # whatever the kernel wakes us for
        else:
            rested.append((rest_s, had // chunk - before // chunk))
        now += max(rest_s, 1e-4)
    return rested[20:]


@pytest.mark.parametrize("forwards", [True, False])
@pytest.mark.parametrize("rate", [1e4, 2.5e5, 2.5e6, 2.5e7, 1e8])
def test_a_file_is_read_every_few_milliseconds_whatever_its_rate(rate: float, forwards: bool) -> None:
    seen = [rest_s for rest_s, _ in rests(rate, forwards)]
    assert all(0 < rest_s <= (LONGEST_REST_S if forwards else LEAF_REST_S) for rest_s in seen)
    if rate >= 1e8:  # a fourth of a full read is worth one
        assert WORTH_READ <= statistics.median(seen) * rate <= WORTH_READ + CHUNK + TIMER_S * rate


def test_a_node_that_forwards_reads_when_a_chunk_is_whole() -> None:
    """20 Mbit/s: a chunk takes 6.6 ms, so each read brings one or two, and never much less."""
    seen = [rest_s for rest_s, _ in rests(2.5e6, forwards=True)]
    assert 0.8 * REST_S <= statistics.median(seen) <= 2 * CHUNK / 2.5e6 + TIMER_S


@pytest.mark.parametrize(("chunk", "rate"), [(CHUNK, 2.5e6), (CHUNK, 1e8), (LARGE_CHUNK, 1e8), (3 * LARGE_CHUNK, 1e8)])
def test_a_rest_ends_when_another_chunk_is_whole(chunk: int, rate: float) -> None:
    """A timer takes the nearest millisecond: one that is a little too short would find nothing that can go on."""
    seen = rests(rate, forwards=True, chunk=chunk)
    assert all(rest_s / TIMER_S == pytest.approx(round(rest_s / TIMER_S)) for rest_s, _ in seen)
    assert statistics.mean(chunks > 0 for _, chunks in seen) > 0.95


def test_a_file_is_read_at_full_speed_where_reads_are_full() -> None:
    polling = Polling()
    assert polling.rest_s(1, 100.0, True, lambda _: CHUNK, LARGE) == 0.0  # no rate is known yet
    assert polling.rest_s(FULL_FILE_READ, 101.0, True, lambda _: CHUNK, LARGE) == 0.0


@pytest.mark.parametrize("forwards", [True, False])
@pytest.mark.parametrize("chunk", [CHUNK, LARGE_CHUNK])
@pytest.mark.parametrize("kept", [1 << 16, 1 << 17, 1 << 20])
@pytest.mark.parametrize("rate", [2.5e5, 2.5e6, 2.5e7, 1.25e8])
def test_a_small_receive_buffer_does_not_hold_a_link_up(rate: float, kept: int, chunk: int, forwards: bool) -> None:
    """The window is half of it: what the sender may not send while we rest is lost to this link for good."""
    polling, now, had, rested = Polling(), 100.0, 1, 0
    rest_s = polling.rest_s(had, now, forwards, due_of(chunk, had), kept)
    while had < 20_000_000:
        passed = rest_s or 1448 / rate  # without a rest the kernel wakes us for each segment
        now += passed
        size = max(1, int(min(rate * passed, kept / 2)))
        had += size
        rest_s = polling.rest_s(size, now, forwards, due_of(chunk, had), kept)
        if had > 15_000_000:  # by then the rate is known
            assert rest_s * rate <= 1.01 * kept / 4
            rested += rest_s > 0
    assert had / (now - 100.0) > 0.9 * rate
    assert (rested > 0) == (kept / 4 >= rate * TIMER_S)
