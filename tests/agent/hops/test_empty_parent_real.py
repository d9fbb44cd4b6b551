"""A parent that has no records yet does not take the place of one that has what comes next. On real sockets."""

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
from overlaycast.wire.messages import Assign, MemberMessage, Peer
from tests.agent.hops.fake_parent import FakeParent

LIMIT_S = 60.0


async def until(done: Callable[[], bool]) -> None:
    """Wait until this holds."""
    async with asyncio.timeout(LIMIT_S):
        while not done():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.002)


class Child:
    """The receiving half of a member."""

    def __init__(self) -> None:
        self.ring = Ring(4)
        self.lost: list[tuple[int, int]] = []
        self.said: list[MemberMessage] = []
        self.entries: list[Entry] = []
        self.delivering: list[int] = []
        self.failures: list[tuple[str, int]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.uplink = Uplink(self.ring, GroupSettings(), EDGE, self, self._spawn, random.Random(1), bool)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
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

    def starved_changed(self) -> None: ...

    def order(self, epoch: int, parent: Peer, *standbys: Peer) -> None:
        self.uplink.assign(Assign(epoch=epoch, rank=99, depth=2, parent=parent, standbys=standbys))

    async def reaches(self, next_seq: int) -> None:
        await until(lambda: self.ring.position >= next_seq)


@asynccontextmanager
async def child() -> AsyncIterator[Child]:
    one = Child()
    yield one
    one.uplink.close()
    await asyncio.gather(*one.tasks, return_exceptions=True)


async def test_after_a_reset_what_others_hold_is_not_lost_to_an_empty_standby() -> None:
    async with (
        FakeParent(1, (0, 10)) as parent,
        FakeParent(2, None) as empty,
        FakeParent(3, (0, 30)) as whole,
        child() as member,
    ):
        member.order(1, parent.peer, empty.peer, whole.peer)
        await member.reaches(10)
        await until(lambda: len(member.uplink.standbys_ready) == 2)
        parent.drop()
        await until(lambda: empty.asked != [])
        await asyncio.sleep(0.05)  # it has said several times that it lives
        empty.begin(20, 30)
        await member.reaches(30)
        assert member.lost == []
        assert member.uplink.parent == 3


async def test_nobody_is_left_who_delivers_for_a_new_parent_that_has_nothing() -> None:
    async with FakeParent(1, (0, 10)) as parent, FakeParent(2, None) as newcomer, child() as member:
        member.order(1, parent.peer)
        await member.reaches(10)
        member.order(2, newcomer.peer, parent.peer)
        await until(lambda: newcomer.asked != [])
        await asyncio.sleep(0.1)
        assert member.uplink.parent == 1
        newcomer.begin(10, 15)
        await member.reaches(15)
        assert member.uplink.parent == 2
        assert member.lost == []


async def test_the_loss_is_taken_where_nobody_has_what_comes_next() -> None:
    async with FakeParent(1, (0, 10)) as parent, FakeParent(2, (20, 30)) as standby, child() as member:
        member.order(1, parent.peer, standby.peer)
        await member.reaches(10)
        parent.has = (20, 25)
        parent.drop()
        await member.reaches(25)
        assert member.lost == [(10, 20)]
