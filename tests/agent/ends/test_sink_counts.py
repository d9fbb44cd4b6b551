"""What enters a sink is really counted there: lost, doubled, out of order; and hashed per incarnation."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.agent.ends.entered import Counting, FileCounting
from overlaycast.agent.ends.recording import Stream
from overlaycast.agent.ends.sink import Sink
from overlaycast.agent.records.chunks import Layout, describe
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.frames import Data, End, encode


def take(counting: Counting, *frames: Data) -> bytes:
    data = b"".join(map(encode, frames))
    return b"".join(counting.take(memoryview(data), 0, len(data)))


def rec(seq: int, incarnation: int = 0) -> Data:
    return Data(seq, 1, b"%d;" % seq, incarnation)


@given(st.lists(st.integers(0, 30), max_size=60))
def test_counts_are_those_of_a_simple_model(numbers: list[int]) -> None:
    counting = Counting()
    taken = b"".join(take(counting, rec(number)) for number in numbers)
    kept: list[int] = []
    lost = late = double = 0
    skipped: set[int] = set()
    for number in numbers:
        if not kept or number > kept[-1]:
            hole = range(kept[-1] + 1, number) if kept else range(0)
            skipped.update(hole)
            lost += len(hole)
            kept.append(number)
        elif number in skipped:
            late += 1
        else:
            double += 1
    entered = counting.entered
    assert taken == b"".join(rec(number).payload for number in kept)
    assert (entered.records, entered.lost, entered.reordered, entered.duplicated) == (len(kept), lost, late, double)
    assert counting.sha256() == hashlib.sha256(taken).hexdigest()


def test_digest_is_checked_over_the_newest_incarnation() -> None:
    counting = Counting()
    take(counting, *map(rec, range(5)))
    assert counting.matches(0, 5, hashlib.sha256(b"0;1;2;3;4;").digest()) is True
    assert counting.matches(0, 5, b"x" * 32) is False
    take(counting, rec(5, 1), rec(6, 1))
    assert counting.matches(5, 7, hashlib.sha256(b"5;6;").digest()) is True
    take(counting, rec(9, 1))
    assert counting.matches(5, 10, hashlib.sha256(b"5;6;9;").digest()) is None


def end(counting: Counting, first_seq: int, *records: Data) -> bool | None:
    """Return the verdict on these records, the last of a source that began with ``first_seq``."""
    take(counting, *records)
    digest = hashlib.sha256(b"".join(one.payload for one in records)).digest()
    frame = encode(End(records[-1].seq + 1, 1, first_seq, digest, records[-1].incarnation))
    assert counting.take(memoryview(frame), 0, len(frame)) == []
    return counting.matches(first_seq, records[-1].seq + 1, digest)


def test_what_a_former_source_sent_with_the_numbers_of_the_next_one_is_no_part_of_the_stream() -> None:
    """It was frozen, and a standby went on behind record 3; the records 4 and 5 that came are not the standby's."""
    counting = Counting()
    take(counting, *map(rec, range(6)))
    assert end(counting, 4, rec(6, 1), rec(7, 1)) is False
    assert (counting.entered.lost, counting.entered.false) == (2, 2)


def test_what_is_lost_at_a_change_of_sources_is_not_counted_twice() -> None:
    counting = Counting()
    take(counting, *map(rec, [0, 1, 2, 5]))  # 3 and 4 are lost, and 5 stands in for another
    assert end(counting, 4, rec(8, 1), rec(9, 1)) is False
    assert (counting.entered.lost, counting.entered.false) == (2 + 1 + 2, 1)


def test_what_is_lost_between_two_sources_leaves_no_verdict() -> None:
    counting = Counting()
    take(counting, *map(rec, [0, 1, 2]))
    assert end(counting, 4, rec(6, 1), rec(7, 1)) is None
    assert (counting.entered.lost, counting.entered.false) == (3, 0)


def test_whoever_joins_after_the_change_has_nothing_false() -> None:
    counting = Counting()
    assert end(counting, 4, rec(6, 1), rec(7, 1)) is None
    assert (counting.entered.lost, counting.entered.false) == (0, 0)


def test_a_change_without_a_loss_has_a_verdict() -> None:
    counting = Counting()
    take(counting, *map(rec, range(4)))
    assert end(counting, 4, rec(4, 1), rec(5, 1)) is True
    assert (counting.entered.lost, counting.entered.false) == (0, 0)


def test_a_late_joiner_cannot_tell() -> None:
    counting = Counting()
    take(counting, rec(3))
    assert counting.matches(0, 4, b"x" * 32) is None
    assert Counting().matches(4, 4, b"x" * 32) is True
    assert Counting().matches(0, 4, b"x" * 32) is None


