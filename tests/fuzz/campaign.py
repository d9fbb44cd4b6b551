"""One fuzzing campaign: how many steps each side has, what was done, and how to do it again.

Owns: the seed, the budget, the transcript and the count of kinds reached. Refuses: to know any side.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from websockets.exceptions import WebSocketException

SHARES: Final = {"members": 0.35, "http": 0.1, "strangers": 0.2, "victims": 0.35}
"""Of all steps: members at the coordinator, its HTTP, connections to data ports and to the coordinator's port from
nobody, and what a coordinator, parents and children say to programs of their own."""
SESSION_S: Final = 30.0
REMEMBERED: Final = 200


class FoundError(Exception):
    """Something that must not happen has happened."""


def _prefix(name: str) -> str:
    return name.rpartition(":")[0]


def _number(name: str) -> int:
    return int(name.rpartition(":")[2])


class Campaign:
    """What all sessions share.

    Args:
        seed: decides everything but time.
        steps: how many things are said; one message, frame or request is one.
        only: the names of the sessions to run, or none for all.
        transcript: each step is a line in this file.
    """

    def __init__(self, seed: int, steps: int, only: frozenset[str], transcript: Path) -> None:
        self.seed = seed
        self.steps = 0
        self.done = asyncio.Event()
        self.reached: Counter[str] = Counter()
        self.heard: Counter[str] = Counter()
        self.closing = False
        self._began = asyncio.get_running_loop().time()
        self._left = {side: round(steps * share) for side, share in SHARES.items()}
        self._only: dict[str, list[str]] = {}
        for name in sorted(only, key=_number):
            self._only.setdefault(_prefix(name), []).append(name)
        self._names: Counter[str] = Counter()
        self._recent: deque[str] = deque(maxlen=REMEMBERED)
        self._file = transcript.open("w")

    @property
    def whole(self) -> bool:
        """Do all sessions run?"""
        return not self._only

    def chance(self, session: str) -> random.Random:
        """Return the session's own random numbers."""
        return random.Random(f"{self.seed} {session}")

    def left(self, side: str) -> bool:
        """Has this side steps left?"""
        return self._left[side] > 0 and not self.closing

    def name(self, prefix: str) -> str | None:
        """Return the name of the next session of this kind; None: there is none."""
        number = self._names[prefix]
        self._names[prefix] += 1
        if not self._only:
            return f"{prefix}:{number}"
        mine = self._only.get(prefix, [])
        if all(self._names[kind] >= len(names) for kind, names in self._only.items()):
            self.done.set()
        return mine[number] if number < len(mine) else None

    def step(self, side: str, session: str, kind: str, said: str | bytes) -> None:
        """Note one thing that is said now."""
        self.steps += 1
        if not self._only:
            self._left[side] -= 1
            if not any(left > 0 for left in self._left.values()):
                self.done.set()
        self.reached[kind] += 1
        at = asyncio.get_running_loop().time() - self._began
        line = f"{self.steps} {session} {kind} {len(said)} {said[:300]!r} at {at:.3f}"
        self._recent.append(line)
        print(line, file=self._file)

    async def sessions(self, side: str, name: str, session: Callable[[str, random.Random], Awaitable[None]]) -> None:
        """Have sessions one after the other until the side's steps are done; each has a name and its own numbers."""
        while self.left(side) and (full := self.name(name)) is not None:
            try:
                async with asyncio.timeout(SESSION_S):
                    await session(full, self.chance(full))
            except (OSError, TimeoutError, WebSocketException, EOFError):
                await asyncio.sleep(0.005)  # the other side ended it, as it should

    def recent(self, most: int = 25) -> list[str]:
        """Return the newest steps."""
        return list(self._recent)[-most:]

    def sessions_lately(self) -> list[str]:
        """Return the names of the sessions that the newest steps belong to."""
        return list(dict.fromkeys(line.split()[1] for line in self._recent))

    def close(self) -> None:
        """Write what is not written yet."""
        self._file.close()
