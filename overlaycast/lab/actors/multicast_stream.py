"""A stream in multicast datagrams, and records put together from them again. Pure.

Owns: the datagram (a record's frame header as on the overlay's links, an offset, a piece that fits an Ethernet frame)
and the rule when a record is given up. Multicast does not repeat: a record of which a piece is missing when ``WINDOW``
later ones have begun is lost.

Invariants: records leave in order of their numbers, each once; what is held is bounded by the window.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from overlaycast.wire.frames import DIGEST_SIZE, HEADER, HEADER_SIZE, MAX_RECORD, TS_PACKET, Kind, data_header

PIECE: Final = 7 * TS_PACKET
"""Payload of a datagram: seven MPEG-TS packets, as is usual."""
OFFSET: Final = struct.Struct("!I")
DATAGRAM_HEADER: Final = HEADER_SIZE + OFFSET.size
WINDOW: Final = 16


def datagrams(seq: int, time_us: int, record: bytes) -> Iterator[bytes]:
    """Yield the datagrams of one record."""
    header = data_header(seq, time_us, len(record), 0)
    for offset in range(0, len(record), PIECE):
        yield header + OFFSET.pack(offset) + record[offset : offset + PIECE]


def end_datagram(seq: int, time_us: int, first_seq: int, digest: bytes) -> bytes:
    """Return what tells the end: the number after the last record, the first one, the SHA-256 of all."""
    return HEADER.pack(Kind.END, 0, 0, DIGEST_SIZE, seq, time_us) + OFFSET.pack(first_seq) + digest


@dataclass(frozen=True, slots=True)
class Record:
    """One whole record."""

    seq: int
    time_us: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class LostRecords:
    """Records ``first`` up to, not with, ``after`` will not come."""

    first: int
    after: int


@dataclass(frozen=True, slots=True)
class StreamOver:
    """The stream is over."""

    seq: int
    first_seq: int
    digest: bytes


Found = Record | LostRecords | StreamOver


@dataclass(slots=True)
class _Unfinished:
    time_us: int
    payload: bytearray
    missing: set[int]


@dataclass(slots=True)
class Assembly:
    """Datagrams in, records in order out.

    Attributes:
        next_seq: the next record that is due; None before the first datagram.
        duplicated: records that came whole a second time (their first piece is counted).
        reordered: records that came whole while an earlier one was unfinished.
        ended: END was seen.
    """

    next_seq: int | None = None
    duplicated: int = 0
    reordered: int = 0
    ended: bool = False
    _held: dict[int, _Unfinished] = field(default_factory=dict)

    def take(self, datagram: bytes) -> list[Found]:
        """Return the records and losses that a datagram completes; nothing for a datagram that is not ours."""
        if len(datagram) < DATAGRAM_HEADER or self.ended:
            return []
        kind, _, _, length, seq, time_us = HEADER.unpack_from(datagram)
        (offset,) = OFFSET.unpack_from(datagram, HEADER_SIZE)
        body = datagram[DATAGRAM_HEADER:]
        if kind == Kind.END and len(body) == DIGEST_SIZE:
            self.ended = True
            return [*self._up_to(seq), StreamOver(seq, offset, body)]
        if kind != Kind.DATA or not self._fits(length, offset, body):
            return []
        return self._piece(seq, time_us, length, offset, body)

    def _fits(self, length: int, offset: int, body: bytes) -> bool:
        return 0 < length <= MAX_RECORD and offset % PIECE == 0 and len(body) == min(PIECE, length - offset)

    def _piece(self, seq: int, time_us: int, length: int, offset: int, body: bytes) -> list[Found]:
        if self.next_seq is None:
            self.next_seq = seq
        if seq < self.next_seq:
            self.duplicated += offset == 0
            return []
        settled = self._up_to(seq - WINDOW)
        one = self._held.get(seq)
        if one is None:
            one = self._held[seq] = _Unfinished(time_us, bytearray(length), set(range(0, length, PIECE)))
        one.payload[offset : offset + len(body)] = body
        was_whole = not one.missing
        one.missing.discard(offset)
        if not one.missing and not was_whole:
            self.reordered += seq != self.next_seq and any(self._held[other].missing for other in self._before(seq))
        return settled + self._ready()

    def _before(self, seq: int) -> list[int]:
        return [other for other in self._held if other < seq]

    def _ready(self) -> list[Found]:
        """Return the whole records at the front."""
        found: list[Found] = []
        assert self.next_seq is not None
        while (one := self._held.get(self.next_seq)) is not None and not one.missing:
            del self._held[self.next_seq]
            found.append(Record(self.next_seq, one.time_us, bytes(one.payload)))
            self.next_seq += 1
        return found

    def _up_to(self, seq: int) -> list[Found]:
        """Settle everything below ``seq``: whole records leave, others are lost."""
        found: list[Found] = []
        if self.next_seq is None:
            return found
        while self.next_seq < seq:
            ready = self._ready()
            found += ready
            if not ready:
                whole = (other for other, one in self._held.items() if other < seq and not one.missing)
                after = min(whole, default=seq)
                found.append(LostRecords(self.next_seq, after))
                for gone in self._before(after):
                    del self._held[gone]
                self.next_seq = after
        return found + self._ready()
