"""A parent that has no records yet does not take the place of one that has what comes next. On real sockets."""

from __future__ import annotations

import asyncio

from tests.agent.hops.child import child, until
from tests.agent.hops.fake_parent import FakeParent


async def test_after_a_reset_what_others_hold_is_not_lost_to_an_empty_standby() -> None:
    async with (
        FakeParent(1, (0, 10)) as parent,
        FakeParent(2, None) as empty,
        FakeParent(3, (0, 30)) as whole,
        child() as member,
    ):
        member.order(1, parent.peer, empty.peer, whole.peer)
        await member.reaches(10)
        await until(lambda: len(member.uplink.standbys_ready) == 2)
        parent.drop()
        await until(lambda: empty.asked != [])
        await asyncio.sleep(0.05)  # it has said several times that it lives
        empty.begin(20, 30)
        await member.reaches(30)
        assert member.lost == []
        assert member.uplink.parent == 3


async def test_nobody_is_left_who_delivers_for_a_new_parent_that_has_nothing() -> None:
    async with FakeParent(1, (0, 10)) as parent, FakeParent(2, None) as newcomer, child() as member:
        member.order(1, parent.peer)
        await member.reaches(10)
        member.order(2, newcomer.peer, parent.peer)
        await until(lambda: newcomer.asked != [])
        await asyncio.sleep(0.1)
        assert member.uplink.parent == 1
        newcomer.begin(10, 15)
        await member.reaches(15)
        assert member.uplink.parent == 2
        assert member.lost == []


async def test_the_loss_is_taken_where_nobody_has_what_comes_next() -> None:
    async with FakeParent(1, (0, 10)) as parent, FakeParent(2, (20, 30)) as standby, child() as member:
        member.order(1, parent.peer, standby.peer)
        await member.reaches(10)
        parent.has = (20, 25)
        parent.drop()
        await member.reaches(25)
        assert member.lost == [(10, 20)]
