"""What must outlive a crash: groups, token hashes, members' secrets, and the overlay's snapshots, in SQLite.

Owns: the schema, and that each change is whole or absent. Refuses: what a snapshot means; it is JSON to the store.

Invariants: a method that returns has committed, so a ``kill -9`` at any moment loses nothing that was reported as
done. No token and no secret is ever stored, only their hashes.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from overlaycast.coordinator.state.folder import refuse_unless_regular
from overlaycast.errors import ConfigError
from overlaycast.settings import one_line
from overlaycast.wire.group import GroupSettings

SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE groups (
    name TEXT PRIMARY KEY, settings TEXT NOT NULL, key BLOB NOT NULL,
    token BLOB NOT NULL, expires REAL, created REAL NOT NULL
) STRICT;
CREATE TABLE snapshots (
    name TEXT PRIMARY KEY REFERENCES groups ON DELETE CASCADE, body TEXT NOT NULL, events INTEGER NOT NULL
) STRICT;
CREATE TABLE members (
    name TEXT NOT NULL REFERENCES groups ON DELETE CASCADE, member INTEGER NOT NULL, secret BLOB NOT NULL,
    PRIMARY KEY (name, member)
) STRICT, WITHOUT ROWID;
"""
_STOPPED: Final = """
CREATE TABLE IF NOT EXISTS stopped (
    name TEXT PRIMARY KEY REFERENCES groups ON DELETE CASCADE, events INTEGER NOT NULL
) STRICT;
"""
_CLOCK: Final = """
CREATE TABLE IF NOT EXISTS clock (row INTEGER PRIMARY KEY CHECK (row = 0), at REAL NOT NULL) STRICT;
"""
_KEEP_TIME: Final = """
INSERT INTO clock (row, at) VALUES (0, ?) ON CONFLICT (row) DO UPDATE SET at = max(at, excluded.at)
"""
_START_WAIT_S: Final = 5.0


class StateError(ConfigError):
    """The state cannot be used, or not any more: a full disk, a foreign file. The request was not carried out."""


class StateLockedError(StateError):
    """Another program holds the database: the same may be asked again in a moment."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group as it is kept: ``token`` and the 32-byte ``key`` of its grants are secret, the token only as a hash."""

    name: str
    settings: GroupSettings
    key: bytes
    token: bytes
    expires: float | None
    created: float


