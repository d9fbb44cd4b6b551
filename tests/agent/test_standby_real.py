"""A source that stands by: what it does with its input, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Assign, Begin, Ended, Extent, Leaving, Ping, Report
from tests.agent.fake_coordinator import FakeCoordinator
from tests.agent.processes import AgentProcess

BEFORE = b"before" * 50_000
"""More than a pipe holds: it is read though nobody wants it."""


@asynccontextmanager
async def standby(folder: Path, coordinator: FakeCoordinator, *more: str) -> AsyncIterator[tuple[AgentProcess, int]]:
    """Start one; yield it and the writing end of its input."""
    reading, writing = os.pipe()
    agent = await AgentProcess.start(folder, coordinator.url, "send", "s", "-", *(more or ["--standby"]), stdin=reading)
    os.close(reading)
    try:
        yield agent, writing
    finally:
        await agent.end()
        os.close(writing)


async def written(writing: int, data: bytes) -> None:
    """Wait until the agent has taken so much of it that the rest is in the pipe."""
    await asyncio.to_thread(os.write, writing, data)


async def begin(coordinator: FakeCoordinator, next_seq: int) -> None:
    await coordinator.members["s"].send(Begin(epoch=1, incarnation=1, next_seq=next_seq))
    await coordinator.said("s", Report, lambda report: report.state == "streaming")


async def test_what_it_reads_before_its_time_is_not_sent(tmp_path: Path) -> None:
    async with (
        FakeCoordinator(GroupSettings(report_ms=100)) as coordinator,
        standby(tmp_path, coordinator) as (agent, at),
    ):
        [member] = await coordinator.joined("s")
        assert (member.subscribe.role, member.subscribe.standby) == ("source", True)
        assert (await coordinator.said("s", Report)).state == "waiting"
        await written(at, BEFORE)
        await written(at, BEFORE)  # the pipe is empty but for what it can hold: all of it was read
        await begin(coordinator, 700)
        await written(at, b"after")
        await coordinator.said("s", Report, lambda report: report.next_seq > 700)
        agent.signal(signal.SIGTERM)
        code, err = await agent.ended()
        assert code == 0
        assert "takes over, sending from record 700" in err
        assert agent.summary()["bytes"] < len(BEFORE)
        assert agent.lines("end")


@pytest.mark.parametrize("relieved", [True, None])
async def test_a_source_with_a_standby_leaves_without_an_end(tmp_path: Path, relieved: bool | None) -> None:
    async with (
        FakeCoordinator(GroupSettings(report_ms=60_000)) as coordinator,
        standby(tmp_path, coordinator, "--rate", "8M") as (agent, at),
    ):
        [member] = await coordinator.joined("s")
        await member.send(Assign(epoch=1, rank=0, depth=0, relieved=True))
        await member.send(Assign(epoch=2, rank=0, depth=0, relieved=relieved))
        await member.send(Begin(epoch=2, incarnation=0, next_seq=0))
        await written(at, b"x" * 7896 * 3)
        while not agent.lines("sample") or agent.lines("sample")[-1]["next_seq"] < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        agent.signal(signal.SIGTERM)
        code, _ = await agent.ended()
        assert code == 0
        assert bool(agent.lines("end")) == (relieved is None)
        if relieved:  # how far it is comes before its leave
            kinds = [type(said) for said in member.said]
            assert Report in kinds[: kinds.index(Leaving)]
            assert max(said.next_seq for said in member.said if isinstance(said, Report)) == 3


async def _superseded(coordinator: FakeCoordinator, agent: AgentProcess) -> None:
    await begin(coordinator, 1)
    await coordinator.members["s"].send(Ended(reason="two (2) has taken over as source"))


async def _over(coordinator: FakeCoordinator, agent: AgentProcess) -> None:
    for over in (False, True):
        await coordinator.members["s"].send(Ping(nonce=1, extent=Extent(least=9, most=9, over=over)))


async def _told_to_go(coordinator: FakeCoordinator, agent: AgentProcess) -> None:
    agent.signal(signal.SIGTERM)


async def _welcomed_anew(coordinator: FakeCoordinator, agent: AgentProcess) -> None:
    await begin(coordinator, 1)
    coordinator.members["somebody else"] = coordinator.members.pop("s")  # it is not known any more
    await coordinator.members["somebody else"].link.close()


@pytest.mark.parametrize(
    ("happens", "code", "line"),
    [
        (_superseded, 1, "overlaycast: told to end: two (2) has taken over as source"),
        (_over, 0, "overlaycast: the stream is over"),
        (_told_to_go, 0, "overlaycast s: member 1 of g"),
        (
            _welcomed_anew,
            1,
            "overlaycast: another source has taken over; started again, this one waits for its place",
        ),
    ],
)
async def test_how_it_ends(
    tmp_path: Path, happens: Callable[[FakeCoordinator, AgentProcess], asyncio.Future[None]], code: int, line: str
) -> None:
    async with (
        FakeCoordinator(GroupSettings(report_ms=100)) as coordinator,
        standby(tmp_path, coordinator) as (agent, _),
    ):
        await coordinator.joined("s")
        await coordinator.said("s", Report)
        await happens(coordinator, agent)
        ended, err = await agent.ended()
        assert (ended, line in err.splitlines()) == (code, True), err


async def test_without_input_it_can_take_over_nothing(tmp_path: Path) -> None:
    async with FakeCoordinator() as coordinator:
        words = ("send", "s", "/dev/null", "--standby")
        agent = await AgentProcess.start(tmp_path, coordinator.url, *words)
        code, err = await agent.ended()
        assert (code, err.splitlines()[-1]) == (1, "overlaycast: the input has ended before this standby took over")


async def test_a_file_group_has_no_use_for_it(tmp_path: Path) -> None:
    async with FakeCoordinator(GroupSettings(mode="file")) as coordinator, standby(tmp_path, coordinator) as (agent, _):
        code, err = await agent.ended()
        assert (code, err.splitlines()[-1]) == (
            2,
            "overlaycast: standby: accepted in a live group, and g is a file group",
        )


async def test_an_older_coordinator_is_not_made_to_believe_that_it_is_the_source(tmp_path: Path) -> None:
    coordinator = FakeCoordinator()
    coordinator.fields = "leaving.reason"
    async with coordinator, standby(tmp_path, coordinator) as (agent, _):
        async with asyncio.timeout(90):
            while "refused, trying again: it is of an older version" not in agent.stderr:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert coordinator.subscriptions == []
        agent.signal(signal.SIGTERM)
        assert (await agent.ended())[0] == 128 + signal.SIGTERM
