"""One piece of the ring's memory: whole frames one after the other, and a sparse index over them.

Owns: where in it a record starts. Refuses: to know about other slabs. Numbers within a slab are contiguous.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left, bisect_right
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from overlaycast.wire.frames import HEADER_SIZE, MAX_RECORD

MAX_FRAME: Final = HEADER_SIZE + MAX_RECORD
SLAB_BYTES: Final = 1 << 20
LEAST_ROOM: Final = 2 * MAX_FRAME
"""A read is offered at least this much: small reads cost as many calls as large ones (silly window)."""
INDEX_EVERY: Final = 1 << 16
"""Bytes between two entries of a slab's index; a search walks at most so far over frame headers."""

AHEAD: Final = 1 << 16
"""Bytes behind the newest record that have their pages before they are needed, at least."""
MADV_POPULATE_WRITE: Final = 23
"""Linux 5.14; Python 3.11 has no name for it."""


@dataclass(slots=True, eq=False)
class Slab:
    """One piece of memory with whole frames in ``[0, complete)``; records ``first_seq`` .. ``next_seq - 1``.

    ``backed``: bytes that have their pages.
    """

    number: int
    memory: memoryview
    first_seq: int
    next_seq: int
    complete: int = 0
    backed: int = 0
    pins: int = 0
    index: list[tuple[int, int]] = field(default_factory=list)
    next_mark: int = 0

    def back(self, expected: int) -> None:
        """Have pages for so many more bytes, or a few more: a read that finds none costs as many page faults.

        In pieces, as all nodes of a tree need the next slab at the same record: where pages come from a hypervisor
        (3 ms/MiB seen), whole slabs held a stream of fifteen nodes on one machine up by 20 to 40 ms each.
        """
        stop = min(self.complete + max(expected, AHEAD), len(self.memory))
        if stop > self.backed:
            stop = min(-(-stop // mmap.PAGESIZE) * mmap.PAGESIZE, len(self.memory))
            back(self.memory, self.backed, stop)
            self.backed = stop

    def mark(self, seq: int, size: int, records: int) -> int:
        """Index so many records of ``size`` bytes that follow ``complete``; return how many."""
        for n in range(records):
            if self.complete + n * size >= self.next_mark:
                self.index.append((seq + n, self.complete + n * size))
                self.next_mark = self.complete + n * size + INDEX_EVERY
        return records

    def offset_of(self, seq: int) -> int:
        """Return where record ``seq``, which is here, starts."""
        place = bisect_left(self.index, (seq + 1,)) - 1
        at, offset = self.index[place]
        while at < seq:
            offset += HEADER_SIZE + frame_length(self.memory, offset)
            at += 1
        return offset

    def times(self) -> list[tuple[int, int]]:
        """Return number and source time (microseconds) of the records in the index, oldest first."""
        return [(seq, frame_time(self.memory, offset)) for seq, offset in self.index]

    def last_time(self) -> int:
        """Return the source time of the last frame."""
        return frame_time(self.memory, self.offset_of(self.next_seq - 1))

    def first_since(self, time_us: int) -> int:
        """Return the first record that is not older than ``time_us``; behind the last one if all are."""
        place = bisect_right(self.index, time_us, key=lambda entry: frame_time(self.memory, entry[1]) + 1) - 1
        seq, offset = self.index[max(place, 0)]
        while offset < self.complete and frame_time(self.memory, offset) < time_us:
            offset += HEADER_SIZE + frame_length(self.memory, offset)
            seq += 1
        return seq

    def seq_at(self, offset: int) -> tuple[int, int, int]:
        """Return number, start and stop of the frame that covers ``offset`` (below ``complete``)."""
        place = bisect_right(self.index, offset, key=lambda entry: entry[1]) - 1
        seq, start = self.index[place]
        while True:
            stop = start + HEADER_SIZE + frame_length(self.memory, start)
            if offset < stop:
                return seq, start, stop
            seq, start = seq + 1, stop


def fresh_memory(size: int) -> memoryview:
    """Return ``size`` bytes, zeroed, without pages yet."""
    return memoryview(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def back(memory: memoryview, start: int, stop: int) -> None:
    """Have the kernel fill in the pages of ``[start, stop)`` of fresh memory; ``start`` is a page's first byte.

    As many single page faults on first use cost a relay that fills its ring for the first time a quarter of its time.
    Huge pages would cost less still where there are any to be had, and several times as much where memory has to be
    moved about first.
    """
    assert isinstance(memory.obj, mmap.mmap)
    with suppress(OSError):  # a kernel that does not know how, or has no memory left: the first use will see to it
        memory.obj.madvise(MADV_POPULATE_WRITE, start, stop - start)


def frame_time(memory: memoryview, offset: int) -> int:
    """Return the source time in the header at ``offset``."""
    return int.from_bytes(memory[offset + 16 : offset + 24], "big")


def frame_length(memory: memoryview, offset: int) -> int:
    """Return the payload length in the header at ``offset``."""
    return int.from_bytes(memory[offset + 4 : offset + 8], "big")