SIZE = 550
"""Five records of 100 bytes and one of 50."""


@pytest.mark.parametrize(
    ("spans", "kept", "expected"),
    [
        ([(0, 6, True)], 0, (6, 550, 0, 0)),
        ([(0, 2, False), (2, 5, False), (5, 6, False), (6, 6, True)], 0, (6, 550, 0, 0)),
        ([(4, 6, True)], 4, (6, 550, 0, 0)),
        ([(2, 5, False)], 4, (5, 500, 0, 2)),
        ([(3, 6, False)], 0, (3, 250, 3, 0)),
    ],
)
def test_a_files_spans_are_counted_whole(
    spans: list[tuple[int, int, bool]], kept: int, expected: tuple[int, int, int, int]
) -> None:
    content = bytes(range(256)) * 3
    contents, _ = describe(SIZE, 100, 4, lambda size, at: content[at : min(at + size, SIZE)])
    counting = FileCounting(Layout(contents), kept)
    for first, after, ended in spans:
        frames = [Data(n, 1, content[n * 100 : min(n * 100 + 100, SIZE)]) for n in range(first, after)]
        data = b"".join(map(encode, frames)) + (encode(End(6, 1, 0, bytes(32))) if ended else b"")
        assert counting.place(memoryview(data), 0) == first * 100
        payloads = counting.take(memoryview(data), 0, len(data))
        assert b"".join(payloads) == content[first * 100 : min(after * 100, SIZE)]
    entered = counting.entered
    assert (entered.records, entered.bytes, entered.lost, entered.duplicated) == expected


async def test_a_batch_that_failed_is_not_said_to_be_written() -> None:
    ring, failed = Ring(2), asyncio.Event()
    descriptor = os.open("/dev/full", os.O_WRONLY)
    sink = Sink(ring, Stream(descriptor), lambda _: failed.set(), lambda: None)
    ring.anchor(0)
    ring.append(b"x" * 100, 0)
    sink.wake()
    async with asyncio.timeout(60):
        await failed.wait()
    assert sink.written == 0
    assert ring.head.pins == 1  # the slab is not given to anybody else
    sink.close()
    os.close(descriptor)


async def test_the_writer_writes_what_the_ring_gets(tmp_path: Path) -> None:
    ring = Ring(4)
    descriptor = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    sink = Sink(ring, Stream(descriptor), lambda reason: None, lambda: None)
    ring.anchor(7)
    for number in range(2000):
        ring.append(b"%05d" % number * 20, 0)
        sink.wake()
    async with asyncio.timeout(60):
        await sink.drained()
    sink.close()
    os.close(descriptor)
    expected = b"".join(b"%05d" % number * 20 for number in range(2000))
    assert await asyncio.to_thread((tmp_path / "out").read_bytes) == expected
    assert (sink.counting.entered.records, sink.counting.entered.first_seq) == (2000, 7)


async def test_what_waits_for_company_is_written_at_once_when_all_is_wanted() -> None:
    """The thread is at work when the last record comes: nobody waits for a timer after that."""
    ring = Ring(4)
    reader, writer = os.pipe()
    sink = Sink(ring, Stream(writer), pytest.fail, lambda: None, flush_s=3600.0, eager=1000)
    ring.anchor(0)
    for _ in range(2):
        ring.append(bytes(1 << 16), 0)  # in sum more than the pipe holds: the thread is stuck in it
    sink.wake()
    ring.append(b"the last", 0)
    sink.wake()
    async with asyncio.timeout(60):
        drained = asyncio.create_task(sink.drained())
        got = b""
        while len(got) < (1 << 17) + 8:
            got += await asyncio.to_thread(os.read, reader, 1 << 16)
        await drained
    sink.close()
    os.close(reader)
    os.close(writer)
    assert got.endswith(b"the last")


async def test_a_full_device_is_told_once_in_one_line() -> None:
    ring = Ring(2)
    told: list[str] = []
    failed = asyncio.Event()

    def on_failed(reason: str) -> None:
        told.append(reason)
        failed.set()

    descriptor = os.open("/dev/full", os.O_WRONLY)
    sink = Sink(ring, Stream(descriptor), on_failed, lambda: None)
    ring.anchor(0)
    ring.append(b"x" * 100, 0)
    sink.wake()
    async with asyncio.timeout(60):
        await failed.wait()
        ring.append(b"y", 0)
        sink.wake()
        await sink.drained()
    sink.close()
    os.close(descriptor)
    assert told == ["No space left on device"]
