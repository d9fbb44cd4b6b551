"""Choosing among kinds so that none is left out: a deck that is dealt to its end and shuffled again."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Deck(Generic[T]):
    """All of ``cards`` in each round, in another order each time."""

    def __init__(self, cards: Iterable[T], chance: random.Random) -> None:
        self._cards = list(cards)
        self._chance = chance
        self._left: list[T] = []

    def deal(self) -> T:
        """Return the next card."""
        if not self._left:
            self._left = self._chance.sample(self._cards, len(self._cards))
        return self._left.pop()
