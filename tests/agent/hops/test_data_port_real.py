"""The data port of a real agent against children that are early, wrong, slow or hostile."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from overlaycast.wire.frames import (
    EDGE,
    IDLE,
    OLDEST,
    Data,
    End,
    Frame,
    Heartbeat,
    Hello,
    Refuse,
    RefuseCode,
    Start,
    Stop,
    encode,
)
from overlaycast.wire.messages import Accept, Assign, Report, Revoke
from tests.agent.fake_coordinator import FakeCoordinator
from tests.agent.processes import AgentProcess
from tests.agent.raw_child import RawChild, hello

CHILD = 77


@asynccontextmanager
async def source(tmp_path: Path, *more: str) -> AsyncIterator[tuple[FakeCoordinator, AgentProcess]]:
    async with FakeCoordinator() as coordinator:
        agent = await AgentProcess.start(tmp_path, coordinator.url, "send", "s", *more)
        try:
            await coordinator.joined("s")
            await coordinator.root("s")
            yield coordinator, agent
        finally:
            await agent.end()
            print(agent.stderr)


SYNTHETIC = ("--synthetic", "30", "--rate", "8M")
LONGER_THAN_IT_WAITS = 800
"""Records: at 760 a second they take longer than an order waits for a child."""


async def announce(coordinator: FakeCoordinator, child: int = CHILD, rank: int = 1 << 40) -> Hello:
    coordinator.epoch += 1
    greeting = hello(coordinator, "s", child, EDGE, rank)
    accept = Accept(epoch=coordinator.epoch, child=child, name="raw", grant=greeting.grant.hex())
    await coordinator.members["s"].send(accept)
    return greeting


def kinds(frames: list[Frame]) -> list[type]:
    return [type(frame) for frame in frames]


def brings(payload: bytes, frames: list[Frame]) -> bool:
    return payload in [data.payload for data in payloads(frames)]


def payloads(frames: list[Frame]) -> list[Data]:
    return [frame for frame in frames if isinstance(frame, Data)]


async def test_a_child_may_be_earlier_than_its_announcement(tmp_path: Path) -> None:
    async with source(tmp_path, *SYNTHETIC) as (coordinator, _):
        child = await RawChild.knock(coordinator.members["s"])
        await child.say(hello(coordinator, "s", CHILD, IDLE))
        await announce(coordinator)
        frames = await child.until(lambda frames: len(frames) > 0)
        assert frames[0] == Heartbeat(0, 0)
        await child.close()


async def test_unknown_grant_is_held_then_refused(tmp_path: Path) -> None:
    async with source(tmp_path, *SYNTHETIC) as (coordinator, _):
        child = await RawChild.knock(coordinator.members["s"])
        await child.say(Hello(b"?" * 16, 9, EDGE))
        assert await child.closed() == [Refuse(RefuseCode.UNKNOWN_GRANT, 0)]
        await child.close()


async def test_rank_is_enforced(tmp_path: Path) -> None:
    async with source(tmp_path, *SYNTHETIC) as (coordinator, _):
        await announce(coordinator)
        child = await RawChild.knock(coordinator.members["s"])
        await child.say(hello(coordinator, "s", CHILD, EDGE, rank=0))
        assert await child.closed() == [Refuse(RefuseCode.RANK, 0)]
        await child.close()


async def test_an_order_that_overtakes_a_child_waits_for_its_own(tmp_path: Path) -> None:
    async with source(tmp_path, *SYNTHETIC) as (coordinator, _):
        greeting = await announce(coordinator, rank=10)
        child = await RawChild.knock(coordinator.members["s"])
        await child.say(greeting)
        await coordinator.begin("s")
        await child.until(lambda frames: len(payloads(frames)) > 0)
        coordinator.epoch += 1
        await coordinator.members["s"].send(Assign(epoch=coordinator.epoch, rank=20, depth=1))
        await child.say(Hello(greeting.grant, 30, IDLE))  # its own order has come a moment later
        seen = len(payloads(child.frames))
        frames = await child.until(lambda frames: len(payloads(frames)) > seen + LONGER_THAN_IT_WAITS)
        assert not [frame for frame in frames if isinstance(frame, Refuse)]
        assert len(payloads(frames)) > seen + LONGER_THAN_IT_WAITS
        coordinator.epoch += 1
        await coordinator.members["s"].send(Assign(epoch=coordinator.epoch, rank=40, depth=1))
        refused = (await child.closed())[-1]  # it says no more, so it has to come again
        assert isinstance(refused, Refuse)
        assert refused.code is RefuseCode.RANK
        await child.close()


async def test_another_version_is_refused(tmp_path: Path) -> None:
    async with source(tmp_path, *SYNTHETIC) as (coordinator, _):
        greeting = await announce(coordinator)
        child = await RawChild.knock(coordinator.members["s"])
        await child.say(Hello(greeting.grant, 9, EDGE, version=2))
        assert await child.closed() == [Refuse(RefuseCode.VERSION, 0)]
        await child.close()


@pytest.mark.parametrize("seed", range(4))
async def test_garbage_closes_that_link_only(tmp_path: Path, seed: int) -> None:
    async with source(tmp_path, *SYNTHETIC) as (coordinator, agent):
        greeting = await announce(coordinator)
        good = await RawChild.knock(coordinator.members["s"])
        await good.say(greeting)
        await coordinator.begin("s")
        bad = await RawChild.knock(coordinator.members["s"])
        garbage = random.Random(seed).randbytes(5000)
        bad.writer.write(garbage if seed % 2 else encode(Data(1, 1, b"x")) + garbage)
        await bad.closed()
        if seed < 2:  # and from one that is in
            await announce(coordinator, 78)
            worse = await RawChild.knock(coordinator.members["s"])
            await worse.say(hello(coordinator, "s", 78, EDGE))
            await worse.until(lambda frames: len(frames) > 0)
            worse.writer.write(garbage)
            await worse.closed()
            await worse.close()
        frames = await good.until(lambda frames: len(payloads(frames)) >= 20)
        assert [data.seq for data in payloads(frames)][:20] == list(range(20))
        assert agent.process.returncode is None
        await good.close()
        await bad.close()


async def test_strangers_are_few_and_not_for_long(tmp_path: Path) -> None:
    async with source(tmp_path, *SYNTHETIC) as (coordinator, _):
        strangers = [await RawChild.knock(coordinator.members["s"]) for _ in range(140)]
        # more than the limit of 128: the first ones make room, the others are closed after two seconds
        assert await strangers[-1].closed() == []
        assert await strangers[0].closed() == []
        greeting = await announce(coordinator)
        child = await RawChild.knock(coordinator.members["s"])
        await child.say(greeting)
        await child.until(lambda frames: len(frames) > 0)
        assert kinds(child.frames)[0] is Heartbeat
        for stranger in (*strangers, child):
            await stranger.close()


async def test_the_oldest_stranger_makes_room_for_a_child(tmp_path: Path) -> None:
    """Not by itself after two seconds: the newest stranger is still there. A machine that sleeps has more tries."""
    async with source(tmp_path, *SYNTHETIC) as (coordinator, _):
        greeting = await announce(coordinator)
        waits = False
        for _ in range(5):
            strangers = [await RawChild.knock(coordinator.members["s"]) for _ in range(160)]
            child = await RawChild.knock(coordinator.members["s"])
            await child.say(greeting)
            await child.until(lambda frames: len(frames) > 0)
            assert await strangers[0].closed() == []
            try:
                await strangers[-1].closed(0.1)
            except TimeoutError:
                waits = True
            for one in (*strangers, child):
                await one.close()
            if waits:
                break
        assert waits


async def test_start_stop_and_resume_point(tmp_path: Path) -> None:
    async with source(tmp_path, *SYNTHETIC) as (coordinator, _):
        greeting = await announce(coordinator)
        child = await RawChild.knock(coordinator.members["s"])
        await child.say(greeting)
        await coordinator.begin("s", next_seq=100)
        frames = await child.until(lambda frames: len(payloads(frames)) >= 5)
        first = next(i for i, frame in enumerate(frames) if isinstance(frame, Data))
        assert frames[first - 1] == Heartbeat(100, 100, seek=True)
        assert frames[first] == payloads(frames)[0]
        assert [data.seq for data in payloads(frames)][:5] == [100, 101, 102, 103, 104]
        await child.say(Stop())
        await child.say(Start(101))
        seek = Heartbeat(101, 100, seek=True)
        frames = await child.until(lambda frames: seek in frames and len(payloads(frames[frames.index(seek) :])) > 3)
        after = payloads(frames[frames.index(seek) :])
        assert [data.seq for data in after][:3] == [101, 102, 103]
        await child.close()


async def test_a_slow_child_is_skipped_and_told_and_alone(tmp_path: Path) -> None:
    """A ring of 2 MiB, a child that does not read, one that does: the loss is the first one's alone."""
    async with source(tmp_path, "--synthetic", "60", "--rate", "80M", "--ring-mb", "2") as (coordinator, agent):
        slow, fast = [await RawChild.knock(coordinator.members["s"]) for _ in (0, 1)]
        for number, child in ((CHILD, slow), (CHILD + 1, fast)):
            await announce(coordinator, number)
            await child.say(hello(coordinator, "s", number, OLDEST))
            await child.until(lambda frames: len(frames) > 0)
        await coordinator.begin("s")
        frames = await fast.until(lambda frames: len(payloads(frames)) >= 3000)
        assert [data.seq for data in payloads(frames)] == list(range(len(payloads(frames))))
        frames = await slow.until(lambda frames: len(jumps(frames)) >= 1 and isinstance(frames[-1], Data))
        due = None
        for frame in frames:
            if isinstance(frame, Heartbeat) and frame.seek:
                due = frame.next_seq
            if isinstance(frame, Data):
                assert frame.seq == due
                due = frame.seq + 1
        await slow.close()
        await fast.close()
        agent.process.terminate()
        assert (await agent.ended())[0] == 0
        assert agent.summary()["children_skipped"] > 0
        assert agent.summary()["ring_bytes"] <= 2 << 20


