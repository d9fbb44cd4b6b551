"""The receiving half of a member on its own, with real sockets: what it has, and what it says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from overlaycast.agent.hops.uplink import Uplink
from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.frames import EDGE
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.journal import Entry
from overlaycast.wire.messages import Assign, Extent, MemberMessage, Peer, Untruth

LIMIT_S = 60.0


async def until(done: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    """Wait until this holds."""
    async with asyncio.timeout(limit_s):
        while not done():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.002)


class Child:
    """The receiving half of a member.

    Attributes:
        asked: how often it asked how far the stream is.
        extent: what it is told then; None: nothing.
    """

    def __init__(self, settings: GroupSettings | None = None) -> None:
        self.ring = Ring(4)
        self.lost: list[tuple[int, int]] = []
        self.said: list[MemberMessage] = []
        self.liars: list[tuple[int, str, float]] = []
        self.asked = 0
        self.extent: Extent | None = None
        self.entries: list[Entry] = []
        self.delivering: list[int] = []
        self.failures: list[tuple[str, int]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        settings = settings or GroupSettings()
        self.uplink = Uplink(self.ring, settings, EDGE, self, self.spawn, random.Random(1), bool)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def received(self, arrival: Arrival) -> float | None:
        self.lost += arrival.lost
        return None

    def journal(self, entry: Entry) -> None:
        self.entries.append(entry)

    def tell(self, message: MemberMessage) -> None:
        self.said.append(message)

    def parent_changed(self) -> None: ...

    def delivers(self, parent: int) -> None:
        self.delivering.append(parent)

    def link_failed(self, parent: int, reason: str) -> None:
        self.failures.append((reason, parent))

    def asked_in_vain(self, parents: tuple[int, ...]) -> None:
        self.failures += [("in vain", parent) for parent in parents]

    def fruitless(self, parents: tuple[int, ...]) -> None: ...

    def untrue(self, parent: int, what: Untruth, why: str, pause_s: float) -> None:
        self.liars.append((parent, what, pause_s))

    def ask_extent(self) -> None:
        self.asked += 1
        if self.extent is not None:
            asyncio.get_running_loop().call_soon(self.uplink.learned, self.extent)

    def starved_changed(self) -> None: ...

    def order(self, epoch: int, parent: Peer, *standbys: Peer, depth: int = 2, **more: Any) -> None:
        self.uplink.assign(Assign(epoch=epoch, rank=99, depth=depth, parent=parent, standbys=standbys, **more))

    async def reaches(self, next_seq: int) -> None:
        await until(lambda: self.ring.position >= next_seq)


@asynccontextmanager
async def child(settings: GroupSettings | None = None) -> AsyncIterator[Child]:
    one = Child(settings)
    yield one
    one.uplink.close()
    await asyncio.gather(*one.tasks, return_exceptions=True)
