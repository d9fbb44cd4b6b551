"""File mode: which chunks a file has, what each of them has to be, and what one link has told about that.

Owns: the places of records and chunks, the list of the chunks' digests, and when it is believed. Refuses: I/O, and
anything that does not fit what the source announced (``messages.Contents``, over the control link). Pure.

The list travels over data links (``frames.Digests``): 32 bytes for each chunk would be payload for a coordinator with
many members, its own digest is not. A node passes on nothing that it has not checked, so each hop delays the stream by
one chunk, and a first one by the list too: the smaller the chunks, the longer that is (``cut``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from overlaycast.errors import ConfigError, RemoteProtocolError
from overlaycast.wire.frames import DIGEST_SIZE, MAX_RECORD, Digests, encode
from overlaycast.wire.messages import MAX_CHUNK, MAX_CHUNK_RECORDS, MAX_CHUNKS, Contents

LEAST_CHUNK: Final = 8 << 10
"""Below that headers cost more than a hop's wait for the rest of a chunk saves."""

Read: TypeAlias = Callable[[int, int], bytes]
"""Returns up to so many bytes from an offset, as ``(size, offset)``."""


class DamagedError(RemoteProtocolError):
    """What came is not what the source announced: this parent, or the way from it, cannot be trusted."""


def chunk_records(size: int, record_size: int) -> int:
    """Return how many records make a chunk: one, and more only where the list would become too long.

    Raises:
        ConfigError: the file is too large.
    """
    records = 1
    while size > records * record_size * MAX_CHUNKS:
        records *= 2
        if records * record_size > MAX_CHUNK or records > MAX_CHUNK_RECORDS:
            raise ConfigError(
                f"file: accepted are up to {MAX_CHUNK * MAX_CHUNKS >> 30} GiB, with records of a power of 2 and"
                f" {MAX_CHUNK // MAX_CHUNK_RECORDS} B or more"
            )
    return records