def jumps(frames: list[Frame]) -> list[Heartbeat]:
    """The SEEKs after the first record."""
    return [f for f in frames if isinstance(f, Heartbeat) and f.seek and f.next_seq > 0]


async def test_what_is_gone_is_refused_and_the_link_stays(tmp_path: Path) -> None:
    async with source(tmp_path, "--synthetic", "60", "--rate", "240M", "--ring-mb", "2") as (coordinator, _):
        greeting = await announce(coordinator)
        child = await RawChild.knock(coordinator.members["s"])
        await child.say(greeting)
        await coordinator.begin("s")
        await child.until(lambda frames: len(payloads(frames)) >= 1000)
        await child.say(Start(0))
        frames = await child.until(lambda frames: Refuse in kinds(frames))
        gone = next(frame for frame in frames if isinstance(frame, Refuse))
        assert gone.code is RefuseCode.GONE
        await child.say(Start(OLDEST))
        before = len(child.frames)
        frames = await child.until(lambda frames: any(isinstance(f, Heartbeat) and f.seek for f in frames[before:]))
        seek = next(f for f in frames[before:] if isinstance(f, Heartbeat) and f.seek)
        assert seek.next_seq >= gone.oldest
        await child.close()


async def test_a_revoked_child_is_let_go(tmp_path: Path) -> None:
    async with source(tmp_path, *SYNTHETIC) as (coordinator, _):
        greeting = await announce(coordinator)
        child = await RawChild.knock(coordinator.members["s"])
        await child.say(Hello(greeting.grant, greeting.rank, IDLE))
        await child.until(lambda frames: len(frames) > 0)
        coordinator.epoch += 1
        await coordinator.members["s"].send(Revoke(epoch=coordinator.epoch, child=CHILD))
        frames = await child.closed()
        assert frames[-1] == Refuse(RefuseCode.UNKNOWN_GRANT, 0)
        await child.close()


