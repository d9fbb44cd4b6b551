"""File mode: a file's records as frames, read to where they belong: nothing is copied after that.

Owns: where a record's bytes are in the file and in its frame. Refuses: which child wants them, and
whether they are available yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from overlaycast.agent.records.chunks import Layout
from overlaycast.wire.frames import HEADER_SIZE, data_header

_VECTOR: Final = 512
"""Buffers per ``preadv``; the kernel's limit is 1024."""

ReadInto: TypeAlias = Callable[[list[memoryview], int], int]
"""Fills buffers from an offset, as ``(buffers, offset)``, and returns the bytes read; waits for the disk."""


class FileFrames:
    """Frames of a file that holds records ``0 ..`` one after the other."""

    def __init__(self, read_into: ReadInto, layout: Layout) -> None:
        self.layout = layout
        self._read_into = read_into

    def fitting(self, seq: int, room: int) -> int:
        """Return the number after the last record, from ``seq`` on, whose frame fits into ``room`` bytes."""
        return min(seq + room // self.layout.frame, self.layout.records)

    def read(self, seq: int, after: int, into: memoryview) -> None:
        """Put the payloads of records ``seq`` .. ``after - 1`` where they belong; the headers are left out.

        Raises:
            OSError: the file has become shorter; and whatever the reading raises.
        """
        frame, into = self.layout.frame, into[: self.layout.frames(seq, after)]
        for first in range(seq, after, _VECTOR):
            some = self.layout.payloads(into[(first - seq) * frame : (first - seq + _VECTOR) * frame])
            if self._read_into(some, first * self.layout.record_size) < sum(map(len, some)):
                raise OSError("the file has become shorter")

    def head(self, seq: int, after: int, into: memoryview, now_us: int, incarnation: int) -> memoryview:
        """Put the headers before the payloads of records ``seq`` .. ``after - 1``; return the whole frames."""
        for number in range(seq, after):
            at = (number - seq) * self.layout.frame
            header = data_header(number, now_us, self.layout.length_of(number), incarnation)
            into[at : at + HEADER_SIZE] = header
        return into[: self.layout.frames(seq, after)]
