"""Where a member's data goes: a file, standard output, or nowhere.

Owns: the writer thread (a blocking disk must not stall forwarding). Refuses: to slow down anybody; what it is that
enters (``entered``). The sink is a cursor into the ring like a child; the ring's slabs are lent to the thread while it
writes them, one batch at a time. A live stream is written on and on, a file's records at their places.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable
from typing import Final

from overlaycast.agent.ends.entered import Counting
from overlaycast.agent.ends.recording import Destination
from overlaycast.agent.records.ring import Ring
from overlaycast.agent.records.slab import Slab
from overlaycast.errors import in_one_line

FLUSH_S: Final = 0.02
"""Records are written at most so much later than they came: a batch costs two thread switches."""
FILE_FLUSH_S: Final = 0.2
"""The same for a file, which is of no use before it is complete."""
BATCH: Final = 1 << 20
EAGER: Final = 1 << 18
"""So much waiting is written at once."""
_VECTOR: Final = 512
"""Buffers per ``writev``; the kernel's limit is 1024."""


class Sink:
    """The writer.

    Args:
        destination: where the bytes go.
        on_failed: told in the loop, once, in one line, when writing failed.
        on_wrote: told in the loop after each batch.
        counting: what is in the output, and what enters it.
        flush_s: records are written at most so much later than they came.
        eager: so many bytes are written as soon as they wait.

    ``written`` is the number after the last record that the output has, as far as the loop knows.
    """

    def __init__(
        self,
        ring: Ring,
        destination: Destination,
        on_failed: Callable[[str], None],
        on_wrote: Callable[[], None],
        counting: Counting | None = None,
        flush_s: float = FLUSH_S,
        eager: int = EAGER,
    ) -> None:
        self.counting = counting or Counting()
        self.written = self.counting.entered.next_seq or 0
        self._flush_s = flush_s
        self._eager = eager
        self.failed: str | None = None
        self._ring = ring
        self._cursor = ring.cursor_at_edge()
        self._destination = destination
        self._on_failed = on_failed
        self._on_wrote = on_wrote
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[list[tuple[Slab, int, int]] | None] = queue.SimpleQueue()
        self._busy = False
        self._urgent = False
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
        if self.lag_bytes >= (1 if self._urgent else self._eager):
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
                    place = self.counting.place(slab.memory, start)
                    seq = self.counting.next_new(slab.memory, start)
                    self._write(self.counting.take(slab.memory, start, stop), place, seq)
            except OSError as error:
                failure = error.strerror or str(error)
            except Exception as error:  # also a defect must not end the thread without a word
                failure = in_one_line(error)
            try:
                self._loop.call_soon_threadsafe(self._written, spans, failure)
            except RuntimeError:  # the loop is closed, and this batch with it
                return

    def _write(self, payloads: list[memoryview], place: int | None, seq: int) -> None:
        if not payloads:
            return
        descriptor = self._destination.descriptor(seq, sum(map(len, payloads)))
        for first in range(0, len(payloads), _VECTOR):
            some = payloads[first : first + _VECTOR]
            left = sum(map(len, some))
            while left:
                if place is None:
                    done = os.writev(descriptor, some)
                else:
                    done = os.pwritev(descriptor, some, place)
                    place += done
                left -= done
                if left:
                    some = _after(some, done)

    def _written(self, spans: list[tuple[Slab, int, int]], failure: str | None) -> None:
        self._busy = False
        if failure is not None:  # what was not written stays in the ring, and is not said to be in the file
            self.failed = failure
            self._idle.set()
            self._on_failed(failure)
            return
        Ring.unpin(spans)
        self.written = self.counting.entered.next_seq or 0
        if self.lag_bytes:
            self.wake()
        if not self._busy and not self.lag_bytes:
            self._idle.set()
        self._on_wrote()

    async def drained(self) -> None:
        """Wait until all that is in the ring has been written, or writing has failed; from now on nothing rests."""
        self._urgent = True
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
