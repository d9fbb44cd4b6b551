"""File mode: one upstream link's bytes on their way into the ring; a record counts when its chunk is whole and good.

Owns: the check of each chunk, and how large the ring's slabs have to be for it. Refuses: what the source has not
announced, as ``DamagedError``. What is in the ring can be trusted: it may be written and passed on.

Invariant: a link has at most one chunk and one frame that do not count yet, and they lie in one slab.
"""

from __future__ import annotations

import hashlib
import math

from overlaycast.agent.chunks import Checks, DamagedError, Gathering, Layout
from overlaycast.agent.intake import Arrival, Intake
from overlaycast.agent.ring import Ring
from overlaycast.agent.slab import LEAST_ROOM, MAX_FRAME, SLAB_BYTES, frame_time
from overlaycast.errors import RemoteProtocolError
from overlaycast.wire.frames import HEADER, HEADER_SIZE, Digests, End, Kind, payload_length


def slab_bytes(layout: Layout) -> int:
    """Return the size of a slab that takes whole chunks, and behind them a frame and a read."""
    chunk = layout.chunk_records * layout.frame
    return -(-SLAB_BYTES // chunk) * chunk + MAX_FRAME + LEAST_ROOM


class ChunkIntake(Intake):
    """The way of one upstream link into the ring of a file group.

    Args:
        ring: anchored at the first chunk that is missing here, with slabs of ``slab_bytes``; what is in it is good.
    """

    def __init__(self, ring: Ring, checks: Checks) -> None:
        super().__init__(ring)
        self._checks = checks
        self._layout = checks.layout
        self._gathering = Gathering(checks)
        self._digest = hashlib.sha256()  # of the payloads of what is whole

    @property
    def wants_digests(self) -> bool:
        """The list is not known to its end: a chunk's digest is needed before its records."""
        return not self._checks.complete

    def due(self, least: float) -> int:
        """Return how many more bytes, at least so many, make a chunk whole; not beyond the file."""
        layout = self._layout
        chunk = layout.chunk_records * layout.frame
        missing = chunk - self._partial % chunk
        missing += max(0, math.ceil((least - missing) / chunk)) * chunk
        return max(0, min(missing, layout.frames(self.expected or 0, layout.records) - (self._partial - self._whole)))

    def _take_records(self, arrival: Arrival) -> None:
        """Gather the whole DATA frames that come next, and cut out those that the ring has."""
        head = self._ring.head
        read, stop = head.complete + self._whole, head.complete + self._partial
        while stop - read >= HEADER_SIZE:
            kind, _, _, length, seq, _ = HEADER.unpack_from(head.memory, read)
            after = read + HEADER_SIZE + payload_length(kind, length)
            if kind != Kind.DATA or after > stop:
                break
            self._expect(seq, length)
            if self._whole or seq == self._ring.next_seq:
                self._gather(seq, read, after, arrival)
            else:  # we have it, or it is no beginning for us
                arrival.duplicates += seq < self._ring.position
            read = after
        self._settle(read, stop)

    def _expect(self, seq: int, length: int) -> None:
        announced = self._layout.length_of(seq)
        if seq != self.expected:
            raise RemoteProtocolError(f"record {seq} where {self.expected} was due")
        if length != announced:
            raise DamagedError(f"record {seq} has {length} bytes; announced: {announced}")
        self.expected = seq + 1

    def _gather(self, seq: int, read: int, after: int, arrival: Arrival) -> None:
        memory, layout = self._ring.head.memory, self._layout
        at = self._ring.head.complete + self._whole
        if read != at:  # something before it was cut out
            memory[at : at + after - read] = memory[read:after]
        self._whole += after - read
        self._digest.update(memory[at + HEADER_SIZE : at + after - read])
        if (seq + 1) % layout.chunk_records == 0 or seq + 1 == layout.records:
            self._take_chunk(seq // layout.chunk_records, arrival)

    def _take_chunk(self, chunk: int, arrival: Arrival) -> None:
        """All frames of a chunk are there: they count if it is good."""
        ring, layout = self._ring, self._layout
        first, after = layout.records_before(chunk), layout.records_before(chunk + 1)
        if not self._checks.fits(chunk, self._digest.digest()):
            if not self._checks.knows(chunk):
                raise RemoteProtocolError(f"chunk {chunk} before its digest")
            raise DamagedError(f"chunk {chunk} (records {first} to {after - 1}) is not what was announced")
        size = self._forget()
        if first != ring.next_seq:  # another link was faster
            arrival.duplicates += after - first
            return
        head, start = ring.head, ring.head.complete
        ring.commit(first + head.mark(first, layout.frame, after - first), size)
        arrival.records += after - first
        arrival.bytes += size - (after - first) * HEADER_SIZE
        arrival.first_us = arrival.first_us or frame_time(head.memory, start)
        arrival.last_us = frame_time(head.memory, start + (after - first - 1) * layout.frame)

    def _forget(self) -> int:
        """What was whole has entered the ring or is not wanted any more; return how many bytes it had."""
        size, self._whole = self._whole, 0
        self._digest = hashlib.sha256()
        return size

    def _seek(self, seq: int, arrival: Arrival) -> None:
        stop = self._ring.head.complete + self._partial
        self._settle(self._ring.head.complete + self._forget(), stop)
        self.expected = seq

    def _take_digests(self, piece: Digests) -> None:
        self._gathering.take(piece)

    def _take_end(self, end: End, after: int, stop: int) -> None:
        told = (end.seq, end.first_seq, end.digest.hex())
        if told != (self._layout.records, 0, self._checks.contents.sha256):
            raise DamagedError("END is not what the source announced")
        super()._take_end(end, after, stop)
