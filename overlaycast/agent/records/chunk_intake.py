"""File mode: one upstream link's bytes on their way into the ring; a record counts when its chunk is whole and good.

Owns: the check of each chunk, and how large the ring's slabs have to be for it. Refuses: what the source has not
announced, as ``DamagedError``. What is in the ring can be trusted: it may be written and passed on.

Invariant: a link has at most one chunk and one frame that do not count yet, and they lie in one slab.
"""

from __future__ import annotations

import math
from hashlib import sha256
from typing import Final

from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.chunks import Checks, DamagedError, Gathering, Layout
from overlaycast.agent.records.intake import BOUNDARY, Intake
from overlaycast.agent.records.ring import Ring
from overlaycast.agent.records.slab import LEAST_ROOM, MAX_FRAME, SLAB_BYTES, frame_time
from overlaycast.errors import RemoteProtocolError
from overlaycast.wire.frames import HEADER_SIZE, Digests, End, Kind

LEAST_SLABS: Final = 4
"""The ring of a file group holds so many slabs at least, each of whole chunks."""
_DATA: Final = int(Kind.DATA)


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

    @property
    def wants_digests(self) -> bool:
        """The list is not known to its end: a chunk's digest is needed before its records."""
        return not self._checks.complete

    @property
    def position(self) -> int:
        """Behind the whole records of a chunk that is not whole: those have come, too."""
        return max(self._ring.position, self.expected or 0)

    def due(self, least: float) -> int:
        """Return how many more bytes, at least so many, make a chunk whole; not beyond the file."""
        layout = self._layout
        chunk = layout.chunk_records * layout.frame
        missing = chunk - self._partial % chunk
        missing += max(0, math.ceil((least - missing) / chunk)) * chunk
        return max(0, min(missing, layout.frames(self.expected or 0, layout.records) - (self._partial - self._whole)))

    def _take_records(self, arrival: Arrival) -> None:
        """Gather the whole DATA frames that come next, and cut out those that the ring has.

        This is where a receiver spends what it spends per record, beside the digest: no calls, few objects.
        """
        ring, layout = self._ring, self._layout
        head, whole = ring.head, self._whole
        memory, unpack = head.memory, BOUNDARY.unpack_from
        size, last = layout.record_size, layout.records - 1
        read, stop = head.complete + whole, head.complete + self._partial
        while stop - read >= HEADER_SIZE:
            kind, length, seq, _ = unpack(memory, read)
            if kind != _DATA:
                break
            if seq != self.expected or length != (size if seq < last else layout.length_of(seq)) or not length:
                raise self._unannounced(seq, length)
            after = read + HEADER_SIZE + length
            if after > stop:
                break
            self.expected = seq + 1
            at = head.complete + whole
            if not whole and seq != ring.next_seq:  # we have it, or it is no beginning for us
                arrival.duplicates += seq < ring.position
            else:
                if read != at:  # something before it was cut out
                    memory[at : at + after - read] = memory[read:after]
                whole += after - read
                if seq == last or (seq + 1) % layout.chunk_records == 0:
                    self._take_chunk(seq // layout.chunk_records, whole, arrival)
                    whole = 0
            read = after
        self._whole = whole
        self._settle(read, stop)

    def _unannounced(self, seq: int, length: int) -> RemoteProtocolError:
        if seq != self.expected:
            return RemoteProtocolError(f"record {seq} where {self.expected} was due")
        if seq >= self._layout.records:
            return DamagedError(f"record {seq} of a file that has {self._layout.records}")
        return DamagedError(f"record {seq} has {length} bytes; announced: {self._layout.length_of(seq)}")

    def _take_chunk(self, chunk: int, size: int, arrival: Arrival) -> None:
        """All frames of a chunk, ``size`` bytes of them, are there: they count if it is good."""
        ring, layout = self._ring, self._layout
        head, start, digest = ring.head, ring.head.complete, sha256()
        first, after = layout.records_before(chunk), layout.records_before(chunk + 1)
        for payload in layout.payloads(head.memory[start : start + size]):
            digest.update(payload)
        if not self._checks.fits(chunk, digest.digest()):
            if not self._checks.knows(chunk):
                raise RemoteProtocolError(f"chunk {chunk} before its digest")
            raise DamagedError(f"chunk {chunk} (records {first} to {after - 1}) is not what was announced")
        records = after - first
        if first != ring.next_seq:  # another link was faster
            arrival.duplicates += records
            return
        ring.commit(first + head.mark(first, layout.frame, records), size)
        arrival.records += records
        arrival.bytes += size - records * HEADER_SIZE
        arrival.first_us = arrival.first_us or frame_time(head.memory, start)
        arrival.last_us = frame_time(head.memory, start + (records - 1) * layout.frame)

    def _seek(self, seq: int, arrival: Arrival) -> None:
        head = self._ring.head
        unparsed, stop = head.complete + self._whole, head.complete + self._partial
        self._whole = 0
        self._settle(unparsed, stop)
        self.expected = seq

    def _take_digests(self, piece: Digests) -> None:
        self._gathering.take(piece)

    def _take_end(self, end: End, after: int, stop: int) -> None:
        told = (end.seq, end.first_seq, end.digest.hex())
        if told != (self._layout.records, 0, self._checks.contents.sha256):
            raise DamagedError("END is not what the source announced")
        super()._take_end(end, after, stop)
