"""Receivers' files that stay on their hosts: judged by size and digest against what was sent.

Owns: whether a file of that size and digest is the stream, its end, or (of a source that started again) its beginning
and then all of it. A file that is, is looked at here, for the controller has the same bytes.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from overlaycast.lab.recording.recording import FileSeen
from overlaycast.lab.run import media

PORTION: Final = 1 << 20


class Sent:
    """What was sent."""

    def __init__(self, file: Path, is_media: bool) -> None:
        """Look at the file.

        Args:
            file: what was sent.
            is_media: it is a video, and the packets in it are counted.
        """
        self.seen: Final = media.look_at(file, is_media)
        self._file, self._is_media = file, is_media
        self._known: dict[tuple[int, str], FileSeen] = {}

    def received(self, size: int, sha256: str) -> FileSeen:
        """Return a receiver's file as the lab sees one."""
        if (size, sha256) not in self._known:
            self._known[size, sha256] = self._looked(size, sha256)
        return self._known[size, sha256]

    def _looked(self, size: int, sha256: str) -> FileSeen:
        if (size, sha256) == (self.seen.size, self.seen.sha256):
            return FileSeen(size, sha256, self.seen.media, fits=True)
        before = max(0, size - self.seen.size)
        if size == 0 or before > self.seen.size:
            return FileSeen(size, sha256, None, fits=False)
        with tempfile.NamedTemporaryFile(prefix="overlaycast-received-") as made:
            digest = hashlib.sha256()
            for portion in self._portions(size, before):
                digest.update(portion)
                made.write(portion)
            made.flush()
            if digest.hexdigest() != sha256:
                return FileSeen(size, sha256, None, fits=False)
            return FileSeen(size, sha256, media.look_at(Path(made.name), self._is_media).media, fits=True)

    def _portions(self, size: int, before: int) -> Iterator[bytes]:
        """Return the bytes that a file of this size must hold: so much of the beginning, and then the end."""
        for begin, length in ((0, before), (self.seen.size - (size - before), size - before)):
            with self._file.open("rb") as file:
                file.seek(begin)
                while length > 0 and (portion := file.read(min(length, PORTION))):
                    length -= len(portion)
                    yield portion
