"""Real agents and a file that is not what it should be: tampered with, half there, changed, sent again."""

from __future__ import annotations

import asyncio
import hashlib
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from overlaycast.agent.records.chunks import leaves
from overlaycast.wire.frames import Data, Decoder, Digests, Frame, Heartbeat, Hello, Start, encode
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Accept, Address, Assign, Contents, Peer
from tests.agent.fake_coordinator import FakeCoordinator
from tests.agent.test_modes_real import all_well, beside, write_media
from tests.agent.test_stream_real import group, place_tree, same, starter, until_record

SIZE = 4_000_000
RECORD = 32_768
NONE = "0" * 64
SETTINGS = GroupSettings(mode="file", report_ms=100)


@asynccontextmanager
async def forger(media: Path, spoil: str) -> AsyncIterator[int]:
    """A parent whose list, or whose record 3, is not the source's; return its port."""
    content = await asyncio.to_thread(media.read_bytes)
    records = [content[at : at + RECORD] for at in range(0, len(content), RECORD)]
    digests = b"".join(hashlib.sha256(record).digest() for record in records)
    told = leaves(digests) + (bytes(len(digests)) if spoil == "list" else digests)
    records[3] = bytes(RECORD)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = Decoder()
        with suppress(OSError):
            while data := await reader.read(4096):
                for frame in decoder.feed(data):
                    if isinstance(frame, Hello | Start) and frame.resume_from < len(records):
                        writer.write(answer(frame))
        writer.close()

    def answer(asked: Hello | Start) -> bytes:
        frames: list[Frame] = [Digests(0, told)] if asked.digests else []
        frames.append(Heartbeat(asked.resume_from, seek=True))
        frames += [Data(seq, 1, records[seq]) for seq in range(asked.resume_from, 8)]
        return b"".join(map(encode, frames))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("spoil", ["record", "list"])
async def test_a_parent_that_forges_is_left_at_its_first_chunk(tmp_path: Path, spoil: str) -> None:
    media = write_media(tmp_path, SIZE)
    async with group(SETTINGS) as (coordinator, agents), forger(media, spoil) as port:
        start = starter(coordinator, agents, tmp_path)
        await start("send", "s", str(media), "--record-size", str(RECORD))
        peer, below = await start("join", "a"), await start("join", "b")
        await coordinator.joined("s", "a", "b")
        await coordinator.root("s")
        # the forger is the parent, the source the standby
        me, source = coordinator.members["a"], coordinator.members["s"]
        me.rank = 1 << 20
        address = Address(host="127.0.0.1", port=port)
        bad = Peer(member=99, name="forger", addresses=(address,), grant="9" * 32, rank=1)
        good = coordinator.peer(source, me)
        await source.send(
            Accept(epoch=1, child=me.id, name="a", grant=good.grant, standby=True, data_version=good.data_version)
        )
        await me.send(Assign(epoch=1, rank=me.rank, depth=1, parent=bad, standbys=(good,)))
        await coordinator.place("b", "a")
        await coordinator.fed_by("a", "s")  # by itself, before the source has begun: nothing was believed
        await coordinator.fed_by("b", "a")
        await coordinator.begin("s")
        await all_well(agents)
        assert same(peer, media)
        assert same(below, media)
        (damaged,) = peer.lines("damaged")
        assert damaged["parent"] == 99
        assert ("chunk 3 " if spoil == "record" else "list of digests") in damaged["what"]
        assert {told.parent for told in coordinator.complaints("a") if told.reason == "damaged"} == {99}
        assert below.lines("damaged") == []


async def test_a_receiver_that_is_told_to_go_comes_back_to_its_part(tmp_path: Path) -> None:
    media = write_media(tmp_path, SIZE)
    async with group(SETTINGS) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", str(media), "--rate", "8M")
        first = await start("join", "a", "--overwrite")
        await asyncio.to_thread(first.output.write_bytes, b"an older file of this name")
        await place_tree(coordinator, {"a": ("s", ())})
        await coordinator.begin("s")
        await until_record(coordinator, "a", 20)
        source.signal(signal.SIGSTOP)  # it must not be done before the other one has started
        first.signal(signal.SIGTERM)
        code, err = await first.ended()
        assert (code, err.splitlines()[-1]) == (1, "overlaycast: interrupted before the file was complete")
        agents.remove(first)
        assert beside(first.output) == ["a.out", "a.out.digests", "a.out.part"]
        assert await asyncio.to_thread(first.output.read_bytes) == b"an older file of this name"
        again = await start("join", "a2", "--overwrite", output=str(first.output))
        await coordinator.joined("a2")
        await coordinator.place("a2", "s")
        source.signal(signal.SIGCONT)
        await all_well(agents)
        assert "resuming at record " in again.stderr
        assert same(again, media)
        assert again.summary()["bytes_received"] < SIZE
        assert beside(first.output) == ["a.out"]
        assert [line["percent"] for line in again.lines("progress")][-1] == 100


