"""File mode: how far an output is known to be good, kept beside it, so that a receiver that starts again goes on there.

Owns: the small JSON file ``OUTPUT.overlaycast``, written to a new file and renamed, and the check at the start: the
beginning of the output is read again and has to have the digest that was noted. Refuses: to trust anything else; what
fails the check is fetched again from the first record, and END's digest covers all of it in any case.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from overlaycast.wire.frames import MAX_RECORD

SUFFIX: Final = ".overlaycast"
EVERY_BYTES: Final = 16 << 20
"""A note for each so many bytes written: that much is fetched again at most."""
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """A beginning of an output that has been checked: records ``0 .. records - 1``, ``size`` bytes."""

    group: str
    records: int
    size: int
    record_size: int
    digest: Any
    """The running SHA-256 over it."""


class Bookmark:
    """The note beside one output.

    Args:
        output: the output's path.
        descriptor: the output, readable.
        group: a note of another group is not ours.
    """

    def __init__(self, output: Path, descriptor: int, group: str) -> None:
        self._path = output.with_name(output.name + SUFFIX)
        self._descriptor = descriptor
        self._group = group
        self._noted = 0

    def kept(self) -> Kept | None:
        """Read the note and check the output against it; None: begin anew."""
        try:
            note = json.loads(self._path.read_text())
            records, size, record_size = (int(note[key]) for key in ("records", "bytes", "record_size"))
            group, sha256 = str(note["group"]), str(note["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        # only full records are noted: their place in the file is their number times the size
        if group != self._group or not 0 < record_size <= MAX_RECORD or size != records * record_size or size <= 0:
            return None
        digest = self._digest_of(size)
        if digest is None or digest.hexdigest() != sha256:
            return None
        self._noted = size
        return Kept(group, records, size, record_size, digest)

    def _digest_of(self, size: int) -> Any:
        digest, at = hashlib.sha256(), 0
        while at < size:
            piece = os.pread(self._descriptor, min(_PIECE, size - at), at)
            if not piece:
                return None
            digest.update(piece)
            at += len(piece)
        return digest

    def wrote(self, records: int, size: int, record_size: int, digest: Any, last: bool = False) -> None:
        """So much has been written; note it if it is time to, or if it is the ``last`` word. Runs in the sink's thread.

        The output is on the disk before the note is. A note that cannot be written is not needed now: the disk is full,
        and the sink will say so.
        """
        if size != records * record_size or size - self._noted < (1 if last else EVERY_BYTES):
            return
        self._noted = size
        note = {"group": self._group, "records": records, "bytes": size, "record_size": record_size}
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            os.fdatasync(self._descriptor)
            fresh.write_text(json.dumps({**note, "sha256": digest.hexdigest()}) + "\n")
            fresh.replace(self._path)
        except OSError:
            fresh.unlink(missing_ok=True)

    def forget(self) -> None:
        """The output is complete: nothing is noted any more."""
        self._noted = 1 << 62
        self._path.unlink(missing_ok=True)
