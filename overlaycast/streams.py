"""Standard streams as programs meet them outside a shell: closed, full, stopped, never read.

Owns: that a line for people never ends, blocks or slows a node (``patient_stderr``), that a closed standard stream is
not handed to somebody else's socket (``reserve``), and that output which cannot be written is told and has an exit code
(``careful_stdout``). Refuses: what is said.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import select
import sys
import threading
from collections.abc import Iterator
from typing import Final

from overlaycast.errors import OverlaycastError

_MOST: Final = 1000
"""Lines that wait for a terminal that is stopped; what comes then is dropped, and counted."""
_LAST_S: Final = 0.5
"""Longest wait, at the end, for what has still to be written."""


class OutputError(OverlaycastError):
    """Standard output takes nothing any more."""


def reserve() -> None:
    """Put something under the descriptors 0 to 2 that are closed, or the next file or socket would be taken for one.

    It fails when used, as a closed one does: standard input can only be written to, the others only be read from.
    """
    for descriptor, access in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, access)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    if sys.stderr is None:  # else print would take "no file" for standard output
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the program ends)


class ReaderGoneError(OutputError):
    """Whoever read our output has what was wanted (``| head``). No ``BrokenPipeError``: rich makes code 1 of it."""

    exit_code = 0


class _CarefulRaw(io.FileIO):
    """Standard output's descriptor; says in our words what is wrong with it, once."""

    def __init__(self) -> None:
        super().__init__(1, "w", closefd=False)
        self._failed = False

    def write(self, data: object, /) -> int:
        if self._failed:
            return len(memoryview(data))  # type: ignore[arg-type]  # io says Buffer, which typing has from 3.12 on
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            self._failed = True
            raise ReaderGoneError("standard output: nobody reads it") from None
        except OSError as error:
            self._failed = True
            raise OutputError(f"standard output: {error.strerror}") from None


@contextlib.contextmanager
def careful_stdout() -> Iterator[None]:
    """Within, what cannot be written to standard output raises ``OutputError``, at the latest at the end.

    Does nothing where somebody has already put something else in its place.
    """
    if sys.stdout is not sys.__stdout__:
        yield
        return
    before = sys.stdout
    interactive = os.isatty(1)
    buffered = io.BufferedWriter(_CarefulRaw())
    sys.stdout = io.TextIOWrapper(buffered, "utf-8", errors="backslashreplace", line_buffering=interactive)
    try:
        yield
        if sys.stdout.closed:  # by code of a user's
            raise OutputError("standard output: was closed")
        sys.stdout.flush()
    finally:
        with contextlib.suppress(OSError, OutputError, ValueError):
            sys.stdout.flush()
        sys.stdout = before


class _PatientText(io.TextIOBase):
    """Takes text at once; a thread writes it when the other side lets it."""

    encoding = "utf-8"

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._dropped = 0
        self._line = ""
        self._waiting: queue.Queue[str | None] = queue.Queue(_MOST)
        self._thread = threading.Thread(target=self._write_all, name="stderr", daemon=True)
        self._thread.start()

    def write(self, text: str, /) -> int:
        self._line += text  # print hands over a line in pieces
        if "\n" in text:
            self.flush()
        return len(text)

    def flush(self) -> None:
        line, self._line = self._line, ""
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def finish(self, seconds: float) -> None:
        """Wait so long at most until all is written."""
        if self._line:
            self.flush()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
            self._thread.join(seconds)

    def _write_all(self) -> None:
        while (text := self._waiting.get()) is not None:
            if self._dropped:
                text = f"({self._dropped} lines were dropped: nobody read them)\n{text}"
                self._dropped = 0
            self._write(text.encode("utf-8", "backslashreplace"))

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                select.select((), (self._descriptor,), ())
            except OSError:
                return  # closed, or its disk is full: there is nobody left to tell


@contextlib.contextmanager
def patient_stderr() -> Iterator[None]:
    """Within, what is printed to standard error never waits and never fails.

    Does nothing where somebody has already put something else in its place.
    """
    if sys.stderr is not sys.__stderr__ and sys.stderr is not None:
        yield
        return
    before = sys.stderr
    text = sys.stderr = _PatientText(2)
    try:
        yield
    finally:
        sys.stderr = before
        text.finish(_LAST_S)


def printable(text: str) -> str:
    """Return another program's words for a terminal: what would steer it, or reorder what is read, is a ``?``."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
