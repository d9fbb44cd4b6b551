"""A child takes nothing more from a source that has lost its place, nor from one that hands on what that one sent."""

from __future__ import annotations

from overlaycast.wire.frames import Data
from tests.agent.hops.child import child, until
from tests.agent.hops.fake_parent import FakeParent


async def test_what_has_come_is_the_last_that_is_taken_from_a_deposed_source() -> None:
    async with FakeParent(1, (0, 10)) as former, FakeParent(2, None) as successor, child() as member:
        member.order(1, former.peer, depth=1, incarnation=0)
        await member.reaches(10)
        former.say(*(Data(number, 1, b"old") for number in range(10, 13)))
        await until(lambda: any(link.unread for link in member.uplink.links.values()) or member.ring.position == 13)
        member.order(2, successor.peer, depth=1, incarnation=1, deposed=1)
        assert member.ring.position == 13
        await until(lambda: not former.writers)
        await until(lambda: successor.asked != [])
        assert set(successor.asked) == {13}
        successor.incarnation = 1
        successor.begin(13, 20)
        await member.reaches(20)
        assert (member.uplink.parent, member.lost, member.liars) == (2, [], [])


async def test_a_forwarder_that_still_has_the_former_source_is_left() -> None:
    async with FakeParent(1, (0, 10)) as parent, FakeParent(2, (0, 20)) as late, FakeParent(3, (0, 30)) as other:
        parent.incarnation = other.incarnation = 1
        async with child() as member:
            member.order(1, parent.peer, late.peer, other.peer, incarnation=1)
            await member.reaches(10)
            await until(lambda: len(member.uplink.standbys_ready) == 2)
            parent.drop()
            await member.reaches(30)
            assert member.lost == []
            assert {(liar, what) for liar, what, _ in member.liars} == {(2, "number")}
