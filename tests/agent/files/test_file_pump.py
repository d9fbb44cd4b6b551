"""A file's source: all records, in order; never far ahead of who takes them; each when it is due."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from overlaycast.agent.ends.media import FileInput
from overlaycast.agent.files.file_frames import FileFrames
from overlaycast.agent.files.file_pump import FilePump
from overlaycast.agent.rates.pace import AtOnce, ConstantRate, Schedule
from overlaycast.agent.records.chunks import Checks, describe
from overlaycast.agent.records.ring import Cursor, Ring
from overlaycast.errors import ConfigError
from overlaycast.wire.frames import Data, Decoder, End

DIGEST = bytes(32)


class Reader:
    """A child that takes all there is whenever it is told to."""

    def __init__(self, ring: Ring) -> None:
        self.frames: list[Data | End] = []
        self.pushes = 0
        self._ring = ring
        self._cursor: Cursor | None = None
        self._decoder = Decoder()

    def take(self) -> None:
        self.pushes += 1
        if self._cursor is None:
            self._cursor = self._ring.cursor(self._ring.oldest)
            self._cursor.seek = None
        while piece := bytes(self._ring.piece(self._cursor)):
            for frame in self._decoder.feed(piece):
                assert isinstance(frame, Data | End)
                self.frames.append(frame)
            self._ring.advance(self._cursor, len(piece))

    @property
    def content(self) -> bytes:
        return b"".join(frame.payload for frame in self.frames if isinstance(frame, Data))


async def free() -> None:
    """There is always room."""


@contextmanager
def source(path: Path, content: bytes) -> Iterator[FileInput]:
    path.write_bytes(content)
    found = FileInput(os.open(path, os.O_RDONLY), "the file")
    found.fix()
    try:
        yield found
    finally:
        os.close(found.descriptor)


def frames_of(found: FileInput, record_size: int) -> FileFrames:
    contents, digests = describe(found.size, record_size, 1, found.read)
    return FileFrames(found.read_into, Checks(contents, lambda: None, digests).layout)


def pump_of(
    ring: Ring,
    frames: FileFrames,
    pushed: Callable[[], None],
    schedule: Schedule | None = None,
    room: Callable[[], Awaitable[None]] = free,
) -> FilePump:
    pump = FilePump(ring, schedule or AtOnce(), pushed, room)
    pump.open(frames, DIGEST)
    return pump


@pytest.mark.parametrize(
    ("size", "record_size", "first"),
    [(0, 10, 0), (1, 10, 0), (100_000, 7, 3), (3_000_000, 65_536, 0), (3_000_000, 65_536, 46), (3_000_000, 50_000, 10)],
)
async def test_all_of_the_file_goes_in_order_from_the_record_asked_for(
    tmp_path: Path, size: int, record_size: int, first: int
) -> None:
    content = random.Random(size).randbytes(size)
    with source(tmp_path / "file", content) as found:
        ring = Ring(2)
        reader = Reader(ring)
        pump = pump_of(ring, frames_of(found, record_size), reader.take)
        await pump.run(3, first)
    records = -(-size // record_size)
    assert reader.content == content[min(first, records) * record_size :]
    *data, end = reader.frames
    assert [frame.seq for frame in data] == list(range(first, records))
    assert {frame.incarnation for frame in reader.frames} == {3}
    assert isinstance(end, End)
    assert (end.seq, end.first_seq, end.digest) == (records, 0, DIGEST)
    assert (pump.records, pump.bytes) == (len(data), len(reader.content))
    assert reader.pushes <= size // 900_000 + 2  # once for each slab, and for END


async def test_the_number_of_a_group_that_is_over_is_not_exceeded(tmp_path: Path) -> None:
    with source(tmp_path / "file", bytes(100)) as found:
        ring = Ring(2)
        reader = Reader(ring)
        await pump_of(ring, frames_of(found, 10), reader.take).run(0, 99)
    assert [(type(frame), frame.seq) for frame in reader.frames] == [(End, 10)]


async def test_each_record_goes_when_it_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In virtual time: 25 records of 1000 bytes at 0.8 Mbit/s are 10 ms apart, and go one by one."""
    now, seen = [100.0], list[tuple[float, int]]()

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr("overlaycast.agent.files.file_pump.asyncio.sleep", sleep)
    monkeypatch.setattr(
        "overlaycast.agent.ends.source.time", SimpleNamespace(monotonic=lambda: now[0], time_ns=time.time_ns)
    )
    with source(tmp_path / "file", bytes(25_000)) as found:
        ring = Ring(2)
        pump = pump_of(
            ring, frames_of(found, 1000), lambda: seen.append((now[0] - 100.0, ring.position)), ConstantRate(0.8)
        )
        await pump.run(0, 0)
    assert [place for _, place in seen[:-1]] == list(range(1, 26))
    assert [at for at, _ in seen[:-1]] == pytest.approx([n * 0.01 for n in range(25)], abs=0.001)


async def test_a_source_does_not_read_on_while_there_is_no_room(tmp_path: Path) -> None:
    """Nobody takes anything: what is in the ring stays there."""
    with source(tmp_path / "file", bytes(20 << 20)) as found:
        ring = Ring(8)
        full = asyncio.Event()

        async def room() -> None:
            if ring.position * 65_560 > 4 << 20:
                full.set()
                await asyncio.Event().wait()

        pump = pump_of(ring, frames_of(found, 65_536), lambda: None, None, room)
        async with running(pump):
            await full.wait()
            assert ring.oldest == 0


@asynccontextmanager
async def running(pump: FilePump) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(pump.run(0, 0))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_end_waits_for_a_read_that_is_under_way(tmp_path: Path) -> None:
    """Stopped in the middle of a read: END goes where the thread would still have written."""
    loop, began, go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    with source(tmp_path / "file", b"\xff" * 100_000) as found:
        frames = frames_of(found, 1000)

        def slow(buffers: list[memoryview], at: int) -> int:
            loop.call_soon_threadsafe(began.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
            return found.read_into(buffers, at)

        ring = Ring(2)
        reader = Reader(ring)
        pump = pump_of(ring, FileFrames(slow, frames.layout), reader.take)
        async with running(pump) as task:
            await began.wait()
            pump.stop()
            try:
                for _ in range(5):  # whoever asks again does not hurry it
                    await asyncio.sleep(0)
                    task.cancel()
                await asyncio.sleep(0)
                assert ring.end is None
            finally:
                go_on.set()
            await task
    assert [(type(frame), frame.seq) for frame in reader.frames] == [(End, 0)]


@pytest.mark.parametrize(("change", "said"), [("shorter", "become shorter"), ("other", "was changed")])
async def test_a_file_that_does_not_stay_as_it_was_is_told_by_its_name(tmp_path: Path, change: str, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000))
    found = FileInput(os.open(path, os.O_RDONLY), "the file")
    try:
        frames = frames_of(found, 1000)
        if change == "shorter":
            os.truncate(path, 50_500)
        else:
            found.fix()
            os.utime(path, (1, 1))
        with pytest.raises(ConfigError, match=f"^the file: it .*{said} while it was being sent$"):
            await pump_of(Ring(2), frames, lambda: None).run(0, 0)
    finally:
        os.close(found.descriptor)
