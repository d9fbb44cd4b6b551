"""What is read back from a file is what was sent: the same records, whole, one after the other."""

from __future__ import annotations

import os
import random
from functools import partial
from pathlib import Path

import pytest

from overlaycast.agent.files.archive import FileArchive
from overlaycast.agent.files.file_frames import FileFrames
from overlaycast.agent.records.chunks import Checks, describe
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.frames import Data, Decoder


async def read_back(path: Path, content: bytes, record_size: int, oldest: int, written: int, room: int) -> list[Data]:
    """All that a node gives whose ring holds nothing before ``oldest`` and whose file has ``written`` records."""
    contents, digests = describe(len(content), record_size, 1, lambda size, at: content[at : at + size])
    ring = Ring(2)
    ring.anchor(oldest)
    archive = FileArchive(ring, lambda: 77)
    archive.incarnation = 3
    descriptor = os.open(path, os.O_RDONLY)
    checks = Checks(contents, lambda: None, digests)
    archive.open(FileFrames(partial(os.preadv, descriptor), checks.layout), checks, lambda: written)
    seq, found, decoder, into = 0, list[Data](), Decoder(), memoryview(bytearray(room))
    try:
        while (reading := archive.read(seq, into)) is not None:
            frames, seq = await reading
            for frame in decoder.feed(bytes(frames)):
                assert isinstance(frame, Data)
                found.append(frame)
            assert len(found) == seq
        return found
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("size", "record_size", "room"),
    [
        (1, 10, 34),
        (1000, 7, 40),
        (100_000, 7, 1 << 20),
        (1_000_000, 16_384, 1 << 20),
        (1_000_000, 16_384, 200_000),
        (300_000, 65_536, 65_560),
    ],
)
async def test_records_come_back_as_they_were(tmp_path: Path, size: int, record_size: int, room: int) -> None:
    path, content = tmp_path / "file", random.Random(size).randbytes(size)
    path.write_bytes(content)
    records = -(-size // record_size)
    found = await read_back(path, content, record_size, records, records, room)
    assert [frame.seq for frame in found] == list(range(records))
    assert {(frame.time_us, frame.incarnation) for frame in found} == {(77, 3)}
    assert b"".join(frame.payload for frame in found) == content


async def test_only_what_is_written_and_not_in_the_ring_is_read(tmp_path: Path) -> None:
    path, content = tmp_path / "file", bytes(1000)
    path.write_bytes(content)
    assert len(await read_back(path, content, 10, 100, 40, 1 << 20)) == 40
    assert len(await read_back(path, content, 10, 30, 100, 1 << 20)) == 30
