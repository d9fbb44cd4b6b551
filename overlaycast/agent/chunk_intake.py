"""File mode: one upstream link's bytes on their way into the ring, chunk by chunk, each checked first.

Owns: what a link has brought of a chunk that is not whole yet, and the check. Refuses: records that are not what the
source announced, as ``DamagedError``. What is in the ring can be trusted: it may be written and passed on.

Unlike in ``intake`` every link has memory of its own: what two links bring at once (a hedged switch) is not mixed, and
a record is copied once, into the ring, when its chunk is good. Memory: one chunk and one read for each link that feeds.
"""

from __future__ import annotations

import hashlib
import math
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
        self._frame = checks.layout.record_size + HEADER_SIZE
        self._gathering = Gathering(checks)
        self._memory = memoryview(b"")
        # [good_from, start): the frames of chunks that are good, ``good`` in number, while a read is being taken;
        # [start, parsed): whole frames of the chunk that is being gathered; [parsed, stop): what is not parsed yet
        self._good = self._good_from = 0
        self._start = self._parsed = self._stop = 0

    @property
    def wants_digests(self) -> bool:
        """The list is not known to its end: a chunk's digest is needed before its records."""
        return not self._checks.complete

    def due(self, least: float) -> int:
        """Return how many more bytes, at least so many, make a chunk whole; not beyond the file."""
        layout = self._layout
        chunk = layout.chunk_records * self._frame
        missing = chunk - (self._stop - self._start) % chunk
        missing += max(0, math.ceil((least - missing) / chunk)) * chunk
        return max(0, min(missing, layout.frames_after(self.expected or 0) - (self._stop - self._parsed)))

    def buffer(self) -> memoryview:
        """Return where the next read of this link goes."""
        if len(self._memory) - self._stop < LEAST_ROOM:
            self._make_room()
        return self._memory[self._stop :]

    def _make_room(self) -> None:
        held = self._memory[self._start : self._stop]
        if not len(self._memory):
            # the list comes in frames of its own size, whatever the records' is
            chunk = self._layout.chunk_records * self._frame
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
        try:
            while self._take_records(arrival):
                self._commit(arrival)
                self._take_other(arrival)
        finally:
            self._commit(arrival)  # what was good before something that is not stays
        if self._start == self._stop:
            self._start = self._parsed = self._stop = 0
        return arrival

    # --- records -----------------------------------------------------------------------------------------------

    def _take_records(self, arrival: Arrival) -> bool:
        """Take the DATA frames at the front. True: a whole frame of another kind comes next."""
        while self._stop - self._parsed >= HEADER_SIZE:
            kind, _, _, length, seq, _ = HEADER.unpack_from(self._memory, self._parsed)
            after = self._parsed + HEADER_SIZE + payload_length(kind, length)
            if after > self._stop:
                return False
            if kind != Kind.DATA:
                return True
            self._take_record(seq, length, after, arrival)
        return False

    def _take_record(self, seq: int, length: int, after: int, arrival: Arrival) -> None:
        layout = self._layout
        if seq != self.expected:
            raise RemoteProtocolError(f"record {seq} where {self.expected} was due")
        if length != layout.length_of(seq):
            raise DamagedError(f"record {seq} has {length} bytes; announced: {layout.length_of(seq)}")
        self.expected = seq + 1
        if self._parsed == self._start and seq != self._due:  # we have it, or it is no beginning for us
            arrival.duplicates += seq < self._due
            self._start = self._parsed = after
            return
        self._parsed = after
        if (seq + 1) % layout.chunk_records == 0 or seq + 1 == layout.records:
            self._take_chunk(seq // layout.chunk_records, arrival)

    @property
    def _due(self) -> int:
        """The record that the ring wants next."""
        return self._ring.position + self._good

    def _take_chunk(self, chunk: int, arrival: Arrival) -> None:
        """All frames of a chunk are there: check it."""
        frames, frame = self._memory[self._start : self._parsed], self._frame
        digest = hashlib.sha256()
        for at in range(0, len(frames), frame):
            digest.update(frames[at + HEADER_SIZE : at + frame])
        first, records = self._layout.records_before(chunk), -(-len(frames) // frame)
        if not self._checks.fits(chunk, digest.digest()):
            if not self._checks.knows(chunk):
                raise RemoteProtocolError(f"chunk {chunk} before its digest")
            raise DamagedError(f"chunk {chunk} (records {first} to {first + records - 1}) is not what was announced")
        if first != self._due:  # another link was faster
            arrival.duplicates += records
        else:
            self._good_from = self._good_from if self._good else self._start
            self._good += records
        self._start = self._parsed

    def _commit(self, arrival: Arrival) -> None:
        """Into the ring with the chunks that were good."""
        good, self._good = self._good, 0
        if not good:
            return
        frames = self._memory[self._good_from : self._start]
        self._ring.take(frames, self._frame)
        arrival.records += good
        arrival.bytes += len(frames) - good * HEADER_SIZE
        arrival.last_us = HEADER.unpack_from(frames, (good - 1) * self._frame)[5]
        arrival.first_us = arrival.first_us or HEADER.unpack_from(frames, 0)[5]

    # --- everything else ---------------------------------------------------------------------------------------

    def _take_other(self, arrival: Arrival) -> None:
        header = HEADER.unpack_from(self._memory, self._parsed)
        after = self._parsed + HEADER_SIZE + payload_length(header[0], header[3])
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
