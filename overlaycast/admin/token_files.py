"""Join tokens of new groups, each in a file that only its owner may read.

Owns: the files' names and modes. Refuses: to replace a file unasked, and to leave half a token.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from overlaycast.errors import ConfigError
from overlaycast.named_files import at_home


class TokenFileError(ConfigError):
    """A token cannot have its file."""


class TokenFiles:
    """Files ``NAME.token`` in one folder, which is made when it is needed.

    Args:
        overwrite: one that exists may be replaced.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        try:
            self._folder = at_home(folder)
        except OSError as error:
            raise TokenFileError(f"token-dir: {folder}: {error.strerror}") from None
        self._overwrite = overwrite

    def path(self, group: str) -> Path:
        """Return the file of a group."""
        return self._folder / f"{group}.token"

    def reserve(self, group: str) -> Path:
        """Return an empty file beside the group's own: what could go wrong does so before the group is made.

        Raises:
            TokenFileError: the group's file exists, or none can be made.
        """
        self.check(group)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(dir=self._folder, prefix=f".{group}.")
        except OSError as error:
            raise TokenFileError(f"token-dir: {self._folder}: {error.strerror}") from None
        os.close(descriptor)
        return Path(draft)

    def check(self, group: str) -> None:
        """See whether the group's file would replace another.

        Raises:
            TokenFileError: it would, and may not.
        """
        path = self.path(group)
        if not self._overwrite and os.path.lexists(path):
            raise TokenFileError(f"token-dir: {path} exists; remove it, or replace it with --overwrite")

    def write(self, draft: Path, group: str, token: str) -> None:
        """Put the token into the reserved file, and give it its name.

        Raises:
            TokenFileError: that failed; the draft is gone.
        """
        path = self.path(group)
        try:
            with draft.open("w") as file:  # mkstemp has made it 0600
                file.write(token + "\n")
                file.flush()
                os.fsync(file.fileno())
            if self._overwrite:
                draft.replace(path)
            else:
                path.hardlink_to(draft)  # fails where something has come to be there meanwhile
        except OSError as error:
            raise TokenFileError(f"token-dir: {path}: {error.strerror}") from None
        finally:
            self.drop(draft)

    @staticmethod
    def drop(draft: Path) -> None:
        """Remove a reserved file."""
        with suppress(OSError):
            draft.unlink(missing_ok=True)
