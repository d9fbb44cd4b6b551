"""The last megabytes of a group's stream, kept once, read by any number of cursors.

Owns: cursors, and the rule for one that is too slow: it loses its place to the newest data, and only it. Refuses: I/O,
clocks, the meaning of a record. What is kept, and how it is written, is in ``slabs``.

Memory: the slabs, plus one unfinished frame per cursor that was evicted in the middle of a frame, plus the slabs that a
sink has pinned.
"""

from __future__ import annotations

from dataclasses import dataclass

from overlaycast.agent.records.slab import SLAB_BYTES, Slab
from overlaycast.agent.records.slabs import Slabs
from overlaycast.errors import LocalProtocolError


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


class Ring(Slabs):
    """The stream's newest records, one writer's head, many cursors."""

    def __init__(self, slabs: int, slab_bytes: int = SLAB_BYTES) -> None:
        super().__init__(slabs, slab_bytes)
        self._cursors: set[Cursor] = set()

    # --- what the writer does to readers -----------------------------------------------------------------------

    def _began(self, seq: int) -> None:
        for cursor in self._cursors:
            if cursor.slab == self.head.number and cursor.behind is None:
                cursor.seek = seq

    def _rolled(self) -> None:
        for cursor in self._cursors:
            self._cross(cursor)

    def _gave_up(self, slab: Slab) -> None:
        for cursor in self._cursors:
            if cursor.slab == slab.number and cursor.behind is None:
                self._push_out(cursor, slab, self._slabs[0])

    def _passed(self, slab: Slab) -> bool:
        return not slab.pins and not any(self._wants(one, slab) for one in self._cursors)

    @staticmethod
    def _wants(cursor: Cursor, slab: Slab) -> bool:
        """Its next record is here, also if it has still to rejoin the ring for it."""
        if cursor.behind is not None:
            return slab.first_seq <= cursor.behind < slab.next_seq
        return cursor.slab == slab.number

    @staticmethod
    def _push_out(cursor: Cursor, slab: Slab, after: Slab) -> None:
        seq = slab.next_seq
        if cursor.offset < slab.complete:
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
        slab = next((slab for slab in reversed(self._slabs) if slab.first_seq <= seq), None)
        if slab is not None and seq >= slab.next_seq:  # in a hole: what was asked for never came here
            slab = None
        if slab is None and not cursor.keeps:
            raise Gone(next((one.first_seq for one in self._slabs if one.first_seq >= seq), self.next_seq))
        cursor.seek = seq
        if slab is None:
            cursor.behind = seq
            return
        cursor.slab, cursor.offset, cursor.behind = slab.number, slab.offset_of(seq), None

    def finish(self, cursor: Cursor) -> None:
        """The reader is about to be moved: if it has a part of a frame, keep the rest of that frame as its tail."""
        if cursor.behind is not None or cursor.tail is not None:
            return
        slab = self._slab(cursor.slab)
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
        head = self._slabs[-1]
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
        slab = self._slab(cursor.slab)
        return slab.memory[cursor.offset : slab.complete]

    def advance(self, cursor: Cursor, size: int) -> None:
        """The reader took ``size`` bytes of what ``piece`` returned."""
        if cursor.tail is not None:
            cursor.tail = cursor.tail[size:] or None
            return
        slab = self._slab(cursor.slab)
        if cursor.offset + size > slab.complete:
            raise LocalProtocolError("a reader took bytes that the ring does not hold")
        cursor.offset += size
        self._cross(cursor)

    def _cross(self, cursor: Cursor) -> None:
        """At the end of a sealed slab: on to the next one, across a hole only with a word to the reader."""
        if cursor.behind is not None:
            return
        slab = self._slab(cursor.slab)
        if slab is self.head or cursor.offset < slab.complete:
            return
        after = self._slab(slab.number + 1)
        if after.first_seq != slab.next_seq:
            cursor.seek = after.first_seq
        cursor.slab, cursor.offset = after.number, 0

    def lag_bytes(self, cursor: Cursor) -> int:
        """Return how many bytes of the ring this cursor has still to read; behind the oldest: all it can hold."""
        if cursor.behind is not None:
            return self.capacity_bytes if cursor.behind < self.oldest else sum(slab.complete for slab in self._slabs)
        return sum(s.complete for s in self._slabs if s.number >= cursor.slab) - cursor.offset

    def pin(self, cursor: Cursor, limit: int) -> list[tuple[Slab, int, int]]:
        """Return spans ``(slab, start, stop)`` of whole frames for a reader in another thread; ``unpin`` each.

        The cursor moves on. ``seek`` of the cursor is cleared: frames carry their numbers.
        """
        cursor.seek = None
        spans: list[tuple[Slab, int, int]] = []
        while limit > 0:
            slab = self._slab(cursor.slab)
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
