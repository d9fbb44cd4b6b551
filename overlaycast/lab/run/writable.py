"""Folders that a user names for what is written: made, and proven to take files, before anything is run for them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from overlaycast.errors import ConfigError


def writable(folder: Path, field: str) -> Path:
    """Return the folder; it is there now, and takes files.

    Args:
        field: what the user called it with, for the complaint.

    Raises:
        ConfigError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise ConfigError(f"{field}: {folder}: {error.strerror}; accepted: a folder that this user may write") from None
