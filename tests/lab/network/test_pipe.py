"""A direction of a wire, in virtual time: order, rate, queue, loss, and that every frame is accounted for."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.lab.network.pipe import Pipe
from overlaycast.lab.topology.shape import FRAME_BYTES, Shape

MS = 1_000_000
frames = st.lists(st.tuples(st.integers(0, 5 * MS), st.integers(60, FRAME_BYTES)), max_size=60)
shapes = st.builds(
    lambda rate, delay, jitter, loss, duplicate, queue: Shape(rate, delay, delay * jitter, loss, duplicate, queue),
    st.none() | st.floats(0.1, 1000),
    st.floats(0, 50),
    st.floats(0, 1),
    st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    st.none() | st.integers(FRAME_BYTES, 20_000),
)


def drain(pipe: Pipe, until: int) -> list[tuple[int, bytes]]:
    """What comes out up to a time, each with its release."""
    out = []
    while pipe.queue and pipe.queue[0][0] <= until:
        release = pipe.queue[0][0]
        out.append((release, pipe.take()))
    return out


def feed(pipe: Pipe, offers: list[tuple[int, int]]) -> list[tuple[int, int, bytes]]:
    """Offer frames of given sizes after given gaps; return (release, offered, frame) of what came out."""
    now, sent, out = 0, {}, []
    for number, (gap, size) in enumerate(offers):
        now += gap
        out += drain(pipe, now)
        frame = number.to_bytes(4, "big") + bytes(size - 4)
        sent[frame[:4]] = now
        pipe.offer(now, frame)
    out += drain(pipe, 1 << 62)
    return [(release, sent[frame[:4]], frame) for release, frame in out]


@given(shapes, frames, st.integers(0, 9))
def test_order_delay_rate_and_accounts(wish: Shape, offers: list[tuple[int, int]], seed: int) -> None:
    pipe = Pipe(wish, Random(seed))
    out = feed(pipe, offers)
    numbers = [frame[:4] for _, _, frame in out]
    assert numbers == sorted(numbers), "no frame overtakes"
    for release, offered, frame in out:
        itself = len(frame) * 8000 / wish.rate_mbit if wish.rate_mbit else 0
        assert release >= offered + itself + (wish.delay_ms - wish.jitter_ms) * MS - 2
    if wish.rate_mbit and not wish.jitter_ms:
        for (before, _, _), (after, _, frame) in pairwise(out):
            assert after - before >= len(frame) * 8000 / wish.rate_mbit - 2, "the rate holds from frame to frame"
    counts = pipe.counts()
    in_total = len(offers) + counts["duplicated"]
    out_total = counts["frames"] + counts["dropped_loss"] + counts["dropped_queue"] + counts["dropped_down"]
    assert in_total == out_total
    assert counts["frames"] == len(out)
    assert counts["bytes"] == sum(len(frame) for _, _, frame in out)
    if wish.loss == 1.0:
        assert not out


@given(st.floats(0.1, 100), st.integers(FRAME_BYTES, 50_000), st.lists(st.integers(60, FRAME_BYTES), max_size=80))
def test_the_queue_holds_what_it_says(rate: float, queue: int, sizes: list[int]) -> None:
    pipe = Pipe(Shape(rate_mbit=rate, queue_bytes=queue), Random(0))
    accepted = 0
    for size in sizes:  # all at the same instant: nothing is sent meanwhile
        before = len(pipe.queue)
        pipe.offer(0, bytes(size))
        fits = accepted + size <= queue * 1.0001
        if len(pipe.queue) > before:
            assert fits
            accepted += size
        else:
            assert accepted + size > queue * 0.999 - 1


def test_a_slow_line_sends_at_its_rate() -> None:
    pipe = Pipe(Shape(rate_mbit=8, delay_ms=5), Random(0))  # a microsecond per byte
    for _ in range(3):
        pipe.offer(0, bytes(1000))
    assert [release for release, _ in drain(pipe, 1 << 62)] == [6 * MS, 7 * MS, 8 * MS]


def test_a_new_rate_holds_for_what_waits_but_not_for_what_is_on_its_way() -> None:
    pipe = Pipe(Shape(rate_mbit=8, delay_ms=5), Random(0))
    for _ in range(3):
        pipe.offer(0, bytes(1000))
    pipe.change(Shape(rate_mbit=80, delay_ms=1), MS)  # the first has left, two wait
    releases = [release for release, _ in drain(pipe, 1 << 62)]
    assert releases[0] == 6 * MS
    assert releases[1:] == [6 * MS, 6 * MS], "sent at once, but no frame overtakes the first"
    pipe.offer(10 * MS, bytes(1000))
    assert drain(pipe, 1 << 62)[0][0] == 10 * MS + 100_000 + MS


def test_a_cut_line_loses_what_is_on_its_way_and_takes_nothing() -> None:
    pipe = Pipe(Shape(delay_ms=5), Random(0))
    pipe.offer(0, bytes(100))
    pipe.set_down(True)
    pipe.offer(1, bytes(100))
    assert not pipe.queue
    assert pipe.counts()["dropped_down"] == 2
    pipe.set_down(False)
    assert pipe.offer(2, bytes(100)) is True
    assert drain(pipe, 1 << 62) == [(2 + 5 * MS, bytes(100))]


@pytest.mark.parametrize("probability", [0.01, 0.1, 0.5])
def test_loss_and_doubling_are_as_likely_as_asked(probability: float) -> None:
    offers, spread = 20_000, 5 * (probability * (1 - probability) * 20_000) ** 0.5
    pipe = Pipe(Shape(loss=probability, duplicate=probability), Random(1))
    for now in range(offers):
        pipe.offer(now, b"x")
    counts = pipe.counts()
    assert abs(counts["dropped_loss"] - offers * probability) < spread
    assert abs(counts["duplicated"] - (offers - counts["dropped_loss"]) * probability) < spread


def test_the_same_seed_loses_the_same_frames() -> None:
    first, second = (Pipe(Shape(loss=0.3), Random("1/a-b/ab")) for _ in range(2))
    offers = [(1, 100)] * 200
    assert feed(first, offers) == feed(second, offers)
