"""A defect of ours, put into a real member: it lives and says so, or it ends and says why, in one line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from overlaycast.wire.messages import Accept, Address
from tests.agent.fake_coordinator import FakeCoordinator
from tests.agent.processes import AgentProcess

SYNTHETIC = ("--synthetic", "600", "--rate", "4M")
BROKEN = """
import importlib, sys
module, _, path = sys.argv[1].partition(":")
owner = importlib.import_module(module)
*parts, name = path.split(".")
for part in parts:
    owner = getattr(owner, part)
def broken(*_, **__):
    raise ZeroDivisionError("put in by a test")
async def broken_task(*_, **__):
    raise ZeroDivisionError("put in by a test")
setattr(owner, name, broken_task if sys.argv[2] == "async" else broken)
from overlaycast.cli import main
sys.exit(main(sys.argv[3:]))
"""
NTH = """
import sys
from overlaycast.agent.agent import Agent
spawn, count, wanted = Agent.spawn, [0], int(sys.argv[1])
async def broken():
    raise ZeroDivisionError("put in by a test")
def counted(self, work):
    count[0] += 1
    if count[0] == wanted:
        work.close()
        work = broken()
    spawn(self, work)
Agent.spawn = counted
from overlaycast.cli import main
sys.exit(main(sys.argv[3:]))
"""


@asynccontextmanager
async def group(
    folder: Path, script: str, what: str, how: str, source: bool = False
) -> AsyncIterator[tuple[FakeCoordinator, AgentProcess, AgentProcess]]:
    """A source and a peer that it feeds, of which one has the defect; yields that one, and then the other."""

    async def start(command: str, name: str, *more: str, bad: bool) -> AgentProcess:
        program = [sys.executable, "-c", script, what, how] if bad else None
        return await AgentProcess.start(folder, coordinator.url, command, name, *more, program=program)

    async with FakeCoordinator() as coordinator:
        sender = await start("send", "s", *SYNTHETIC, bad=source)
        peer = await start("join", "p", bad=not source)
        try:
            bad = sender if source else peer
            async with asyncio.timeout(60):
                while len(coordinator.members) < 2 and "put in by a test" not in bad.stderr:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            with suppress(ConnectionClosed, KeyError):  # the defect was in the way
                await coordinator.root("s")
                await coordinator.place("p", "s")
                await coordinator.begin("s")
            yield (coordinator, sender, peer) if source else (coordinator, peer, sender)
        finally:
            for agent in (sender, peer):
                await agent.end()
                print(agent.stderr)


async def told(agent: AgentProcess) -> str:
    """Wait until the defect is told, and return the line."""
    async with asyncio.timeout(60):
        while not (lines := [line for line in agent.stderr.splitlines() if "put in by a test" in line]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return lines[0]


def is_one_line(agent: AgentProcess) -> None:
    assert "Traceback" not in agent.stderr
    assert agent.stderr.count("ZeroDivisionError: put in by a test") <= 2  # `going on`, and then `cannot go on`


@pytest.mark.parametrize(
    ("what", "how"),
    [
        ("overlaycast.agent.figures:Figures.sample", "sync"),
        ("overlaycast.agent.figures:Figures.report", "sync"),
        ("overlaycast.agent.lookout:Lookout._look", "sync"),
        ("overlaycast.agent.hops.downstream:Downstream.beat", "sync"),
        ("overlaycast.agent.hops.uplink:Uplink.progress", "sync"),
        ("overlaycast.agent.hops.parent_link:connect_any", "async"),
        ("overlaycast.agent.hops.parent_link:ParentLink.adopt", "sync"),
        ("overlaycast.agent.records.live_intake:LiveIntake.received", "sync"),
        ("overlaycast.agent.hops.uplink:Uplink._look", "sync"),
        ("overlaycast.agent.node:Node.heard", "sync"),
        ("overlaycast.agent.control:ControlLink._talk", "async"),
        ("overlaycast.agent.control:encode", "sync"),
    ],
)
async def test_a_receiver_lives_with_what_need_not_end_it(tmp_path: Path, what: str, how: str) -> None:
    async with group(tmp_path, BROKEN, what, how) as (_, bad, good):
        line = await told(bad)
        assert line.startswith("overlaycast p: something went wrong, going on: ZeroDivisionError: put in by a test (")
        await asyncio.sleep(1)
        assert bad.process.returncode is None
        assert good.process.returncode is None
        is_one_line(bad)


@pytest.mark.parametrize(
    "what",
    [
        "overlaycast.agent.hops.child_link:ChildLink.pump",
        "overlaycast.agent.hops.child_link:ChildLink._hear",
        "overlaycast.agent.hops.door:Door._hear",
        "overlaycast.agent.hops.downstream:Downstream.verdict",
    ],
)
async def test_a_child_that_brings_out_a_defect_costs_its_link_and_no_more(tmp_path: Path, what: str) -> None:
    async with group(tmp_path, BROKEN, what, "sync", source=True) as (_, bad, good):
        assert "overlaycast s: something went wrong, going on: ZeroDivisionError: put in by a test" in await told(bad)
        await asyncio.sleep(1)
        assert bad.process.returncode is None
        assert good.process.returncode is None
        is_one_line(bad)


async def test_a_call_that_brings_out_a_defect_is_a_call_in_vain(tmp_path: Path) -> None:
    async with group(tmp_path, BROKEN, "overlaycast.agent.hops.calling:connect_any", "async", source=True) as (
        coordinator,
        bad,
        _,
    ):
        there = (Address(host="127.0.0.1", port=9),)
        order = Accept(epoch=coordinator.epoch + 1, child=77, name="c", grant="0" * 32, addresses=there)
        await coordinator.members["s"].send(order)
        assert "something went wrong, going on" in await told(bad)
        await asyncio.sleep(1)
        assert bad.process.returncode is None
        is_one_line(bad)


@pytest.mark.parametrize(
    ("what", "how", "source"),
    [
        ("overlaycast.agent.ends.source:StreamPump.run", "async", True),
        ("overlaycast.agent.ends.sink:Sink._write", "sync", False),
    ],
)
async def test_who_cannot_go_on_says_why(tmp_path: Path, what: str, how: str, source: bool) -> None:
    async with group(tmp_path, BROKEN, what, how, source) as (_, bad, good):
        code, said = await bad.ended(60)
        assert code == 1
        assert said.splitlines()[-1].startswith("overlaycast: ")
        assert "ZeroDivisionError: put in by a test" in said.splitlines()[-1]
        assert good.process.returncode is None
        is_one_line(bad)


@pytest.mark.parametrize(("number", "source"), [*((number, False) for number in range(1, 8)), (7, True)])
async def test_whichever_task_fails_a_member_lives_or_says_why(tmp_path: Path, number: int, source: bool) -> None:
    async with group(tmp_path, NTH, str(number), "", source) as (_, bad, good):
        await asyncio.sleep(1)
        if (code := bad.process.returncode) is not None:
            assert code == 1
            assert "overlaycast: cannot go on: ZeroDivisionError: put in by a test" in bad.stderr.splitlines()[-1]
        assert good.process.returncode is None
        is_one_line(bad)
