"""What is known of the members while they run, from the journals as they grow.

Owns: how far each journal was read. Refuses: to be the result; that is read from the whole journals afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from overlaycast.lab.recording.journals import parse_line
from overlaycast.wire.journal import Begun, Entry, Failure, Sample, StreamEnd, Summary, Welcomed

PAUSE_S: Final = 0.1
PORTION: Final = 1 << 18


@dataclass(slots=True)
class Seen:
    """The newest of one member: its last two samples, and what happened once.

    ``finished``: it came to the end of the stream; ``ended``: it did, or it stopped before.
    """

    samples: list[Sample] = field(default_factory=list)
    joined: bool = False
    begin: Begun | None = None
    finished: bool = False
    ended: bool = False
    error: str | None = None

    def note(self, entry: Entry) -> None:
        """Take in one entry."""
        if isinstance(entry, Sample):
            self.samples = [*self.samples[-1:], entry]
        elif isinstance(entry, Welcomed):
            self.joined = True
        elif isinstance(entry, Begun):
            self.begin = self.begin or entry
        elif isinstance(entry, StreamEnd | Summary):
            self.ended = True
            self.finished = self.finished or isinstance(entry, StreamEnd)
        elif isinstance(entry, Failure):
            self.error = entry.reason

    @property
    def rate_mbit(self) -> float:
        """Return the rate between the last two samples."""
        if len(self.samples) < 2:
            return 0.0
        before, after = self.samples
        seconds = after.t - before.t
        return (after.bytes - before.bytes) * 8e-6 / seconds if seconds > 0 else 0.0


class Watch:
    """Reads journals as they grow."""

    def __init__(self, journals: dict[str, Path]) -> None:
        """Say which journals there will be."""
        self.seen = {host: Seen() for host in journals}
        self._paths = journals
        self._offsets = dict.fromkeys(journals, 0)
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Read on for ever."""
        while True:
            for host in self._paths:
                self._read_on(host)
            self._news.set()
            await asyncio.sleep(PAUSE_S)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once a condition on what was seen holds."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    def look(self, host: str) -> Seen:
        """Read on in one journal now, and return what is known of its member."""
        self._read_on(host)
        return self.seen[host]

    def _read_on(self, host: str) -> None:
        try:
            with self._paths[host].open("rb") as file:
                file.seek(self._offsets[host])
                portion = file.read(PORTION)
        except FileNotFoundError:
            return
        complete = portion[: portion.rfind(b"\n") + 1]
        self._offsets[host] += len(complete)
        for line in complete.splitlines(keepends=True):
            entry = parse_line(line, str(self._paths[host]))
            if entry is not None:
                self.seen[host].note(entry)
