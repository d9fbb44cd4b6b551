"""A receiver's output: opened as the group's mode wants it, and in a file group under its name only when it is whole.

Owns: the path, ``OUTPUT.part`` and ``OUTPUT.digests`` beside it, and what of them is good from an earlier run. Refuses:
what is written (``sink``).

A live stream goes straight into the output. A file grows in ``OUTPUT.part``, which has the file's size from the start
and holes where nothing has come yet; when all of it is there it is renamed, so an output under its own name is whole,
and what stood there before stays until then. ``OUTPUT.digests`` is the list of digests that the part is made to: with
it a receiver that starts again finds out what it has, and asks for the rest. No other note is needed, and none can lie.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from overlaycast.agent.records.chunks import Checks, DamagedError, Read, held_chunks
from overlaycast.errors import ConfigError

PART: Final = ".part"
DIGESTS: Final = ".digests"


class Output:
    """Where one receiver's stream goes.

    Args:
        place: a path, or ``-`` for standard output.

    Raises:
        ConfigError: it cannot be written; nothing has been changed.
    """

    def __init__(self, place: str) -> None:
        self._path = Path(place)
        self.descriptor: int | None = None
        if place == "-":
            self.descriptor = sys.stdout.fileno()
        elif self._path.exists() and not self._path.is_file():
            self.descriptor = _open(self._path, os.O_WRONLY)  # a pipe or a device: opened once
        else:
            is_new = not self._path.exists()
            os.close(_open(self._path, os.O_WRONLY | os.O_CREAT))
            if is_new:
                self._path.unlink(missing_ok=True)

    def open_live(self) -> int:
        """Return the descriptor that a live stream is written to, empty if it is a regular file of ours."""
        if self.descriptor is None:
            self.descriptor = _open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        return self.descriptor

    def refuse_unless_named(self) -> None:
        """A file group needs an output that can be read again, and renamed.

        Raises:
            ConfigError: this is none.
        """
        if self.descriptor is not None:
            raise ConfigError("output: accepted in a file group is a regular file, by name: late children read from it")

    def known_list(self) -> bytes | None:
        """Return the list of digests from an earlier run."""
        try:
            return self._beside(DIGESTS).read_bytes()
        except OSError:
            return None

    def open_part(self, checks: Checks, reader: Callable[[int], Read]) -> tuple[int, int]:
        """Return the descriptor that a file is written to, and how many of its first chunks are there and good.

        Reads what is there; may take as long as that takes.

        Args:
            checks: what has to be there.
            reader: returns what reads from a descriptor; if that raises, the part stays what it is.
        """
        descriptor = self.descriptor = _open(self._beside(PART), os.O_RDWR | os.O_CREAT)
        chunks = held_chunks(checks, reader(descriptor)) if checks.complete else 0
        if not chunks:
            os.ftruncate(descriptor, 0)
        os.ftruncate(descriptor, checks.layout.size)
        return descriptor, chunks

    def keep_list(self, digests: bytes) -> None:
        """Write the list beside the part. If that fails a later run begins anew, no more."""
        fresh = self._beside(DIGESTS + ".new")
        with suppress(OSError):
            fresh.write_bytes(digests)
            fresh.replace(self._beside(DIGESTS))

    def complete(self) -> None:
        """All is there: the part gets the output's name.

        Raises:
            OSError: it cannot be renamed.
        """
        part = self._beside(PART)
        if part.exists():
            part.replace(self._path)
        self._beside(DIGESTS).unlink(missing_ok=True)

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)


class Spool:
    """A relay's copy of a file, under no name: gone when the relay is.

    Raises:
        ConfigError: there is no folder for temporary files.
    """

    def __init__(self) -> None:
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(prefix="overlaycast-")  # noqa: SIM115 (lives as long as we do)
        except OSError as error:
            wanted = "accepted is a folder that can be written, a relay keeps the group's file there"
            raise ConfigError(f"TMPDIR: {error.strerror}; {wanted}") from None

    def refuse_unless_named(self) -> None:
        """It can be read again, and that is all it is for."""

    def known_list(self) -> bytes | None:
        """There is no earlier run."""
        return None

    def open_part(self, checks: Checks, reader: Callable[[int], Read]) -> tuple[int, int]:
        """Return its descriptor, and that nothing is in it."""
        os.ftruncate(self._file.fileno(), checks.layout.size)
        return self._file.fileno(), 0

    def keep_list(self, digests: bytes) -> None:
        """Nobody comes back to it."""

    def complete(self) -> None:
        """It stays what it is."""


def checks_of_earlier_run(checks: Checks, digests: bytes | None) -> None:
    """Take the list of an earlier run, if it is the one that was announced."""
    with suppress(DamagedError):
        if digests is not None:
            checks.learn(digests)


def _open(path: Path, access: int) -> int:
    try:
        return os.open(path, access | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(f"output: {path}: {error.strerror}") from None
