"""A user's code in a process of its own: whatever it does there, ours goes on, in bounded time and memory.

Owns: the process, its limits, and the words about its end. Refuses: what the code is, and what its result means.

The process is a fork. So the code sees what it would see here, the terminal too; Ctrl-C reaches both. What is made
there comes back through a pipe. It is pickled by the user's own code, so it is trusted as far as that is.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import pickle
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Final, NoReturn, Self, TextIO, TypeVar

from overlaycast.errors import ConfigError

LIMIT_S: Final = 60.0
TOLD_AFTER_S: Final = 5.0
"""That time is limited is told when so much of it has passed."""
MEMORY: Final = 2 << 30
_PR_SET_PDEATHSIG: Final = 1
_SIZE: Final = 8
_PIECE: Final = 1 << 20
_LOOK_S: Final = 0.1

_T = TypeVar("_T")


def apart(what: str, make: Callable[[], _T]) -> _T:
    """Return what ``make`` returns, made in a process of its own.

    Args:
        what: what is run there, such as a file's name; errors begin with it.
        make: may raise ``ConfigError`` and ``KeyboardInterrupt``.

    Raises:
        ConfigError: that of ``make``; or it took too long, or too much memory, or has ended its process.
    """
    reader, writer = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)  # or it is written twice
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: the other process has none
        pid = os.fork()
    if not pid:
        os.close(reader)
        _child(writer, make)
    os.close(writer)
    with open(reader, "rb", buffering=0) as pipe, _Process(pid) as process:
        answer = _read(what, pipe, process)
        if answer is None:
            raise ConfigError(f"{what}: {process.end()}, and made no topology")
    said, made = pickle.loads(answer)
    match said:
        case "wrong":
            raise ConfigError(made)
        case "memory":
            raise ConfigError(f"{what}: MemoryError: a topology file may take {MEMORY >> 30} GiB")
        case "unsaid":
            raise ConfigError(f"{what}: what it has made cannot be handed over ({made})")
        case "interrupted":
            raise KeyboardInterrupt
    result: _T = made
    return result


def _flush(stream: TextIO | None) -> None:
    if stream is not None:
        with contextlib.suppress(ValueError, OSError):  # closed, or nobody reads it
            stream.flush()


# --- here -----------------------------------------------------------------------------------------------------------


class _Process:
    """The other process; it does not outlive this context."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._status: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.has_ended():
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def has_ended(self) -> bool:
        """Look, and do not wait."""
        if self._status is None:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            self._status = status if ended else None
        return self._status is not None

    def end(self) -> str:
        """Return how it has ended, after a name."""
        status = self._status or 0
        if os.WIFSIGNALED(status):
            return f"the process that read it was killed (signal {os.WTERMSIG(status)})"
        return f"ended the process that read it (exit code {os.WEXITSTATUS(status)})"


def _read(what: str, pipe: io.FileIO, process: _Process) -> bytes | None:
    """Return what the process says; None: it has ended without a word. Others may hold its end of the pipe open."""
    began, told = time.monotonic(), False
    data, pipes = bytearray(), [pipe]
    while True:
        ended = process.has_ended()  # before the look: what it has said is there by then
        if select.select(pipes, [], [], 0.0 if ended else _LOOK_S)[0]:
            piece = pipe.read(_PIECE)
            data += piece
            if len(data) >= _SIZE and len(data) >= _SIZE + int.from_bytes(data[:_SIZE], "big"):
                return bytes(data[_SIZE:])
            pipes = [pipe] if piece else []
        elif ended:
            return None
        passed_s = time.monotonic() - began
        if passed_s >= LIMIT_S:
            raise ConfigError(
                f"{what}: is not done after {LIMIT_S:g} s, and is given up; a topology file only says what there is"
            )
        if passed_s >= TOLD_AFTER_S and not told:
            told = True
            print(f"overlaycast: {what}: is still being read; it is given up after {LIMIT_S:g} s", file=sys.stderr)


# --- there ----------------------------------------------------------------------------------------------------------


def _child(writer: int, make: Callable[[], object]) -> NoReturn:
    """Make it, say it, and end; nothing that was to be done at the end of the other process is done here."""
    code = 1
    try:
        _settle()
        answer = _made(make)
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)
        with open(writer, "wb") as pipe:
            pipe.write(len(answer).to_bytes(_SIZE, "big") + answer)
        code = 0
    finally:
        os._exit(code)


def _settle() -> None:
    """Be a process like any: what the other one does on signals is not done here. What ends it ends this one too."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)  # the standard library has no prctl
    with open("/proc/self/statm", encoding="ascii") as file:
        wanted = int(file.read().split()[0]) * resource.getpagesize() + MEMORY
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (wanted if soft == resource.RLIM_INFINITY else min(soft, wanted), hard))


def _made(make: Callable[[], object]) -> bytes:
    try:
        return _pickled("made", make())
    except ConfigError as error:
        return _pickled("wrong", str(error))
    except KeyboardInterrupt:
        return _pickled("interrupted", None)
    except MemoryError:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))  # to say so takes some
        return _pickled("memory", None)
    except Exception as error:
        return _pickled("unsaid", f"{type(error).__name__}: {error}")


class _Plain(pickle.Pickler):
    """Pickles words and numbers of classes that only the user's code knows as what they are besides."""

    def reducer_override(self, obj: Any) -> Any:
        for plain in (str, float, int):
            if isinstance(obj, plain) and type(obj) not in (plain, bool):
                return plain, (str.__str__(obj) if isinstance(obj, str) else plain(obj),)
        return NotImplemented


def _pickled(said: str, made: object) -> bytes:
    held = io.BytesIO()
    _Plain(held, pickle.HIGHEST_PROTOCOL).dump((said, made))
    return held.getvalue()
