"""Real agents over loopback that cannot keep up: each says which of the four is behind, and that it is over."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Leaving, Report
from tests.agent.fake_coordinator import FakeCoordinator
from tests.agent.processes import AgentProcess
from tests.agent.test_stream_real import group, place_tree, starter

RATE = "8M"
SECONDS = "120"
PATIENT = GroupSettings(report_ms=500, silence_ms=2000, heartbeat_ms=200)
"""A busy machine's own pauses shall move nobody."""


async def said(agent: AgentProcess, *words: str, seconds: float = 60) -> str:
    """Wait until the agent has printed a line with all these words; return it."""
    async with asyncio.timeout(seconds):
        while True:
            for line in agent.stderr.splitlines():
                if all(word in line for word in words):
                    return line
            await asyncio.sleep(0.1)


async def reports(coordinator: FakeCoordinator, name: str, behind: str | None) -> None:
    """Wait until the member's newest report says this."""
    await coordinator.until(
        lambda: [one for one in coordinator.members[name].said if isinstance(one, Report)][-1].behind == behind
    )


async def streams(coordinator: FakeCoordinator, *names: str) -> None:
    for name in names:
        await coordinator.said(name, Report, lambda report: report.next_seq >= 100)


def blamed(agent: AgentProcess) -> set[str]:
    """Return what the agent has said to be behind, but for its processor: that may be true of a busy machine."""
    return {line["what"] for line in agent.lines("behind")} - {"processor"}


async def read(end: int, bytes_per_s: float | None) -> None:
    """Read a pipe at this rate, or as fast as it goes."""
    while True:
        with suppress(BlockingIOError):
            await asyncio.to_thread(os.read, end, 16_384 if bytes_per_s else 1 << 20)
        await asyncio.sleep(16_384 / bytes_per_s if bytes_per_s else 0.005)


@asynccontextmanager
async def reading(end: int, bytes_per_s: float | None) -> AsyncIterator[None]:
    task = asyncio.create_task(read(end, bytes_per_s))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_output_that_is_read_slowly(tmp_path: Path) -> None:
    end, theirs = os.pipe()
    try:
        async with group(PATIENT) as (coordinator, agents):
            start = starter(coordinator, agents, tmp_path)
            source = await start("send", "s", "--synthetic", SECONDS, "--rate", RATE)
            slow = await start("join", "a", "--ring-mb", "2", output="-", stdout=theirs)
            other = await start("join", "b")
            await place_tree(coordinator, {"a": ("s", ()), "b": ("a", ())})
            await coordinator.begin("s")
            async with reading(end, None):
                await streams(coordinator, "a", "b")
            async with reading(end, 250_000):
                assert "s of the stream wait for it" in await said(slow, "behind: the output is too slow")
                await reports(coordinator, "a", "output")
                assert "the output was too slow for them" in await said(slow, "lost ", " in all)")
            async with reading(end, None):
                await said(slow, "keeps up again: the output was behind for", "records lost")
                await reports(coordinator, "a", None)
            assert blamed(slow) == {"output"}
            assert slow.lines("caught-up")[-1]["lost"] > 0
            assert not blamed(source)
            assert not blamed(other)
    finally:
        os.close(end)
        os.close(theirs)


async def test_a_link_that_carries_too_little_and_the_members_below_it(tmp_path: Path) -> None:
    """The source's kernel sends 3 of 8 Mbit/s; the member says link, its child parent, and so does that one's."""
    async with group(PATIENT) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", "--synthetic", SECONDS, "--rate", RATE, "--upload-mbit", "3")
        slow, below = await start("join", "a"), await start("join", "b")
        lowest = await start("relay", "r")
        await place_tree(coordinator, {"a": ("s", ()), "b": ("a", ()), "r": ("b", ())})
        await coordinator.begin("s")
        assert "s late" in await said(
            slow, f"behind: the link from s ({coordinator.members['s'].id}) is too slow, data comes"
        )
        for name, agent, parent in (("b", below, "a"), ("r", lowest, "b")):
            await said(agent, f"behind: {parent} ({coordinator.members[parent].id}) is itself behind, data comes")
            await reports(coordinator, name, "parent")
        await reports(coordinator, "a", "link")
        assert blamed(slow) == {"link"}
        assert blamed(below) == blamed(lowest) == {"parent"}
        assert not blamed(source)


async def test_a_program_that_does_not_get_to_run(tmp_path: Path) -> None:
    async with group(PATIENT) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", "--synthetic", SECONDS, "--rate", RATE)
        slow, other = await start("join", "a"), await start("join", "b")
        await place_tree(coordinator, {"a": ("s", ()), "b": ("s", ())})
        await coordinator.begin("s")
        await streams(coordinator, "a", "b")

        async def hold_up() -> None:
            while True:
                slow.signal(signal.SIGSTOP)
                await asyncio.sleep(0.8)
                slow.signal(signal.SIGCONT)
                await asyncio.sleep(0.25)

        stops = asyncio.create_task(hold_up())
        try:
            await said(slow, "behind: this program gets too little processor time")
        finally:
            stops.cancel()
            slow.signal(signal.SIGCONT)
        await said(slow, "keeps up again: this program was behind for")
        assert not blamed(slow)
        assert not blamed(source)
        assert not blamed(other)


@pytest.mark.alone
async def test_a_healthy_group_says_nothing(tmp_path: Path) -> None:
    async with group(PATIENT) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        members = [
            await start("send", "s", "--synthetic", "8", "--rate", RATE),
            await start("join", "a"),
            await start("relay", "b"),
            await start("join", "c", "--start-back", "5"),
        ]
        await place_tree(coordinator, {"a": ("s", ()), "b": ("a", ()), "c": ("b", ())})
        await coordinator.begin("s")
        for agent in members:
            code, err = await agent.ended()
            assert (agent.name, code, err) == (agent.name, 0, err)
            assert "lost" not in err
            assert not blamed(agent)
        if any(agent.lines("behind") for agent in members):
            pytest.skip("the machine was too busy for four programs at 8 Mbit/s")
        assert not any("behind" in agent.stderr for agent in members)
        assert all(
            one.behind is None for name in "sabc" for one in coordinator.members[name].said if isinstance(one, Report)
        )


async def test_a_coordinator_that_does_not_know_the_field_is_not_sent_it(tmp_path: Path) -> None:
    async with group(PATIENT) as (coordinator, agents):
        coordinator.fields = None
        start = starter(coordinator, agents, tmp_path)
        await start("send", "s", "--synthetic", SECONDS, "--rate", RATE, "--upload-mbit", "3")
        slow = await start("join", "a")
        await place_tree(coordinator, {"a": ("s", ())})
        await coordinator.begin("s")
        await said(slow, "behind: the link from s (", ") is too slow")
        slow.signal(signal.SIGTERM)
        assert (await coordinator.said("a", Leaving)).reason == ""
        assert all(one.behind is None for one in coordinator.members["a"].said if isinstance(one, Report))
