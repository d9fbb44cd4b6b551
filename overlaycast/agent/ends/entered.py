"""What enters a member's output, record by record: counted, and for a live stream hashed.

Owns: records as they enter, lost, doubled or out of order, and the SHA-256 of what entered (live; what enters in a
file group has been checked chunk by chunk). Refuses: I/O. Runs in the sink's thread.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from overlaycast.agent.records.chunks import Layout
from overlaycast.wire.frames import HEADER, HEADER_SIZE, End, Kind, decode_one


@dataclass(slots=True)
class Entered:
    """What entered the sink."""

    first_seq: int | None = None
    next_seq: int | None = None
    records: int = 0
    bytes: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    incarnation: int | None = None
    incarnation_first: int = 0
    gaps_in_incarnation: int = 0
    former_next: int = 0
    """The number after the last record of an incarnation before this one."""
    false: int = 0
    """Records of a former incarnation with numbers that turned out to be this one's: they stand in for what is lost."""
    holes: list[tuple[int, int]] = field(default_factory=list)


class Counting:
    """Frames in, payloads out; counts and hashes on the way. Runs in the writer thread; no I/O.

    Attributes:
        entered: what is in the sink.
    """

    def __init__(self, entered: Entered | None = None) -> None:
        self.entered = entered or Entered()
        self._whole = hashlib.sha256()
        self._part = self._whole

    def place(self, memory: memoryview, start: int) -> int | None:
        """Return where in the output the records in ``memory`` from ``start`` on belong; None: behind the others."""
        return None

    def next_new(self, memory: memoryview, start: int) -> int:
        """Return the number of the first record from ``start`` on that has not entered yet."""
        seq: int = HEADER.unpack_from(memory, start)[4]
        return max(seq, self.entered.next_seq or 0)

    def take(self, memory: memoryview, start: int, stop: int) -> list[memoryview]:
        """Return the payloads of the new records in ``[start, stop)``."""
        payloads = []
        while start < stop:
            header = kind, _, incarnation, length, seq, _ = HEADER.unpack_from(memory, start)
            start += HEADER_SIZE
            if kind == Kind.DATA and self._count(seq, incarnation, length):
                payload = memory[start : start + length]
                self._hash(payload)
                payloads.append(payload)
            elif kind == Kind.END:
                end = decode_one(header, bytes(memory[start : start + length]))
                assert isinstance(end, End)
                self._end(end.first_seq)
            start += length
        return payloads

    def _hash(self, payload: memoryview) -> None:
        self._whole.update(payload)
        if self._part is not self._whole:
            self._part.update(payload)

    def _count(self, seq: int, incarnation: int, length: int) -> bool:
        entered = self.entered
        if entered.next_seq is None:
            entered.first_seq = entered.next_seq = seq
        elif seq < entered.next_seq:
            late = any(first <= seq < after for first, after in entered.holes)
            entered.reordered += late
            entered.duplicated += not late
            return False
        elif seq > entered.next_seq:
            entered.lost += seq - entered.next_seq
            entered.gaps_in_incarnation += 1
            entered.holes = [*entered.holes[-63:], (entered.next_seq, seq)]
        if incarnation != entered.incarnation:
            self._begin_incarnation(seq, incarnation)
        entered.next_seq = seq + 1
        entered.records += 1
        entered.bytes += length
        return True

    def _begin_incarnation(self, seq: int, incarnation: int) -> None:
        entered = self.entered
        if entered.incarnation is not None:
            entered.former_next = entered.next_seq or 0
            self._part = hashlib.sha256()
            entered.gaps_in_incarnation = 0
            entered.incarnation_first = seq
        elif not entered.records:
            entered.incarnation_first = seq
        entered.incarnation = incarnation

    def _end(self, first_seq: int) -> None:
        """The source says with which record it began: what a former one sent with such numbers stands for others."""
        entered = self.entered
        false = range(max(first_seq, entered.first_seq or 0), min(entered.former_next, entered.incarnation_first))
        missing = [range(max(first, false.start), min(after, false.stop)) for first, after in entered.holes]
        entered.false = len(false) - sum(map(len, missing))
        entered.lost += entered.false

    def sha256(self) -> str:
        """Return the digest of all that entered."""
        return self._whole.hexdigest()

    def matches(self, first_seq: int, after: int, digest: bytes) -> bool | None:
        """Is what entered the source's ``[first_seq, after)``? None: we do not have all of it (a late joiner)."""
        entered = self.entered
        if entered.false:
            return False
        if entered.records == 0:
            return True if first_seq == after else None
        if entered.incarnation_first != first_seq or entered.gaps_in_incarnation or entered.next_seq != after:
            return None
        return self._part.digest() == digest


class FileCounting(Counting):
    """The same for a file, whose records have known lengths and places: a whole span is counted at once.

    Args:
        kept: records at the file's beginning that are there already.
    """

    def __init__(self, layout: Layout, kept: int) -> None:
        super().__init__(Entered(0, kept, kept, layout.payload(0, kept)))
        self._layout = layout

    def place(self, memory: memoryview, start: int) -> int:
        """Return where in the file the records belong; those of a span are contiguous."""
        return self._first(memory, start) * self._layout.record_size

    def take(self, memory: memoryview, start: int, stop: int) -> list[memoryview]:
        """Return the payloads of the records in ``[start, stop)``; END may be behind them."""
        entered, layout = self.entered, self._layout
        seq = self._first(memory, start)
        after = min(seq - (start - stop) // layout.frame, layout.records)
        known = entered.next_seq or 0
        fresh, end = max(seq, known), max(after, known)
        entered.lost += max(0, seq - known)
        entered.duplicated += max(0, min(after, known) - seq)
        entered.records += end - fresh
        entered.bytes += layout.payload(fresh, end)
        entered.next_seq = end
        return layout.payloads(memory[start : start + layout.frames(seq, after)])

    @staticmethod
    def _first(memory: memoryview, start: int) -> int:
        seq: int = HEADER.unpack_from(memory, start)[4]
        return seq
