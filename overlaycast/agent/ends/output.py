"""A receiver's output: opened as the group's mode wants it, and in a file group under its name only when it is whole.

Owns: the path, resolved once at the start, ``OUTPUT.part`` and ``OUTPUT.digests`` beside it, and what of them is good
from an earlier run. Refuses: what is written (``sink``), how a live recording grows (``recording``), and to empty or to
replace what a user has on disk, unless asked to.

A live stream is appended to the output. A file grows in ``OUTPUT.part``, which has the file's size from the start and
holes where nothing has come yet; when all of it is there it is renamed, so an output under its own name is whole.
``OUTPUT.digests`` is the list of digests that the part is made to: with it a receiver that starts again finds out what
it has, and asks for the rest. No other note is needed, and none can lie.

A symbolic link's target is what is written, and companions stand beside the target. Companions themselves are never
followed: somebody else may have put a link there.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from overlaycast.agent.ends.naming import Segment, named
from overlaycast.agent.ends.recording import CutRecording, Destination, Recording, Stream, locked, make_folder
from overlaycast.agent.records.chunks import Checks, DamagedError, Read, held_chunks
from overlaycast.errors import ConfigError
from overlaycast.named_files import told_if_waiting

PART: Final = ".part"
DIGESTS: Final = ".digests"


_NEW_DIGESTS: Final = DIGESTS + ".new"
_MOST_DIGESTS: Final = 4 << 20
"""Bytes that a list of digests can have; what is larger is none."""


class Output:
    """Where one receiver's stream goes.

    Args:
        name: a path, in which ``%Y`` and the like stand for the time of the start; or ``-`` for standard output.
        overwrite: what stands there already may be emptied (live) or replaced (file).
        segment: where a live recording is cut into files of their own.
        on_part: told the name and the first record of each of these.

    Raises:
        ConfigError: it cannot be written; nothing has been changed.
    """

    def __init__(
        self,
        name: str,
        *,
        overwrite: bool = False,
        segment: Segment | None = None,
        on_part: Callable[[Path, int], None] = lambda path, seq: None,
    ) -> None:
        self.descriptor: int | None = None
        self._overwrite = overwrite
        self._cut: CutRecording | None = None
        self._held: int | None = None
        self._template = name
        self._name = name if name == "-" else named(name, time.localtime())
        self._path = Path("standard output")
        if name == "-":
            self.descriptor = _standard_output()
        else:
            self._look(segment is not None)
        if segment is not None:
            if self.descriptor is not None:
                raise ConfigError("segment: accepted with an output that is a regular file, by name")
            self._cut = CutRecording(name, segment, on_part)

    @property
    def place(self) -> str:
        """What is written now, for people."""
        return str((self._cut and self._cut.path) or self._path)

    def _look(self, cut: bool) -> None:
        """Find out what is there, and whether it can be written, before anything connects."""
        given = self._name
        try:
            mode = os.stat(given).st_mode
        except FileNotFoundError:
            mode = None
        except OSError as error:
            raise ConfigError(f"output: {given}: {error.strerror}") from None
        if mode is not None and stat.S_ISDIR(mode):
            raise ConfigError(f"output: {given}: {os.strerror(errno.EISDIR)}")
        if not os.path.basename(given):
            raise ConfigError(f"output: {given!r}: accepted is a file's name, or - for standard output")
        self._path = Path(os.path.realpath(named(self._template, time.localtime(), cut=True) if cut else given))
        if mode is not None and not stat.S_ISREG(mode):
            with told_if_waiting(Path(given), "reads it"):
                self.descriptor = _open(Path(given), os.O_WRONLY)  # a pipe or a device: opened once
            return
        _check_name(self._path, may_make="%" in os.path.dirname(self._template))
        if self._path.exists():
            self._held = _open(self._path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
            locked(self._path, self._held)

    def open_live(self) -> Destination:
        """Return where a live stream is written."""
        if self.descriptor is not None:
            return Stream(self.descriptor)
        if self._cut is not None:
            return self._cut
        if self._held is None:
            self._make_folder()
            self._held = _open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW)
            locked(self._path, self._held)
        if self._overwrite:
            os.ftruncate(self._held, 0)
        return Recording(self._path, self._held)

    def _make_folder(self) -> None:
        try:
            make_folder(self._template, str(self._path))
        except OSError as error:
            raise ConfigError(f"output: {self._path.parent}: {error.strerror}") from None

    def refuse_unless_named(self) -> None:
        """A file group needs an output that can be read again, and renamed.

        Raises:
            ConfigError: this is none, or it would replace what is there.
        """
        if self.descriptor is not None:
            raise ConfigError("output: accepted in a file group is a regular file, by name: late children read from it")
        if self._cut is not None:
            raise ConfigError("segment: accepted in a live group; a file stays in one piece")
        if self._path.exists() and not self._overwrite:
            raise ConfigError(f"output: {self._path} exists; accepted is another name, or --overwrite to replace it")

    def known_list(self) -> bytes | None:
        """Return the list of digests from an earlier run."""
        try:
            access = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would be waited for
            with open(os.open(self._beside(DIGESTS), access), "rb") as file:
                return file.read(_MOST_DIGESTS)
        except OSError:
            return None

    def open_part(self, checks: Checks, reader: Callable[[int], Read]) -> tuple[int, int]:
        """Return the descriptor that a file is written to, and how many of its first chunks are there and good.

        Reads what is there; may take as long as that takes.

        Args:
            checks: what has to be there.
            reader: returns what reads from a descriptor; if that raises, the part stays what it is.
        """
        self._make_folder()
        descriptor = self.descriptor = _open(self._beside(PART), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError(f"output: {self._beside(PART)}: is no regular file")
        locked(self._beside(PART), descriptor)
        chunks = held_chunks(checks, reader(descriptor)) if checks.complete else 0
        if not chunks:
            os.ftruncate(descriptor, 0)
        os.ftruncate(descriptor, checks.layout.size)
        return descriptor, chunks

    def keep_list(self, digests: bytes) -> None:
        """Write the list beside the part. If that fails a later run begins anew, no more."""
        fresh = self._beside(_NEW_DIGESTS)
        access = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with suppress(OSError), open(os.open(fresh, access, 0o644), "wb") as file:
            file.write(digests)
            file.flush()
            fresh.replace(self._beside(DIGESTS))

    def complete(self) -> None:
        """All is there: the part gets the output's name.

        Raises:
            OSError: it cannot be renamed, or a file of that name has come up meanwhile.
        """
        part = self._beside(PART)
        if part.exists():
            if self._overwrite:
                part.replace(self._path)
            else:
                os.link(part, self._path, follow_symlinks=False)  # unlike a rename, refused if the name is taken
                part.unlink()
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


def _standard_output() -> int:
    """Return the descriptor of standard output.

    Raises:
        ConfigError: it is closed.
    """
    try:
        os.fstat(1)
    except OSError:
        raise ConfigError("output: standard output is closed; accepted is an open one, or --output FILE") from None
    return 1


def _check_name(path: Path, *, may_make: bool) -> None:
    """Refuse what cannot be made: a folder that is missing or closed to us, a name too long for its companions.

    Args:
        may_make: folders that are missing will be made.
    """
    folder = path.parent
    while may_make and not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise ConfigError(f"output: {path}: {os.strerror(errno.ENOENT)}")
    most = os.pathconf(folder, "PC_NAME_MAX") - len(_NEW_DIGESTS)
    if len(os.fsencode(path.name)) > most:
        raise ConfigError(f"output: the name has {len(os.fsencode(path.name))} bytes; accepted are up to {most} here")
    if not path.exists() and not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"output: {path}: {os.strerror(errno.EACCES)}")


def _open(path: Path, access: int) -> int:
    try:
        return os.open(path, access | os.O_CLOEXEC, 0o644)
    except OSError as error:
        said = "is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise ConfigError(f"output: {path}: {said}") from None
