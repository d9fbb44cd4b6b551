"""A source's pump: input to records, each when it is due, into the ring.

Owns: numbering, the digest over what was sent, END. Refuses: to send it to children; their cursors do.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from overlaycast.agent.ends.media import FileInput, Input
from overlaycast.agent.rates.pace import AtOnce, ConstantRate, MediaClock, Schedule
from overlaycast.agent.rates.release import Release
from overlaycast.agent.records.cutter import Cutter, is_transport_stream
from overlaycast.agent.records.ring import Ring
from overlaycast.errors import ConfigError
from overlaycast.wire.frames import End
from overlaycast.wire.group import Mode

SLACK_S: Final = 0.001
"""Records due within this are sent together: a timer each would cost more than it gives."""


def schedule_for(mode: Mode, source: Input, rate_mbit: float | None) -> Schedule:
    """Return when bytes are due: at the rate asked for, by the media's clock, or as they come.

    Raises:
        ConfigError: a live file that says nothing about its own rate.
    """
    if rate_mbit is not None:
        return ConstantRate(rate_mbit)
    if mode == "file" or source.live:
        return AtOnce()
    if isinstance(source, FileInput) and is_transport_stream(source.head()):
        return MediaClock()
    raise ConfigError("rate: required, the group is live and the input is no MPEG-TS with a clock; as in --rate 8M")


class SourcePump(ABC):
    """What the pumps of a stream and of a file (``file_pump``) share: when they begin, wait, end and stop.

    Args:
        live: the input is due when it comes.
        pushed: called after each group of records: children are to be pumped.

    Attributes:
        halted: no END comes, for another source goes on with the stream.
    """

    def __init__(self, ring: Ring, schedule: Schedule, live: bool, pushed: Callable[[], None]) -> None:
        self.records = 0
        self.bytes = 0
        self.first_seq = 0
        self._ring = ring
        self._schedule = schedule
        self._release = Release(live)
        self._pushed = pushed
        self._incarnation = 0
        self._stopping = False
        self.halted = False
        self._idle = False
        self._sending: asyncio.Future[None] | None = None

    @property
    def sha256(self) -> str:
        """The digest of all that was sent."""
        return self._digest().hex()

    @property
    def size(self) -> int | None:
        """Bytes of the whole file; None: not known, or a stream has none."""
        return None

    @property
    def incomplete(self) -> bool:
        """Has a part of a file not been sent? A live stream ends where it is ended."""
        return False

    async def stand_by(self) -> None:
        """Read live input and throw it away until ``run``; return when the input has ended."""
        self._idle = True
        self._sending = asyncio.ensure_future(self._send_all())
        try:
            await asyncio.wait([self._sending])
        except asyncio.CancelledError:
            if self._idle:
                self._sending.cancel()
            raise
        if self._idle:
            self._sending.result()  # else whoever runs us hears of it

    async def run(self, incarnation: int, next_seq: int) -> None:
        """Send the input from record ``next_seq`` on, then END; after ``stop`` END comes at once, or not at all."""
        self._incarnation = incarnation
        self._begin(next_seq)
        self._idle = False
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send_all())
        try:
            await self._sending
        except asyncio.CancelledError:
            if not self._stopping:
                self._sending.cancel()
                raise
        if not self.halted:
            self._end()

    def stop(self, halt: bool = False) -> None:
        """End the stream here: no more records, END next; with ``halt`` no END, for another source goes on."""
        self._stopping = True
        self.halted = halt
        if self._sending is not None:
            self._sending.cancel()

    @abstractmethod
    def _digest(self) -> bytes:
        """Return the digest that END tells."""

    @abstractmethod
    def _begin(self, next_seq: int) -> None:
        """Take the place in the group's numbers."""

    @abstractmethod
    async def _send_all(self) -> None:
        """Send everything; when this is cancelled, nothing more goes into the ring."""

    def _wait_s(self, due: float) -> float:
        """Return in how many seconds the next record goes that is due then; 0 if it is as good as now."""
        ahead = self._release.wait_s(due, time.monotonic())
        return ahead if ahead > SLACK_S else 0.0

    def _sent(self, records: int, size: int) -> None:
        """So many records, of so many bytes, are in the ring."""
        self.records += records
        self.bytes += size
        self._pushed()

    def _end(self) -> None:
        seq = self._ring.position
        self._ring.append_end(End(seq, time.time_ns() // 1000, self.first_seq, self._digest(), self._incarnation))
        self._pushed()


class StreamPump(SourcePump):
    """Feeds the ring of a live group, record by record."""

    def __init__(
        self, ring: Ring, source: Input, schedule: Schedule, record_size: int, pushed: Callable[[], None]
    ) -> None:
        super().__init__(ring, schedule, source.live, pushed)
        self._input = source
        self._cutter = Cutter(record_size)
        self._hashed = hashlib.sha256()
        self._planned: list[bytes] = []

    def _digest(self) -> bytes:
        return self._hashed.digest()

    def _begin(self, next_seq: int) -> None:
        self.first_seq = next_seq
        self._ring.anchor(next_seq)

    async def _send_all(self) -> None:
        async for portion in self._input.portions():
            if self._idle:
                self._pass_over(portion)
                continue
            self._schedule.saw(portion, last=False)
            self._planned += self._cutter.feed(portion)
            if self._input.live:
                self._planned += self._cutter.rest()
            await self._send_due()
        if self._idle:
            return
        self._schedule.saw(b"", last=True)
        self._planned += self._cutter.rest(last=True)
        await self._send_due()

    def _pass_over(self, portion: bytes) -> None:
        """Nobody wants it yet; what comes next begins where a record would, so that no packet is torn."""
        self._cutter.feed(portion)
        self._cutter.rest()

    async def _send_due(self) -> None:
        """Send what is planned and whose time is known, each at its time."""
        sent = 0
        for record in self._planned:
            due = self._schedule.due(self.bytes)
            if due is None:
                break
            if wait_s := self._wait_s(due):
                await asyncio.sleep(wait_s)
            self._send(record)
            sent += 1
        self._planned = self._planned[sent:]

    def _send(self, record: bytes) -> None:
        self._ring.append(record, time.time_ns() // 1000, self._incarnation)
        self._hashed.update(record)
        self._sent(1, len(record))
