"""Files of JSON lines, one write per line. If a file cannot be written, it is given up, and the program goes on.

A pipe works as long as somebody reads it; nothing waits for its reader.

Owns: the file. Refuses: the shape of the lines (``wire.journal`` of members, ``coordinator.state.journal`` of groups).
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

from overlaycast.errors import ConfigError
from overlaycast.wire.journal import Entry, encode


class LineFile:
    """Appends lines to a file. Without a path it does nothing.

    Args:
        path: the file; None: nowhere.
        given_up: called once with the reason when the file takes no more, such as when the disk is full.

    Raises:
        ConfigError: the file cannot be opened for appending, or is a pipe that nobody reads.
    """

    def __init__(self, path: Path | None, given_up: Callable[[str], None]) -> None:
        self._file: int | None = None
        self._given_up = given_up
        if path is not None:
            try:
                access = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
                self._file = os.open(path, access, 0o644)
            except OSError as error:
                raise ConfigError(f"journal: {path}: {_why(path, error)}") from None

    @property
    def closed(self) -> bool:
        """Return whether lines go nowhere."""
        return self._file is None

    def write(self, line: str) -> None:
        """Append one line; its end is added here."""
        if self._file is None:
            return
        data = line.encode() + b"\n"
        try:
            whole = os.write(self._file, data) == len(data)
        except BlockingIOError:
            self._give_up("nobody reads it fast enough")
        except OSError as error:
            self._give_up(error.strerror or str(error))
        else:
            if not whole:
                self._give_up("it took only a part of a line")

    def _give_up(self, why: str) -> None:
        self.close()
        self._given_up(why)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _why(path: Path, error: OSError) -> str:
    if error.errno != errno.ENXIO:
        return error.strerror or str(error)
    is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
    return f"{'is a socket' if is_socket else 'nobody reads it'}; accepted: a file, or a pipe that is read"


class MemberJournal:
    """A member's journal: ``lab`` and tests read from it what happened; they never parse logs."""

    def __init__(self, path: Path | None) -> None:
        self._file = LineFile(path, _complain)

    def write(self, entry: Entry) -> None:
        """Append one entry, dated now."""
        if not self._file.closed:
            self._file.write(encode(entry, time.time()))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _complain(reason: str) -> None:
    print(f"overlaycast: journal given up: {reason}", file=sys.stderr)
