"""A file's parent whose heartbeats claim records that do not come is silent; one that waits for its disk is not."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from overlaycast.agent.hops.child_link import ChildLink
from overlaycast.agent.hops.uplink import Uplink
from overlaycast.agent.records.chunks import Checks, leaves
from overlaycast.agent.records.ring import Ring
from overlaycast.failover.admission import Admission
from overlaycast.wire.frames import IDLE, Data, Decoder, Digests, Frame, Heartbeat, Hello, Start, encode
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Address, Contents, Peer
from tests.agent.hops.child import Child, child, until

RECORD: Final = 1000
CHUNK: Final = 4
RECORDS: Final = 40
PAYLOADS: Final = [bytes([number]) * RECORD for number in range(RECORDS)]
BEAT_S: Final = 0.02
PAUSE_BEATS: Final = 40
SETTINGS: Final = GroupSettings(mode="file", heartbeat_ms=25, silence_ms=250)


def _contents() -> tuple[Contents, bytes]:
    chunks = [b"".join(PAYLOADS[at : at + CHUNK]) for at in range(0, RECORDS, CHUNK)]
    digests = b"".join(hashlib.sha256(chunk).digest() for chunk in chunks)
    told = leaves(digests)
    return (
        Contents(
            size=RECORD * RECORDS,
            record_size=RECORD,
            chunk_records=CHUNK,
            sha256=hashlib.sha256(b"".join(PAYLOADS)).hexdigest(),
            digests_sha256=hashlib.sha256(told).hexdigest(),
        ),
        told + digests,
    )


CONTENTS, LIST = _contents()


class FileParent:
    """A parent that sends so many records and then heartbeats that claim ``claims`` of them.

    After ``PAUSE_BEATS`` of these it sends the records up to ``then``.
    """

    def __init__(self, sends: int, claims: int, then: int) -> None:
        self.sends, self.claims, self.then = sends, claims, then
        self.links, self.gone = 0, asyncio.Semaphore(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.links += 1
        decoder = Decoder()
        feeding: list[asyncio.Task[None]] = []
        try:
            while data := await reader.read(4096):
                for frame in decoder.feed(data):
                    if isinstance(frame, Hello | Start):
                        for task in feeding:
                            task.cancel()
                        feeding.append(asyncio.create_task(self.feed(frame, writer)))
        finally:
            for task in feeding:
                task.cancel()
            writer.close()
            self.gone.release()

    async def feed(self, asked: Hello | Start, writer: asyncio.StreamWriter) -> None:
        def say(*frames: Frame) -> None:
            writer.write(b"".join(map(encode, frames)))

        begin = asked.resume_from
        if asked.digests and self.sends:
            say(Digests(0, LIST))
        if begin != IDLE:
            say(Heartbeat(begin, seek=True), *records(begin, self.sends))
        for beat in itertools.count():
            say(Heartbeat(max(self.claims, self.then if beat > PAUSE_BEATS else 0)))
            await asyncio.sleep(BEAT_S)
            if beat == PAUSE_BEATS and begin != IDLE:
                say(*records(self.sends, self.then))


def records(first: int, after: int) -> list[Data]:
    return [Data(seq, 1, PAYLOADS[seq]) for seq in range(first, after)]


@asynccontextmanager
async def parent(member: int, sends: int, claims: int, then: int = 0) -> AsyncIterator[Peer]:
    one = FileParent(sends, claims, then)
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0) as server:
        address = Address(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        yield Peer(member=member, name=f"m{member}", addresses=(address,), grant=f"{member:032x}", rank=member)
        for _ in range(one.links):  # our other end is closed by now
            await one.gone.acquire()


@asynccontextmanager
async def receiver() -> AsyncIterator[Child]:
    async with child() as one:
        one.uplink.close()
        one.uplink = Uplink(one.ring, SETTINGS, 0, one, one.spawn, random.Random(1), bool)
        one.ring.anchor(0)
        one.uplink.open(Checks(CONTENTS, lambda: None))
        yield one


@pytest.mark.parametrize("sends", [0, 6])
async def test_a_parent_that_claims_records_and_sends_none_is_left_like_a_silent_one(sends: int) -> None:
    """With none the list of digests stays away too; with six a chunk and a half has come before."""
    async with parent(1, sends, RECORDS) as mute, parent(2, RECORDS, RECORDS) as standby, receiver() as one:
        one.order(1, mute, standby)
        await until(lambda: one.uplink.standbys_ready == (2,))
        await one.reaches(sends // CHUNK * CHUNK)
        await one.reaches(RECORDS)
        assert one.uplink.parent == 2


async def test_a_parent_that_waits_in_the_middle_of_a_chunk_keeps_us() -> None:
    """Its heartbeats claim what has come: more than whole chunks, and no more than was sent."""
    async with parent(1, 6, 6, then=RECORDS) as slow, parent(2, RECORDS, RECORDS) as standby, receiver() as one:
        one.order(1, slow, standby)
        await one.reaches(RECORDS)
        assert one.uplink.parent == 1
        assert one.said == []


async def test_a_parent_says_what_its_child_can_have_while_the_disk_is_awaited() -> None:
    """What it has read itself, and cannot read again yet, it does not claim."""

    class NotYet:
        def read(self, seq: int, into: memoryview) -> None:
            return None

        def digests(self, start: int) -> tuple[bytes, int]:
            return b"", start

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        ring = Ring(4)
        ring.anchor(30)
        link = ChildLink(
            ours,
            Decoder(),
            Admission(7, "c", 1, False),
            9,
            ring,
            NotYet(),
            bool,
            bool,
            lambda link, why: None,
            lambda link: None,
        )
        link.begin(12)
        link.tell_state()
        said = [frame for frame in Decoder().feed(theirs.recv(4096)) if isinstance(frame, Heartbeat)]
        assert [(one.next_seq, one.seek) for one in said] == [(12, True), (12, False)]
        link.close("over")
