"""Live mode: one upstream link's bytes on their way into the ring; a record counts as soon as it is whole.

Owns: which records are new, that none is of a source that has been replaced (``lineage``), and the loss when a link
jumps ahead of the ring. Refuses: to check payloads; a relay looks
at no more than the records' boundaries.

Invariant: a link has at most one unfinished frame.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.credible import UntrueError
from overlaycast.agent.records.intake import Intake
from overlaycast.agent.records.lineage import Lineage
from overlaycast.agent.records.ring import Ring
from overlaycast.agent.records.slab import INDEX_EVERY
from overlaycast.errors import RemoteProtocolError
from overlaycast.wire.frames import HEADER, HEADER_SIZE, MAX_RECORD, End, Kind

_BOUNDARY: Final = struct.Struct("!IIQQ")
"""Of a header: kind, flags and incarnation in one, length, number, time."""


class LiveIntake(Intake):
    """The way of one upstream link into the ring of a live group.

    Args:
        may_skip: asked when the link jumps ahead of the ring, ``(next_seq, offered)``: True takes the loss. Only a link
            that feeds (``feeding``) can move the ring so.
        may_end: asked for an END that would be the ring's: False keeps it out; who waits for more may put it in.
        check: told the number of a link's next record. It raises ``RemoteProtocolError`` for what cannot be.
        lineage: which incarnation the stream is of; all links of a member have the same.
    """

    def __init__(
        self,
        ring: Ring,
        may_skip: Callable[[int, int], bool],
        may_end: Callable[[End], bool] = lambda _: True,
        check: Callable[[int], None] = lambda _: None,
        lineage: Lineage | None = None,
    ) -> None:
        super().__init__(ring)
        self._may_skip = may_skip
        self._may_end = may_end
        self._check = check
        self._lineage = lineage or Lineage()

    def _take_records(self, arrival: Arrival) -> None:
        """Commit the whole DATA frames at the front that are new."""
        head = self._ring.head
        stop = head.complete + self._partial
        read = self._take_next(arrival, stop) if self.expected == self._ring.next_seq else head.complete
        if read == stop:  # whole records and nothing else: as nearly always when they come one by one
            return
        expected = self.expected
        while stop - read >= HEADER_SIZE:
            kind, _, incarnation, length, seq, time_us = HEADER.unpack_from(head.memory, read)
            after = read + HEADER_SIZE + length
            if kind != Kind.DATA or (after > stop and length <= MAX_RECORD and seq == expected):
                break
            if not 0 < length <= MAX_RECORD or seq != expected:
                raise RemoteProtocolError(f"record {seq} of {length} bytes where {expected} was due")
            expected = seq + 1
            if seq == self._ring.next_seq:
                self._follow(incarnation, seq)
                self._take_one(read, after, time_us, arrival)
            else:
                arrival.duplicates += seq < self._ring.position
            read = after
        self.expected = expected
        self._settle(read, stop)

    def _take_next(self, arrival: Arrival, stop: int) -> int:
        """Commit the whole DATA frames at the front that are exactly what comes next; return where they end.

        This is where a relay spends what it spends per record: no calls, no objects, one commit for all.
        """
        head, seq = self._ring.head, self._ring.next_seq or 0
        memory, index, unpack, opening = head.memory, head.index, _BOUNDARY.unpack_from, self._lineage.opening
        start = read = head.complete
        first, mark, time_us = seq, head.next_mark, 0
        while stop - read >= HEADER_SIZE:
            opens, length, number, at_us = unpack(memory, read)
            after = read + HEADER_SIZE + length
            if opens != opening or number != seq or not 0 < length <= MAX_RECORD or after > stop:
                break
            if read >= mark:
                index.append((seq, read))
                mark = read + INDEX_EVERY
            if seq == first:
                arrival.first_us = arrival.first_us or at_us
            time_us, read = at_us, after
            seq += 1
        if seq != first:
            head.next_mark = mark
            self._partial -= read - start
            self._ring.commit(seq, read - start)
            self.expected = seq
            arrival.records += seq - first
            arrival.bytes += read - start - HEADER_SIZE * (seq - first)
            arrival.last_us = time_us
        return read

    def _follow(self, incarnation: int, seq: int) -> None:
        """The next record is of this incarnation."""
        if not self._lineage.admits(incarnation):
            raise UntrueError("number", f"record {seq} is of a source whose place another one has taken")
        self._lineage.took(incarnation)

    def _take_one(self, read: int, after: int, time_us: int, arrival: Arrival) -> None:
        """Commit the next record; it is behind something that was cut out, or opens in another way than the last."""
        head, seq = self._ring.head, self._ring.position
        head.memory[head.complete : head.complete + after - read] = head.memory[read:after]
        self._ring.committed(seq, after - read)
        arrival.records += 1
        arrival.bytes += after - read - HEADER_SIZE
        arrival.last_us = time_us
        arrival.first_us = arrival.first_us or time_us

    def _take_end(self, end: End, after: int, stop: int) -> None:
        if end.seq == self.expected == self._ring.next_seq:
            if not self._lineage.admits(end.incarnation):
                raise UntrueError("end", "END of a source whose place another one has taken")
            if self._may_end(end):
                super()._take_end(end, after, stop)
            else:
                self._settle(after, stop)
        elif self._ring.end is None and end.seq == self.expected and end.seq < (self._ring.next_seq or 0):
            raise UntrueError("end", "END before the end of the stream")
        else:
            super()._take_end(end, after, stop)

    def _seek(self, seq: int, arrival: Arrival) -> None:
        """The next record here is ``seq``: begin with it, or take the loss of what lies before it."""
        self._check(seq)
        self.expected = seq
        if not self.feeding:
            return
        wanted = self._ring.next_seq
        if wanted is not None and (seq <= wanted or not self._may_skip(wanted, seq)):
            return
        if wanted is not None:
            arrival.lost.append((wanted, seq))
        unfinished = self._unfinished()
        self._ring.anchor(seq)
        self._put(unfinished)
