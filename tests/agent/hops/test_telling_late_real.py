"""A forwarder whose own data is late says so to its children, over real sockets: now, or as soon as a link takes it."""

from __future__ import annotations

import asyncio

from overlaycast.agent.records.ring import Ring
from overlaycast.wire.frames import EDGE, OLDEST, Data, Decoder, Frame, Heartbeat
from tests.agent.hops.test_sharing_real import admit, connected, forwarder


async def test_children_hear_of_it_at_once_and_of_its_end() -> None:
    async with forwarder(None, asyncio.Event()) as down, asyncio.timeout(30):
        here, there = connected()
        there.setblocking(False)
        admit(down, here, 1, EDGE)
        down.set_late(True)
        down.set_late(True)
        down.set_late(False)
        decoder = Decoder()
        said: list[bool] = []
        while len(said) < 3:
            frames = decoder.feed(await asyncio.get_running_loop().sock_recv(there, 65536))
            said += [frame.late for frame in frames if isinstance(frame, Heartbeat)]
        assert said == [False, True, False]
        there.close()


async def test_a_link_that_is_full_hears_the_newest_word_once_behind_a_whole_record() -> None:
    ring, records = Ring(8), 100
    ring.anchor(0)
    for _ in range(records):
        ring.append(bytes(60_000), 0)
    async with forwarder(None, asyncio.Event(), ring) as down, asyncio.timeout(30):
        here, there = connected()
        there.setblocking(False)
        admit(down, here, 1, OLDEST)
        for late in (True, False, True):
            down.set_late(late)
        await asyncio.sleep(0)
        decoder = Decoder()
        frames: list[Frame] = []
        while sum(isinstance(frame, Data) for frame in frames) < records:
            frames += decoder.feed(await asyncio.get_running_loop().sock_recv(there, 1 << 20))
        assert [frame.seq for frame in frames if isinstance(frame, Data)] == list(range(records))
        first, *later = [frame.late for frame in frames if isinstance(frame, Heartbeat)]
        assert not first
        assert later == [True]
        there.close()
