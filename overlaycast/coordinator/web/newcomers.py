"""Links that have not subscribed: so many of one address, so many of all; one too many ends the oldest.

Owns: who has to go. Refuses: how a link ends. So whoever holds links and says nothing keeps nobody out for longer than
it takes to say who one is, and no one at another address at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Newcomer(Protocol):
    """A link, as far as this needs it."""

    host: str

    def cut(self, reason: str) -> None: ...


class Newcomers:
    """Up to ``at_one_address`` each, and ``of_all`` together."""

    def __init__(self, at_one_address: int, of_all: int) -> None:
        self._at_one_address = at_one_address
        self._of_all = of_all
        self._all = 0
        self._hosts: dict[str, dict[Newcomer, None]] = {}

    @contextmanager
    def waiting(self, link: Newcomer) -> Iterator[None]:
        """Count ``link`` among them; another may have to go."""
        if len(self._hosts.get(link.host, ())) >= self._at_one_address:
            self._cut_oldest(link.host)
        elif self._all >= self._of_all:
            self._cut_oldest(max(self._hosts, key=lambda host: len(self._hosts[host])))
        self._hosts.setdefault(link.host, {})[link] = None
        self._all += 1
        try:
            yield
        finally:
            self._remove(link)

    def _cut_oldest(self, host: str) -> None:
        oldest = next(iter(self._hosts[host]))
        self._remove(oldest)
        oldest.cut("too many connections that have not subscribed")

    def _remove(self, link: Newcomer) -> None:
        links = self._hosts.get(link.host, {})
        if link in links:
            del links[link]
            self._all -= 1
            if not links:
                del self._hosts[link.host]
