"""File mode: records read again from the file, for a child that wants what the ring holds no longer.

Owns: the place of a record in a file (all records but the last have one size) and its frame. Refuses: live groups.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from overlaycast.agent.ring import Ring
from overlaycast.agent.slab import MAX_FRAME
from overlaycast.wire.frames import HEADER_SIZE, MAX_RECORD, data_header


class FileArchive:
    """Frames from a file that holds records ``0 ..`` one after the other.

    Args:
        descriptor: readable at any offset.
        record_size: bytes of every record but the last, 0 while that is unknown.
        now_us: the time put into the frames' headers.
    """

    def __init__(self, descriptor: int, ring: Ring, record_size: int, now_us: Callable[[], int]) -> None:
        self.record_size = record_size
        self.incarnation = 0
        self._descriptor = descriptor
        self._ring = ring
        self._now_us = now_us

    async def frames(self, seq: int, limit: int) -> tuple[memoryview, int]:
        """Return whole frames from ``seq`` on, up to the oldest record of the ring, and the number after them.

        The disk is waited for in a thread: the loop goes on forwarding.
        """
        if not 0 < self.record_size <= MAX_RECORD:
            return memoryview(b""), seq
        most = max(1, (limit - MAX_FRAME) // (self.record_size + HEADER_SIZE))
        count = min(most, self._ring.oldest - seq)
        if count <= 0:
            return memoryview(b""), seq
        return await asyncio.get_running_loop().run_in_executor(None, self._read, seq, count)

    def _read(self, seq: int, count: int) -> tuple[memoryview, int]:
        payload = os.pread(self._descriptor, count * self.record_size, seq * self.record_size)
        now_us = self._now_us()
        frames = bytearray()
        for at in range(0, len(payload), self.record_size):
            record = payload[at : at + self.record_size]
            frames += data_header(seq, now_us, len(record), self.incarnation)
            frames += record
            seq += 1
        return memoryview(bytes(frames)), seq
