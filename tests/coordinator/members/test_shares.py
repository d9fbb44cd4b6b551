"""Whoever does not answer holds up nobody but its own group and address."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from overlaycast.coordinator.members.shares import Shares

AT_ONCE = 8


class Waiting:
    """Members that hold their places until they are told to go."""

    def __init__(self, shares: Shares) -> None:
        self.shares = shares
        self.held: list[tuple[str, str]] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def come(self, *members: tuple[str, str]) -> None:
        self.tasks += [asyncio.create_task(self._hold(*member)) for member in members]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def go(self, index: int) -> None:
        task = self.tasks.pop(index)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)

    async def _hold(self, group: str, host: str) -> None:
        async with self.shares.place(group, host):
            self.held.append((group, host))
            try:
                await asyncio.Event().wait()
            finally:
                self.held.remove((group, host))


async def test_mute_members_of_one_address_leave_places_for_others_of_the_group() -> None:
    waiting = Waiting(Shares(AT_ONCE))
    await waiting.come(*[("a", "evil")] * 20)
    assert len(waiting.held) == AT_ONCE // 4
    await waiting.come(("a", "honest"))
    assert ("a", "honest") in waiting.held


async def test_mute_members_of_one_group_leave_places_for_another_also_at_the_same_address() -> None:
    waiting = Waiting(Shares(AT_ONCE))
    await waiting.come(*(("a", f"evil-{n}") for n in range(20)))
    assert len(waiting.held) == AT_ONCE * 3 // 4
    await waiting.come(("b", "evil-0"))
    assert ("b", "evil-0") in waiting.held


async def test_the_group_with_the_least_comes_next_and_its_addresses_take_turns() -> None:
    waiting = Waiting(Shares(2))
    await waiting.come(("a", "x"), ("b", "x"), ("a", "x"), ("a", "x"), ("a", "y"), ("b", "x"))
    assert sorted(waiting.held) == [("a", "x"), ("b", "x")]
    await waiting.go(1)
    assert sorted(waiting.held) == [("a", "x"), ("b", "x")]
    await waiting.go(0)
    assert sorted(waiting.held) == [("a", "y"), ("b", "x")]


async def test_the_newest_of_an_address_does_not_wait_behind_a_mute_crowd() -> None:
    shares = Shares(4)
    waiting = Waiting(shares)
    await waiting.come(*[("a", "x")] * 5)
    got = asyncio.Event()

    async def newest() -> None:
        async with shares.place("a", "x"):
            got.set()

    task = asyncio.create_task(newest())
    await asyncio.sleep(0)
    await waiting.go(0)
    await asyncio.wait_for(task, 60)
    assert got.is_set()


@settings(max_examples=60)
@given(st.lists(st.one_of(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), st.integers(0, 99))))
def test_nobody_has_more_than_the_share_and_nothing_is_left_idle_or_kept(
    steps: list[tuple[str, str] | int],
) -> None:
    async def play() -> None:
        shares = Shares(AT_ONCE)
        waiting = Waiting(shares)
        for step in steps:
            if isinstance(step, tuple):
                await waiting.come(step)
            elif waiting.tasks:
                await waiting.go(step % len(waiting.tasks))
            assert len(waiting.held) <= AT_ONCE
            groups, hosts = Counter(group for group, _ in waiting.held), Counter(waiting.held)
            assert max(groups.values(), default=0) <= AT_ONCE * 3 // 4
            assert max(hosts.values(), default=0) <= AT_ONCE // 4
            if len(waiting.tasks) <= AT_ONCE // 4:
                assert len(waiting.held) == len(waiting.tasks)
        while waiting.tasks:
            await waiting.go(0)
        assert shares._waiting == {}
        assert not shares._groups
        assert not shares._hosts
        assert shares._now == []

    asyncio.run(play())