async def test_sigterm_ends_a_source_properly(tmp_path: Path) -> None:
    async with source(tmp_path, *SYNTHETIC) as (coordinator, agent):
        greeting = await announce(coordinator)
        child = await RawChild.knock(coordinator.members["s"])
        await child.say(greeting)
        await coordinator.begin("s")
        await child.until(lambda frames: len(payloads(frames)) >= 5)
        agent.process.terminate()
        frames = await child.until(lambda frames: End in kinds(frames))
        end = next(frame for frame in frames if isinstance(frame, End))
        assert end.seq == payloads(frames)[-1].seq + 1
        await child.say(Heartbeat(end.seq + 1))
        assert (await agent.ended())[0] == 0
        await child.close()


async def test_live_input_from_a_pipe_is_sent_as_it_comes(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    async with FakeCoordinator() as coordinator:
        agent = await AgentProcess.start(tmp_path, coordinator.url, "send", "s", "-", stdin=reading)
        os.close(reading)
        try:
            await coordinator.joined("s")
            await coordinator.root("s")
            greeting = await announce(coordinator)
            child = await RawChild.knock(coordinator.members["s"])
            await child.say(greeting)
            await coordinator.begin("s")
            for word in (b"one", b"two"):
                os.write(writing, word)
                frames = await child.until(partial(brings, word))
            os.close(writing)
            frames = await child.until(lambda frames: End in kinds(frames))
            assert b"".join(data.payload for data in payloads(frames)) == b"onetwo"
            await child.say(Heartbeat(3))
            assert (await agent.ended())[0] == 0
            await child.close()
        finally:
            await agent.end()


async def test_ipv6(tmp_path: Path) -> None:
    async with FakeCoordinator() as coordinator:
        agent = await AgentProcess.start(tmp_path, coordinator.url, "send", "s", *SYNTHETIC, listen="[::1]:0")
        try:
            (member,) = await coordinator.joined("s")
            assert member.subscribe.addresses[0].host == "::1"
            async with asyncio.timeout(60):
                reader, writer = await asyncio.open_connection("::1", member.subscribe.addresses[0].port)
            await coordinator.root("s")
            greeting = await announce(coordinator)
            child = RawChild(reader, writer)
            await child.say(greeting)
            assert kinds(await child.until(lambda frames: len(frames) > 0))[0] is Heartbeat
            await child.close()
        finally:
            await agent.end()


async def test_a_child_between_two_links_is_waited_for_at_the_end(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.write_bytes(os.urandom(400_000))
    async with source(tmp_path, str(media), "--rate", "8M") as (coordinator, agent):
        greeting = await announce(coordinator)
        first = await RawChild.knock(coordinator.members["s"])
        await first.say(greeting)
        await coordinator.begin("s")
        await first.until(lambda frames: bool(payloads(frames)))
        await first.close()
        await coordinator.said("s", Report, lambda report: report.state == "ended")
        again = await RawChild.knock(coordinator.members["s"])
        await again.say(Hello(greeting.grant, 1 << 40, 0))
        frames = await again.until(lambda frames: End in kinds(frames))
        assert b"".join(data.payload for data in payloads(frames)) == media.read_bytes()
        await again.say(Heartbeat(len(payloads(frames)) + 1, 0))  # END has a number too
        assert (await agent.ended())[0] == 0
        await again.close()
