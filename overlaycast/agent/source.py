"""The source's pump: input to records, each when it is due, into the ring.

Owns: numbering, the digest over what was sent, END. Refuses: who gets it (the children's cursors).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

from overlaycast.agent.burst import Release
from overlaycast.agent.media import Cutter, FileInput, Input
from overlaycast.agent.pace import AtOnce, ConstantRate, MediaClock, Schedule, is_transport_stream
from overlaycast.agent.ring import Ring
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


class SourcePump:
    """Feeds the ring.

    Args:
        pushed: called after each group of records: children are to be pumped.
        room: returns when the ring may take more without leaving all children behind (file mode). None: always.
    """

    def __init__(
        self,
        ring: Ring,
        source: Input,
        schedule: Schedule,
        record_size: int,
        pushed: Callable[[], None],
        room: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self.records = 0
        self.bytes = 0
        self.first_seq = 0
        self._stopping = False
        self._sending: asyncio.Future[None] | None = None
        self._ring = ring
        self._input = source
        self._schedule = schedule
        self._cutter = Cutter(record_size)
        self._pushed = pushed
        self._room = room
        self._digest = hashlib.sha256()
        self._known: bytes | None = None
        self._incarnation = 0
        self._release = Release(source.live)
        self._planned: list[bytes] = []
        self._offset = 0

    @property
    def sha256(self) -> str:
        """The digest of all that was sent."""
        return (self._known or self._digest.digest()).hex()

    async def run(self, incarnation: int, next_seq: int, digest: bytes | None = None) -> None:
        """Send the input from record ``next_seq`` on, then END; after ``stop`` END comes at once.

        Args:
            digest: of a file, known before: the records are the file's, from its beginning.
        """
        self._incarnation = incarnation
        self._known = digest
        self.first_seq = next_seq if digest is None else 0
        self._ring.anchor(next_seq)
        self._sending = asyncio.ensure_future(self._send_all())
        try:
            await self._sending
        except asyncio.CancelledError:
            if not self._stopping:
                self._sending.cancel()
                raise
        self._end()

    def stop(self) -> None:
        """End the stream here: no more records, END next."""
        self._stopping = True
        if self._sending is not None:
            self._sending.cancel()

    async def _send_all(self) -> None:
        async for portion in self._input.portions():
            self._schedule.saw(portion, last=False)
            self._planned += self._cutter.feed(portion)
            if self._input.live:
                self._planned += self._cutter.rest()
            await self._send_due()
        self._schedule.saw(b"", last=True)
        self._planned += self._cutter.rest()
        await self._send_due()

    async def _send_due(self) -> None:
        """Send what is planned and whose time is known, each at its time."""
        sent = 0
        for record in self._planned:
            due = self._schedule.due(self._offset)
            if due is None:
                break
            await self._wait(due)
            if self._room is not None:
                await self._room()
            self._send(record)
            sent += 1
        self._planned = self._planned[sent:]

    async def _wait(self, due: float) -> None:
        ahead = self._release.wait_s(due, time.monotonic())
        if ahead > SLACK_S:
            await asyncio.sleep(ahead)

    def _send(self, record: bytes) -> None:
        self._ring.append(record, time.time_ns() // 1000, self._incarnation)
        if self._known is None:
            self._digest.update(record)
        self._offset += len(record)
        self.records += 1
        self.bytes += len(record)
        self._pushed()

    def _end(self) -> None:
        seq = self._ring.position
        digest = self._known or self._digest.digest()
        self._ring.append_end(End(seq, time.time_ns() // 1000, self.first_seq, digest, self._incarnation))
        self._pushed()
