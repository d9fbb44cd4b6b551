"""What shows that a member cannot keep up with a live stream, and where that comes from: one look at its figures.

Owns: how late data comes, above the least of late (two hosts' clocks differ by anything), how old the oldest record is
that the output lacks, and how much of the time the program did not get to run. Refuses: clocks; and to say anything:
one look proves nothing (``behind``).

Data cannot become later faster than time passes; what exceeds that is a clock that was set.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from overlaycast.wire.messages import Behind

LATE_S: Final = 0.5
"""Data that comes so much later than the earliest of late is behind."""
WARN_S: Final = 0.4
"""Children are told a little before that, so that they know what it comes from."""
ON_TIME_S: Final = 0.2
"""Below this it is on time again."""
FRESH_S: Final = 3.0
"""What came last says nothing after so long: a stream may pause."""
LOSING_S: Final = 2.0
"""Records lost so lately count as being behind."""
WORD_S: Final = 1.0
"""A parent that is behind itself says so within this, and before that its link is not blamed."""
LOWEST_S: Final = 60.0
"""The least lateness of this window and the one before counts; clocks drift, and one that was set is forgotten."""
CLOCK_S: Final = 0.05
"""What latencies and arrivals may differ by before a clock was set."""
OUTPUT_S: Final = 2.0
"""An output that lacks a record which has been here for so long is behind: readers of pipes take it in bursts."""
MOST_MARKS: Final = 512
SPAN_S: Final = 3.0
"""The time over which the program's own delays are added up."""
DELAY_S: Final = 0.1
"""A shorter delay of the program is usual on a busy machine."""
STOPPED: Final = 0.4
"""The program does not get to run for this share of the time: it is behind, whatever comes."""
HELD_UP: Final = 0.2
"""So it is when data is late as well; then it need not be the link."""
BUSY: Final = 0.9
"""Or when it computes for this share of the time,"""
UNREAD: Final = 64 << 10
"""or when so many bytes have been waiting in the kernel for it all the time."""


@dataclass(frozen=True, slots=True)
class Look:
    """A member's figures at one moment. Times are seconds of one monotonic clock.

    ``position`` is the record that the ring expects, ``written`` the one that the output expects (None: no output).
    ``latency_ms`` and ``arrived_at`` are those of the newest record (None: none has come). ``lost`` records never came,
    ``output_lost`` were overwritten before the output had them. ``unread`` bytes wait in the kernel. ``parent_late``:
    the parent says that its own data is late; ``stalled``: that it gets none. ``delay_s``: the program got to this look
    so much later than it was due. ``cpu_s``: processor time so far.
    """

    now: float
    position: int = 0
    written: int | None = None
    latency_ms: float | None = None
    arrived_at: float | None = None
    lost: int = 0
    output_lost: int = 0
    unread: int = 0
    parent_late: bool = False
    stalled: bool = False
    delay_s: float = 0.0
    cpu_s: float = 0.0


class Signs:
    """What the looks so far show.

    Attributes:
        late: our data is late, or lacks records: what children are told.
        late_s: by how much the newest record is late.
        waiting_s: for how long the oldest record that the output lacks has been here.
    """

    def __init__(self) -> None:
        self.late = False
        self.late_s = 0.0
        self.waiting_s = 0.0
        self._behind_since: float | None = None
        self._excess = _Excess()
        self._marks: deque[tuple[float, int]] = deque()
        self._arrivals = _Growth()
        self._output = _Growth()
        self._running = _Running()

    def cause(self, look: Look) -> Behind | None:
        """Take a look; return what seems to be behind at this moment, None if nothing is."""
        behind = self._data_is_behind(look)
        if self._running.short(look, behind):
            return "processor"
        if look.stalled or (behind and look.parent_late):
            return "parent"
        if self._behind_since is not None and look.now - self._behind_since >= WORD_S:
            return "link"
        return "output" if self._output_is_behind(look) else None

    def _data_is_behind(self, look: Look) -> bool:
        losing = self._arrivals.lately(look.lost, look.now)
        self.late_s = self._excess.seconds(look)
        self.late = losing or self.late_s >= (ON_TIME_S if self.late else WARN_S)
        behind = losing or self.late_s >= (LATE_S if self._behind_since is None else ON_TIME_S)
        if not behind:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = look.now
        return behind

    def _output_is_behind(self, look: Look) -> bool:
        losing = self._output.lately(look.output_lost, look.now)
        if look.written is None:
            return False
        marks = self._marks
        if len(marks) < MOST_MARKS:
            marks.append((look.now, look.position))
        while marks and marks[0][1] <= look.written:
            marks.popleft()
        self.waiting_s = look.now - marks[0][0] if marks else 0.0
        return losing or self.waiting_s >= OUTPUT_S


class _Excess:
    """By how many seconds the newest record is later than the earliest of late."""

    def __init__(self) -> None:
        self._since = 0.0
        self._lowest: float | None = None
        self._before = 0.0
        self._latency = 0.0
        self._arrived_at = 0.0

    def seconds(self, look: Look) -> float:
        if look.latency_ms is None or look.arrived_at is None or look.now - look.arrived_at > FRESH_S:
            return 0.0
        latency = look.latency_ms / 1000
        was_set = latency - self._latency > look.arrived_at - self._arrived_at + CLOCK_S
        if self._lowest is None or was_set:
            self._since, self._lowest, self._before = look.now, latency, latency
        elif look.now - self._since >= LOWEST_S:
            self._since, self._before, self._lowest = look.now, self._lowest, latency
        self._lowest = min(self._lowest, latency)
        self._latency, self._arrived_at = latency, look.arrived_at
        return latency - min(self._lowest, self._before)


class _Growth:
    """Whether a count has grown lately."""

    def __init__(self) -> None:
        self._count = 0
        self._until = float("-inf")

    def lately(self, count: int, now: float) -> bool:
        if count > self._count:
            self._count, self._until = count, now + LOSING_S
        return now < self._until


class _Running:
    """Whether the program gets to run when it should."""

    def __init__(self) -> None:
        self._looks: deque[Look] = deque()

    def short(self, look: Look, late: bool) -> bool:
        looks = self._looks
        looks.append(look)
        while len(looks) > 2 and look.now - looks[1].now >= SPAN_S:
            looks.popleft()
        span = look.now - looks[0].now
        if span < SPAN_S:
            return False
        recent = list(looks)[1:]
        delayed = sum(one.delay_s for one in recent if one.delay_s >= DELAY_S) / span
        if not late:
            return delayed >= STOPPED
        busy = (look.cpu_s - looks[0].cpu_s) / span
        return delayed >= HELD_UP or busy >= BUSY or min(one.unread for one in recent) >= UNREAD
