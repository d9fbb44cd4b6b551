"""Trains go when it is their turn, whatever becomes of the members, in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from overlaycast.coordinator.members.trains import Trains
from overlaycast.discovery.trains.turns import ENOUGH, HOLD_S, Turns, whereto

SITE, OTHER = whereto(("gw", "x", "a"), True, ""), whereto(("gw", "y", "b"), True, "")


class Line:
    """Lets trains go, and takes down who has been on it, and what each was told."""

    def __init__(self) -> None:
        self.trains = Trains(8)
        self.now: list[str] = []
        self.log: list[tuple[str, float | None]] = []

    async def run(self, name: str, mbit: float | None = 20, seconds: float = 0.1) -> None:
        async def train(expected_mbit: float | None) -> float | None:
            self.now.append(name)
            assert len(self.now) == 1
            self.log.append((name, expected_mbit))
            try:
                await asyncio.sleep(seconds)
            finally:
                self.now.remove(name)
            return mbit

        await self.trains.run("g", name, SITE if name[0] == "a" else OTHER, train)


@pytest.mark.looptime
async def test_one_goes_after_the_other_and_the_first_of_each_site_comes_first() -> None:
    line = Line()
    async with asyncio.TaskGroup() as side:
        for name in ("a1", "a2", "a3", "b1"):
            side.create_task(line.run(name))
    assert line.log[:2] == [("a1", None), ("b1", None)]
    assert sorted(line.log[2:]) == [("a2", 20), ("a3", 20)]


@pytest.mark.looptime
async def test_members_whose_links_end_leave_the_line_to_others() -> None:
    line = Line()
    tasks = [asyncio.create_task(line.run(name, seconds=HOLD_S / 2)) for name in ("a1", "a2", "b1")]
    await asyncio.sleep(0.01)
    for task in tasks[:2]:  # one on its way, one that waits
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await tasks[2]
    assert [name for name, _ in line.log] == ["a1", "b1"]
    assert not line.trains._waiting


@pytest.mark.looptime
async def test_those_that_need_no_train_are_done_without_one() -> None:
    line = Line()
    async with asyncio.TaskGroup() as side:
        for number in range(ENOUGH + 3):
            side.create_task(line.run(f"a{number}"))
    assert len(line.log) == ENOUGH


@pytest.mark.looptime
async def test_a_train_that_is_not_believed_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is believed is decided elsewhere: those of a trial are not, if they show less than before."""
    monkeypatch.setattr(Turns, "_in_doubt", lambda _, train, __: not train.again)
    line = Line()
    async with asyncio.TaskGroup() as side:
        for name in ("a1", "b1"):
            side.create_task(line.run(name))
    assert [name for name, _ in line.log] == ["a1", "a1", "b1", "b1"]
