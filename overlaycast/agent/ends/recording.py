"""A live stream in regular files: continued, never emptied, cut into parts if wanted.

Owns: which file the next bytes go into, and ``NAME.parts`` beside a file that was continued: one JSON line for each
part, with the byte at which it begins, its first record and the time. Refuses: to empty or to replace a file that is
there, unless asked to. Runs in the sink's thread, but for the first file, which is opened before.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final, Protocol

from overlaycast.agent.ends.naming import Segment, another, named
from overlaycast.errors import ConfigError

PARTS: Final = ".parts"


class Destination(Protocol):
    """Where the sink writes."""

    def descriptor(self, seq: int, size: int) -> int:
        """Return the descriptor for the next ``size`` bytes, whose first record is ``seq``.

        Raises:
            OSError: there is none to be had.
        """


class Stream:
    """One descriptor for everything: a pipe, a device, a file that is written by position."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def descriptor(self, seq: int, size: int) -> int:
        """Return it."""
        return self._descriptor


class Recording:
    """One file that grows.

    Args:
        path: its resolved name.
        descriptor: open for appending, and locked.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._noted = False

    def descriptor(self, seq: int, size: int) -> int:
        """Return the file's; before the first byte, note where this part begins."""
        if not self._noted:
            self._noted = True
            note_part(self._path, self._descriptor, seq)
        return self._descriptor


class CutRecording:
    """A recording in parts, each a file of its own.

    Args:
        template: the parts' names, see ``naming.named``.
        segment: where it is cut.
        on_part: told the name and the first record of each part.

    Attributes:
        path: the part that is written, or would have been.
    """

    def __init__(self, template: str, segment: Segment, on_part: Callable[[Path, int], None]) -> None:
        self._template = template
        self._segment = segment
        self._on_part = on_part
        self.path: Path | None = None
        self._descriptor: int | None = None
        self._began = 0.0
        self._size = 0
        self._last = ("", 0)
        """The name that the part's template meant, and the number of the part that has it."""

    def descriptor(self, seq: int, size: int) -> int:
        """Return the part's that these bytes belong to."""
        lasted = time.monotonic() - self._began
        if self._descriptor is None or self._segment.full(lasted, self._size, size):
            path, descriptor = self._fresh()
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor, self._began, self._size = descriptor, time.monotonic(), 0
            self._on_part(path, seq)
        self._size += size
        return self._descriptor

    def _fresh(self) -> tuple[Path, int]:
        name = named(self._template, time.localtime(), cut=True)
        make_folder(self._template, name)
        last, number = self._last
        for another_number in count(number + 1 if name == last else 1):
            path = self.path = Path(os.path.realpath(another(name, another_number)))
            with suppress(FileExistsError):
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
                locked(path, descriptor)
                self._last = (name, another_number)
                return path, descriptor
        raise AssertionError("numbers do not end")


def make_folder(template: str, name: str) -> None:
    """Make the folder of a name if a date is in the folder's: the next day's is not there yet.

    Raises:
        OSError: it cannot be made.
    """
    if "%" in os.path.dirname(template):
        os.makedirs(os.path.dirname(name), exist_ok=True)


def locked(path: Path, descriptor: int) -> None:
    """Lock an output for this program, until its descriptor is closed.

    Raises:
        ConfigError: another program has it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"output: {path}: another program writes to it") from None
    except OSError:
        return  # a file system without locks


def note_part(path: Path, descriptor: int, seq: int) -> None:
    """Append a line to ``NAME.parts``. It is a note for people: a disk that refuses it ends nothing."""
    with suppress(OSError):
        line = {
            "offset": os.fstat(descriptor).st_size,
            "record": seq,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        access = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        beside = os.open(path.with_name(path.name + PARTS), access, 0o644)
        try:
            os.write(beside, (json.dumps(line) + "\n").encode())
        finally:
            os.close(beside)
