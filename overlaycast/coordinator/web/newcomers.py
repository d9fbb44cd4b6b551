"""Connections of strangers: so many of one address, so many of all; one too many ends the oldest.

Owns: who has to go. Refuses: how a connection ends. So whoever holds connections and says nothing keeps nobody out for
longer than it takes to say who one is, and no one at another address at all.
"""

from __future__ import annotations

from typing import Final, Protocol

OF_ALL: Final = 1024


class Newcomer(Protocol):
    """A connection, as far as this needs it; ``block`` is what counts as one address."""

    @property
    def block(self) -> str: ...

    def abort(self) -> None: ...


class Newcomers:
    """Up to ``at_one_address`` each, and ``of_all`` together."""

    def __init__(self, at_one_address: int, of_all: int = OF_ALL) -> None:
        self._at_one_address = at_one_address
        self._of_all = of_all
        self._all = 0
        self._blocks: dict[str, dict[Newcomer, None]] = {}

    def add(self, link: Newcomer) -> None:
        """Count ``link`` among them until it is removed; another may have to go."""
        if len(self._blocks.get(link.block, ())) >= self._at_one_address:
            self._cut_oldest(link.block)
        elif self._all >= self._of_all:
            self._cut_oldest(max(self._blocks, key=lambda block: len(self._blocks[block])))
        self._blocks.setdefault(link.block, {})[link] = None
        self._all += 1

    def remove(self, link: Newcomer) -> None:
        """Count ``link`` no more."""
        links = self._blocks.get(link.block, {})
        if link in links:
            del links[link]
            self._all -= 1
            if not links:
                del self._blocks[link.block]

    def _cut_oldest(self, block: str) -> None:
        oldest = next(iter(self._blocks[block]))
        self.remove(oldest)
        oldest.abort()
