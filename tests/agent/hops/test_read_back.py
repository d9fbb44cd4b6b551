"""A child that is served from the file: a batch goes out while the next is read, and nothing else waits for it."""

from __future__ import annotations

import asyncio

import pytest

from overlaycast.agent.hops.read_back import ReadBack


class Disk:
    """An archive whose reads end when a test says so; what it reads are the records' numbers, four to a batch."""

    def __init__(self, records: int) -> None:
        self.records = records
        self.asked: list[int] = []
        self._reads: list[tuple[asyncio.Future[tuple[memoryview, int]], int, memoryview]] = []

    def read(self, seq: int, into: memoryview) -> asyncio.Future[tuple[memoryview, int]] | None:
        after = min(seq + 4, self.records)
        if seq >= after:
            return None
        self.asked.append(seq)
        reading: asyncio.Future[tuple[memoryview, int]] = asyncio.get_running_loop().create_future()
        self._reads.append((reading, seq, into[: after - seq]))
        return reading

    def digests(self, start: int) -> tuple[bytes, int]:
        return b"", start

    async def done(self, error: Exception | None = None) -> None:
        """The oldest read ends."""
        reading, seq, into = self._reads.pop(0)
        after = seq + len(into)
        if error is None:
            into[:] = bytes(range(seq, after))
            reading.set_result((into, after))
        else:
            reading.set_exception(error)
        await asyncio.sleep(0)


class Child:
    """What one child hears."""

    def __init__(self, disk: Disk) -> None:
        self.came = 0
        self.failures: list[str] = []
        self.back = ReadBack(disk, self._came, self.failures.append)

    def _came(self) -> None:
        self.came += 1

    def took(self, seq: int) -> tuple[bytes, int] | None:
        batch = self.back.take(seq)
        return None if batch is None else (bytes(batch[0]), batch[1])


async def test_the_next_batch_is_read_while_one_goes_out_and_does_not_touch_it() -> None:
    disk = Disk(10)
    child = Child(disk)
    assert child.took(0) is None
    await disk.done()
    assert child.came == 1
    batch = child.back.take(0)
    assert batch is not None
    assert disk.asked == [0, 4]
    await disk.done()
    assert bytes(batch[0]) == bytes([0, 1, 2, 3])
    assert child.took(4) == (bytes([4, 5, 6, 7]), 8)
    await disk.done()
    assert child.took(8) == (bytes([8, 9]), 10)
    assert disk.asked == [0, 4, 8]
    assert child.took(10) is None
    assert child.came == 3


async def test_one_that_went_elsewhere_gets_what_it_asks_for_then() -> None:
    disk = Disk(100)
    child = Child(disk)
    assert child.took(0) is None
    assert child.took(50) is None  # one read at a time
    await disk.done()
    assert child.took(50) is None
    await disk.done()
    assert child.took(50) == (bytes([50, 51, 52, 53]), 54)
    assert disk.asked == [0, 50, 54]


async def test_what_is_not_to_be_had_yet_is_asked_for_again() -> None:
    disk = Disk(0)
    child = Child(disk)
    assert child.took(0) is None
    disk.records = 2
    assert child.took(0) is None
    await disk.done()
    assert child.took(0) == (bytes([0, 1]), 2)


@pytest.mark.parametrize("released", [False, True])
async def test_a_read_that_fails_is_told_to_who_still_waits(released: bool) -> None:
    disk = Disk(10)
    child = Child(disk)
    assert child.took(0) is None
    if released:
        child.back.release()
    await disk.done(OSError("no such sector"))
    assert child.failures == ([] if released else ["no such sector"])
    assert child.came == 0


async def test_who_asks_and_gives_up_again_and_again_has_one_read_under_way() -> None:
    disk = Disk(100)
    child = Child(disk)
    for seq in (0, 20, 40):
        assert child.took(seq) is None
        child.back.release()
    assert child.took(40) is None
    assert disk.asked == [0]
    await disk.done()
    assert child.came == 1
    assert child.took(40) is None
    await disk.done()
    assert child.took(40) == (bytes([40, 41, 42, 43]), 44)
    assert disk.asked == [0, 40, 44]


async def test_a_read_that_nobody_waits_for_is_forgotten_when_it_is_done() -> None:
    disk = Disk(100)
    child = Child(disk)
    assert child.took(0) is None
    child.back.release()
    await disk.done()
    assert child.came == 0
    assert child.took(0) is None  # its memory went: it is read again
    assert disk.asked == [0, 0]
