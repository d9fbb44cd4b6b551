"""A file goes through a small ring as fast as through a large one: nobody waits for a timer while there is work."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from overlaycast.agent.ends import sink as sinks
from overlaycast.agent.ends.entered import FileCounting
from overlaycast.agent.ends.recording import Stream
from overlaycast.agent.ends.sink import Sink
from overlaycast.agent.files.file_receiver import GO_ON_PART, PAUSE_PART, eager_bytes
from overlaycast.agent.records.chunks import Layout
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.messages import Contents
from tests.agent.hops.test_sharing_real import Kept, admit, connected, forwarder

RECORD = 65_536


class Held:
    """An archive whose one read ends when a test says so."""

    def __init__(self, after: int) -> None:
        self.reading: asyncio.Future[tuple[memoryview, int]] = asyncio.get_running_loop().create_future()
        self._after = after

    def read(self, seq: int, into: memoryview) -> asyncio.Future[tuple[memoryview, int]] | None:
        return self.reading if seq < self._after else None

    def digests(self, start: int) -> tuple[bytes, int]:
        return b"", start

    def done(self) -> None:
        self.reading.set_result((memoryview(bytes(RECORD)), self._after))


async def test_a_source_is_woken_when_its_child_is_back_on_the_ring() -> None:
    """The child takes what was read back and all of the ring in one go: its socket never says that it can take more."""
    ring, changed = Ring(2), asyncio.Event()
    ring.anchor(50)
    while ring.memory_bytes < ring.capacity_bytes:
        ring.append(bytes(RECORD), 1)
    async with forwarder(None, changed, ring) as down:
        down.archive = archive = Held(50)
        here, there = connected()
        Kept.log = []
        kept = Kept(fileno=here.detach())
        kept.child = 1
        admit(down, kept, 1, 0)
        assert down.least_lag() >= ring.capacity_bytes // 2
        changed.clear()
        archive.done()
        async with asyncio.timeout(30):
            while down.least_lag():
                await changed.wait()
                changed.clear()
        there.close()


@pytest.mark.parametrize("slabs", [4, 5, 8, 32, 64])
async def test_what_keeps_parents_from_being_read_is_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slabs: int
) -> None:
    """Until so little waits that they are read again; what is left may wait for its timer, which never comes here."""
    monkeypatch.setattr(sinks, "FILE_FLUSH_S", 3600.0)
    ring, wrote = Ring(slabs), asyncio.Event()
    layout = Layout(
        Contents(size=1 << 30, record_size=RECORD, chunk_records=1, sha256="0" * 64, digests_sha256="0" * 64)
    )
    descriptor = os.open(tmp_path / "part", os.O_RDWR | os.O_CREAT)
    ring.anchor(0)
    sink = Sink(ring, Stream(descriptor), pytest.fail, wrote.set, FileCounting(layout, 0), eager=eager_bytes(ring))
    try:
        for least in (ring.capacity_bytes // GO_ON_PART, ring.capacity_bytes // PAUSE_PART):
            while sink.lag_bytes <= least:  # one read brought all of it, and the next would wait for the sink
                ring.append(bytes(RECORD), 1)
            sink.wake()
            async with asyncio.timeout(30):
                while sink.lag_bytes >= ring.capacity_bytes // GO_ON_PART:
                    await wrote.wait()
                    wrote.clear()
    finally:
        sink.close()
        os.close(descriptor)
