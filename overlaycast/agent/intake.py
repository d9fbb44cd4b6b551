"""One upstream link's bytes on their way into the ring: received in place, cut at record boundaries.

Owns: the unfinished frame of a link, its expected number, and what is cut out of the stream on the way (heartbeats,
refusals, records that the ring has already). Refuses: anything that a parent may not say, as ``RemoteProtocolError``.

Several links may deliver at once (a hedged switch): the one that reads writes at the ring's head, and the unfinished
frame of the one before is put aside. With one parent nothing is ever copied.

Invariants: a record enters the ring once, in order, whatever is received from whom; every link's numbers are
contiguous from the last SEEK on; a link holds at most one unfinished frame.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from overlaycast.agent.ring import Ring
from overlaycast.agent.slab import INDEX_EVERY, LEAST_ROOM
from overlaycast.errors import RemoteProtocolError
from overlaycast.wire.frames import (
    HEADER,
    HEADER_SIZE,
    MAX_RECORD,
    SEQ_LIMIT,
    End,
    Heartbeat,
    Kind,
    Refuse,
    decode_one,
    payload_length,
)

_BOUNDARY: Final = struct.Struct("!B3xIQQ")
"""Of a header: kind, length, number, time."""


@dataclass(slots=True)
class Arrival:
    """What one read brought: new records and their payload bytes, doubles, and what was said on the link.

    ``size``: all its bytes, parts of records too; set by who has read them.
    ``first_us`` and ``last_us`` are the source's times of the first and the last new record (0: none).
    ``lost`` has the ranges ``(first, after)`` that the link jumped over and that the ring will therefore never hold.
    """

    records: int = 0
    bytes: int = 0
    duplicates: int = 0
    first_us: int = 0
    last_us: int = 0
    lost: list[tuple[int, int]] = field(default_factory=list)
    said: list[Heartbeat | Refuse] = field(default_factory=list)
    size: int = 0


class Intake:
    """The way of one upstream link into the ring.

    Args:
        ring: where new records go.
        may_skip: asked when the link jumps ahead of the ring, ``(next_seq, offered)``: True takes the loss.
        feeding: True once records are wanted from this link: only then a SEEK moves the ring.
    """

    def __init__(self, ring: Ring, may_skip: Callable[[int, int], bool]) -> None:
        self._ring = ring
        self._may_skip = may_skip
        self._partial = 0
        self._held = b""
        self.expected: int | None = None
        self.feeding = False

    @property
    def wants_digests(self) -> bool:
        """A live stream has no list of digests."""
        return False

    def due(self, least: float) -> int:
        """Return 0: a record may be whole with the next byte, and goes on at once."""
        return 0

    def buffer(self) -> memoryview:
        """Return where the next read of this link goes: at least a frame's worth of room."""
        ring = self._ring
        if ring.writer is not self:
            if ring.writer is not None:
                ring.writer.stand_back()
            ring.writer = self
            self._come_back()
        head = ring.head
        if len(head.memory) - head.complete - self._partial < LEAST_ROOM and head.complete:
            self._roll()
            head = ring.head
        return head.memory[head.complete + self._partial :]

    def stand_back(self) -> None:
        """Another link writes now: put the unfinished frame aside."""
        head = self._ring.head
        self._held = bytes(head.memory[head.complete : head.complete + self._partial])
        self._partial = 0

    def _come_back(self) -> None:
        held, self._held = self._held, b""
        head = self._ring.head
        if len(head.memory) - head.complete < LEAST_ROOM and head.complete:
            self._ring.roll()
            head = self._ring.head
        head.memory[head.complete : head.complete + len(held)] = held
        self._partial = len(held)

    def close(self) -> None:
        """The link is gone: its unfinished frame goes with it."""
        if self._ring.writer is self:
            self._ring.writer = None
        self._partial = 0
        self._held = b""

    def _roll(self) -> None:
        """Open a new slab and take the unfinished bytes along."""
        old = self._ring.head
        carried = old.memory[old.complete : old.complete + self._partial]
        self._ring.roll()
        self._ring.head.memory[: len(carried)] = carried

    def received(self, size: int) -> Arrival:
        """``size`` bytes were read into ``buffer()``: take what is complete.

        Raises:
            RemoteProtocolError: not what a parent may send; the link is unusable, the ring is as before the fault.
        """
        arrival = Arrival()
        self._partial += size
        while self._take_records(arrival) and self._take_other(arrival):
            pass
        return arrival

    def _take_records(self, arrival: Arrival) -> bool:
        """Commit the DATA frames at the front. True: something else, complete or not, stands there now."""
        head = self._ring.head
        stop = head.complete + self._partial
        read = self._take_next(arrival, stop) if self.expected == self._ring.next_seq else head.complete
        if read == stop:  # whole records and nothing else: as nearly always when they come one by one
            return False
        expected = self.expected
        while stop - read >= HEADER_SIZE:
            kind, _, _, length, seq, _ = HEADER.unpack_from(head.memory, read)
            after = read + HEADER_SIZE + length
            if kind != Kind.DATA or (after > stop and length <= MAX_RECORD and seq == expected):
                break
            if not 0 < length <= MAX_RECORD or seq != expected:
                self._settle(read, stop, expected)
                raise RemoteProtocolError(f"record {seq} of {length} bytes where {expected} was due")
            expected = seq + 1
            self._take_one(seq, read, after, arrival)
            read = after
        self._settle(read, stop, expected)
        return self._partial >= HEADER_SIZE and head.memory[head.complete] != Kind.DATA

    def _take_next(self, arrival: Arrival, stop: int) -> int:
        """Commit the whole DATA frames at the front that are exactly what comes next; return where they end.

        This is where a relay spends what it spends per record: no calls, no objects, one commit for all.
        """
        head, seq = self._ring.head, self._ring.next_seq or 0
        memory, index, unpack = head.memory, head.index, _BOUNDARY.unpack_from
        start = read = head.complete
        first, mark, time_us = seq, head.next_mark, 0
        while stop - read >= HEADER_SIZE:
            kind, length, number, at_us = unpack(memory, read)
            after = read + HEADER_SIZE + length
            if kind != Kind.DATA or number != seq or not 0 < length <= MAX_RECORD or after > stop:
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

    def _take_one(self, seq: int, read: int, after: int, arrival: Arrival) -> None:
        """A record that is not simply the next one in place: behind something cut out, or a double."""
        wanted = self._ring.next_seq
        if seq != wanted:
            arrival.duplicates += wanted is not None and seq < wanted
            return
        head = self._ring.head
        time_us = _BOUNDARY.unpack_from(head.memory, read)[3]
        if read != head.complete:  # something before it was cut out
            head.memory[head.complete : head.complete + after - read] = head.memory[read:after]
        self._ring.committed(seq, after - read)
        arrival.records += 1
        arrival.bytes += after - read - HEADER_SIZE
        arrival.last_us = time_us
        arrival.first_us = arrival.first_us or time_us

    def _settle(self, read: int, stop: int, expected: int | None) -> None:
        """What is left, ``[read, stop)``, moves to the head's end."""
        head = self._ring.head
        self.expected = expected
        self._partial = stop - read
        if self._partial and read != head.complete:
            head.memory[head.complete : head.complete + self._partial] = head.memory[read:stop]

    def _take_other(self, arrival: Arrival) -> bool:
        """Take one frame that is not DATA from the front. True: it was whole, go on."""
        head = self._ring.head
        header = HEADER.unpack_from(head.memory, head.complete)
        size = HEADER_SIZE + payload_length(header[0], header[3])
        if self._partial < size:
            return False
        frame = decode_one(header, bytes(head.memory[head.complete + HEADER_SIZE : head.complete + size]))
        match frame:
            case End():
                self._take_end(frame, size, arrival)
            case Heartbeat():
                self._cut(size)
                arrival.said.append(frame)
                if frame.seek:
                    self._seek(frame.next_seq, arrival)
            case Refuse():
                self._cut(size)
                arrival.said.append(frame)
            case _:
                raise RemoteProtocolError(f"{Kind(header[0]).name} from a parent")
        return True

    def _cut(self, size: int) -> None:
        head = self._ring.head
        self._settle(head.complete + size, head.complete + self._partial, self.expected)

    def _take_end(self, end: End, size: int, arrival: Arrival) -> None:
        if end.seq != self.expected:
            raise RemoteProtocolError(f"END at {end.seq} where {self.expected} was due")
        self.expected = end.seq + 1
        if end.seq != self._ring.next_seq:
            self._cut(size)
            return
        self._ring.committed(end.seq, size)
        self._ring.end = end
        self._partial -= size

    def _seek(self, seq: int, arrival: Arrival) -> None:
        """The next record here is ``seq``: begin with it, or take the loss of what lies before it."""
        if seq >= SEQ_LIMIT:
            raise RemoteProtocolError(f"record number {seq} is out of range")
        self.expected = seq
        if not self.feeding:
            return
        wanted = self._ring.next_seq
        if wanted is not None and (seq <= wanted or not self._may_skip(wanted, seq)):
            return
        if wanted is not None:
            arrival.lost.append((wanted, seq))
        old = self._ring.head
        carried = bytes(old.memory[old.complete : old.complete + self._partial])
        self._ring.anchor(seq)
        head = self._ring.head
        head.memory[head.complete : head.complete + len(carried)] = carried
