"""Real agents over loopback under a scripted coordinator: chains, fan-out, deaths, leaving."""

from __future__ import annotations

import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Failed, Leaving, Released, Report
from tests.agent.fake_coordinator import FakeCoordinator
from tests.agent.processes import AgentProcess

SIZE = 3_000_000


@pytest.fixture
def media(tmp_path: Path) -> Path:
    path = tmp_path / "media"
    path.write_bytes(random.Random(7).randbytes(SIZE))
    return path


@asynccontextmanager
async def group(settings: GroupSettings | None = None) -> AsyncIterator[tuple[FakeCoordinator, list[AgentProcess]]]:
    agents: list[AgentProcess] = []
    async with FakeCoordinator(settings) as coordinator:
        try:
            yield coordinator, agents
        finally:
            for agent in agents:
                await agent.end()
                print(agent.name, agent.process.returncode, agent.stderr)  # pytest shows it when a test fails


def same(agent: AgentProcess, media: Path) -> bool:
    return agent.output.read_bytes() == media.read_bytes()


Start = Callable[..., Awaitable[AgentProcess]]


def starter(coordinator: FakeCoordinator, agents: list[AgentProcess], folder: Path) -> Start:
    async def start(command: str, name: str, *more: str, **kwargs: Any) -> AgentProcess:
        agent = await AgentProcess.start(folder, coordinator.url, command, name, *more, **kwargs)
        agents.append(agent)
        return agent

    return start


async def place_tree(coordinator: FakeCoordinator, tree: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
    """``child: (parent, standbys)``, parents first; returns when all are fed."""
    await coordinator.joined("s", *tree)
    await coordinator.root("s")
    for child, (parent, standbys) in tree.items():
        await coordinator.place(child, parent, standbys)
    for child, (parent, _) in tree.items():
        await coordinator.fed_by(child, parent)


async def test_chain_and_fan_out_deliver_the_file(tmp_path: Path, media: Path) -> None:
    async with group() as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", str(media), "--rate", "24M")
        peers = [await start("join", name) for name in ("a", "b", "c", "d")]
        relay = await start("relay", "r")
        tree = {"a": ("s", ()), "r": ("a", ()), "b": ("r", ()), "c": ("r", ()), "d": ("c", ())}
        await place_tree(coordinator, tree)
        await coordinator.begin("s")
        for agent in (*peers, relay, source):
            code, err = await agent.ended()
            assert (agent.name, code, err) == (agent.name, 0, err)
        sent = source.summary()
        for peer in peers:
            got = peer.summary()
            assert same(peer, media)
            assert got["digest_ok"] is True
            assert got["sha256"] == sent["sha256"]
            assert (got["lost"], got["duplicated"], got["reordered"]) == (0, 0, 0)
            assert got["expected"] == got["received"] == sent["received"] == -(-SIZE // 7896)


async def until_record(coordinator: FakeCoordinator, name: str, number: int) -> None:
    await coordinator.said(name, Report, lambda report: report.next_seq >= number)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_death_of_a_parent_loses_nothing(tmp_path: Path, media: Path, how: signal.Signals) -> None:
    # who moves is the question: a busy machine's own pauses shall not be taken for a death beforehand
    settings = GroupSettings(report_ms=100, silence_ms=1000)
    async with group(settings) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", str(media), "--rate", "8M")
        victim = await start("join", "a")
        heir, sibling, below = [await start("join", name) for name in ("h", "i", "k")]
        backup = await start("relay", "b", "--backup")
        await place_tree(
            coordinator,
            {"b": ("s", ()), "a": ("s", ()), "h": ("a", ("b",)), "i": ("a", ("h",)), "k": ("i", ("b",))},
        )
        await coordinator.begin("s")
        await until_record(coordinator, "k", 60)
        victim.signal(how)
        await coordinator.fed_by("h", "b")
        await coordinator.fed_by("i", "h")
        await coordinator.revoke("s", "a")
        for agent in (heir, sibling, below, backup, source):
            code, err = await agent.ended()
            assert (agent.name, code) == (agent.name, 0), err
        for agent in (heir, sibling, below):
            assert same(agent, media)
            assert agent.summary()["duplicated"] == 0
        assert [line["to"] for line in heir.lines("switch")] == [coordinator.members["b"].id]
        complaint = coordinator.complaints("h")[0]
        assert complaint.now_from == coordinator.members["b"].id
        # on a starved machine the silence after a kill may be noticed before the reset is read
        assert complaint.reason in (("reset", "silence") if how is signal.SIGKILL else ("silence",))


async def test_sigterm_moves_children_first(tmp_path: Path, media: Path) -> None:
    async with group(GroupSettings(report_ms=100, silence_ms=1000)) as (coordinator, agents):
        coordinator.release = False
        start = starter(coordinator, agents, tmp_path)
        await start("send", "s", str(media), "--rate", "8M")
        leaver, child = await start("join", "a"), await start("join", "c")
        await place_tree(coordinator, {"a": ("s", ()), "c": ("a", ())})
        await coordinator.begin("s")
        await until_record(coordinator, "c", 60)
        leaver.signal(signal.SIGTERM)
        await coordinator.said("a", Leaving)
        await coordinator.place("c", "s")
        await coordinator.fed_by("c", "s")
        await coordinator.members["a"].send(Released())
        code, err = await leaver.ended()
        assert code == 0, err
        code, err = await child.ended()
        assert code == 0, err
        assert same(child, media)
        assert [line["reason"] for line in child.lines("switch")] == ["order"]
        assert coordinator.complaints("c") == []


async def test_full_disk_ends_that_member_only(tmp_path: Path, media: Path) -> None:
    async with group(GroupSettings(report_ms=100)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        await start("send", "s", str(media), "--rate", "16M")
        full = await start("join", "a", output="/dev/full")
        child = await start("join", "c")
        await place_tree(coordinator, {"a": ("s", ()), "c": ("a", ("s",))})
        await coordinator.begin("s")
        failed = await coordinator.said("a", Failed)
        assert "No space left" in failed.reason
        code, err = await full.ended()
        assert code == 1
        assert err.splitlines()[-1] == "overlaycast: output: /dev/full: No space left on device"
        code, err = await child.ended()
        assert code == 0, err
        assert same(child, media)


async def test_coordinator_may_be_away(tmp_path: Path, media: Path) -> None:
    async with group(GroupSettings(report_ms=100)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", str(media), "--rate", "8M")
        parent, child = await start("join", "a"), await start("join", "c")
        await place_tree(coordinator, {"a": ("s", ()), "c": ("a", ("s",))})
        await coordinator.begin("s")
        await until_record(coordinator, "c", 60)
        await coordinator.stop()
        parent.signal(signal.SIGKILL)
        await parent.process.wait()
        before = len(coordinator.subscriptions)
        await coordinator.start()
        await coordinator.until(lambda: len(coordinator.subscriptions) >= before + 2)
        again = [subscribe for subscribe in coordinator.subscriptions[before:] if subscribe.name == "c"]
        assert again[0].resume is not None
        assert again[0].resume.member == coordinator.members["c"].id
        for agent in (child, source):
            code, err = await agent.ended()
            assert code == 0, err
        assert same(child, media)
