"""Where a live input is cut into records. Pure.

Owns: full records while they can be, what has come when it has to go, and for MPEG-TS (ISO/IEC 13818-1) cuts between
packets of 188 bytes, whatever portions a pipe hands over: a receiver that joins late begins at a record, and a player
needs a whole packet there. Refuses: when records go.
"""

from __future__ import annotations

from typing import Final

from overlaycast.wire.frames import TS_PACKET

SYNC: Final = 0x47
_SURE: Final = 3
"""So many sync bytes in a row say that it is a transport stream; fewer only where there is no more."""


def is_transport_stream(head: bytes) -> bool:
    """Does this look like MPEG-TS? Four packets in a row carry the sync byte (or all there are, at least one)."""
    whole = len(head) // TS_PACKET
    return whole >= 1 and all(head[i * TS_PACKET] == SYNC for i in range(min(whole, 4)))


def packet_boundary(data: bytes, start: int) -> int:
    """Return where, from ``start`` on, the next packet begins: a sync byte, and another one 188 bytes on."""
    at = data.find(SYNC, start)
    while at >= 0 and at + TS_PACKET < len(data) and data[at + TS_PACKET] != SYNC:
        at = data.find(SYNC, at + 1)
    return at if at >= 0 else len(data)


class Cutter:
    """Bytes in, records out.

    Args:
        record_size: bytes of a full record; of MPEG-TS, as many whole packets as go into it.
    """

    def __init__(self, record_size: int) -> None:
        self._size = record_size
        self._packets: bool | None = None if record_size >= TS_PACKET else False
        self._held = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the full records that are there now."""
        self._held += data
        self._look()
        records = []
        start = 0
        while (after := self._full(start)) is not None:
            records.append(self._held[start:after])
            start = after
        self._held = self._held[start:]
        return records

    def rest(self, last: bool = False) -> list[bytes]:
        """Return what is left over, as one record, if anything is; of MPEG-TS whole packets, unless it is the ``last``.

        A beginning too short to say what it is waits for more.
        """
        stop = len(self._held)
        if self._packets is None and not last:
            stop = 0
        elif self._packets and not last:
            stop -= stop % TS_PACKET
        record, self._held = self._held[:stop], self._held[stop:]
        return [record] if record else []

    def _look(self) -> None:
        """Find out whether it is a transport stream, once enough has come."""
        if self._packets is None and self._held:
            if self._held[0] != SYNC:
                self._packets = False
            elif len(self._held) > _SURE * TS_PACKET:
                self._packets = is_transport_stream(self._held)
        if self._packets:
            self._size -= self._size % TS_PACKET

    def _full(self, start: int) -> int | None:
        """Return where the full record that begins at ``start`` ends; None: it is not there yet."""
        if self._packets is None:
            return None
        if self._packets and start < len(self._held) and self._held[start] != SYNC:
            # out of step: what is between packets goes by itself
            return min(packet_boundary(self._held, start), start + self._size)
        after = start + self._size
        return after if after <= len(self._held) else None
