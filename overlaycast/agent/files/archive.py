"""File mode: records read again from the file, for a child that wants what the ring holds no longer.

Owns: how far the file can be read. Refuses: live groups, and what is not written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from overlaycast.agent.files.file_frames import FileFrames
from overlaycast.agent.records.chunks import Checks
from overlaycast.agent.records.ring import Ring


class FileArchive:
    """A node's file, as frames.

    Args:
        now_us: the time put into the frames' headers.

    Nothing is served before ``open`` has said what file it is.
    """

    def __init__(self, ring: Ring, now_us: Callable[[], int]) -> None:
        self.incarnation = 0
        self._ring = ring
        self._now_us = now_us
        self._frames: FileFrames | None = None
        self._checks: Checks | None = None
        self._written: Callable[[], int] | None = None

    def open(self, frames: FileFrames, checks: Checks, written: Callable[[], int] | None = None) -> None:
        """Serve from this file.

        Args:
            checks: what is in it.
            written: returns the number after the last record that is in the file; None: all are.
        """
        self._frames, self._checks, self._written = frames, checks, written

    def digests(self, start: int) -> tuple[bytes, int]:
        """Return what is known of the list of digests from byte ``start`` on as frames, and where that ends."""
        return self._checks.frames(start) if self._checks is not None else (b"", start)

    def read(self, seq: int, into: memoryview) -> asyncio.Future[tuple[memoryview, int]] | None:
        """Put whole frames from ``seq`` on, up to the oldest record of the ring, into ``into`` (one or more fit).

        The disk is waited for in a thread: the loop goes on forwarding. The future has the frames and the number after
        them. None: there are none to be had now.
        """
        if self._frames is None:
            return None
        after = min(self._frames.fitting(seq, len(into)), self._ring.oldest)
        if self._written is not None:
            after = min(after, self._written())
        if after <= seq:
            return None
        return asyncio.get_running_loop().run_in_executor(None, self._read, self._frames, seq, after, into)

    def _read(self, frames: FileFrames, seq: int, after: int, into: memoryview) -> tuple[memoryview, int]:
        frames.read(seq, after, into)
        return frames.head(seq, after, into, self._now_us(), self.incarnation), after