class Store:
    """The database of one state folder.

    Raises:
        ConfigError: the file is of a later version.
        StateError: the file is not ours or cannot be used. Every method raises it when that comes to be so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with suppress(FileNotFoundError):
            refuse_unless_regular(path)
        with self._complaints():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite's own files beside it take over its mode
            self._db = sqlite3.connect(path, timeout=_START_WAIT_S, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        # safe against the death of this process; a power cut may take the last moments, never the consistency
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._prepare()
        self._db.execute(_CLOCK)
        self._db.execute(_STOPPED)
        # from here on whoever asks is a loop that must not wait
        self._db.execute("PRAGMA busy_timeout = 0")

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def latest(self) -> float:
        """Return the latest time that was kept, in seconds since 1970."""
        with self._complaints():
            (at,) = self._db.execute(
                "SELECT max(at) FROM (SELECT at FROM clock UNION SELECT created FROM groups)"
            ).fetchone()
            return float(at or 0.0)

    def save_time(self, now: float) -> None:
        """Keep the time: it will never be earlier."""
        with self._complaints():
            self._db.execute(_KEEP_TIME, (now,))

    def names(self) -> list[str]:
        """Return the names of all groups, oldest first."""
        with self._complaints():
            return [name for (name,) in self._db.execute("SELECT name FROM groups ORDER BY created, name")]

    def group(self, name: str) -> GroupRow:
        """Return a group that is there."""
        with self._complaints():
            row = self._db.execute(
                "SELECT name, settings, key, token, expires, created FROM groups WHERE name = ?", (name,)
            ).fetchone()
            return GroupRow(row[0], GroupSettings.model_validate_json(row[1]), *row[2:])

    def add_group(self, row: GroupRow) -> None:
        """Keep a new group."""
        with self._complaints():
            self._db.execute(
                "INSERT INTO groups (name, settings, key, token, expires, created) VALUES (?, ?, ?, ?, ?, ?)",
                (row.name, row.settings.model_dump_json(), row.key, row.token, row.expires, row.created),
            )

    def save_settings(self, name: str, settings: GroupSettings) -> None:
        """Keep a group's new settings."""
        with self._complaints():
            self._db.execute("UPDATE groups SET settings = ? WHERE name = ?", (settings.model_dump_json(), name))

    def delete_group(self, name: str) -> None:
        """Forget a group and everything about it."""
        with self._complaints():
            self._db.execute("DELETE FROM groups WHERE name = ?", (name,))

    def save_snapshot(self, name: str, snapshot: dict[str, Any], events: int, now: float) -> None:
        """Keep a group's newest snapshot, the number of its next event, and the time, as ``save_time`` does."""
        body = json.dumps(snapshot, separators=(",", ":"))
        with self._complaints(), self._transaction():
            self._db.execute(_KEEP_TIME, (now,))
            self._db.execute(
                "INSERT INTO snapshots (name, body, events) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET body = excluded.body, events = excluded.events",
                (name, body, events),
            )

    def snapshot(self, name: str) -> tuple[dict[str, Any], int] | None:
        """Return the newest snapshot of a group and the number of its next event, if there is one."""
        with self._complaints():
            row = self._db.execute("SELECT body, events FROM snapshots WHERE name = ?", (name,)).fetchone()
            return None if row is None else (json.loads(row[0]), row[1])

    def save_stop(self, name: str, events: int) -> None:
        """Keep the number of a group's next event: nothing more happens until the next start."""
        with self._complaints():
            self._db.execute("INSERT OR REPLACE INTO stopped (name, events) VALUES (?, ?)", (name, events))

    def take_stop(self, name: str) -> int | None:
        """Return what ``save_stop`` kept, and forget it: it holds for one start. None: there was a crash."""
        with self._complaints():
            row = self._db.execute("DELETE FROM stopped WHERE name = ? RETURNING events", (name,)).fetchall()
            return row[0][0] if row else None

    def add_secret(self, name: str, member: int, secret: bytes) -> None:
        """Keep the hash of a member's secret."""
        with self._complaints():
            self._db.execute("INSERT INTO members (name, member, secret) VALUES (?, ?, ?)", (name, member, secret))

    def drop_secrets(self, name: str, keep: set[int]) -> None:
        """Forget the secrets of all members of a group but those in ``keep``."""
        gone = [(name, member) for member in self.secrets(name) if member not in keep]
        with self._complaints(), self._transaction():
            self._db.executemany("DELETE FROM members WHERE name = ? AND member = ?", gone)

    def secrets(self, name: str) -> dict[int, bytes]:
        """Return the hashes of the secrets of a group's members."""
        with self._complaints():
            return dict(self._db.execute("SELECT member, secret FROM members WHERE name = ?", (name,)))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # a full disk makes SQLite roll back by itself
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == SCHEMA_VERSION:
            return
        if version != 0:
            raise ConfigError(f"{self._path}: state of version {version}; accepted: up to {SCHEMA_VERSION}")
        self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    @contextmanager
    def _complaints(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # an id given twice is our defect, not the file's state
        except sqlite3.OperationalError as error:
            locked = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            kind = StateLockedError if locked else StateError
            raise kind(f"{self._path}: this state cannot be used: {error}") from None
        except (OSError, sqlite3.Error, ValueError) as error:
            first = one_line(error) if isinstance(error, ValidationError) else str(error).splitlines()[0]
            raise StateError(f"{self._path}: this state cannot be used: {first}") from None
