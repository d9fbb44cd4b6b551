"""A real agent with a coordinator that would have it knock at its own host; and where it answers for itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from overlaycast.wire.frames import Challenge, Hello, Refuse, RefuseCode
from overlaycast.wire.messages import Accept, Address, Assign, NotReceiving, Peer
from overlaycast.wire.proof import proof
from tests.agent.fake_coordinator import FakeCoordinator
from tests.agent.processes import AgentProcess
from tests.agent.raw_child import RawChild

SYNTHETIC = ("--synthetic", "60", "--rate", "8M")


class Victim:
    """A service on the agent's own host; an address of all zeros leads to it too."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.read(100))
        writer.close()


@pytest.mark.parametrize("more", [(), ("--allow-local",)])
async def test_orders_to_dial_our_own_host_are_refused_unless_told_otherwise(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    victim = Victim()
    async with FakeCoordinator() as coordinator, await asyncio.start_server(victim.serve, "127.0.0.1", 0) as server:
        there = (Address(host="0.0.0.0", port=server.sockets[0].getsockname()[1]),)
        agent = await AgentProcess.start(tmp_path, coordinator.url, "join", "a", *more)
        try:
            (member,) = await coordinator.joined("a")
            peer = Peer(member=9, name="nine", addresses=there, grant="0" * 32, rank=1)
            await member.send(Assign(epoch=1, rank=5, depth=1, parent=peer, standbys=(), fallbacks=(peer,)))
            said = await coordinator.said("a", NotReceiving)
            await member.send(Accept(epoch=2, child=8, name="eight", grant="1" * 32, addresses=there))
            if more:
                await coordinator.until(lambda: True)
                async with asyncio.timeout(60):
                    while len(victim.heard) < 2:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
            else:
                assert said.reason == "unreachable"
                async with asyncio.timeout(60):
                    while "--allow-local" not in agent.stderr:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                await asyncio.sleep(1)  # long enough for several tries
                assert victim.heard == []
                assert agent.stderr.count("--allow-local") == 1
            assert agent.process.returncode is None
        finally:
            await agent.end()


async def test_the_coordinators_challenge_is_answered_at_the_data_port(tmp_path: Path) -> None:
    async with FakeCoordinator() as coordinator:
        agent = await AgentProcess.start(tmp_path, coordinator.url, "send", "s", *SYNTHETIC)
        try:
            (member,) = await coordinator.joined("s")
            await coordinator.root("s")
            for nonce in (b"a" * 16, b"b" * 16):
                caller = await RawChild.knock(member)
                await caller.say(Challenge(nonce))
                assert await caller.closed() == [proof("s" * 16, Challenge(nonce))]
                await caller.close()
            child = await RawChild.knock(member)
            await child.say(Hello(b"?" * 16, 9, 0))
            await child.say(Challenge(b"c" * 16))  # it is the first frame or none
            assert await child.closed() == [Refuse(RefuseCode.PROTOCOL, 0)]
            await child.close()
        finally:
            await agent.end()


async def test_a_member_is_told_of_its_namesakes(tmp_path: Path) -> None:
    async with FakeCoordinator(namesakes=(3, 4)) as coordinator:
        agent = await AgentProcess.start(tmp_path, coordinator.url, "join", "tv")
        try:
            await coordinator.joined("tv")
            async with asyncio.timeout(60):
                while "3, 4" not in agent.stderr:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            lines = [line for line in agent.stderr.splitlines() if "3, 4" in line]
            assert lines == [
                "overlaycast tv: members 3, 4 have the name tv too, so logs do not tell you apart (--name)"
            ]
        finally:
            await agent.end()
