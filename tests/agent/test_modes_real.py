"""Real agents: late joiners, a source that starts again, file groups."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
from pathlib import Path

from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Done, Report
from tests.agent.fake_coordinator import FakeCoordinator
from tests.agent.processes import AgentProcess
from tests.agent.test_stream_real import group, place_tree, same, starter, until_record

SIZE = 12_000_000


def write_media(folder: Path, size: int) -> Path:
    path = folder / "media"
    path.write_bytes(random.Random(11).randbytes(size))
    return path


def beside(output: Path) -> list[str]:
    return sorted(path.name for path in output.parent.glob(output.name + "*"))


async def all_well(agents: list[AgentProcess]) -> None:
    for agent in agents:
        code, err = await agent.ended(60)
        assert (agent.name, code) == (agent.name, 0), err


async def test_a_late_joiner_of_a_live_group_begins_at_the_edge(tmp_path: Path) -> None:
    media = write_media(tmp_path, 4_000_000)
    async with group(GroupSettings(report_ms=100)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", str(media), "--rate", "8M")
        first, late = await start("join", "a"), await start("join", "b")
        await coordinator.joined("b")
        await place_tree(coordinator, {"a": ("s", ())})
        await coordinator.begin("s")
        await until_record(coordinator, "a", 100)
        source.signal(signal.SIGSTOP)  # the stream shall not be over before it is there, on a busy machine
        await coordinator.place("b", "a")
        await coordinator.fed_by("b", "a")
        source.signal(signal.SIGCONT)
        await all_well(agents)
        begun = late.summary()["first_seq"]
        assert begun >= 100
        assert late.output.read_bytes() == media.read_bytes()[begun * 7896 :]
        assert (late.summary()["lost"], late.summary()["digest_ok"]) == (0, None)
        assert same(first, media)


async def test_a_late_joiner_may_begin_with_the_oldest(tmp_path: Path) -> None:
    media = write_media(tmp_path, 3_000_000)
    async with group(GroupSettings(report_ms=100, start_from="oldest")) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", str(media), "--rate", "8M")
        await start("join", "a")
        late = await start("join", "b")
        await coordinator.joined("b")
        await place_tree(coordinator, {"a": ("s", ())})
        await coordinator.begin("s")
        await until_record(coordinator, "a", 100)
        source.signal(signal.SIGSTOP)
        await coordinator.place("b", "a")
        await coordinator.fed_by("b", "a")
        source.signal(signal.SIGCONT)
        await all_well(agents)
        assert same(late, media)


async def test_a_late_joiner_may_begin_some_seconds_back(tmp_path: Path) -> None:
    """8 Mbit/s of 7896 bytes: 64 records in half a second, and no burst of more than 32 makes up for being late.

    The source stands still while they join, so that all of them meet the same edge.
    """
    media = write_media(tmp_path, 3_000_000)
    async with group(GroupSettings(report_ms=100, start_back_s=0.5)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", str(media), "--rate", "8M")
        await start("join", "a")
        whole = await start("join", "b", "--start-back", "600")
        edge = await start("join", "c", "--start-back", "0")
        late = await start("join", "d")
        await coordinator.joined("b", "c", "d")
        await place_tree(coordinator, {"a": ("s", ())})
        await coordinator.begin("s")
        await until_record(coordinator, "a", 100)
        source.signal(signal.SIGSTOP)
        for name in ("c", "d", "b"):
            await coordinator.place(name, "a")
            await coordinator.fed_by(name, "a")
        source.signal(signal.SIGCONT)
        await all_well(agents)
        assert same(whole, media)  # no more than is held, which here is all
        at_edge, begun = edge.summary()["first_seq"], late.summary()["first_seq"]
        assert 1 <= at_edge - begun <= 64 + 32 + 1
        assert late.output.read_bytes() == media.read_bytes()[begun * 7896 :]


async def test_a_source_that_starts_again_goes_on_with_the_numbers(tmp_path: Path) -> None:
    media = write_media(tmp_path, 2_000_000)
    async with group(GroupSettings(report_ms=100)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", str(media), "--rate", "4M")  # far from its end when it dies
        peers = [await start("join", "a"), await start("join", "b")]
        await place_tree(coordinator, {"a": ("s", ()), "b": ("a", ())})
        await coordinator.begin("s")
        await until_record(coordinator, "b", 50)
        source.signal(signal.SIGKILL)
        await coordinator.members["s"].gone.wait()
        agents.remove(source)
        # reports from before the first order have no parent either
        orphaned = await coordinator.said("a", Report, lambda report: report.parent is None and report.next_seq >= 50)
        reached = orphaned.next_seq
        again = await start("send", "s2", str(media), "--rate", "16M")
        await coordinator.joined("s2")
        await coordinator.root("s2")
        await coordinator.place("a", "s2")
        await coordinator.fed_by("a", "s2")
        await coordinator.begin("s2", next_seq=reached, incarnation=1)
        await all_well([*peers, again])
        for peer in peers:
            got = peer.output.read_bytes()
            assert got[: reached * 7896] == media.read_bytes()[: reached * 7896]
            assert got[reached * 7896 :] == media.read_bytes()
            assert peer.summary()["digest_ok"] is True
            assert peer.summary()["lost"] == 0
        assert peers[1].lines("switch") == []


async def test_file_mode_gives_everybody_everything(tmp_path: Path) -> None:
    """Rings of 2 MiB and a file of 12 MB: what a late joiner needs is on disks, a relay's too."""
    media = write_media(tmp_path, SIZE)
    small = ("--ring-mb", "2")
    async with group(GroupSettings(mode="file", report_ms=100)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        await start("send", "s", str(media), "--rate", "24M", *small)
        early = [await start("join", name, *small) for name in ("a", "b")]
        await start("relay", "r", *small)
        late = [await start("join", name, *small) for name in ("c", "d")]
        await coordinator.joined("c", "d")
        await place_tree(coordinator, {"a": ("s", ()), "r": ("a", ()), "b": ("r", ())})
        await coordinator.begin("s")
        await until_record(coordinator, "b", 170)
        await coordinator.place("c", "r")
        await coordinator.place("d", "c")
        await all_well(agents)
        for agent in (*early, *late):
            assert same(agent, media)
            done = await coordinator.said(agent.name, Done)
            assert done.ok
            assert agent.summary()["digest_ok"] is True


async def test_file_mode_as_fast_as_possible_with_a_killed_parent(tmp_path: Path) -> None:
    media = write_media(tmp_path, SIZE)
    async with group(GroupSettings(mode="file", report_ms=100)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        await start("send", "s", str(media), "--rate", "64M")
        victim = await start("join", "a")
        others = [await start("join", "b"), await start("join", "c")]
        await place_tree(coordinator, {"a": ("s", ()), "b": ("a", ("s",)), "c": ("b", ("s",))})
        await coordinator.begin("s")
        await until_record(coordinator, "c", 70)
        victim.signal(signal.SIGKILL)
        await victim.process.wait()
        agents.remove(victim)
        await coordinator.revoke("s", "a")
        await all_well(agents)
        assert all(same(agent, media) for agent in others)


async def test_a_receiver_that_starts_again_goes_on_where_it_was(tmp_path: Path) -> None:
    """Killed in the middle of 60 MB: what was written is kept, the rest is fetched, its child has all of it."""
    media = write_media(tmp_path, 5 * SIZE)
    async with group(GroupSettings(mode="file", report_ms=100)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", str(media), "--rate", "120M")
        first = await start("join", "a")
        await place_tree(coordinator, {"a": ("s", ())})
        await coordinator.begin("s")
        await until_record(coordinator, "a", 600)
        source.signal(signal.SIGSTOP)  # or it would be done before the others have started, on a busy machine
        first.signal(signal.SIGKILL)
        await first.process.wait()
        agents.remove(first)
        again = await start("join", "a2", output=str(first.output))
        child = await start("join", "c")
        await coordinator.joined("a2", "c")
        await coordinator.place("a2", "s")
        await coordinator.place("c", "a2")
        source.signal(signal.SIGCONT)
        await all_well(agents)
        kept = re.search(r"resuming at record (\d+)", again.stderr)
        assert kept
        assert (
            int(kept[1]) >= 300
        )  # what it had read but not written died with it: a fourth of the ring and a read at most
        assert same(again, media)
        assert same(child, media)
        assert again.summary()["bytes_received"] < 4 * SIZE
        assert beside(first.output) == ["a.out"]


async def test_file_mode_wants_regular_files(tmp_path: Path) -> None:
    async with FakeCoordinator(GroupSettings(mode="file")) as coordinator:
        pipe = await AgentProcess.start(tmp_path, coordinator.url, "join", "a", output="/dev/null")
        code, err = await pipe.ended()
        assert code == 2
        assert "output: accepted in a file group is a regular file" in err
        made_up = await AgentProcess.start(tmp_path, coordinator.url, "send", "s", "--synthetic", "1", "--rate", "8M")
        code, err = await made_up.ended()
        assert code == 2
        assert "file: accepted in a file group is a regular file" in err


async def test_a_receiver_that_starts_again_goes_on_with_its_recording(tmp_path: Path) -> None:
    media = write_media(tmp_path, 3_000_000)
    async with group(GroupSettings(rate_mbit=8, start_members=1, report_ms=100)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", str(media), "--rate", "8M")
        first = await start("join", "a")
        await place_tree(coordinator, {"a": ("s", ())})
        await coordinator.begin("s")
        await until_record(coordinator, "a", 60)
        source.signal(signal.SIGSTOP)  # or the stream would be over before the next one has started
        first.signal(signal.SIGTERM)
        await first.ended()
        agents.remove(first)
        before = await asyncio.to_thread(first.output.read_bytes)
        await start("join", "a2", output=str(first.output))
        await coordinator.joined("a2")
        await coordinator.place("a2", "s")
        source.signal(signal.SIGCONT)
        await all_well(agents)
        after = await asyncio.to_thread(first.output.read_bytes)
        assert before
        assert after.startswith(before)
        parts = [json.loads(line) for line in first.output.with_name("a.out.parts").read_text().splitlines()]
        assert [part["offset"] for part in parts] == [0, len(before)]
        assert after[len(before) :] == media.read_bytes()[parts[1]["record"] * 7896 :]
