"""The newest megabytes of a group's stream, kept once, written at the head, read by any number of cursors.

Owns: the number of the next record, the one writer at the head, and the cursors. A cursor that is too slow loses its
place to newer data, and only that cursor does. Refuses: I/O, clocks, the meaning of a record. The memory is in
``slabs``: whole DATA and END frames, byte for byte as they arrived.

Invariant: bytes in ``[0, complete)`` of a slab never change while it is held: they may be sent without a copy.

Memory: the slabs, plus one unfinished frame per cursor that was evicted in the middle of a frame, plus the slabs that a
sink has pinned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from overlaycast.agent.records.slab import SLAB_BYTES, Slab
from overlaycast.agent.records.slabs import Slabs
from overlaycast.errors import LocalProtocolError
from overlaycast.wire.frames import HEADER, HEADER_SIZE, End, data_header, encode


class Writer(Protocol):
    """A link that has unfinished bytes behind ``complete`` in the head."""

    def stand_back(self) -> None:
        """Take them away: another link writes now."""


class Gone(Exception):
    """The record asked for is no longer held; ``oldest`` is."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the oldest record held is {oldest}")
        self.oldest = oldest


@dataclass(slots=True, eq=False)
class Cursor:
    """One reader's place: ``offset`` in slab number ``slab``.

    ``seek``: the number that the reader must be told before it gets more, because the next record is not the one
    after its last. ``tail``: the rest of a frame whose slab is gone. ``behind``: with ``keeps`` set, the record to
    read from elsewhere (a file) because the ring holds it no longer. ``skipped``: records lost by this reader alone.
    """

    slab: int
    offset: int
    seek: int | None = None
    tail: memoryview | None = None
    keeps: bool = False
    behind: int | None = None
    skipped: int = 0


