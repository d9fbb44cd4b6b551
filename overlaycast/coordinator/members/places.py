"""Who takes a place in a group: every member until it is forgotten, with a link or without.

Owns: how many places are taken, in all and at each address, and who has never answered. Refuses: the bounds
(``groups``), and when a member is forgotten (the overlay).

Invariant: a member has one place, at the address where it was seen last. So nobody gets more places by going away and
coming as somebody else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from overlaycast.coordinator.bounds.address import block_of
from overlaycast.coordinator.members.measure import EchoInbox

MUTE_S: Final = 10.0
"""A member that was asked for an echo, and has sent none for so long, leaves its place when there are no more."""


@dataclass(slots=True)
class Place:
    """A member's place. ``block``: its address (``bounds.address``); ``echoes``: what it has answered."""

    block: str
    echoes: EchoInbox
    kept: bool
    """It is the source's: nobody gets it."""


class Places:
    """The places of one group. ``seen`` has the members that there are already, and where each was seen."""

    def __init__(self, seen: Mapping[int, str]) -> None:
        self._places: dict[int, Place] = {}
        self._blocks: Counter[str] = Counter()
        self._unheard: dict[int, Place] = {}
        for member, host in seen.items():
            echoes = EchoInbox()
            echoes.answered = True  # before we came, as far as we know
            self._take(member, Place(block_of(host), echoes, kept=False))

    def __len__(self) -> int:
        return len(self._places)

    def at(self, block: str) -> int:
        """Return how many are taken at an address."""
        return self._blocks[block]

    def take(self, member: int, block: str, source: bool) -> EchoInbox:
        """Give a newcomer a place, or move that of a member that is back; return what its echo replies go into."""
        before = self._places.get(member)
        self.free(member)
        place = Place(block, EchoInbox() if before is None else before.echoes, source)
        self._take(member, place)
        return place.echoes

    def free(self, member: int) -> None:
        """A member is forgotten."""
        self._unheard.pop(member, None)
        if (place := self._places.pop(member, None)) is None:
            return
        self._blocks[place.block] -= 1
        if not self._blocks[place.block]:
            del self._blocks[place.block]

    def mute(self, block: str | None) -> int | None:
        """Return the oldest member, at an address or at any, that has answered nothing for long; None: there is none.

        One that was not asked yet is not mute: with many newcomers it waits for its turn.
        """
        for member, place in list(self._unheard.items()):
            if place.echoes.answered:
                del self._unheard[member]
            elif not place.kept and block in (None, place.block) and place.echoes.mute(MUTE_S):
                return member
        return None

    def _take(self, member: int, place: Place) -> None:
        self._places[member] = place
        self._blocks[place.block] += 1
        if not place.echoes.answered:
            self._unheard[member] = place
