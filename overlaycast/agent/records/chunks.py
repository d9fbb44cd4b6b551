"""File mode: which chunks a file has, what each of them has to be, and what one link has told about that.

Owns: the places of records and chunks, the list of the chunks' digests, and when it is believed. Refuses: I/O, and
anything that does not fit what the source announced (``messages.Contents``, over the control link). Pure.

The list travels over data links (``frames.Digests``): 32 bytes for each chunk would be payload for a coordinator with
many members, one digest of it all is not. A node passes on nothing that it has not checked, and it must not wait for
the whole list either: all hops would, one after the other. So the list is a hash tree of two levels (Merkle, "A Digital
Signature Based on a Conventional Encryption Function", 1987): first the digests of its leaves, ``LEAF`` chunks each,
which the source announces by their digest, then the leaves one by one. Each hop delays the file by one chunk and, at
the beginning, by one leaf.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from overlaycast.errors import ConfigError, RemoteProtocolError
from overlaycast.wire.frames import DIGEST_SIZE, HEADER_SIZE, MAX_RECORD, Digests, encode
from overlaycast.wire.messages import MAX_CHUNK, MAX_CHUNK_RECORDS, MAX_CHUNKS, Contents

LEAST_CHUNK: Final = 8 << 10
"""Below that headers cost more than a hop's wait for the rest of a chunk saves."""
LEAF: Final = 64
"""Chunks of a leaf: 2 KiB of digests."""
_LEAF_BYTES: Final = LEAF * DIGEST_SIZE

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

    Unless the record's size is given: the power of 2 for which the list and a hop's wait for a chunk are least in sum,
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
    """Where in a file of ``size`` bytes records and chunks are. Numbers from 0; ``frame``: bytes of a full one."""

    def __init__(self, contents: Contents) -> None:
        self.size = contents.size
        self.record_size = contents.record_size
        self.frame = HEADER_SIZE + contents.record_size
        self.chunk_records = contents.chunk_records
        self.records = -(-contents.size // contents.record_size)
        self.chunks = -(-self.records // contents.chunk_records)

    def length_of(self, seq: int) -> int:
        """Return the bytes of record ``seq``; 0 behind the end."""
        return max(0, min(self.record_size, self.size - seq * self.record_size))

    def frames(self, seq: int, after: int) -> int:
        """Return the bytes of the frames of records ``seq`` .. ``after - 1``."""
        return (after - seq) * HEADER_SIZE + self.payload(seq, after)

    def payload(self, seq: int, after: int) -> int:
        """Return the bytes of records ``seq`` .. ``after - 1``."""
        return min(after * self.record_size, self.size) - min(seq * self.record_size, self.size)

    def payloads(self, frames: memoryview) -> list[memoryview]:
        """Return the payloads of whole frames, one view each; the last record may be a short one."""
        return [frames[at + HEADER_SIZE : at + self.frame] for at in range(0, len(frames), self.frame)]

    def records_before(self, chunk: int) -> int:
        """Return the number of the first record of ``chunk``; behind the last chunk, of all records."""
        return min(chunk * self.chunk_records, self.records)

    def bytes_before(self, chunk: int) -> int:
        """Return where ``chunk`` starts in the file; behind the last one, the file's size."""
        return min(chunk * self.chunk_records * self.record_size, self.size)


def leaves(digests: bytes | bytearray) -> bytes:
    """Return the first level of the list: the leaves' digests."""
    parts = (digests[at : at + _LEAF_BYTES] for at in range(0, len(digests), _LEAF_BYTES))
    return b"".join(hashlib.sha256(part).digest() for part in parts)


class Checks:
    """What a file group's records are held against.

    The list as it travels is the leaves' digests, then all chunks' digests; what is known of it is its beginning.

    Args:
        contents: what the source announced.
        digests: those of all chunks, if they are known already.
        learned: told whenever more of the list is known.

    Raises:
        DamagedError: the list is not the announced one.
    """

    def __init__(self, contents: Contents, learned: Callable[[], None], digests: bytes | None = None) -> None:
        self.contents = contents
        self.layout = Layout(contents)
        self._learned = learned
        self._first_level = -(-self.layout.chunks // LEAF) * DIGEST_SIZE
        self.list_size = self._first_level + self.layout.chunks * DIGEST_SIZE
        self._list = bytearray()
        if digests is not None:
            self.learn(digests)

    @property
    def complete(self) -> bool:
        """The whole list is known."""
        return len(self._list) == self.list_size

    @property
    def digests(self) -> bytes | None:
        """Those of all chunks; None while the list is not known as a whole."""
        return bytes(self._list[self._first_level :]) if self.complete else None

    def learn(self, digests: bytes) -> None:
        """Take the digests of all chunks.

        Raises:
            DamagedError: they are not the announced ones.
        """
        whole, at = leaves(digests) + digests, 0
        if len(whole) != self.list_size:
            raise _other_list()
        while at < self.list_size:
            after = at + self.unit(at)
            self.learn_unit(at, whole[at:after])
            at = after

    def unit(self, at: int) -> int:
        """Return how many bytes of the list are checked together from ``at`` on, where another unit ends."""
        return self._first_level if at == 0 else min(_LEAF_BYTES, self.list_size - at)

    def learn_unit(self, at: int, unit: bytes) -> None:
        """Take one unit of the list; all before it are known.

        Raises:
            DamagedError: it is not what the source announced.
        """
        if at < len(self._list):  # another link was faster
            return
        if at == 0:
            wanted = bytes.fromhex(self.contents.digests_sha256)
        else:
            leaf = (at - self._first_level) // _LEAF_BYTES * DIGEST_SIZE
            wanted = bytes(self._list[leaf : leaf + DIGEST_SIZE])
        if hashlib.sha256(unit).digest() != wanted:
            raise _other_list()
        self._list += unit
        self._learned()

    def _place(self, chunk: int) -> int:
        return self._first_level + chunk * DIGEST_SIZE

    def knows(self, chunk: int) -> bool:
        """Is its digest known?"""
        return self._place(chunk) < len(self._list)

    def fits(self, chunk: int, digest: bytes) -> bool:
        """Is this the digest of ``chunk``? False also while that is not known."""
        at = self._place(chunk)
        return self._list[at : at + DIGEST_SIZE] == digest

    def frames(self, start: int) -> tuple[bytes, int]:
        """Return what is known of the list from ``start`` on, as a child gets it, and where that ends."""
        known = range(start, len(self._list), _LEAF_BYTES)  # no piece longer than what a hop waits for anyway
        return b"".join(encode(Digests(at, bytes(self._list[at : at + _LEAF_BYTES]))) for at in known), len(self._list)


def _other_list() -> DamagedError:
    return DamagedError("the list of digests is not the one that the source announced")


class Gathering:
    """The list as one link tells it, piece by piece. What is kept is one unit and one frame at most."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._at = 0
        self._held = bytearray()

    def take(self, piece: Digests) -> None:
        """Take the next piece.

        Raises:
            DamagedError: it is not the next piece, or the list is not the announced one.
        """
        checks = self._checks
        if checks.complete:
            return
        if piece.offset != self._at + len(self._held) or piece.offset + len(piece.piece) > checks.list_size:
            raise DamagedError(f"a piece of the list of digests at {piece.offset} that does not fit")
        self._held += piece.piece
        while self._held and len(self._held) >= (size := checks.unit(self._at)):
            unit = bytes(self._held[:size])
            del self._held[:size]
            checks.learn_unit(self._at, unit)
            self._at += size


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
        digests_sha256=hashlib.sha256(leaves(digests)).hexdigest(),
    )
    return contents, bytes(digests)
