"""Parents that answer and bring nothing, one after the other: what is small passes, and what is large does not.

Owns: who they were since a record last came. Refuses: to say what is wrong on the way. Pure.
"""

from __future__ import annotations

from typing import Final

SUSPECT: Final = 2
"""So many parents in a row are no accident."""


class Drought:
    """The parents that fed us by name only since a byte of a record last came, and whether that was told.

    A link that is left is fruitless unless it has brought something since the one before it was left.
    """

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._told = False
        self._source: int | None = None

    def rain(self, link: int) -> None:
        """A byte of a record came over this link."""
        self._source = link
        if self._parents:
            self._parents.clear()
            self._told = False

    def left(self, link: int, parent: int) -> tuple[int, ...]:
        """This parent is silent. Return those that brought nothing, when that is to be told: once."""
        source, self._source = self._source, None
        if source == link:
            return ()
        if parent not in self._parents:
            self._parents.append(parent)
        if self._told or len(self._parents) < SUSPECT:
            return ()
        self._told = True
        return tuple(self._parents)
