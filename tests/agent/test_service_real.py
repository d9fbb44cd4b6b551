"""Real members under a service manager: ready when they do what they are there for, and not before."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from overlaycast.wire.messages import Refused
from tests.agent.fake_coordinator import FakeCoordinator
from tests.agent.processes import AgentProcess
from tests.service_manager import ServiceManager


@asynccontextmanager
async def member(
    folder: Path, url: str, command: str, name: str, *more: str
) -> AsyncIterator[tuple[AgentProcess, ServiceManager]]:
    """Run a member with a service manager of its own."""
    with ServiceManager(str(folder / f"{name}.notify")) as manager:
        environ = {**os.environ, **manager.environ, "WATCHDOG_USEC": "400000"}
        agent = await AgentProcess.start(folder, url, command, name, *more, env=environ)
        try:
            yield agent, manager
        finally:
            await agent.end()


async def test_a_peer_and_a_relay_are_ready_once_they_are_fed(tmp_path: Path) -> None:
    async with (
        FakeCoordinator() as coordinator,
        member(tmp_path, coordinator.url, "join", "peer") as (_, peer),
        member(tmp_path, coordinator.url, "relay", "relay") as (_, relay),
        member(tmp_path, coordinator.url, "send", "source", "--synthetic", "60", "--rate", "1M") as (_, source),
    ):
        await coordinator.joined("peer", "relay", "source")
        await peer.heard("STATUS", "waits for the stream")
        await relay.heard("STATUS", "waits for the stream")
        assert (await source.heard("READY"))["STATUS"] == "waits for the coordinator to begin"
        await coordinator.root("source")
        await coordinator.place("relay", "source")
        await coordinator.place("peer", "relay")
        assert peer.unready
        assert relay.unready
        await coordinator.begin("source")
        assert (await relay.heard("READY"))["STATUS"].startswith("fed by source (")
        assert (await peer.heard("READY"))["STATUS"].startswith("fed by relay (")
        await relay.heard("WATCHDOG")
        await source.heard("STATUS", "sends; feeds 1 child")


async def test_a_backup_server_is_ready_once_it_is_admitted(tmp_path: Path) -> None:
    """It may be fed by nobody until a forwarder fails."""
    async with (
        FakeCoordinator() as coordinator,
        member(tmp_path, coordinator.url, "relay", "spare", "--backup") as (agent, manager),
    ):
        assert (await manager.heard("READY"))["STATUS"] == "waits for the stream"
        agent.signal(signal.SIGTERM)
        assert (await manager.heard("STOPPING"))["STATUS"] == "told to go (SIGTERM), leaves"
        assert (await agent.ended())[0] == 0


async def test_a_start_without_a_coordinator_is_prolonged(tmp_path: Path) -> None:
    coordinator = FakeCoordinator()
    async with member(tmp_path, coordinator.url, "relay", "spare", "--backup") as (_, manager):
        first = await manager.heard("EXTEND_TIMEOUT_USEC")
        assert first["STATUS"] == "waits for the coordinator to admit it"
        await manager.heard("EXTEND_TIMEOUT_USEC")
        assert manager.unready
        async with coordinator:
            await manager.heard("READY")


@pytest.mark.parametrize("command", ["join", "relay"])
async def test_a_member_that_is_refused_says_that_it_ends(tmp_path: Path, command: str) -> None:
    refused = Refused(code="bad-token", reason="no")
    async with (
        FakeCoordinator(refuse=refused) as coordinator,
        member(tmp_path, coordinator.url, command, "a") as (agent, manager),
    ):
        await manager.heard("STOPPING")
        assert (await agent.ended())[0] == 2, "what RestartPreventExitStatus= of the units counts on"
        assert manager.unready


async def test_a_member_that_hangs_falls_silent(tmp_path: Path) -> None:
    async with (
        FakeCoordinator() as coordinator,
        member(tmp_path, coordinator.url, "relay", "spare", "--backup") as (agent, manager),
    ):
        await manager.heard("READY")
        await manager.heard("WATCHDOG")
        agent.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, agent.process.pid, os.WSTOPPED | os.WNOWAIT)  # noqa: ASYNC222 (at once)
        manager.forget()
        manager.wait_without_the_loop(1)
        assert manager.nothing_more()
        agent.signal(signal.SIGCONT)
        await manager.heard("WATCHDOG")
