"""File mode: records read again from the file, for a child that wants what the ring holds no longer.

Owns: the frame of a record in a file, and how far the file can be read. Refuses: live groups, and what is not written.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from overlaycast.agent.chunks import Checks
from overlaycast.agent.ring import Ring
from overlaycast.agent.slab import MAX_FRAME
from overlaycast.wire.frames import HEADER_SIZE, data_header

_VECTOR: Final = 512
"""Buffers per ``preadv``; the kernel's limit is 1024."""


class FileArchive:
    """Frames from a file that holds records ``0 ..`` one after the other.

    Args:
        now_us: the time put into the frames' headers.

    Nothing is served before ``open`` has said what file it is.
    """

    def __init__(self, ring: Ring, now_us: Callable[[], int]) -> None:
        self.incarnation = 0
        self._ring = ring
        self._now_us = now_us
        self._descriptor = -1
        self._checks: Checks | None = None
        self._written: Callable[[], int] | None = None

    def open(self, descriptor: int, checks: Checks, written: Callable[[], int] | None = None) -> None:
        """Serve from this file.

        Args:
            descriptor: readable at any offset.
            checks: what is in it.
            written: returns the number after the last record that is in the file; None: all are.
        """
        self._descriptor, self._checks, self._written = descriptor, checks, written

    def digests(self, start: int) -> tuple[bytes, int]:
        """Return what is known of the list of digests from byte ``start`` on as frames, and where that ends."""
        return self._checks.frames(start) if self._checks is not None else (b"", start)

    async def frames(self, seq: int, limit: int) -> tuple[memoryview, int]:
        """Return whole frames from ``seq`` on, up to the oldest record of the ring, and the number after them.

        The disk is waited for in a thread: the loop goes on forwarding.
        """
        checks = self._checks
        if checks is None:
            return memoryview(b""), seq
        size = checks.layout.record_size
        count = min(max(1, (limit - MAX_FRAME) // (size + HEADER_SIZE)), self._ring.oldest - seq)
        if self._written is not None:
            count = min(count, self._written() - seq)
        if count <= 0:
            return memoryview(b""), seq
        return await asyncio.get_running_loop().run_in_executor(None, self._read, seq, count, size)

    def _read(self, seq: int, count: int, size: int) -> tuple[memoryview, int]:
        """Read payloads to where they belong in their frames: nothing is copied after that."""
        frame = HEADER_SIZE + size
        frames = memoryview(bytearray(count * frame))
        starts = range(0, count * frame, frame)
        got = 0
        for first in range(0, count, _VECTOR):
            some = [frames[at + HEADER_SIZE : at + frame] for at in starts[first : first + _VECTOR]]
            got += os.preadv(self._descriptor, some, (seq + first) * size)
            if got < (first + len(some)) * size:  # the file's last record, or it has shrunk
                break
        now_us = self._now_us()
        read = -(-got // size)
        for at in starts[:read]:
            length = min(size, got - at // frame * size)
            frames[at : at + HEADER_SIZE] = data_header(seq + at // frame, now_us, length, self.incarnation)
        return frames[: got + read * HEADER_SIZE], seq + read
