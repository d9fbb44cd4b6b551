"""Files that people name: settings, tokens, experiments, maps. Read whole, but never more than such a file can have.

Owns: ``~`` in a name, and the bound. Refuses: what is in the file.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

LIMIT: Final = 1 << 20
"""Bytes of settings and tokens; ``/dev/zero`` has more."""


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
    with path.open("rb") as file:
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
