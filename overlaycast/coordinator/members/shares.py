"""Who is measured next: members that do not answer hold up nobody but their own group and address.

Owns: the order, and how much one may have at a time. Refuses: clocks, and what is measured.

Invariants: never more than ``at_once`` at a time; no group has more than three quarters of that, and within a group no
address more than a quarter; the group with the least comes next, and those with equally much take turns, as the
addresses do within a group. Of one address the newest comes first, so a crowd that does not answer holds up no newcomer
for longer than it takes to give one up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(eq=False, slots=True)
class _Waiter:
    group: str
    host: str
    turn: asyncio.Event = field(default_factory=asyncio.Event)


_Queues: TypeAlias = dict[str, dict[str, list[_Waiter]]]


class Shares:
    """Places of up to ``at_once`` at a time."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._of_host = max(1, at_once // 4)
        self._of_group = max(1, at_once - at_once // 4)
        self._now: list[_Waiter] = []
        self._groups: Counter[str] = Counter()
        self._hosts: Counter[tuple[str, str]] = Counter()
        self._waiting: _Queues = {}

    @asynccontextmanager
    async def place(self, group: str, host: str) -> AsyncIterator[None]:
        """Hold a place for a member of ``group`` at the address ``host``."""
        mine = _Waiter(group, host)
        self._waiting.setdefault(group, {}).setdefault(host, []).append(mine)
        self._next()
        try:
            await mine.turn.wait()
            yield
        finally:
            if mine.turn.is_set():
                self._now.remove(mine)
                self._count(mine, -1)
                self._to_the_end(mine.group, mine.host)
            else:
                self._leave_queue(mine)
            self._next()

    def _next(self) -> None:
        while len(self._now) < self._at_once and (mine := self._choose()) is not None:
            self._leave_queue(mine)
            self._now.append(mine)
            self._count(mine, 1)
            mine.turn.set()

    def _choose(self) -> _Waiter | None:
        """Return whose turn it is, or None if all that wait have their share."""
        for group in sorted(self._waiting, key=self._groups.__getitem__):
            if self._groups[group] >= self._of_group:
                return None
            for host, queue in self._waiting[group].items():  # few have their share, so this ends soon
                if self._hosts[group, host] < self._of_host:
                    return queue[-1]  # those that come back are not behind a crowd of mute ones
        return None

    def _count(self, mine: _Waiter, change: int) -> None:
        self._groups[mine.group] += change
        self._hosts[mine.group, mine.host] += change
        # what counts nothing is not kept
        self._groups += Counter()
        self._hosts += Counter()

    def _leave_queue(self, mine: _Waiter) -> None:
        hosts = self._waiting[mine.group]
        hosts[mine.host].remove(mine)
        if not hosts[mine.host]:
            del hosts[mine.host]
        if not hosts:
            del self._waiting[mine.group]
        self._to_the_end(mine.group, mine.host)

    def _to_the_end(self, group: str, host: str) -> None:
        """An address is behind the others of its group, and its group behind the others, when it has had its turn."""
        if (hosts := self._waiting.pop(group, None)) is not None:
            self._waiting[group] = hosts
            if (queue := hosts.pop(host, None)) is not None:
                hosts[host] = queue
