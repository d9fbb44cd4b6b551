"""What a parent may say about the whole stream: how far its numbers can have got, and whether it is over.

Owns: the bound on record numbers, and the ENDs of forwarders that wait for what others say. Refuses: sockets, clocks.
Pure.

A forwarder that lies must not end its children. Numbers that the stream cannot have reached are an error of the link.
An END from a forwarder is held for a moment while there are warm standbys: one that is further on refutes it.
"""

from __future__ import annotations

from typing import Final

from overlaycast.errors import RemoteProtocolError

MOST_SEQ: Final = 1 << 53
"""No stream has so many records: at a million a second it would last 285 years."""
SMALLEST: Final = 188
"""Bytes of the smallest usual record: one MPEG-TS packet."""
SLACK: Final = 1 << 16
FASTER: Final = 4.0
HOLD_S: Final = 0.6
"""Seconds for which an END is held: a warm standby says twice how far it is."""


class Horizon:
    """How far a live stream can have got since we have known it.

    Args:
        rate_mbit: the planned rate.
    """

    def __init__(self, rate_mbit: float) -> None:
        self._per_s = FASTER * rate_mbit * 125_000 / SMALLEST
        self._seq = 0
        self._at: float | None = None

    def saw(self, seq: int, now: float) -> None:
        """This is a record that we have, or expect next."""
        self._seq, self._at = seq, now

    def check(self, seq: int, now: float) -> None:
        """Is this a number that the stream can have reached?

        Raises:
            RemoteProtocolError: it is not.
        """
        most = MOST_SEQ if self._at is None else self._seq + SLACK + int(self._per_s * (now - self._at))
        if seq > min(most, MOST_SEQ):
            raise RemoteProtocolError(f"record {seq} is further than the stream can be")


class HeldEnds:
    """ENDs that wait, each by the link that it came over."""

    def __init__(self) -> None:
        self._held: dict[int, int] = {}
        self._believed: set[int] = set()

    def hold(self, link: int, seq: int) -> bool:
        """May this END count? False: not yet."""
        if link in self._believed:
            return True
        self._held[link] = seq
        return False

    def holds(self, link: int) -> bool:
        """Does an END of this link wait?"""
        return link in self._held

    def believe(self, link: int) -> bool:
        """Nobody has refuted it: the next time it counts. False: it does not wait any more."""
        waited = self._held.pop(link, None) is not None
        if waited:
            self._believed.add(link)
        return waited

    def said(self, by: int, next_seq: int) -> tuple[list[int], list[int]]:
        """Another link says how far it is. Return the links whose END it confirms, and those whose END it refutes."""
        others = [(link, seq) for link, seq in self._held.items() if link != by]
        return [link for link, seq in others if next_seq == seq + 1], [
            link for link, seq in others if next_seq > seq + 1
        ]

    def gone(self, link: int) -> None:
        """This link is closed."""
        self._held.pop(link, None)
        self._believed.discard(link)
