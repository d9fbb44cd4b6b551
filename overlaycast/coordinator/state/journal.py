"""What happened, numbered: a bounded memory for the HTTP API, and a file of JSON lines for tools.

Owns: the numbers, the bound, the file. Refuses: meaning.

Invariants: numbers grow by one, also over a restart; after a crash they go on further up, never down; memory holds
``CAPACITY`` events.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from itertools import islice
from pathlib import Path
from typing import Any, Final

from overlaycast.journal import LineFile
from overlaycast.wire.views import EventView

log = logging.getLogger(__name__)

CAPACITY: Final = 10_000
RESTART_GAP: Final = 1_000_000
"""Numbers skipped after a crash: more events than can have happened since the last one that was kept."""


def open_journal(path: Path | None) -> LineFile:
    """Return the file that all groups' events go to. A full disk ends it, not the coordinator.

    Raises:
        ConfigError: it cannot be opened.
    """
    return LineFile(path, lambda reason: log.error("cannot write the journal any more: %s", reason))


class EventLog:
    """The events of one group."""

    def __init__(self, group: str, file: LineFile, first: int = 0) -> None:
        self._group = group
        self._file = file
        self._kept: deque[EventView] = deque(maxlen=CAPACITY)
        self.next_number = first

    def add(self, at: float, kind: str, member: int | None, details: dict[str, Any]) -> None:
        """Record one event; ``at`` is wall time in seconds."""
        event = EventView(n=self.next_number, t=round(at, 6), kind=kind, member=member, details=details)
        self.next_number += 1
        self._kept.append(event)
        if not self._file.closed:
            line = {"group": self._group, **event.model_dump()}
            self._file.write(json.dumps(line, separators=(",", ":"), default=str))

    def since(self, number: int, limit: int) -> tuple[EventView, ...]:
        """Return up to ``limit`` events from ``number`` on, oldest first."""
        # a number is as large as its caller likes: no slice may begin beyond what there is
        skip = min(max(0, number - (self.next_number - len(self._kept))), len(self._kept))
        return tuple(islice(self._kept, skip, skip + limit))
