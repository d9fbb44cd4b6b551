"""Files that people name: settings, tokens, experiments, maps. Read whole, but never more than such a file can have.

Owns: ``~`` in a name, the bound, and that a pipe which has nobody at its other end is waited for with a word. Refuses:
what is in the file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LIMIT: Final = 1 << 20
"""Bytes of settings and tokens; ``/dev/zero`` has more."""
TOLD_AFTER_S: Final = 1.0


def at_home(path: Path) -> Path:
    """Return a path with the home folder in place of ``~``.

    Raises:
        OSError: it is another user's, and there is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "no such user or home folder", str(path)) from None


def read_bytes(path: Path, most: int) -> bytes:
    """Return what is in a file.

    Raises:
        OSError: it cannot be read, or has more than ``most`` bytes.
    """
    with told_if_waiting(path, "writes to it"), path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes", str(path))
    return content


def read_small(path: Path) -> str:
    """Return the UTF-8 text of a file of settings or with a token; ``~`` is a home folder.

    Raises:
        OSError: it cannot be read, or has more than ``LIMIT`` bytes.
        UnicodeDecodeError: it is no such text.
    """
    return read_bytes(at_home(path), LIMIT).decode()


def write_text(path: Path, text: str) -> None:
    """Write what a command has made into a file that was named for it.

    Raises:
        OSError: it cannot be written.
    """
    with told_if_waiting(path, "reads it"):
        path.write_text(text)


def make_private(path: Path, mode: int) -> None:
    """Give a file or folder of ours this mode. What a link leads to is not ours: it keeps the one that it has.

    Raises:
        OSError: it is not there, or is not ours.
    """
    held = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISLNK(os.fstat(held).st_mode):
            os.chmod(f"/proc/self/fd/{held}", mode)
    finally:
        os.close(held)


@contextlib.contextmanager
def told_if_waiting(path: Path, whom: str) -> Iterator[None]:
    """Within, a pipe may be opened; if that waits for a while, it is said for whom: somebody who "reads it"."""
    try:
        is_pipe = stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:  # whoever opens it hears of that
        is_pipe = False
    if not is_pipe:
        yield
        return
    line = f"overlaycast: {path}: waits until somebody {whom}"
    timer = threading.Timer(TOLD_AFTER_S, print, (line,), {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
