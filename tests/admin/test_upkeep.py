"""``overlaycast group drain`` and ``rebalance`` with a coordinator that runs: what is printed, and the exit codes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from overlaycast.admin.command import main
from overlaycast.errors import ConfigError
from tests.coordinator.conftest import Running, Start, member_link, start, subscription

__all__ = ["start"]  # the fixture


async def group(running: Running, *words: str) -> int:
    token = str(running.state / "admin.token")
    return await asyncio.to_thread(main, [*words, "--coordinator", running.url, "--admin-token-file", token])


async def test_a_drained_member_and_who_still_needs_it(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna, member_link(running) as bert:
            for member, name in ((anna, "anna"), (bert, "bert")):
                await member.say(subscription(token, name=name))
                await member.hear()
            assert await group(running, "drain", "demo", "anna") == 0
            assert capsys.readouterr().out == "member 1 (anna) is drained; it is still needed by 2 (bert)\n"
            assert await group(running, "drain", "demo", "1", "--wait", "0.3") == 1
            assert "still needed by 2 (bert)" in capsys.readouterr().out
            waiting = asyncio.create_task(group(running, "drain", "demo", "1", "--wait", "60", "--json"))
            running.overlay().drained[1] = []
            assert await waiting == 0
            answer = json.loads(capsys.readouterr().out)
            assert (answer["member"], answer["draining"], answer["left"]) == (1, True, [])
            assert await group(running, "drain", "demo", "anna", "--undo") == 0
            assert capsys.readouterr().out == "member 1 (anna) is not drained\n"


async def test_nobody_left_to_wait_for(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            await anna.hear()
            assert await group(running, "drain", "demo", "anna", "--wait", "0") == 0
            assert capsys.readouterr().out == "member 1 (anna) is drained; no member needs it\n"


async def test_what_cannot_be_is_said_in_one_line(start: Start) -> None:
    async with start() as running:
        await running.create()
        with pytest.raises(ConfigError, match="group demo has no member nobody"):
            await group(running, "drain", "demo", "nobody")
        with pytest.raises(ConfigError, match="wait: accepted only without --undo"):
            await group(running, "drain", "demo", "anna", "--undo", "--wait", "3")
        with pytest.raises(ConfigError, match="no group other"):
            await group(running, "rebalance", "other")


async def test_moves_are_printed(start: Start, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    async with start() as running:
        token = await running.create()
        await group(running, "rebalance", "demo")
        assert capsys.readouterr().out == "nobody is moved: nobody is here\n"
        async with member_link(running) as anna, member_link(running) as bert:
            for member, name in ((anna, "anna"), (bert, "bert")):
                await member.say(subscription(token, name=name))
                await member.hear()
            await group(running, "rebalance", "demo")
            header, line = capsys.readouterr().out.splitlines()
            assert header.split() == ["MEMBER", "FROM", "TO", "LINKS", "MS"]
            assert line.split() == ["1", "(anna)", "1", "(anna)", "2", "(bert)", "-1", "-2.5"]
            await group(running, "rebalance", "demo", "--json")
            assert json.loads(capsys.readouterr().out)["moves"][0]["now"] == {"id": 2, "name": "bert"}
