"""Where a member's data goes: a file, standard output, or nowhere; and what really entered it.

Owns: the writer thread (a blocking disk must not stall forwarding), the count of records as they enter, lost,
doubled or out of order, and the SHA-256 of what entered (live; what enters in a file group has been checked chunk by
chunk). Refuses: to slow down anybody. The sink is a cursor into the ring like a child; the ring's slabs are lent to the
thread while it writes them, one batch at a time. A live stream is written on and on, a file's records at their places.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from overlaycast.agent.chunks import Layout
from overlaycast.agent.ring import Ring
from overlaycast.agent.slab import Slab
from overlaycast.wire.frames import HEADER, HEADER_SIZE, Kind

FLUSH_S: Final = 0.02
"""Records are written at most so much later than they came: a batch costs two thread switches."""
FILE_FLUSH_S: Final = 0.2
"""The same for a file: nobody looks at it before it is whole."""
BATCH: Final = 1 << 20
EAGER: Final = 1 << 18
"""So much waiting is written at once."""
_VECTOR: Final = 512
"""Buffers per ``writev``; the kernel's limit is 1024."""


@dataclass(slots=True)
class Entered:
    """What entered the sink. ``digest`` covers the newest incarnation, ``whole`` everything."""

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
    holes: list[tuple[int, int]] = field(default_factory=list)


class Counting:
    """Frames in, payloads out; counts and hashes on the way. Runs in the writer thread; no I/O.

    Args:
        entered: what is in the sink already.
        hashed: keep a digest.
    """

    def __init__(self, entered: Entered | None = None, hashed: bool = True) -> None:
        self.entered = entered or Entered()
        self._hashed = hashed
        self._whole = hashlib.sha256()
        self._part = self._whole

    def take(self, memory: memoryview, start: int, stop: int) -> list[memoryview]:
        """Return the payloads of the new records in ``[start, stop)``."""
        payloads = []
        while start < stop:
            kind, _, incarnation, length, seq, _ = HEADER.unpack_from(memory, start)
            start += HEADER_SIZE
            if kind == Kind.DATA and self._count(seq, incarnation, length):
                payload = memory[start : start + length]
                if self._hashed:
                    self._hash(payload)
                payloads.append(payload)
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
            self._part = hashlib.sha256()
            entered.gaps_in_incarnation = 0
            entered.incarnation_first = seq
        elif not entered.records:
            entered.incarnation_first = seq
        entered.incarnation = incarnation

    def sha256(self) -> str:
        """Return the digest of all that entered."""
        return self._whole.hexdigest()

    def matches(self, first_seq: int, after: int, digest: bytes) -> bool | None:
        """Is what entered the source's ``[first_seq, after)``? None: we do not have all of it (a late joiner)."""
        entered = self.entered
        if entered.records == 0:
            return True if first_seq == after else None
        if entered.incarnation_first != first_seq or entered.gaps_in_incarnation or entered.next_seq != after:
            return None
        return self._part.digest() == digest


class Sink:
    """The writer.

    Args:
        descriptor: an open file descriptor.
        on_failed: told in the loop, once, in one line, when writing failed.
        on_wrote: told in the loop after each batch.
        layout: in a file group: where in the file records are.
        kept: in a file group: records at the file's beginning that are there already.
        eager: so many bytes are written as soon as they wait.

    ``written`` is the number after the last record that the output has, as far as the loop knows.
    """

    def __init__(
        self,
        ring: Ring,
        descriptor: int,
        on_failed: Callable[[str], None],
        on_wrote: Callable[[], None],
        layout: Layout | None = None,
        kept: int = 0,
        eager: int = EAGER,
    ) -> None:
        self.counting = Counting()
        if layout is not None:
            size = min(kept * layout.record_size, layout.size)
            self.counting = Counting(Entered(0, kept, kept, size), hashed=False)
        self.written = kept
        self._layout = layout
        self._flush_s = FLUSH_S if layout is None else FILE_FLUSH_S
        self._eager = eager
        self.failed: str | None = None
        self._ring = ring
        self._cursor = ring.cursor_at_edge()
        self._descriptor = descriptor
        self._on_failed = on_failed
        self._on_wrote = on_wrote
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[list[tuple[Slab, int, int]] | None] = queue.SimpleQueue()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._write_batches, name="sink", daemon=True)
        self._thread.start()

    @property
    def lag_bytes(self) -> int:
        """Bytes that wait in the ring for this sink."""
        return self._ring.lag_bytes(self._cursor)

    def wake(self) -> None:
        """There may be something new in the ring."""
        if self._busy or self.failed:
            return
        if self.lag_bytes >= self._eager:
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._flush_s, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._busy or self.failed:
            return
        spans = self._ring.pin(self._cursor, BATCH)
        if spans:
            self._busy = True
            self._idle.clear()
            self._work.put(spans)

    def _write_batches(self) -> None:
        while (spans := self._work.get()) is not None:
            failure = None
            try:
                for slab, start, stop in spans:
                    self._write(self.counting.take(slab.memory, start, stop), self._place(slab.memory, start))
            except OSError as error:
                failure = error.strerror or str(error)
            try:
                self._loop.call_soon_threadsafe(self._written, spans, failure)
            except RuntimeError:  # the loop is closed: nobody waits for this batch
                return

    def _place(self, memory: memoryview, start: int) -> int | None:
        """Return where in a file the frames from ``start`` on belong; they are contiguous, and none comes twice."""
        if self._layout is None:
            return None
        seq: int = HEADER.unpack_from(memory, start)[4]
        return seq * self._layout.record_size

    def _write(self, payloads: list[memoryview], place: int | None) -> None:
        for first in range(0, len(payloads), _VECTOR):
            some = payloads[first : first + _VECTOR]
            left = sum(map(len, some))
            while left:
                if place is None:
                    done = os.writev(self._descriptor, some)
                else:
                    done = os.pwritev(self._descriptor, some, place)
                    place += done
                left -= done
                if left:
                    some = _after(some, done)

    def _written(self, spans: list[tuple[Slab, int, int]], failure: str | None) -> None:
        Ring.unpin(spans)
        self._busy = False
        self.written = self.counting.entered.next_seq or 0
        if failure is not None and self.failed is None:
            self.failed = failure
            self._idle.set()
            self._on_failed(failure)
            return
        if self.lag_bytes:
            self.wake()
        if not self._busy and not self.lag_bytes:
            self._idle.set()
        self._on_wrote()

    async def drained(self) -> None:
        """Wait until all that is in the ring has been written, or writing has failed."""
        while not self.failed and (self._busy or self.lag_bytes):
            self._idle.clear()
            self._flush()
            await self._idle.wait()

    def close(self) -> None:
        """Let the thread end; a write that hangs is left to the process's end."""
        if self._timer is not None:
            self._timer.cancel()
        self._ring.drop(self._cursor)
        self._work.put(None)


def _after(buffers: list[memoryview], done: int) -> list[memoryview]:
    """Return what is left of ``buffers`` after ``done`` bytes."""
    for place, view in enumerate(buffers):
        if done < len(view):
            return [view[done:], *buffers[place + 1 :]]
        done -= len(view)
    return []