async def test_a_source_that_starts_again_goes_on_with_the_file(tmp_path: Path) -> None:
    media = write_media(tmp_path, SIZE)
    async with group(SETTINGS) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source = await start("send", "s", str(media), "--rate", "4M")
        peers = [await start("join", "a"), await start("join", "b")]
        await place_tree(coordinator, {"a": ("s", ()), "b": ("a", ())})
        await coordinator.begin("s")
        await until_record(coordinator, "b", 20)
        source.signal(signal.SIGKILL)
        await coordinator.members["s"].gone.wait()
        agents.remove(source)
        await start("send", "s2", str(media))
        await coordinator.joined("s2")
        await coordinator.root("s2")
        await coordinator.place("a", "s2")
        await coordinator.fed_by("a", "s2")
        await coordinator.begin("s2", next_seq=20, incarnation=1)
        await all_well(agents)
        assert all(same(peer, media) for peer in peers)
        assert all(peer.summary()["digest_ok"] for peer in peers)


async def test_a_file_that_changes_while_it_is_sent_is_not_passed_off_as_the_one_announced(tmp_path: Path) -> None:
    media = write_media(tmp_path, SIZE)
    async with group(SETTINGS) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source, peer = await start("send", "s", str(media), "--rate", "4M"), await start("join", "a")
        await place_tree(coordinator, {"a": ("s", ())})
        await coordinator.begin("s")
        await until_record(coordinator, "a", 10)
        await asyncio.to_thread(media.write_bytes, bytes(SIZE))
        code, err = await source.ended()
        assert code == 2
        assert "it was changed while it was being sent" in err
        assert not await asyncio.to_thread(peer.output.exists)


async def test_a_receiver_does_not_mix_two_files(tmp_path: Path) -> None:
    async with FakeCoordinator(SETTINGS) as coordinator, group(SETTINGS) as (_, agents):
        peer = await starter(coordinator, agents, tmp_path)("join", "a")
        (member,) = await coordinator.joined("a")
        one = Contents(size=5, record_size=2, chunk_records=1, sha256="0" * 64, digests_sha256="f" * 64)
        await member.send(one)
        await member.send(one.model_copy(update={"size": 6}))
        code, err = await peer.ended()
        assert code == 1
        assert "the source sends another file now" in err


async def test_a_file_system_that_cannot_hold_the_file_is_told_in_one_line(tmp_path: Path) -> None:
    async with group(SETTINGS) as (coordinator, agents):
        peer = await starter(coordinator, agents, tmp_path)("join", "a")
        (member,) = await coordinator.joined("a")
        resource.prlimit(peer.process.pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
        await member.send(Contents(size=SIZE, record_size=RECORD, chunk_records=1, sha256=NONE, digests_sha256=NONE))
        code, err = await peer.ended()
        assert code == 1
        assert f"overlaycast: output: {peer.output}: File too large" in err
        assert "Traceback" not in err


async def test_a_name_that_is_taken_meanwhile_is_told_in_one_line(tmp_path: Path) -> None:
    media = write_media(tmp_path, 100_000)
    async with group(SETTINGS) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        source, peer = await start("send", "s", str(media)), await start("join", "a")
        await place_tree(coordinator, {"a": ("s", ())})
        await asyncio.to_thread(peer.output.mkdir)
        await coordinator.begin("s")
        code, err = await peer.ended()
        assert code == 1
        assert f"overlaycast: output: {peer.output}: File exists" in err
        part = peer.output.with_name("a.out.part")
        assert await asyncio.to_thread(part.read_bytes) == await asyncio.to_thread(media.read_bytes)  # nothing is lost
        assert (await source.ended())[0] == 0


async def test_a_source_that_is_told_to_go_does_not_read_its_file_to_the_end_first(tmp_path: Path) -> None:
    media = tmp_path / "media"
    with media.open("wb") as file:
        file.truncate(400 << 30)  # holes: takes no room, and a quarter of an hour to read
    async with group(SETTINGS) as (coordinator, agents):
        source = await starter(coordinator, agents, tmp_path)("send", "s", str(media))
        await coordinator.joined("s")
        source.signal(signal.SIGTERM)
        code, err = await source.ended()
        assert (code, err.splitlines()[-1]) == (1, "overlaycast: interrupted before the file was complete")
        assert not source.lines("contents")