class Ring:
    """The stream's newest records, one writer's head, many cursors.

    Attributes:
        next_seq: the number of the next record; None before the first number is known (``anchor``).
        head: the slab that is being written.
        began_at: the first number ever.
        end: END, once it is here.
        writer: the link that wrote last.
    """

    def __init__(self, slabs: int, slab_bytes: int = SLAB_BYTES) -> None:
        self._slabs = Slabs(slabs, slab_bytes)
        self._cursors: set[Cursor] = set()
        self._newest = 0
        self.head = self._slabs.newest
        self.next_seq: int | None = None
        self.began_at: int | None = None
        self.end: End | None = None
        self.writer: Writer | None = None

    # --- looking -----------------------------------------------------------------------------------------------

    @property
    def oldest(self) -> int:
        """The oldest record held; ``next_seq`` when nothing is (0 before the anchor)."""
        return self._slabs.oldest.first_seq

    @property
    def position(self) -> int:
        """``next_seq``, or 0 before the anchor: for heartbeats."""
        return self.next_seq or 0

    @property
    def capacity_bytes(self) -> int:
        """What the ring holds when it is full."""
        return self._slabs.capacity_bytes

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated."""
        return self._slabs.memory_bytes

    def first_frame(self) -> tuple[int, int]:
        """Return incarnation and payload length of the oldest frame held.

        Raises:
            LocalProtocolError: nothing is held.
        """
        oldest = self._slabs.oldest
        if not oldest.complete:
            raise LocalProtocolError("the ring is empty")
        _, _, incarnation, length, _, _ = HEADER.unpack_from(oldest.memory, 0)
        return incarnation, length

    def seq_back(self, back_us: int) -> int:
        """Return the first record that is at most so many microseconds older than the newest, by the source's clock.

        If all are, that is the oldest one held; if nothing is held, ``next_seq`` (0 before the anchor).
        """
        found = self._slabs.seq_back(back_us)
        return self.position if found is None else found

    # --- writing -----------------------------------------------------------------------------------------------

    def resize(self, slab_bytes: int, least: int) -> None:
        """Have slabs of another size in as much memory; before there is a first number.

        More than ``least`` of them are had only for cursors that are behind: what all have passed can be read from
        elsewhere.
        """
        if self.next_seq is not None:
            raise LocalProtocolError("the ring is in use")
        self._slabs.resize(slab_bytes, least)

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
            return
        self.head.first_seq = self.head.next_seq = seq
        for cursor in self._cursors:
            if cursor.slab == self.head.number and cursor.behind is None:
                cursor.seek = seq

    def roll(self) -> None:
        """Seal the head and open a new one; the oldest slabs go when there are too many."""
        slabs = self._slabs
        while slabs.full or (slabs.enough and self._all_passed(slabs.oldest)):
            slab = slabs.evict()
            for cursor in self._cursors:
                if cursor.slab == slab.number and cursor.behind is None:
                    self._push_out(cursor, slab, slabs.oldest)
        self.head = slabs.open(self.position, self._newest)
        for cursor in self._cursors:
            self._cross(cursor)

    def room_for(self, size: int) -> int:
        """Return where in the head so many bytes go: in a new one if they do not fit."""
        if self.head.complete + size > self._slabs.slab_bytes:
            self.roll()
        return self.head.complete

    def committed(self, seq: int, size: int) -> None:
        """The writer put frame ``seq`` of ``size`` bytes at the end of the head: it may be read now."""
        self.commit(seq + self.head.mark(seq, size, 1), size)

    def commit(self, next_seq: int, size: int) -> None:
        """The writer put whole frames up to (not with) ``next_seq``, indexed by itself, at the end of the head."""
        head = self.head
        head.complete += size
        head.next_seq = self.next_seq = next_seq
        self._newest = size
        if head.complete + size > head.backed:  # the next read brings as much as this one
            head.back(size)

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

    def insert_end(self, end: End) -> None:
        """Close the stream with an END that a link has brought and that had to wait; what links have begun is kept."""
        if self.writer is not None:
            self.writer.stand_back()
            self.writer = None
        self.append_end(end)

    def _own_seq(self) -> int:
        if self.next_seq is None:
            raise LocalProtocolError("the stream has no first number yet")
        return self.next_seq

    def _all_passed(self, slab: Slab) -> bool:
        """Has no cursor, and no thread, still to read this slab?"""
        return not slab.pins and not any(self._wants(one, slab) for one in self._cursors)

    @staticmethod
    def _wants(cursor: Cursor, slab: Slab) -> bool:
        """Its next record is here, also if it has still to rejoin the ring for it."""
        if cursor.behind is not None:
            return slab.first_seq <= cursor.behind < slab.next_seq
        return cursor.slab == slab.number

    @staticmethod
    def _push_out(cursor: Cursor, slab: Slab, after: Slab) -> None:
        # it has still to read here: at a sealed slab's end cursors are on the next one already
        seq, start, stop = slab.seq_at(cursor.offset)
        if start != cursor.offset:
            # the reader has a part of this frame already: it must get the rest
            cursor.tail = memoryview(bytes(slab.memory[cursor.offset : stop]))
            seq += 1
        if cursor.keeps:
            cursor.behind = seq
        elif seq < after.first_seq:
            cursor.skipped += slab.next_seq - seq
            cursor.seek = after.first_seq
        cursor.slab, cursor.offset = after.number, 0

    # --- reading ---------------------------------------------------------------------------------------------

    def cursor(self, seq: int, keeps: bool = False) -> Cursor:
        """Return a new cursor at record ``seq``; a number not reached yet: at the end.

        Raises:
            Gone: the record is not held any more (and ``keeps`` is not set).
        """
        cursor = Cursor(self.head.number, self.head.complete, keeps=keeps)
        self.place(cursor, seq)
        self._cursors.add(cursor)
        return cursor

    def cursor_at_edge(self, keeps: bool = False) -> Cursor:
        """Return a new cursor behind the newest record; before the anchor it waits for the first."""
        cursor = Cursor(self.head.number, self.head.complete, self.next_seq, keeps=keeps)
        self._cursors.add(cursor)
        return cursor

    def place(self, cursor: Cursor, seq: int) -> None:
        """Move a cursor to record ``seq`` and have its reader told.

        Raises:
            Gone: the record is not held any more; the cursor stays where it is.
        """
        if self.next_seq is None and cursor.keeps:  # whether the ring will begin with it, nobody knows yet
            cursor.seek = cursor.behind = seq
            return
        if self.next_seq is None or seq >= self.next_seq:
            cursor.slab, cursor.offset, cursor.seek = self.head.number, self.head.complete, self.next_seq
            cursor.behind = None
            return
        slab = self._slabs.holding(seq)
        if slab is None and not cursor.keeps:
            first = self._slabs.first_from(seq)
            raise Gone(self.next_seq if first is None else first)
        cursor.seek = seq
        if slab is None:
            cursor.behind = seq
            return
        cursor.slab, cursor.offset, cursor.behind = slab.number, slab.offset_of(seq), None

    def finish(self, cursor: Cursor) -> None:
        """The reader is about to be moved: if it has a part of a frame, keep the rest of that frame as its tail."""
        if cursor.behind is not None or cursor.tail is not None:
            return
        slab = self._slabs.numbered(cursor.slab)
        if cursor.offset >= slab.complete:
            return
        _, start, stop = slab.seq_at(cursor.offset)
        if start != cursor.offset:
            cursor.tail = memoryview(bytes(slab.memory[cursor.offset : stop]))
            cursor.offset = stop
            self._cross(cursor)

    def drop(self, cursor: Cursor) -> None:
        """Forget a cursor."""
        self._cursors.discard(cursor)

    def rejoin(self, cursor: Cursor) -> bool:
        """A cursor that was read from elsewhere: back onto the ring if its record is held. True: it is.

        One that is ahead of the ring, because it came before the first number was known, goes on at the ring's end.
        """
        if cursor.behind is None:
            return True
        if cursor.behind < self.oldest:
            return False
        seek, seq = cursor.seek, cursor.behind
        self.place(cursor, seq)
        if self.next_seq is None or seq <= self.next_seq:
            cursor.seek = seek
        return cursor.behind is None

    def newest(self, cursor: Cursor) -> memoryview | None:
        """Return what lies before a reader in the newest slab that is to be told nothing else; None: it is elsewhere.

        The reader moves its ``offset`` on by itself.
        """
        head = self.head
        if cursor.slab != head.number or cursor.seek is not None or cursor.tail or cursor.behind is not None:
            return None
        return head.memory[cursor.offset : head.complete]

    def piece(self, cursor: Cursor) -> memoryview:
        """Return what the reader gets next, as far as it lies in one slab, without a copy.

        Empty while ``cursor.seek`` is to be told first, while it is ``behind``, and at the end of the ring.
        """
        if cursor.tail is not None:
            return cursor.tail
        if cursor.seek is not None or cursor.behind is not None:
            return memoryview(b"")
        slab = self._slabs.numbered(cursor.slab)
        return slab.memory[cursor.offset : slab.complete]

    def advance(self, cursor: Cursor, size: int) -> None:
        """The reader took ``size`` bytes of what ``piece`` returned."""
        if cursor.tail is not None:
            cursor.tail = cursor.tail[size:] or None
            return
        slab = self._slabs.numbered(cursor.slab)
        if cursor.offset + size > slab.complete:
            raise LocalProtocolError("a reader took bytes that the ring does not hold")
        cursor.offset += size
        self._cross(cursor)

    def _cross(self, cursor: Cursor) -> None:
        """At the end of a sealed slab: on to the next one, across a hole only with a word to the reader."""
        if cursor.behind is not None:
            return
        slab = self._slabs.numbered(cursor.slab)
        if slab is self.head or cursor.offset < slab.complete:
            return
        after = self._slabs.numbered(slab.number + 1)
        if after.first_seq != slab.next_seq:
            cursor.seek = after.first_seq
        cursor.slab, cursor.offset = after.number, 0

    def lag_bytes(self, cursor: Cursor) -> int:
        """Return how many bytes of the ring this cursor has still to read; behind the oldest: all it can hold."""
        if cursor.behind is not None:
            return self.capacity_bytes if cursor.behind < self.oldest else self._slabs.bytes_from(0)
        return self._slabs.bytes_from(cursor.slab) - cursor.offset

    def pin(self, cursor: Cursor, limit: int) -> list[tuple[Slab, int, int]]:
        """Return spans ``(slab, start, stop)`` of whole frames for a reader in another thread; ``unpin`` each.

        The cursor moves on. ``seek`` of the cursor is cleared: frames carry their numbers.
        """
        cursor.seek = None
        spans: list[tuple[Slab, int, int]] = []
        while limit > 0:
            slab = self._slabs.numbered(cursor.slab)
            if cursor.offset == slab.complete:
                break
            spans.append((slab, cursor.offset, slab.complete))
            limit -= slab.complete - cursor.offset
            slab.pins += 1
            cursor.offset = slab.complete
            self._cross(cursor)
            cursor.seek = None
        return spans

    @staticmethod
    def unpin(spans: list[tuple[Slab, int, int]]) -> None:
        """Give pinned spans back."""
        for slab, _, _ in spans:
            slab.pins -= 1
