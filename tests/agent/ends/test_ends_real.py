"""How real agents end when not all is well: losses, closed outputs, impatient users."""

from __future__ import annotations

import asyncio
import os
import pty
import random
import signal
from pathlib import Path

from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Leaving, Report
from tests.agent.test_stream_real import group, place_tree, starter, until_record

SIZE = 48_000_000


async def test_a_member_that_slept_too_long_says_what_it_lost(tmp_path: Path) -> None:
    """Stopped for longer than the ring and the kernel's buffers hold: counted, journalled, exit code 1."""
    media = tmp_path / "media"
    media.write_bytes(random.Random(5).randbytes(SIZE))
    async with group(GroupSettings(report_ms=100)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        await start("send", "s", str(media), "--rate", "200M", "--ring-mb", "2")
        sleeper = await start("join", "a")
        await place_tree(coordinator, {"a": ("s", ())})
        await coordinator.begin("s")
        await until_record(coordinator, "a", 200)
        sleeper.signal(signal.SIGSTOP)
        await coordinator.said("s", Report, lambda report: report.state == "ended")
        sleeper.signal(signal.SIGCONT)
        code, err = await sleeper.ended()
        summary = sleeper.summary()
        assert summary["lost"] > 0
        assert summary["received"] + summary["lost"] == summary["expected"] == -(-SIZE // 7896)
        assert summary["digest_ok"] is None
        assert sum(line["to_seq"] - line["from_seq"] for line in sleeper.lines("lost")) == summary["lost"]
        assert code == 1
        assert err.splitlines()[-1] == f"overlaycast: incomplete: {summary['lost']} records lost"
        # after its sleep it asks all parents, and has one only
        assert all(line["to"] == line["from"] for line in sleeper.lines("switch"))


async def test_a_closed_output_ends_that_member(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.write_bytes(b"m" * 2_000_000)
    async with group(GroupSettings(report_ms=100)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        await start("send", "s", str(media), "--rate", "16M")
        reading, writing = os.pipe()
        reader = await start("join", "a", output="-", stdout=writing)
        os.close(writing)
        await place_tree(coordinator, {"a": ("s", ())})
        await coordinator.begin("s")
        os.close(reading)
        code, err = await reader.ended()
        assert (code, err.splitlines()[-1]) == (1, "overlaycast: output: standard output: Broken pipe")


async def test_the_second_interrupt_is_at_once(tmp_path: Path) -> None:
    async with group() as (coordinator, agents):
        coordinator.release = False
        agent = await starter(coordinator, agents, tmp_path)("join", "a")
        await coordinator.joined("a")
        agent.signal(signal.SIGINT)
        await coordinator.said("a", Leaving)
        agent.signal(signal.SIGINT)
        assert (await agent.ended())[0] == 130


async def test_a_terminal_shows_a_status_line(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    async with group() as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        await start("send", "s", "--synthetic", "20", "--rate", "8M", stderr=theirs)
        os.close(theirs)
        await start("join", "a")
        await place_tree(coordinator, {"a": ("s", ())})
        await coordinator.begin("s")
        shown = b""
        async with asyncio.timeout(90):
            while b"Mbit/s  record" not in shown or b"1 children" not in shown:
                shown += await asyncio.to_thread(os.read, ours, 1000)
        assert b"sending from record 0" in shown
    os.close(ours)
