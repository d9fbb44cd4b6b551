"""Whose echoes cross the network at the same time, and whose do not."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.coordinator.members.neighbours import Path, neighbours, path_of
from overlaycast.coordinator.members.shares import Shares

NORTH = ("RS", "core1", "B", "A")
NORTH_TOO = ("RS", "core1", "B", "B2")
EAST = ("RS", "core1", "C", "C1")
PATHS = st.lists(st.sampled_from(["RS", "core1", "core2", "B", "A", None]), max_size=5)


def test_those_behind_one_uplink_are_neighbours() -> None:
    assert neighbours(NORTH, NORTH_TOO)
    assert neighbours(NORTH, NORTH)
    assert not neighbours(NORTH, EAST)
    assert neighbours((), ())
    assert not neighbours((), NORTH)


def test_one_of_which_little_is_known_is_not_everybodys_neighbour() -> None:
    gaps = ("RS", None, None, None)
    assert not neighbours(gaps, NORTH)
    assert not neighbours((None, None, None, None), NORTH)
    assert neighbours(gaps, gaps), "they may be behind the same routers"
    assert neighbours((None, "core1", "B", None), NORTH)


async def test_a_neighbour_waits_and_others_go_first() -> None:
    trains = Shares(2, neighbours)
    order: list[str] = []
    go_on = {name: asyncio.Event() for name in ("one", "two", "three", "four")}

    async def take(name: str, path: tuple[str, ...]) -> None:
        async with trains.place("g", name, path_of(path)):
            order.append(name)
            await go_on[name].wait()

    paths = {"one": NORTH, "two": NORTH_TOO, "three": EAST, "four": ("X",)}
    tasks = [asyncio.create_task(take(name, path)) for name, path in paths.items()]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["one", "three"]
    go_on["three"].set()
    await tasks[2]
    await asyncio.sleep(0)
    assert order == ["one", "three", "four"], "the second is still a neighbour of the first"
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    await asyncio.sleep(0)
    assert order == ["one", "three", "four", "two"]
    for event in go_on.values():
        event.set()
    await asyncio.gather(*tasks[1:])


@given(st.lists(st.tuples(PATHS, st.integers(0, 3), st.booleans()), max_size=12), st.integers(1, 4))
def test_never_too_many_and_never_neighbours(members: list[tuple[list[str | None], int, bool]], at_once: int) -> None:
    """Whoever comes, stays however long, and is cancelled in between."""

    async def play() -> None:
        trains = Shares(at_once, neighbours)
        now: list[Path] = []
        served = 0

        async def take(name: str, path: list[str | None], stays: int) -> None:
            nonlocal served
            mine = path_of(path)
            async with trains.place(name, name, mine):
                assert not any(neighbours(mine, other) for other in now)
                now.append(mine)
                assert len(now) <= at_once
                try:
                    for _ in range(stays):
                        await asyncio.sleep(0)
                finally:
                    now.remove(mine)
                served += 1

        tasks = [asyncio.create_task(take(str(n), path, stays)) for n, (path, stays, _) in enumerate(members)]
        await asyncio.sleep(0)
        impatient = [task for task, (_, _, cancelled) in zip(tasks, members, strict=True) if cancelled]
        for task in impatient:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError)
        assert served >= len(members) - len(impatient)
        assert not now

    asyncio.run(play())
