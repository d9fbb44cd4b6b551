"""One upstream link's bytes on their way into the ring: received in place, behind the ring's complete records.

Owns: what a link has brought that does not count yet, its expected number, and what is cut out of the stream on the way
(heartbeats, refusals, records that the ring has already). Refuses: anything that a parent may not say, as
``RemoteProtocolError``. When records count is for ``LiveIntake`` and ``ChunkIntake`` to say.

During a switch, two links may deliver at once: the old parent's and the standby's. The one that reads writes at the
ring's head. What the other brought and does not count yet is put aside. With one parent nothing is copied but what is
unfinished at a slab's end.

Invariants: a record enters the ring once, in order, whatever is received from whom; every link's numbers are
contiguous from the last SEEK on; what a reader of the ring can see never changes.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import Final

from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.ring import Ring
from overlaycast.agent.records.slab import LEAST_ROOM
from overlaycast.errors import RemoteProtocolError
from overlaycast.wire.frames import (
    HEADER,
    HEADER_SIZE,
    Digests,
    End,
    Heartbeat,
    Kind,
    Refuse,
    decode_one,
    payload_length,
)

BOUNDARY: Final = struct.Struct("!B3xIQQ")
"""Of a header: kind, length, number, time."""


class Intake(ABC):
    """The way of one upstream link into the ring.

    Of the head ``[complete, complete + _whole)`` are whole records that do not count yet, and up to
    ``complete + _partial`` bytes that are not parsed yet; both are in ``_held`` while another link writes.

    Args:
        ring: where new records go.

    Attributes:
        expected: the number that the link's next record has to have; None before the first SEEK.
        feeding: True once records are wanted from this link.
    """

    def __init__(self, ring: Ring) -> None:
        self.expected: int | None = None
        self.feeding = False
        self._ring = ring
        self._whole = self._partial = 0
        self._held = b""

    @property
    def wants_digests(self) -> bool:
        """The list of digests has to come, each before the records that it is of."""
        return False

    @property
    def position(self) -> int:
        """The record that this link has to bring next, as far as we have not got it."""
        return self._ring.position

    def due(self, least: float) -> int:
        """Return how many more bytes, at least so many, make something whole; 0: every byte may."""
        return 0

    # --- where bytes lie ---------------------------------------------------------------------------------------

    def buffer(self) -> memoryview:
        """Return where the next read of this link goes: at least a frame's worth of room."""
        ring = self._ring
        if ring.writer is not self:
            if ring.writer is not None:
                ring.writer.stand_back()
            ring.writer = self
            held, self._held = self._held, b""
            self._put(held)
        elif len(ring.head.memory) - ring.head.complete - self._partial < LEAST_ROOM:
            self._put(self._unfinished())
        head = ring.head
        return head.memory[head.complete + self._partial :]

    def stand_back(self) -> None:
        """Another link writes now: put aside what is unfinished."""
        self._held = bytes(self._unfinished())

    def close(self) -> None:
        """The link is gone: what is unfinished goes with it."""
        if self._ring.writer is self:
            self._ring.writer = None
        self._whole = self._partial = 0
        self._held = b""

    def _unfinished(self) -> memoryview:
        head = self._ring.head
        return head.memory[head.complete : head.complete + self._partial]

    def _put(self, unfinished: bytes | memoryview) -> None:
        """Go on with this at the head, in a new slab if there is little room behind it."""
        head = self._ring.head
        if head.complete and len(head.memory) - head.complete < len(unfinished) + LEAST_ROOM:
            self._ring.roll()
            head = self._ring.head
        head.memory[head.complete : head.complete + len(unfinished)] = unfinished

    def _settle(self, read: int, stop: int) -> None:
        """All before ``read`` is taken: what is left, ``[read, stop)``, moves to behind what is whole."""
        head = self._ring.head
        at = head.complete + self._whole
        self._partial = self._whole + stop - read
        if read != at and read != stop:
            head.memory[at : at + stop - read] = head.memory[read:stop]

    # --- what they say -----------------------------------------------------------------------------------------

    def received(self, size: int) -> Arrival:
        """``size`` bytes were read into ``buffer()``: take what is complete.

        Raises:
            DamagedError: in a file group: not what the source announced.
            RemoteProtocolError: not what a parent may send. After either the link is unusable; in the ring is what was
                good before.
        """
        arrival = Arrival()
        self._partial += size
        self._take_records(arrival)
        while self._partial - self._whole >= HEADER_SIZE and self._take_other(arrival):
            self._take_records(arrival)
        return arrival

    @abstractmethod
    def _take_records(self, arrival: Arrival) -> None:
        """Take the whole DATA frames that are not parsed yet, up to the first frame of another kind."""

    def _take_other(self, arrival: Arrival) -> bool:
        """Take the next frame if it is whole and not DATA. True: it was, go on."""
        head = self._ring.head
        at, stop = head.complete + self._whole, head.complete + self._partial
        if head.memory[at] == Kind.DATA:
            return False
        header = HEADER.unpack_from(head.memory, at)
        after = at + HEADER_SIZE + payload_length(header[0], header[3])
        if after > stop:
            return False
        match frame := decode_one(header, bytes(head.memory[at + HEADER_SIZE : after])):
            case End():
                self._take_end(frame, after, stop)
            case Heartbeat() | Refuse():
                self._settle(after, stop)
                arrival.said.append(frame)
                if isinstance(frame, Heartbeat) and frame.seek:
                    self._seek(frame.next_seq, arrival)
            case Digests():
                self._settle(after, stop)
                self._take_digests(frame)
            case _:
                raise RemoteProtocolError(f"{Kind(header[0]).name} from a parent")
        return True

    def _take_end(self, end: End, after: int, stop: int) -> None:
        if end.seq != self.expected:
            raise RemoteProtocolError(f"END at {end.seq} where {self.expected} was due")
        self.expected = end.seq + 1
        if end.seq == self._ring.next_seq:
            self._ring.committed(end.seq, after - self._ring.head.complete)
            self._ring.end = end
        self._settle(after, stop)

    def _take_digests(self, piece: Digests) -> None:
        raise RemoteProtocolError("DIGESTS from a parent")

    @abstractmethod
    def _seek(self, seq: int, arrival: Arrival) -> None:
        """The next record on this link is ``seq``."""
