"""One direction of an emulated link: it decides when each frame comes out. Pure: the caller gives the time as a number,
and the random generator.

Owns: the queue of a direction. Invariants: frames leave in the order in which they came; from the start of one frame to
the start of the next, the rate is kept; no more waits than the queue holds; every frame is counted once, as sent, lost,
overflowed, or dropped while the direction was down.

Effects come in the order of a real line: loss, a queue with tail drop, serialisation at the rate, propagation with
jitter.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final

from overlaycast.lab.topology.shape import Shape

_NS_PER_MS: Final = 1_000_000
FRAMES_IN_FLIGHT: Final = 50_000
"""The most that a direction holds at any delay, so that memory is bounded (75 MB of full frames)."""


class Pipe:
    """A direction. Times are nanoseconds of one monotonic clock.

    Attributes:
        queue: ``(release, departure, frame)``, releases never decreasing.
    """

    __slots__ = (
        "_chance", "_delay", "_duplicate", "_free", "_jitter", "_last", "_limit", "_loss", "_ns_per_byte", "bytes",
        "down", "dropped_down", "dropped_loss", "dropped_queue", "duplicated", "frames", "plain", "queue", "shape",
    )  # fmt: skip

    def __init__(self, wish: Shape, chance: Random) -> None:
        """Start empty, up, with this shape."""
        self._chance = chance.random
        self.queue: deque[tuple[int, int, bytes]] = deque()
        self.down = False
        self._free = 0  # when the line has sent all that it was given
        self._last = 0  # latest release so far: no frame overtakes another
        self.frames = self.bytes = 0
        self.dropped_loss = self.dropped_queue = self.dropped_down = self.duplicated = 0
        self._take(wish)

    def _take(self, wish: Shape) -> None:
        self.shape = wish
        self._ns_per_byte = 8000.0 / wish.rate_mbit if wish.rate_mbit else 0.0
        self._limit = wish.queue * self._ns_per_byte  # the queue, as time until the line is free
        self._delay = round(wish.delay_ms * _NS_PER_MS)
        self._jitter = round(wish.jitter_ms * _NS_PER_MS)
        self._loss, self._duplicate = wish.loss, wish.duplicate

    def offer(self, now: int, frame: bytes) -> bool:
        """Put a frame in. Returns True if the direction was empty before and is not now (its head needs a timer)."""
        if self.down:
            self.dropped_down += 1
            return False
        if self._loss and self._chance() < self._loss:
            self.dropped_loss += 1
            return False
        was_empty = not self.queue
        self._enqueue(now, frame)
        if self._duplicate and self._chance() < self._duplicate:
            self.duplicated += 1
            self._enqueue(now, frame)
        return was_empty and bool(self.queue)

    def _enqueue(self, now: int, frame: bytes) -> None:
        free = self._free if self._free > now else now
        send = len(frame) * self._ns_per_byte
        if (self._ns_per_byte and free - now + send > self._limit) or len(self.queue) >= FRAMES_IN_FLIGHT:
            self.dropped_queue += 1
            return
        departure = self._free = int(free + send)
        release = departure + self._delay
        if self._jitter:
            release += int((2 * self._chance() - 1) * self._jitter)
        if release < self._last:
            release = self._last
        self._last = release
        self.queue.append((release, departure, frame))

    def take(self) -> bytes:
        """Remove and return the first frame; the caller has checked that its time has come."""
        frame = self.queue.popleft()[2]
        self.frames += 1
        self.bytes += len(frame)
        return frame

    def change(self, wish: Shape, now: int) -> None:
        """Change the shape. Frames that wait are sent at the new rate; frames already sent keep their times."""
        waiting = []
        while self.queue and self.queue[-1][1] > now:
            waiting.append(self.queue.pop()[2])
        self._take(wish)
        self._free = self.queue[-1][1] if self.queue else now
        self._last = self.queue[-1][0] if self.queue else 0
        for frame in reversed(waiting):
            self._enqueue(now, frame)

    def set_down(self, down: bool) -> None:
        """Cut the direction, which loses all frames on their way, or mend it."""
        if down and not self.down:
            self.dropped_down += len(self.queue)
            self.queue.clear()
            self._free = self._last = 0
        self.down = down

    def counts(self) -> dict[str, int]:
        """Return the counts of frames: sent (with their bytes), duplicated, and dropped by cause."""
        names = ("frames", "bytes", "duplicated", "dropped_loss", "dropped_queue", "dropped_down")
        return {name: getattr(self, name) for name in names}
