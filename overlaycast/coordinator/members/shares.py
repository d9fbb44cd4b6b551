"""Who is measured next: members that do not answer hold up nobody but their own group and address.

Owns: the order, and how much one may have at a time. Refuses: clocks, and what is measured.

Invariants: never more than ``at_once`` at a time; no group has more than three quarters of that, and within a group no
address more than a quarter; the group with the least comes next, and within it its addresses take turns. Of one address
the newest comes first, so a crowd that does not answer holds up no newcomer for longer than it takes to give one up.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Shares:
    """Places of up to ``at_once`` at a time."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._of_host = max(1, at_once // 4)
        self._of_group = max(1, at_once - at_once // 4)
        self._groups: Counter[str] = Counter()
        self._hosts: Counter[tuple[str, str]] = Counter()
        self._waiting: dict[str, dict[str, deque[asyncio.Event]]] = {}

    @asynccontextmanager
    async def place(self, group: str, host: str) -> AsyncIterator[None]:
        """Hold a place for a member of ``group`` at the address ``host``."""
        mine = asyncio.Event()
        self._waiting.setdefault(group, {}).setdefault(host, deque()).append(mine)
        self._next()
        try:
            await mine.wait()
            yield
        finally:
            if mine.is_set():
                self._count(group, host, -1)
            else:
                self._forget(group, host, mine)
            self._next()

    def _next(self) -> None:
        while self._free and (chosen := self._choose()) is not None:
            group, host = chosen
            mine = self._waiting[group][
                host
            ].pop()  # the newest: those that come back are not behind a crowd of mute ones
            rest = self._waiting[group].pop(host)
            if rest:
                self._waiting[group][host] = rest  # behind the group's other addresses
            elif not self._waiting[group]:
                del self._waiting[group]
            self._count(group, host, 1)
            mine.set()

    def _choose(self) -> tuple[str, str] | None:
        """Return the group and the address whose turn it is, or None if all that wait have their share."""
        for group in sorted(self._waiting, key=self._groups.__getitem__):
            if self._groups[group] >= self._of_group:
                return None
            for host in self._waiting[group]:  # few have their share, so this ends soon
                if self._hosts[group, host] < self._of_host:
                    return group, host
        return None

    def _count(self, group: str, host: str, change: int) -> None:
        self._free -= change
        self._groups[group] += change
        self._hosts[group, host] += change
        # what counts nothing is not kept
        self._groups += Counter()
        self._hosts += Counter()

    def _forget(self, group: str, host: str, mine: asyncio.Event) -> None:
        self._waiting[group][host].remove(mine)
        if not self._waiting[group][host]:
            del self._waiting[group][host]
        if not self._waiting[group]:
            del self._waiting[group]
