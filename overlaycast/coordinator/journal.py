"""What happened, numbered: a bounded memory for the HTTP API, and a file of JSON lines for tools.

Owns: the numbers, the bound, the file. Refuses: meaning.

Invariants: numbers grow by one; after a restart they go on further up, never down; memory holds ``CAPACITY`` events.
"""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, Final

from overlaycast.errors import ConfigError

log = logging.getLogger(__name__)

CAPACITY: Final = 10_000
RESTART_GAP: Final = 1_000_000
"""Numbers skipped at a restart: more events than can have happened since the last one that was kept."""


class JournalFile:
    """Appends JSON lines to a file, each flushed. Without a path it does nothing.

    Raises:
        ConfigError: the file cannot be opened for appending.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: int | None = None
        if path is not None:
            try:
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise ConfigError(f"journal: {path}: {error.strerror}") from None

    def write(self, fields: dict[str, Any]) -> None:
        """Append one object. A full disk ends the journal, not the coordinator; that is said once."""
        if self._file is None:
            return
        try:
            os.write(self._file, json.dumps(fields, separators=(",", ":"), default=str).encode() + b"\n")
        except OSError as error:
            log.error("the journal ends here: %s", error.strerror)
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class EventLog:
    """The events of one group."""

    def __init__(self, group: str, file: JournalFile, first: int = 0) -> None:
        self._group = group
        self._file = file
        self._kept: deque[dict[str, Any]] = deque(maxlen=CAPACITY)
        self.next_number = first

    def add(self, at: float, kind: str, member: int | None, details: dict[str, Any]) -> None:
        """Record one event; ``at`` is wall time in seconds."""
        event = {"n": self.next_number, "t": round(at, 6), "kind": kind, "member": member, "details": details}
        self.next_number += 1
        self._kept.append(event)
        self._file.write({"group": self._group, **event})

    def since(self, number: int, limit: int) -> list[dict[str, Any]]:
        """Return up to ``limit`` events from ``number`` on, oldest first."""
        skip = max(0, number - (self.next_number - len(self._kept)))
        found: Iterable[dict[str, Any]] = islice(self._kept, skip, skip + limit)
        return list(found)
