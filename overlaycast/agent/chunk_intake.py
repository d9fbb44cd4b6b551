"""File mode: one upstream link's bytes on their way into the ring, chunk by chunk, each checked first.

Owns: what a link has brought of a chunk that is not whole yet, and the check. Refuses: records that are not what the
source announced, as ``DamagedError``. What is in the ring can be trusted: it may be written and passed on.

Unlike in ``intake`` every link has memory of its own: what two links bring at once (a hedged switch) is not mixed, and
a record is copied once, into the ring, when its chunk is good. Memory: one chunk and one read for each link that feeds.
"""

from __future__ import annotations

import hashlib
from typing import Final

from overlaycast.agent.chunks import Checks, DamagedError, Gathering
from overlaycast.agent.intake import Arrival
from overlaycast.agent.ring import Ring
from overlaycast.agent.slab import LEAST_ROOM, MAX_FRAME, SLAB_BYTES, fresh_memory
from overlaycast.errors import RemoteProtocolError
from overlaycast.wire.frames import (
    DIGEST_SIZE,
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

_READ: Final = SLAB_BYTES


class ChunkIntake:
    """The way of one upstream link into the ring of a file group.

    Args:
        ring: anchored at the first record that is missing here; what is in it is good.
    """

    def __init__(self, ring: Ring, checks: Checks) -> None:
        self.expected: int | None = None
        self.feeding = False
        self._ring = ring
        self._checks = checks
        self._layout = checks.layout
        self._gathering = Gathering(checks)
        self._memory = memoryview(b"")
        # [start, parsed): whole frames of the chunk that is being gathered; [parsed, stop): what is not parsed yet
        self._start = self._parsed = self._stop = 0

    @property
    def wants_digests(self) -> bool:
        """The list is not known to its end: a chunk's digest is needed before its records."""
        return not self._checks.complete

    def buffer(self) -> memoryview:
        """Return where the next read of this link goes."""
        if len(self._memory) - self._stop < LEAST_ROOM:
            self._make_room()
        return self._memory[self._stop :]

    def _make_room(self) -> None:
        held = self._memory[self._start : self._stop]
        if not len(self._memory):
            # the list comes in frames of its own size, whatever the records' is
            chunk = self._layout.chunk_records * (self._layout.record_size + HEADER_SIZE)
            self._memory = fresh_memory(chunk + MAX_FRAME + _READ)
        self._memory[: len(held)] = held
        self._parsed -= self._start
        self._stop -= self._start
        self._start = 0

    def close(self) -> None:
        """The link is gone: what is not whole goes with it."""
        self._start = self._parsed = self._stop = 0
        self._memory = memoryview(b"")

    def received(self, size: int) -> Arrival:
        """``size`` bytes were read into ``buffer()``: take what is complete and good.

        Raises:
            DamagedError: a chunk, the list or END is not what the source announced.
            RemoteProtocolError: not what a parent may send. The link is unusable after either.
        """
        arrival = Arrival()
        self._stop += size
        while self._stop - self._parsed >= HEADER_SIZE:
            header = HEADER.unpack_from(self._memory, self._parsed)
            after = self._parsed + HEADER_SIZE + payload_length(header[0], header[3])
            if after > self._stop:
                break
            if header[0] == Kind.DATA:
                self._take_record(header[4], header[3], after, arrival)
            else:
                self._take_other(header, after, arrival)
        if self._start == self._stop:
            self._start = self._parsed = self._stop = 0
        return arrival

    # --- records -----------------------------------------------------------------------------------------------

    def _take_record(self, seq: int, length: int, after: int, arrival: Arrival) -> None:
        if seq != self.expected:
            raise RemoteProtocolError(f"record {seq} where {self.expected} was due")
        if length != self._layout.length_of(seq):
            raise DamagedError(f"record {seq} has {length} bytes; announced: {self._layout.length_of(seq)}")
        if not self._checks.knows(seq // self._layout.chunk_records):
            raise RemoteProtocolError(f"record {seq} before the digest of its chunk")
        self.expected = seq + 1
        if self._parsed == self._start and seq != self._ring.next_seq:  # we have it, or it is no beginning for us
            arrival.duplicates += seq < self._ring.position
            self._start = self._parsed = after
            return
        self._parsed = after
        chunk = seq // self._layout.chunk_records
        if seq + 1 == self._layout.records_before(chunk + 1):
            self._take_chunk(chunk, arrival)

    def _take_chunk(self, chunk: int, arrival: Arrival) -> None:
        """All frames of a chunk are there: into the ring with them, if they are good."""
        layout, start, stop = self._layout, self._start, self._parsed
        frame = layout.record_size + HEADER_SIZE
        digest = hashlib.sha256()
        for at in range(start, stop, frame):
            digest.update(self._memory[at + HEADER_SIZE : min(at + frame, stop)])
        first, after = layout.records_before(chunk), layout.records_before(chunk + 1)
        if not self._checks.fits(chunk, digest.digest()):
            raise DamagedError(f"chunk {chunk} (records {first} to {after - 1}) is not what the source announced")
        self._start = stop
        if first != self._ring.next_seq:  # another link was faster
            arrival.duplicates += after - first
            return
        self._ring.take(self._memory[start:stop], frame)
        arrival.records += after - first
        arrival.bytes += stop - start - HEADER_SIZE * (after - first)
        arrival.last_us = HEADER.unpack_from(self._memory, start + (after - first - 1) * frame)[5]
        arrival.first_us = arrival.first_us or HEADER.unpack_from(self._memory, start)[5]

    # --- everything else ---------------------------------------------------------------------------------------

    def _take_other(self, header: tuple[int, int, int, int, int, int], after: int, arrival: Arrival) -> None:
        frame = decode_one(header, bytes(self._memory[self._parsed + HEADER_SIZE : after]))
        self._cut(after)
        match frame:
            case Heartbeat() | Refuse():
                arrival.said.append(frame)
                if isinstance(frame, Heartbeat) and frame.seek:
                    self._start = self._parsed
                    self.expected = frame.next_seq
            case Digests():
                self._gathering.take(frame)
            case End():
                self._take_end(frame)
            case _:
                raise RemoteProtocolError(f"{Kind(header[0]).name} from a parent")

    def _cut(self, after: int) -> None:
        """Take the frame that ends at ``after`` out from behind what is gathered."""
        if self._parsed == self._start:
            self._start = self._parsed = after
            return
        rest = self._stop - after
        self._memory[self._parsed : self._parsed + rest] = self._memory[after : self._stop]
        self._stop = self._parsed + rest

    def _take_end(self, end: End) -> None:
        if end.seq != self.expected:
            raise RemoteProtocolError(f"END at {end.seq} where {self.expected} was due")
        self.expected = end.seq + 1
        told = (end.seq, end.first_seq, end.digest.hex())
        if len(end.digest) != DIGEST_SIZE or told != (self._layout.records, 0, self._checks.contents.sha256):
            raise DamagedError("END is not what the source announced")
        if end.seq == self._ring.next_seq:
            self._ring.append_end(end)
