"""Parents that say what cannot be: each is left, told of, and dialled again ever more rarely. On real sockets."""

from __future__ import annotations

import asyncio

import pytest

from overlaycast.agent.rates import flood
from overlaycast.agent.records.credible import HOLD_S, SLACK
from overlaycast.wire.frames import Data, End, Heartbeat
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Extent
from tests.agent.hops.child import child, until
from tests.agent.hops.fake_parent import FakeParent

LIAR, SOURCE = 1, 3


def end(seq: int) -> End:
    return End(seq, 0, 0, b"d" * 32)


async def test_the_end_of_a_forwarder_counts_when_the_coordinator_says_so() -> None:
    async with FakeParent(1, (0, 10)) as parent, child() as member:
        member.order(1, parent.peer)
        await member.reaches(10)
        member.extent = Extent(least=10, most=10, over=True)
        parent.finish(end(10))
        await until(lambda: member.ring.end is not None)
        assert member.asked > 0
        assert member.liars == []


async def test_a_liar_alone_does_not_end_its_child() -> None:
    async with FakeParent(LIAR, (0, 10)) as liar, child() as member:
        member.extent = Extent(least=10, most=500, over=False)
        member.order(1, liar.peer)
        await member.reaches(10)
        liar.finish(end(10))
        await until(lambda: member.liars != [])
        began, came = asyncio.get_running_loop().time(), liar.came
        assert member.liars[0] == (LIAR, "end", 1.0)
        assert member.ring.end is None
        await until(lambda: liar.came > came)
        assert asyncio.get_running_loop().time() - began > 0.9  # it was not dialled while it was shunned
        await until(lambda: len(member.liars) > 1)
        assert member.liars[1] == (LIAR, "end", 2.0)


async def test_the_end_counts_at_last_when_nobody_can_be_asked() -> None:
    async with FakeParent(1, (0, 10)) as parent, child() as member:
        member.order(1, parent.peer)
        await member.reaches(10)
        begin = asyncio.get_running_loop().time()
        parent.finish(end(10))
        parent.drop()  # it has gone meanwhile: its word still counts
        await until(lambda: member.ring.end is not None)
        assert asyncio.get_running_loop().time() - begin >= HOLD_S * 0.9
        assert member.asked > 1


async def test_the_source_is_believed_at_once() -> None:
    async with FakeParent(SOURCE, (0, 10)) as source, child() as member:
        member.order(1, source.peer, depth=1)
        await member.reaches(10)
        source.finish(end(10))
        await until(lambda: member.ring.end is not None)
        assert member.asked == 0


async def test_a_standby_that_has_the_end_confirms_it_without_the_coordinator() -> None:
    async with FakeParent(1, (0, 10)) as parent, FakeParent(2, (0, 10)) as standby, child() as member:
        member.order(1, parent.peer, standby.peer)
        await member.reaches(10)
        await until(lambda: member.uplink.standbys_ready != ())
        standby.say(Heartbeat(11, ended=True))
        parent.finish(end(10))
        await until(lambda: member.ring.end is not None)
        assert member.asked == 0


async def test_a_true_end_counts_though_the_standby_lies_that_it_is_further_on() -> None:
    patient = GroupSettings(silence_ms=30_000)  # on a busy machine a short silence would have the standby asked
    async with FakeParent(1, (0, 10)) as parent, FakeParent(2, (0, 99)) as liar, child(patient) as member:
        member.order(1, parent.peer, liar.peer)
        await until(lambda: member.uplink.standbys_ready != ())
        member.extent = Extent(least=10, most=10, over=True)
        parent.finish(end(10))
        await until(lambda: member.ring.end is not None)
        assert member.ring.end == end(10)


async def test_nobody_begins_beyond_what_the_coordinator_knows_of_the_source() -> None:
    async with FakeParent(LIAR, None) as liar, FakeParent(SOURCE, (90, 120)) as source, child() as member:
        beyond = 100 + SLACK + 1_000_000
        member.order(1, liar.peer, source.peer, extent=Extent(least=90, most=100))
        await until(lambda: liar.asked != [])
        liar.begin(beyond, beyond + 5)
        await member.reaches(120)
        assert member.liars == [(LIAR, "number", 1.0)]
        assert member.uplink.parent == SOURCE


async def test_who_was_begun_at_a_false_number_goes_on_with_the_stream() -> None:
    async with FakeParent(LIAR, (0, 5)) as liar, FakeParent(SOURCE, (90_000_000, 90_000_010)) as source, child() as one:
        one.order(1, liar.peer)
        await one.reaches(5)
        one.order(2, source.peer, extent=Extent(least=90_000_000, most=90_000_500))
        liar.drop()
        await one.reaches(90_000_010)
        assert one.liars == []


async def test_a_flood_of_heartbeats_is_left() -> None:
    async with FakeParent(LIAR, (0, 10)) as liar, child() as member:
        member.order(1, liar.peer)
        await member.reaches(10)
        liar.say(*[Heartbeat(10)] * (flood.MOST_WORDS + 100))
        await until(lambda: member.liars != [])
        assert member.liars == [(LIAR, "flood", 1.0)]


async def test_a_flood_of_records_is_left_after_the_coordinator_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood, "LEAST_BACKLOG", 1 << 20)
    monkeypatch.setattr(flood, "BACKLOGS", 0)
    async with FakeParent(LIAR, (0, 10)) as liar, child() as member:
        member.extent = Extent(least=10, most=500, mbit=1.0, over=False)
        member.order(1, liar.peer, extent=member.extent)
        await member.reaches(10)
        for seq in range(10, 1000):
            liar.say(Data(seq, 1, bytes(60_000)))
            await asyncio.sleep(0)
            if member.liars:
                break
        await until(lambda: member.liars != [])
        assert member.liars == [(LIAR, "flood", 1.0)]
        assert member.asked >= 1
        assert member.ring.position < 200


async def test_what_is_no_frame_of_a_parent_is_left() -> None:
    async with FakeParent(LIAR, (0, 10)) as liar, child() as member:
        member.order(1, liar.peer)
        await member.reaches(10)
        for writer in liar.writers:
            writer.write(b"\xff" * 24)
        await until(lambda: member.liars != [])
        assert member.liars == [(LIAR, "frame", 1.0)]
