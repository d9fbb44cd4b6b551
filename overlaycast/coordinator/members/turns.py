"""Which member's train of echoes may cross the network now: two on one thin link would measure each other.

Owns: the order of turns, and which paths are taken to share a link. Refuses: clocks and what is sent.

Two members are taken for neighbours if more than half of the routers on the shorter path are on both: behind one uplink
that is so, and all paths have their first routers in common. Members without a known path are neighbours of each other.

Invariants: never more than ``at_once`` turns; never two neighbours at a time; the first come goes first, unless it has
to wait for a neighbour and others need not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

Path: TypeAlias = frozenset[str]


def neighbours(one: Path, other: Path) -> bool:
    """Return whether the ways to two members are likely to share their thinnest link."""
    return 2 * len(one & other) > min(len(one), len(other)) or not (one or other)


class Turns:
    """Turns of up to ``at_once`` at a time."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._now: list[Path] = []
        self._waiting: list[tuple[Path, asyncio.Event]] = []

    @asynccontextmanager
    async def turn(self, routers: Sequence[str | None]) -> AsyncIterator[None]:
        """Hold a turn for the member behind these routers."""
        path = frozenset(router for router in routers if router is not None)
        mine = asyncio.Event()
        self._waiting.append((path, mine))
        self._next()
        try:
            await mine.wait()
            yield
        finally:
            if mine.is_set():
                self._now.remove(path)
            else:
                self._waiting.remove((path, mine))
            self._next()

    def _next(self) -> None:
        """Give a turn to every member that can have one, the first come first."""
        for path, mine in self._waiting[:]:
            if len(self._now) >= self._at_once:
                return
            if not any(neighbours(path, other) for other in self._now):
                self._waiting.remove((path, mine))
                self._now.append(path)
                mine.set()
