"""The state folder: only its owner may read it, and one coordinator at a time uses it.

Owns: the folder, its lock, and the admin token in it. Refuses: the database inside (``store``).

Invariants: the admin token is made once, is complete or absent whatever kills us, and is readable by its owner only;
two coordinators never share a folder.
"""

from __future__ import annotations

import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from overlaycast.coordinator.state.secret import new_token
from overlaycast.errors import ConfigError
from overlaycast.named_files import at_home, make_private, read_small


@dataclass(frozen=True, slots=True)
class StateFolder:
    """An open and locked state folder; ``close`` unlocks it."""

    path: Path
    admin_token: str
    _lock: int

    @property
    def token_file(self) -> Path:
        """Where the admin token is."""
        return self.path / "admin.token"

    @property
    def socket(self) -> Path:
        """Where the local socket is bound."""
        return self.path / "admin.sock"

    @property
    def database(self) -> Path:
        """Where ``store`` keeps the groups."""
        return self.path / "state.db"

    def close(self) -> None:
        """Unlock the folder for the next coordinator."""
        os.close(self._lock)


def open_folder(path: Path) -> StateFolder:
    """Return the state folder, made and locked.

    Raises:
        ConfigError: it cannot be used, or another coordinator is using it.
    """
    try:
        path = at_home(path).absolute()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"state: {path}: {error.strerror}; accepted: a folder that this user may write") from None
    try:
        refuse_unless_regular(path / "lock")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return StateFolder(path, _admin_token(path / "admin.token"), lock)
    except BlockingIOError:
        os.close(lock)
        raise ConfigError(f"state: {path}: another coordinator is using this folder") from None
    except BaseException:
        os.close(lock)
        raise


def _admin_token(path: Path) -> str:
    try:
        if not os.path.lexists(path):
            _write_private(path, new_token() + new_token())
        refuse_unless_regular(path)
        make_private(path, 0o600)
        token = read_small(path).strip()
    except OSError as error:
        raise ConfigError(f"state: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        token = ""
    if len(token) < 32:
        raise ConfigError(f"state: {path}: not an admin token; remove the file and a new one is made")
    return token


def refuse_unless_regular(path: Path) -> None:
    """What is in the folder is a file of ours, or a link to one; of a pipe or a device nothing could be read again.

    Raises:
        OSError: it is not there.
        ConfigError: it is something else.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ConfigError(f"state: {path}: is no regular file; accepted is the folder of a coordinator")


def _write_private(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
