"""Which streams are read a few records at a time."""

from __future__ import annotations

import math
import statistics

import pytest

from overlaycast.agent.moderation import (
    EAGER_BYTES,
    FULL_FILE_READ,
    FULL_READ,
    LEAF_REST_S,
    LONGEST_REST_S,
    PAUSE_S,
    REST_S,
    THICK_PER_S,
    WINDOW,
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
LARGE = 6 << 20
"""A receive buffer as Linux lets it grow."""


def rests(rate: float, forwards: bool, reads: int = 200) -> list[float]:
    """A link that brings so many bytes a second, read when it is due: how long it rested."""
    polling, now, had, seen = Polling(), 100.0, 0, 0
    rested = []
    for _ in range(reads):
        come = int(rate * (now - 100.0))
        size, seen = max(1, come - seen), max(come, seen + 1)
        had += size

        def due(least: float, held: int = had) -> int:
            missing = CHUNK - held % CHUNK
            return missing + max(0, math.ceil((least - missing) / CHUNK)) * CHUNK

        rest_s = polling.rest_s(min(size, FULL_FILE_READ), now, forwards, due, LARGE)
        if forwards and had < EAGER_BYTES:
            assert rest_s == 0.0
            now += CHUNK / rate  # whatever the kernel wakes us for
        else:
            rested.append(rest_s)
        now += max(rest_s, 1e-4)
    return rested[20:]


@pytest.mark.parametrize("forwards", [True, False])
@pytest.mark.parametrize("rate", [1e4, 2.5e5, 2.5e6, 2.5e7, 1e8])
def test_a_file_is_read_every_few_milliseconds_whatever_its_rate(rate: float, forwards: bool) -> None:
    seen = rests(rate, forwards)
    assert all(0 < rest_s <= (LONGEST_REST_S if forwards else LEAF_REST_S) for rest_s in seen)
    if rate >= 1e8:  # a fourth of what a read can bring is worth one
        assert statistics.median(seen) * rate == pytest.approx(FULL_FILE_READ / 4, rel=0.2)


def test_a_node_that_forwards_reads_when_a_chunk_is_whole() -> None:
    """20 Mbit/s: a chunk takes 6.6 ms, so each read brings one or two, and never much less."""
    assert 0.8 * REST_S <= statistics.median(rests(2.5e6, forwards=True)) <= 2 * CHUNK / 2.5e6


def test_a_file_is_read_at_full_speed_where_reads_are_full() -> None:
    polling = Polling()
    assert polling.rest_s(1, 100.0, True, lambda _: CHUNK, LARGE) == 0.0  # no rate is known yet
    assert polling.rest_s(FULL_FILE_READ, 101.0, True, lambda _: CHUNK, LARGE) == 0.0


@pytest.mark.parametrize("forwards", [True, False])
@pytest.mark.parametrize("chunk", [CHUNK, 131_104])
@pytest.mark.parametrize("kept", [1 << 16, 1 << 17, 1 << 20])
@pytest.mark.parametrize("rate", [2.5e5, 2.5e6, 2.5e7, 1.25e8])
def test_a_small_receive_buffer_does_not_hold_a_link_up(rate: float, kept: int, chunk: int, forwards: bool) -> None:
    """The window is half of it: what the sender may not send while we rest is lost to this link for good."""
    polling, now, had, reads = Polling(), 100.0, 1, 0
    rest_s = polling.rest_s(had, now, forwards, lambda _: chunk, kept)
    while had < 20_000_000:
        passed = rest_s or min(chunk, kept / 4) / rate
        now += passed
        size = max(1, int(min(rate * passed, kept / 2)))
        had += size
        reads += 1

        def due(least: float, held: int = had) -> int:
            missing = chunk - held % chunk
            return missing + max(0, math.ceil((least - missing) / chunk)) * chunk

        rest_s = polling.rest_s(size, now, forwards, due, kept)
    assert had / (now - 100.0) > 0.9 * rate
    assert had / reads > min(kept / 8, chunk / 8, rate * REST_S / 8)
