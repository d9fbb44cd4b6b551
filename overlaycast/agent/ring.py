"""The last megabytes of a group's stream, kept once, read by any number of cursors.

Owns: slabs (fixed pieces of memory that hold whole DATA and END frames, byte for byte as they arrived), cursors, and
the rule for a cursor that is too slow: it loses its place to the newest data, and only it. Refuses: I/O, clocks, the
meaning of a record.

Invariants
- Within a slab the numbers are contiguous; a hole in the stream lies between two slabs only.
- Memory: at most ``slabs`` slabs, allocated when first needed, plus one unfinished frame per cursor that was evicted
  in the middle of a frame, plus the slabs that a sink has pinned.
- Bytes in ``[0, complete)`` of a slab never change while the slab is in the ring: they may be sent without a copy.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from overlaycast.agent.slab import INDEX_EVERY, LEAST_ROOM, SLAB_BYTES, Slab, fresh_memory
from overlaycast.errors import LocalProtocolError
from overlaycast.wire.frames import HEADER, HEADER_SIZE, End, data_header, encode


class Gone(Exception):
    """The record asked for is no longer held; ``oldest`` is."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the oldest record held is {oldest}")
        self.oldest = oldest


class Writer(Protocol):
    """Who has unfinished bytes behind ``complete`` in the head."""

    def stand_back(self) -> None:
        """Take them away: somebody else writes now."""


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

    ``next_seq`` is the number of the next record, None before the first number is known (``anchor``).
    """

    def __init__(self, slabs: int, slab_bytes: int = SLAB_BYTES) -> None:
        if slabs < 2 or slab_bytes < LEAST_ROOM:
            raise LocalProtocolError(f"a ring has at least 2 slabs of {LEAST_ROOM} bytes")
        self.next_seq: int | None = None
        self.end: End | None = None
        self.writer: Writer | None = None
        self.began_at: int | None = None
        self.evicted = 0
        self._most = slabs
        self._slab_bytes = slab_bytes
        self._spare: list[memoryview] = []
        self._slabs: deque[Slab] = deque([Slab(0, fresh_memory(slab_bytes), 0, 0)])
        self._cursors: set[Cursor] = set()

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
        """What the ring holds when it is full."""
        return self._most * self._slab_bytes

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated for slabs, spare ones included."""
        return (len(self._slabs) + len(self._spare)) * self._slab_bytes

    def first_frame(self) -> tuple[int, int]:
        """Return incarnation and payload length of the oldest frame held.

        Raises:
            LocalProtocolError: nothing is held.
        """
        if not self._slabs[0].complete:
            raise LocalProtocolError("the ring is empty")
        _, _, incarnation, length, _, _ = HEADER.unpack_from(self._slabs[0].memory, 0)
        return incarnation, length

    # --- writing ---------------------------------------------------------------------------------------------

    def anchor(self, seq: int) -> None:
        """The stream goes on from ``seq``: the first number ever, or one further ahead after a loss.

        Raises:
            LocalProtocolError: ``seq`` would go back.
        """
        if self.next_seq is None:
            self.next_seq = self.began_at = self.head.first_seq = self.head.next_seq = seq
            for cursor in self._cursors:
                if cursor.behind is None:
                    cursor.seek = seq
            return
        if seq < self.next_seq:
            raise LocalProtocolError(f"the ring is at {self.next_seq} and cannot go back to {seq}")
        if seq > self.next_seq:
            self.next_seq = seq
            if self.head.complete:
                self.roll()
            else:
                self._restart_empty_head(seq)

    def _restart_empty_head(self, seq: int) -> None:
        self.head.first_seq = self.head.next_seq = seq
        for cursor in self._cursors:
            if cursor.slab == self.head.number and cursor.behind is None:
                cursor.seek = seq

    def roll(self) -> None:
        """Seal the head and open a new one; the oldest slab goes when there are too many."""
        old = self.head
        memory = self._spare.pop() if self._spare else None
        if memory is None and len(self._slabs) >= self._most:
            memory = self._evict()
        start = self.next_seq if self.next_seq is not None else 0
        self._slabs.append(Slab(old.number + 1, memory or fresh_memory(self._slab_bytes), start, start))
        for cursor in self._cursors:
            self._cross(cursor)

    def committed(self, seq: int, size: int) -> None:
        """The writer put frame ``seq`` of ``size`` bytes at the end of the head: it may be read now."""
        head = self.head
        if head.complete >= head.next_mark:
            head.index.append((seq, head.complete))
            head.next_mark = head.complete + INDEX_EVERY
        self.commit(seq + 1, size)

    def commit(self, next_seq: int, size: int) -> None:
        """The writer put whole frames up to (not with) ``next_seq``, indexed by itself, at the end of the head."""
        head = self._slabs[-1]
        head.complete += size
        head.next_seq = self.next_seq = next_seq

    def take(self, frames: memoryview, size: int) -> None:
        """Take a copy of whole DATA frames from ``next_seq`` on, each of ``size`` bytes, the last one maybe less."""
        seq, at = self._own_seq(), 0
        while at < len(frames):
            room = self._slab_bytes - self.head.complete
            if room < min(size, len(frames) - at):
                self.roll()
                continue
            part = frames[at : at + (room if len(frames) - at <= room else room // size * size)]
            start = self.head.complete
            self.head.memory[start : start + len(part)] = part
            for offset in range(0, len(part), size):
                self.committed(seq, min(size, len(part) - offset))
                seq += 1
            at += len(part)

    def at_least(self, size: int) -> None:
        """Let the ring hold so many bytes, if it would hold less."""
        self._most = max(self._most, -(-size // self._slab_bytes))

    def append(self, payload: bytes | memoryview, time_us: int, incarnation: int = 0) -> int:
        """Put a record of our own into the ring (the source's way in); return its number."""
        seq = self._own_seq()
        header = data_header(seq, time_us, len(payload), incarnation)
        size = HEADER_SIZE + len(payload)
        at = self._room_for(size)
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
        at = self._room_for(len(frame))
        self.head.memory[at : at + len(frame)] = frame
        self.committed(end.seq, len(frame))
        self.end = end

    def _own_seq(self) -> int:
        if self.next_seq is None:
            raise LocalProtocolError("the stream has no first number yet")
        return self.next_seq

    def _room_for(self, size: int) -> int:
        if self.head.complete + size > self._slab_bytes:
            self.roll()
        return self.head.complete

    def _evict(self) -> memoryview | None:
        """Drop the oldest slab; return its memory if nobody else looks at it."""
        slab = self._slabs.popleft()
        after = self._slabs[0] if self._slabs else None
        self.evicted += 1
        for cursor in self._cursors:
            if cursor.slab == slab.number and cursor.behind is None:
                self._push_out(cursor, slab, after)
        return None if slab.pins else slab.memory

    @staticmethod
    def _push_out(cursor: Cursor, slab: Slab, after: Slab | None) -> None:
        if after is None:
            raise LocalProtocolError("the head cannot be evicted")
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
        slab = self._slabs[cursor.slab - self._slabs[0].number]
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
        slab = self._slabs[cursor.slab - self._slabs[0].number]
        return slab.memory[cursor.offset : slab.complete]

    def advance(self, cursor: Cursor, size: int) -> None:
        """The reader took ``size`` bytes of what ``piece`` returned."""
        if cursor.tail is not None:
            cursor.tail = cursor.tail[size:] or None
            return
        slab = self._slabs[cursor.slab - self._slabs[0].number]
        if cursor.offset + size > slab.complete:
            raise LocalProtocolError("a reader took bytes that the ring does not hold")
        cursor.offset += size
        self._cross(cursor)

    def _cross(self, cursor: Cursor) -> None:
        """At the end of a sealed slab: on to the next one, across a hole only with a word to the reader."""
        if cursor.behind is not None:
            return
        slab = self._slabs[cursor.slab - self._slabs[0].number]
        if slab is self.head or cursor.offset < slab.complete:
            return
        after = self._slabs[slab.number + 1 - self._slabs[0].number]
        if after.first_seq != slab.next_seq:
            cursor.seek = after.first_seq
        cursor.slab, cursor.offset = after.number, 0

    def lag_bytes(self, cursor: Cursor) -> int:
        """Return how many bytes of the ring this cursor has still to read."""
        if cursor.behind is not None:
            return sum(slab.complete for slab in self._slabs)
        return sum(s.complete for s in self._slabs if s.number >= cursor.slab) - cursor.offset

    def pin(self, cursor: Cursor, limit: int) -> list[tuple[Slab, int, int]]:
        """Return spans ``(slab, start, stop)`` of whole frames for a reader in another thread; ``unpin`` each.

        The cursor moves on. ``seek`` of the cursor is cleared: frames carry their numbers.
        """
        cursor.seek = None
        spans: list[tuple[Slab, int, int]] = []
        while limit > 0:
            slab = self._slabs[cursor.slab - self._slabs[0].number]
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
