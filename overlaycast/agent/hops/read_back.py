"""File mode: one child's way through the archive, a batch going out while the next one is read.

Owns: the two batches' memory, and the one read under way. Refuses: sockets, and whether the ring could serve instead.

Memory: two batches, from the first record that is read until ``release``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from overlaycast.agent.records.slab import back, fresh_memory

BATCH: Final = 1 << 20
"""Bytes read at once."""


class Archive(Protocol):
    """Where records are read that the ring holds no longer (file mode)."""

    def read(self, seq: int, into: memoryview) -> asyncio.Future[tuple[memoryview, int]] | None:
        """Put whole frames from ``seq`` on into ``into``; they and the number after them come. None: none are there."""

    def digests(self, start: int) -> tuple[bytes, int]:
        """Return what is known here of the list of digests from byte ``start`` on as frames, and where that ends."""


class ReadBack:
    """One child's.

    Args:
        came: told when a batch that was asked for may be taken.
        failed: told why one cannot be read.
    """

    def __init__(self, archive: Archive, came: Callable[[], None], failed: Callable[[str], None]) -> None:
        self._archive = archive
        self._came = came
        self._failed = failed
        self._going = self._spare = memoryview(b"")
        self._reading: asyncio.Future[tuple[memoryview, int]] | None = None
        self._asked = 0
        self._released = False

    def take(self, seq: int) -> tuple[memoryview, int] | None:
        """Return the batch from record ``seq`` on and the number after it, and read on; None: it is not there yet.

        What was taken before is overwritten: it has been sent.
        """
        reading, self._released = self._reading, False
        if reading is None:
            self._read(seq)
            return None
        if not reading.done() or reading.exception() is not None:
            return None
        self._reading = None
        if self._asked != seq:
            self._read(seq)
            return None
        self._going, self._spare = self._spare, self._going
        frames, after = reading.result()
        self._read(after)
        return frames, after

    def _read(self, seq: int) -> None:
        if not self._spare:
            self._spare = fresh_memory(BATCH)
            back(self._spare, 0, BATCH)
        self._asked, self._reading = seq, self._archive.read(seq, self._spare)
        if self._reading is not None:
            self._reading.add_done_callback(self._done)

    def _done(self, reading: asyncio.Future[tuple[memoryview, int]]) -> None:
        error = None if reading.cancelled() else reading.exception()
        if self._released:
            self._reading, self._spare = None, memoryview(b"")
        elif error is not None:
            self._failed(str(error))
        else:
            self._came()

    def release(self) -> None:
        """Nothing more is wanted, for now: give the memory back; what a read under way writes to, when that is done.

        Until then no other begins, however often something is wanted and given up again.
        """
        self._released = True
        self._going = memoryview(b"")
        if self._reading is None or self._reading.done():
            self._reading, self._spare = None, memoryview(b"")