def cut(size: int, record_size: int | None = None) -> tuple[int, int]:
    """Return the bytes of a record and the records of a chunk for a file of ``size`` bytes.

    Unless the record's size is given: the power of 2 for which a hop waits least for a chunk and for the list together,
    at most ``sqrt(DIGEST_SIZE * size)``. That is 16 KiB for 16 MiB, where a thin uplink counts, and 128 KiB for 1 GiB.

    Raises:
        ConfigError: the file is too large.
    """
    if record_size is not None:
        return record_size, chunk_records(size, record_size)
    chunk = LEAST_CHUNK
    while (2 * chunk) ** 2 <= DIGEST_SIZE * size:
        chunk *= 2
    record_size = min(chunk, MAX_RECORD)
    return record_size, max(chunk // record_size, chunk_records(size, record_size))


class Layout:
    """Where in a file of ``size`` bytes records and chunks are. Numbers from 0."""

    def __init__(self, contents: Contents) -> None:
        self.size = contents.size
        self.record_size = contents.record_size
        self.chunk_records = contents.chunk_records
        self.records = -(-contents.size // contents.record_size)
        self.chunks = -(-self.records // contents.chunk_records)

    def length_of(self, seq: int) -> int:
        """Return the bytes of record ``seq``; 0 behind the end."""
        return max(0, min(self.record_size, self.size - seq * self.record_size))

    def records_before(self, chunk: int) -> int:
        """Return the number of the first record of ``chunk``; behind the last chunk, of all records."""
        return min(chunk * self.chunk_records, self.records)

    def bytes_before(self, chunk: int) -> int:
        """Return where ``chunk`` starts in the file; behind the last one, the file's size."""
        return min(chunk * self.chunk_records * self.record_size, self.size)


class Checks:
    """What a file group's records are held against.

    Args:
        contents: what the source announced.
        digests: the list, if it is known already.
        learned: told once, when the list has come.

    Raises:
        DamagedError: the list is not the announced one.
    """

    def __init__(self, contents: Contents, learned: Callable[[], None], digests: bytes | None = None) -> None:
        self.contents = contents
        self.layout = Layout(contents)
        self.digests: bytes | None = None
        self._learned = learned
        if digests is None and not self.layout.chunks:
            digests = b""
        if digests is not None:
            self.learn(digests)

    @property
    def list_size(self) -> int:
        """Bytes of the list."""
        return self.layout.chunks * DIGEST_SIZE

    def learn(self, digests: bytes) -> None:
        """Take the whole list.

        Raises:
            DamagedError: it is not the announced one.
        """
        if self.digests is not None:
            return
        if len(digests) != self.list_size or hashlib.sha256(digests).hexdigest() != self.contents.digests_sha256:
            raise DamagedError("the list of digests is not the one that the source announced")
        self.digests = digests
        self._learned()

    def fits(self, chunk: int, digest: bytes) -> bool:
        """Is this the digest of ``chunk``? False also while the list is not known."""
        at = chunk * DIGEST_SIZE
        return self.digests is not None and self.digests[at : at + DIGEST_SIZE] == digest

    def frames(self) -> bytes:
        """Return the list as a child gets it; nothing while it is not known."""
        digests = self.digests or b""
        pieces = range(0, len(digests), MAX_RECORD)
        return b"".join(encode(Digests(at, digests[at : at + MAX_RECORD])) for at in pieces)


class Gathering:
    """The list as one link tells it, piece by piece. At most as many bytes as were announced are kept."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._held = bytearray()

    def take(self, piece: Digests) -> None:
        """Take the next piece; the last one makes the list known.

        Raises:
            DamagedError: it is not the next piece, or the list is not the announced one.
        """
        if self._checks.digests is not None:
            return
        if piece.offset != len(self._held) or piece.offset + len(piece.piece) > self._checks.list_size:
            raise DamagedError(f"a piece of the list of digests at {piece.offset} that does not fit")
        self._held += piece.piece
        if len(self._held) == self._checks.list_size:
            held, self._held = bytes(self._held), bytearray()
            self._checks.learn(held)


def held_chunks(checks: Checks, read: Read) -> int:
    """Return how many chunks at the beginning of a file are what they have to be."""
    layout = checks.layout
    for chunk in range(layout.chunks):
        start, stop = layout.bytes_before(chunk), layout.bytes_before(chunk + 1)
        if not checks.fits(chunk, _digest_of(read, start, stop)):
            return chunk
    return layout.chunks


_PIECE: Final = 1 << 20


def _digest_of(read: Read, start: int, stop: int) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces(read, start, stop):
        digest.update(piece)
    return digest.digest()


def pieces(read: Read, start: int, stop: int) -> Iterator[bytes]:
    """Yield what is in ``[start, stop)``, as far as there is something."""
    while start < stop and (piece := read(min(_PIECE, stop - start), start)):
        start += len(piece)
        yield piece


def describe(size: int, record_size: int, count: int, read: Read) -> tuple[Contents, bytes]:
    """Read a whole file; return what its source announces, and the list of digests.

    Args:
        count: records of a chunk.

    Raises:
        ConfigError: it has shrunk meanwhile.
    """
    chunk_bytes = count * record_size
    whole, digests, seen = hashlib.sha256(), bytearray(), 0
    for start in range(0, size, chunk_bytes):
        chunk = hashlib.sha256()
        for piece in pieces(read, start, min(start + chunk_bytes, size)):
            whole.update(piece)
            chunk.update(piece)
            seen += len(piece)
        digests += chunk.digest()
    if seen != size:
        raise ConfigError("file: it has become shorter while it was read")
    contents = Contents(
        size=size,
        record_size=record_size,
        chunk_records=count,
        sha256=whole.hexdigest(),
        digests_sha256=hashlib.sha256(digests).hexdigest(),
    )
    return contents, bytes(digests)
