"""The newest records of a stream in fixed pieces of memory, written at the head, given up at the tail.

Owns: slabs (whole DATA and END frames, byte for byte as they arrived), the number of the next record, and the one
writer at the head. Refuses: readers (``ring``), I/O, clocks, the meaning of a record.

Invariants
- Within a slab the numbers are contiguous; a hole in the stream lies between two slabs only.
- At most ``slabs`` slabs, each allocated when first needed (in a file group: when the oldest is still being read), its
  pages a little ahead of what is written; the oldest one's memory becomes the newest one's, unless it is pinned.
- Bytes in ``[0, complete)`` of a slab never change while it is here: they may be sent without a copy.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from overlaycast.agent.records.slab import LEAST_ROOM, SLAB_BYTES, Slab, fresh_memory
from overlaycast.errors import LocalProtocolError
from overlaycast.wire.frames import HEADER, HEADER_SIZE, End, data_header, encode


class Writer(Protocol):
    """Who has unfinished bytes behind ``complete`` in the head."""

    def stand_back(self) -> None:
        """Take them away: somebody else writes now."""


class Slabs:
    """The slabs and what is written into them.

    ``next_seq`` is the number of the next record, None before the first number is known (``anchor``).
    """

    def __init__(self, slabs: int, slab_bytes: int = SLAB_BYTES) -> None:
        if slabs < 2 or slab_bytes < LEAST_ROOM:
            raise LocalProtocolError(f"a ring has at least 2 slabs of {LEAST_ROOM} bytes")
        self.next_seq: int | None = None
        self.end: End | None = None
        self.writer: Writer | None = None
        self.began_at: int | None = None
        self._most = slabs
        self._keep = slabs
        self._slab_bytes = slab_bytes
        self._newest = 0
        self._slabs: deque[Slab] = deque([Slab(0, fresh_memory(slab_bytes), 0, 0)])

    @property
    def head(self) -> Slab:
        """The slab that is being written."""
        return self._slabs[-1]

    @property
    def oldest(self) -> int:
        """The oldest record held; ``next_seq`` when nothing is (0 before the anchor)."""
        return self._slabs[0].first_seq

    @property
    def position(self) -> int:
        """``next_seq``, or 0 before the anchor: for heartbeats."""
        return self.next_seq or 0

    @property
    def capacity_bytes(self) -> int:
        """What they hold when all are full."""
        return self._most * self._slab_bytes

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated."""
        return len(self._slabs) * self._slab_bytes

    def first_frame(self) -> tuple[int, int]:
        """Return incarnation and payload length of the oldest frame held.

        Raises:
            LocalProtocolError: nothing is held.
        """
        if not self._slabs[0].complete:
            raise LocalProtocolError("the ring is empty")
        _, _, incarnation, length, _, _ = HEADER.unpack_from(self._slabs[0].memory, 0)
        return incarnation, length

    # --- what readers have to know ---------------------------------------------------------------------------

    def _began(self, seq: int) -> None:
        """The head is empty, and its first record will be ``seq``."""

    def _rolled(self) -> None:
        """There is a new head."""

    def _gave_up(self, slab: Slab) -> None:
        """A slab is given up; the oldest one held is the one after it."""

    def _passed(self, slab: Slab) -> bool:
        """Nobody who reads now has still to read this slab."""
        return False

    # --- writing ---------------------------------------------------------------------------------------------

    def anchor(self, seq: int) -> None:
        """The stream goes on from ``seq``: the first number ever, or one further ahead after a loss.

        Raises:
            LocalProtocolError: ``seq`` would go back.
        """
        if self.next_seq is None:
            self.began_at = seq
        elif seq < self.next_seq:
            raise LocalProtocolError(f"the ring is at {self.next_seq} and cannot go back to {seq}")
        elif seq == self.next_seq:
            return
        self.next_seq = seq
        if self.head.complete:
            self.roll()
        else:
            self.head.first_seq = self.head.next_seq = seq
            self._began(seq)

    def roll(self) -> None:
        """Seal the head and open a new one; the oldest slabs go when there are too many."""
        old = None
        while len(self._slabs) >= self._most or (len(self._slabs) >= self._keep and self._passed(self._slabs[0])):
            old = self._evict() or old
        memory, backed = (old.memory, old.backed) if old else (fresh_memory(self._slab_bytes), 0)
        start = self.next_seq if self.next_seq is not None else 0
        self._slabs.append(Slab(self.head.number + 1, memory, start, start, backed=backed))
        self.head.back(self._newest)
        self._rolled()

    def _evict(self) -> Slab | None:
        """Drop the oldest slab; return it if nobody else looks at its memory."""
        slab = self._slabs.popleft()
        self._gave_up(slab)
        return None if slab.pins else slab

    def committed(self, seq: int, size: int) -> None:
        """The writer put frame ``seq`` of ``size`` bytes at the end of the head: it may be read now."""
        self.commit(seq + self.head.mark(seq, size, 1), size)

    def commit(self, next_seq: int, size: int) -> None:
        """The writer put whole frames up to (not with) ``next_seq``, indexed by itself, at the end of the head."""
        head = self._slabs[-1]
        head.complete += size
        head.next_seq = self.next_seq = next_seq
        self._newest = size
        if head.complete + size > head.backed:  # the next read brings as much as this one
            head.back(size)

    def resize(self, slab_bytes: int, least: int) -> None:
        """Have slabs of another size in as much memory; before there is a first number.

        More than ``least`` of them are had only for who is behind: what all have passed can be read from elsewhere.
        """
        if self.next_seq is not None:
            raise LocalProtocolError("the ring is in use")
        self._most = max(least, self.capacity_bytes // slab_bytes)
        self._keep = least
        self._slab_bytes = slab_bytes
        self.head.memory, self.head.backed = fresh_memory(slab_bytes), 0

    def append(self, payload: bytes | memoryview, time_us: int, incarnation: int = 0) -> int:
        """Put a record of our own into the ring (the source's way in); return its number."""
        seq = self._own_seq()
        header = data_header(seq, time_us, len(payload), incarnation)
        size = HEADER_SIZE + len(payload)
        at = self.room_for(size)
        memory = self.head.memory
        memory[at : at + HEADER_SIZE] = header
        memory[at + HEADER_SIZE : at + size] = payload
        self.committed(seq, size)
        return seq

    def append_end(self, end: End) -> None:
        """Close the stream: END takes the number after the last record."""
        if end.seq != self._own_seq():
            raise LocalProtocolError(f"END at {end.seq}, but the ring is at {self.next_seq}")
        frame = encode(end)
        at = self.room_for(len(frame))
        self.head.memory[at : at + len(frame)] = frame
        self.committed(end.seq, len(frame))
        self.end = end

    def _own_seq(self) -> int:
        if self.next_seq is None:
            raise LocalProtocolError("the stream has no first number yet")
        return self.next_seq

    def room_for(self, size: int) -> int:
        """Return where in the head so many bytes go: in a new one if they do not fit."""
        if self.head.complete + size > self._slab_bytes:
            self.roll()
        return self.head.complete

    # --- looking ---------------------------------------------------------------------------------------------

    def _slab(self, number: int) -> Slab:
        return self._slabs[number - self._slabs[0].number]

    def seq_back(self, back_us: int) -> int:
        """Return the record to begin with so many microseconds (by the source's clock) behind the newest one held.

        The oldest held, if none is so old; ``next_seq`` (0 before the anchor) if nothing is held.
        """
        found = self.position
        limit: int | None = None
        for slab in reversed(self._slabs):
            times = slab.times()
            if not times:
                continue
            limit = slab.last_time() - back_us if limit is None else limit
            if times[0][1] <= limit:
                return slab.first_since(limit)
            found = times[0][0]
        return found
