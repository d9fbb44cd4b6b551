"""The pump of a file's source: the file's records into the ring, as fast as children take them or at a rate.

Owns: how far ahead of its children a source reads. Refuses: to know what the file is (``file_source``) and who gets it.

Payloads are read straight into the ring's newest slab, as many as it takes, while the children are being served from
those before. Between a read and the last of its records nothing else writes there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from overlaycast.agent.ends.source import SourcePump
from overlaycast.agent.files.file_frames import FileFrames
from overlaycast.agent.rates.pace import Schedule
from overlaycast.agent.records.ring import Ring
from overlaycast.errors import LocalProtocolError
from overlaycast.wire.frames import HEADER_SIZE


class FilePump(SourcePump):
    """Feeds the ring of a file group.

    Args:
        schedule: knows when any byte is due.
        room: returns when the ring may take more without leaving all children behind.

    Nothing is sent before ``open`` has said what file it is.
    """

    def __init__(
        self, ring: Ring, schedule: Schedule, pushed: Callable[[], None], room: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(ring, schedule, False, pushed)
        self._room = room
        self._file: FileFrames | None = None
        self._sha256 = b""

    def open(self, file: FileFrames, sha256: bytes) -> None:
        """Send this file, whose digest is known."""
        self._file, self._sha256 = file, sha256

    @property
    def size(self) -> int | None:
        """Bytes of the whole file."""
        return self._file.layout.size if self._file else None

    @property
    def incomplete(self) -> bool:
        """Has a part of the file not been sent?"""
        return self.size is None or self.bytes < self.size

    def _digest(self) -> bytes:
        return self._sha256

    @property
    def _frames(self) -> FileFrames:
        if self._file is None:
            raise LocalProtocolError("a file is sent before it is described")
        return self._file

    def _begin(self, next_seq: int) -> None:
        """One that came back goes on where the receivers are."""
        self._ring.anchor(min(next_seq, self._frames.layout.records))

    async def _send_all(self) -> None:
        while self._ring.position < self._frames.layout.records:
            await self._room()
            await self._send(self._ring.position, await self._read(self._ring.position))

    async def _read(self, seq: int) -> int:
        """Read payloads from record ``seq`` on behind what the ring's head has; return the number after the last."""
        ring, frames = self._ring, self._frames
        at = ring.room_for(frames.layout.frame)
        into = ring.head.memory[at:]
        after = frames.fitting(seq, len(into))
        reading = asyncio.get_running_loop().run_in_executor(None, frames.read, seq, after, into)
        try:
            await asyncio.shield(reading)
        except asyncio.CancelledError:
            while not reading.done():  # END is to go where it still writes
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([reading])
            raise
        return after

    async def _send(self, seq: int, after: int) -> None:
        """Send the records that were read, each when it is due."""
        ready = seq
        for number in range(seq, after):
            due = self._schedule.due(self.bytes + (number - ready) * self._frames.layout.record_size)
            if wait_s := self._wait_s(due or 0.0):
                self._push(ready, number)
                ready = number
                await asyncio.sleep(wait_s)
        self._push(ready, after)

    def _push(self, seq: int, after: int) -> None:
        if seq == after:
            return
        head, count = self._ring.head, after - seq
        now_us = time.time_ns() // 1000
        frames = self._frames.head(seq, after, head.memory[head.complete :], now_us, self._incarnation)
        head.mark(seq, self._frames.layout.frame, count)
        self._ring.commit(after, len(frames))
        self._sent(count, len(frames) - count * HEADER_SIZE)
