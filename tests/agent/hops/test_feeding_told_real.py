"""A parent is said to feed us when a record has come from it, and not before; what fails is told. On real sockets."""

from __future__ import annotations

import asyncio

import pytest

from overlaycast.wire.frames import Heartbeat
from overlaycast.wire.journal import Attached, Fed, InVain, ParentLinkFailed
from tests.agent.hops.child import Child, child, until
from tests.agent.hops.fake_parent import FakeParent
from tests.agent.hops.test_claims_of_files_real import RECORDS, parent, receiver


def told(one: Child, kind: type[Attached] | type[Fed]) -> list[int | None]:
    return [entry.parent for entry in one.entries if isinstance(entry, kind)]


async def test_a_live_parent_feeds_us_from_its_first_record_on() -> None:
    async with FakeParent(1, None) as first, child() as one:
        one.order(1, first.peer)
        await until(lambda: told(one, Attached) == [1])
        first.say(*[Heartbeat(0)] * 5)
        await asyncio.sleep(0.1)
        assert (told(one, Fed), one.delivering) == ([], [])
        first.begin(0, 3)
        await one.reaches(3)
        await until(lambda: told(one, Fed) == [1])
        assert one.delivering == [1]


async def test_a_parent_that_comes_back_feeds_us_anew_and_is_told_to_people_once() -> None:
    async with FakeParent(1, (0, 3)) as first, child() as one:
        one.order(1, first.peer)
        await until(lambda: told(one, Fed) == [1])
        first.drop()
        await until(lambda: ("reset", 1) in one.failures)
        first.has = (0, 6)
        await one.reaches(6)
        await until(lambda: told(one, Fed) == [1, 1])
        assert one.delivering == [1]
        assert ParentLinkFailed(parent=1, reason="reset") in one.entries


@pytest.mark.parametrize("sends", [0, 2])
async def test_a_files_parent_feeds_us_from_its_first_chunk_on(sends: int) -> None:
    """Half a chunk is no record yet: it may be forged."""
    async with parent(1, sends, RECORDS) as mute, parent(2, RECORDS, RECORDS) as standby, receiver() as one:
        one.order(1, mute, standby)
        await one.reaches(RECORDS)
        await until(lambda: told(one, Fed) == [2])
        assert told(one, Attached) == [1, 2]
        assert one.delivering == [2]


async def test_those_that_are_asked_in_vain_are_told() -> None:
    async with (
        parent(1, 0, RECORDS) as mute,
        parent(2, 0, RECORDS) as mute_too,
        parent(3, RECORDS, RECORDS) as third,
        receiver() as one,
    ):
        one.order(1, mute, mute_too, third)
        await one.reaches(RECORDS)
        await until(lambda: ("in vain", 2) in one.failures)
        assert InVain(parents=(2,)) in one.entries
        assert one.uplink.parent == 3
