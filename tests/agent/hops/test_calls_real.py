"""Parents that cannot be dialled call their children (CALL): both halves, for real, over loopback."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from overlaycast.agent.hops.called import KEEP_S, MOST_UNKNOWN
from overlaycast.wire.frames import EDGE, Call, Data, Heartbeat, Hello, Refuse, RefuseCode
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Accept, Address, Report, Revoke
from tests.agent.fake_coordinator import FakeCoordinator
from tests.agent.processes import AgentProcess
from tests.agent.raw_child import RawChild, hello
from tests.agent.test_stream_real import group, media, place_tree, same, starter, until_record

__all__ = ["media"]  # a fixture of theirs
CHILD = 77
HIDDEN = ("--no-reachable",)


class Phone:
    """A listening port, as of a child that waits to be called."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[RawChild] = asyncio.Queue()
        self._all: list[RawChild] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Phone:
        self._server = await asyncio.start_server(self._rings, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for child in self._all:
            await child.close()

    async def _rings(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        child = RawChild(reader, writer)
        self._all.append(child)
        await self.calls.put(child)

    @property
    def address(self) -> Address:
        assert self._server is not None
        return Address(host="127.0.0.1", port=self._server.sockets[0].getsockname()[1])

    async def ring(self) -> RawChild:
        async with asyncio.timeout(60):
            return await self.calls.get()


async def answered(phone: Phone, greeting: Hello) -> RawChild:
    """Answer calls until one has let us in: on a machine that sleeps, an answer may come too late for its call."""
    while True:
        child = await phone.ring()
        with suppress(ConnectionError):
            await child.say(greeting)
        frames = await child.until(lambda frames: any(isinstance(frame, Heartbeat) for frame in frames))
        if any(isinstance(frame, Heartbeat) for frame in frames):
            assert frames[0] == Call(greeting.grant)
            return child
        await child.close()


@asynccontextmanager
async def calling_source(folder: Path) -> AsyncIterator[tuple[FakeCoordinator, AgentProcess, Phone]]:
    """A source that was told to call one child, at ``Phone``."""
    async with FakeCoordinator() as coordinator:
        agent = await AgentProcess.start(
            folder, coordinator.url, "send", "s", "--synthetic", "60", "--rate", "8M", *HIDDEN
        )
        try:
            await coordinator.joined("s")
            assert not coordinator.members["s"].subscribe.reachable
            await coordinator.root("s")
            async with Phone() as phone:
                await announce(coordinator, phone)
                yield coordinator, agent, phone
                await agent.end()  # before the phone: nobody calls any more
        finally:
            await agent.end()
            print(agent.stderr)


async def announce(coordinator: FakeCoordinator, phone: Phone) -> None:
    coordinator.epoch += 1
    grant = hello(coordinator, "s", CHILD, EDGE).grant
    await coordinator.members["s"].send(
        Accept(epoch=coordinator.epoch, child=CHILD, name="raw", grant=grant.hex(), addresses=(phone.address,))
    )


async def test_a_parent_calls_says_its_grant_and_feeds_who_answers(tmp_path: Path) -> None:
    async with calling_source(tmp_path) as (coordinator, _, phone):
        greeting = hello(coordinator, "s", CHILD, EDGE)
        child = await answered(phone, greeting)
        await coordinator.begin("s")
        await child.until(lambda frames: any(isinstance(frame, Data) for frame in frames))
        await child.close()
        again = await answered(phone, greeting)  # its link broke: it is called again
        coordinator.epoch += 1
        await coordinator.members["s"].send(Revoke(epoch=coordinator.epoch, child=CHILD))
        last = (await again.closed())[-1]
        assert isinstance(last, Refuse)
        assert last.code is RefuseCode.UNKNOWN_GRANT
        await again.close()


@pytest.mark.parametrize("answer", ["nothing", "garbage", "another grant", "a call"])
async def test_who_answers_wrongly_is_called_again(tmp_path: Path, answer: str) -> None:
    async with calling_source(tmp_path) as (coordinator, agent, phone):
        child = await phone.ring()
        await child.until(lambda frames: len(frames) > 0)
        greeting = hello(coordinator, "s", CHILD, EDGE)
        if answer == "garbage":
            child.writer.write(b"?" * 100)
        elif answer == "another grant":
            await child.say(Hello(b"?" * 16, greeting.rank, EDGE))
        elif answer == "a call":
            await child.say(Call(greeting.grant))
        await child.closed()
        again = await answered(phone, greeting)
        assert agent.process.returncode is None
        for one in (child, again):
            await one.close()


async def test_a_child_nobody_can_be_dialled_by_gets_the_stream_from_a_parent_and_a_standby_that_call(
    tmp_path: Path, media: Path
) -> None:
    """Source and forwarders are hidden; every child can be reached. A caller dies: its child goes on with another."""
    async with group(GroupSettings(rate_mbit=24)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        await start("send", "s", str(media), "--rate", "8M", *HIDDEN)
        first = await start("join", "a", *HIDDEN)
        second = await start("join", "b", *HIDDEN)
        last = await start("join", "c", "--no-dials")
        await coordinator.joined("s", "a", "b", "c")
        # the fake coordinator has hidden members called, too: on loopback all can be
        await place_tree(coordinator, {"a": ("s", ()), "b": ("s", ()), "c": ("a", ("b",))})
        b = coordinator.members["b"].id
        await coordinator.said("c", Report, lambda report: b in report.standbys_ready)
        await coordinator.begin("s")
        await until_record(coordinator, "c", 100)
        first.signal(signal.SIGKILL)
        for agent in (second, last):
            code, err = await agent.ended()
            assert (agent.name, code, err) == (agent.name, 0, err)
            assert same(agent, media)
        assert all(line["called"] for line in last.lines("fed"))
        assert last.lines("switch")[-1]["to"] == b  # a busy machine may have had it change to and fro before


async def _call(agent: FakeCoordinator, name: str, grant: bytes) -> RawChild:
    caller = await RawChild.knock(agent.members[name])
    await caller.say(Call(grant))
    return caller


async def test_a_child_greets_only_who_shows_the_grant_of_its_parent(tmp_path: Path) -> None:
    async with FakeCoordinator() as coordinator:
        source = await AgentProcess.start(
            tmp_path, coordinator.url, "send", "s", "--synthetic", "60", "--rate", "8M", *HIDDEN
        )
        child = await AgentProcess.start(tmp_path, coordinator.url, "join", "c")
        try:
            await coordinator.joined("s", "c")
            strangers = [await _call(coordinator, "c", bytes([n]) * 16) for n in range(MOST_UNKNOWN + 1)]
            # one too many: the oldest is closed at once; none of the others hears a word
            assert await strangers[0].closed(KEEP_S / 2) == []
            await place_tree(coordinator, {"c": ("s", ())})
            await coordinator.begin("s")
            await until_record(coordinator, "c", 20)
            bad = await RawChild.knock(coordinator.members["c"])
            await bad.say(Call(b"?" * 16))
            bad.writer.write(b"?" * 100)
            assert await bad.closed() == []
            assert [stranger.frames for stranger in strangers] == [[]] * len(strangers)
            assert child.process.returncode is None
            for one in (*strangers, bad):
                await one.close()
        finally:
            await source.end()
            await child.end()
            print(source.stderr, child.stderr)
