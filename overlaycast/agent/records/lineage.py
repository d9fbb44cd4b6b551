"""Which incarnation of the source a live stream is of: no record of an older one comes after one of a newer.

Owns: the incarnation of the newest record here, and the one that the coordinator has told. Refuses: to say which record
numbers are whose; a source that replaces another one begins behind all that anybody was seen to have. Pure.

A former source that was frozen or cut off may send on for a while, and a forwarder that could not be told may pass that
on. Its records have numbers that are those of the newer incarnation by then.
"""

from __future__ import annotations

from typing import Final

from overlaycast.wire.frames import Kind

_OF_A_RECORD: Final = Kind.DATA << 24


class Lineage:
    """The incarnations seen and told.

    Attributes:
        told: the group's, as the coordinator counts; None: not known. One that has lost its state counts anew.
        opening: the first four bytes of a record of the incarnation that was taken last: kind, flags, incarnation.
    """

    def __init__(self) -> None:
        self.told: int | None = None
        self.opening = _OF_A_RECORD

    def admits(self, incarnation: int) -> bool:
        """May a record of this incarnation come next?"""
        return incarnation >= self._taken or self.told in (None, incarnation)

    def took(self, incarnation: int) -> None:
        """A record of this incarnation has come."""
        self.opening = _OF_A_RECORD | incarnation

    @property
    def _taken(self) -> int:
        return self.opening & 0xFFFF
