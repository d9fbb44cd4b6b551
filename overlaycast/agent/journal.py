"""The agent's journal: one JSON object a line, typed by ``kind``, flushed line by line.

Owns: the file. Refuses: to stop the agent: a journal that cannot be written is reported once and given up.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import IO

from overlaycast.errors import ConfigError


class MemberJournal:
    """Where ``report`` and tests read what happened; nobody parses logs.

    Args:
        path: the file to append to; None: nowhere.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: IO[str] | None = None
        if path is not None:
            try:
                self._file = path.open("a", encoding="utf-8", buffering=1)
            except OSError as error:
                raise ConfigError(f"journal: {path}: {error.strerror}") from None

    def write(self, kind: str, **fields: object) -> None:
        """Write one line: ``t`` (wall seconds), ``kind`` and the fields."""
        if self._file is None:
            return
        try:
            self._file.write(json.dumps({"t": round(time.time(), 6), "kind": kind, **fields}) + "\n")
        except OSError as error:
            self._file = None
            print(f"overlaycast: journal given up: {error.strerror}", file=sys.stderr)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
