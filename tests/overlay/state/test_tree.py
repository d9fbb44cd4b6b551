"""The tree refuses what would break it, and its checker finds what is broken; members' states; timers; versions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from overlaycast.errors import ConfigError, LocalProtocolError
from overlaycast.overlay import Overlay
from overlaycast.overlay.state.members import Member, State
from overlaycast.overlay.state.timers import Timers
from overlaycast.overlay.state.tree import Tree, ancestors, branch, ceiling, check, depth, top
from overlaycast.wire.group import GroupSettings
from tests.overlay.scene import KEY, figure_2a


def line(length: int, limit: int = 10, degree: int = 2) -> tuple[Tree, list[Member]]:
    """A source and a chain below it."""
    tree = Tree(limit)
    members = [Member(number, f"m{number}", "peer" if number else "source", degree=degree) for number in range(length)]
    tree.plant(members[0])
    for parent, child in pairwise(members):
        tree.attach(child, parent)
    return tree, members


def test_a_chain_knows_its_depth_height_and_size() -> None:
    _, members = line(4)
    assert [depth(one) for one in members] == [0, 1, 2, 3]
    assert [one.height for one in members] == [3, 2, 1, 0]
    assert [one.size for one in members] == [4, 3, 2, 1]
    assert list(ancestors(members[3])) == members[2::-1]
    assert list(branch(members[1])) == members[1:]
    assert top(members[3]) is members[0]


def test_a_branch_moves_in_one_piece_and_keeps_its_ranks() -> None:
    tree, members = line(5)
    ranks = [one.rank for one in members]
    tree.detach(members[3])
    tree.attach(members[3], members[0])
    assert [one.rank for one in members] == ranks
    assert [one.height for one in members] == [2, 1, 0, 1, 0]
    check(tree, iter(members))


def test_a_member_that_goes_deeper_gets_a_rank_between() -> None:
    tree, members = line(3)
    late = Member(9, "late", "peer", degree=2)
    child = Member(10, "child", "peer", degree=2)
    tree.attach(late, members[0])
    tree.attach(child, late)
    child.rank = tree.fresh_rank(5)
    tree.detach(late)
    tree.attach(late, members[2])
    assert members[2].rank < late.rank < child.rank == ceiling(late)


def test_no_rank_of_a_lifted_branch_falls() -> None:
    tree = Tree(10)
    source, top, low, high = (Member(number, f"m{number}", "peer", degree=2) for number in range(1, 5))
    tree.plant(source)
    tree.attach(top, source)
    tree.attach(low, top)
    tree.attach(high, top, level=200)
    kept = high.rank
    assert tree.lift(top, low.rank) == [top, low]
    assert top.rank < low.rank < kept == high.rank


def test_a_lifted_branch_keeps_its_order() -> None:
    tree, members = line(4)
    high = tree.fresh_rank(50)
    lifted = tree.lift(members[1], high)
    assert lifted == members[1:]
    assert high < members[1].rank < members[2].rank < members[3].rank


Wrong = Callable[[Tree, list[Member]], object]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda tree, members: tree.attach(members[0], members[1]),
        lambda tree, members: tree.attach(members[2], members[0]),
        lambda tree, members: tree.attach(Member(9, "x", "peer"), members[3]),
    ],
)
def test_what_would_break_the_tree_is_refused(wrong: Wrong) -> None:
    tree, members = line(4, limit=3)
    with pytest.raises(LocalProtocolError):
        wrong(tree, members)
    check(tree, iter(members))


def test_nobody_hangs_below_its_own_branch_or_above_its_degree() -> None:
    tree, members = line(4, degree=1)
    tree.detach(members[1])
    with pytest.raises(LocalProtocolError, match="does not fit"):
        tree.attach(members[1], members[3])
    tree.attach(members[1], members[0])
    with pytest.raises(LocalProtocolError, match="does not fit"):
        tree.attach(Member(9, "x", "peer"), members[0])


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("degree", 0, "children"),
        ("height", 7, "height"),
        ("size", 7, "size"),
        ("rank", 0, "rank"),
    ],
)
def test_the_checker_finds_what_is_broken(field: str, value: int, complaint: str) -> None:
    tree, members = line(4)
    setattr(members[1], field, value)
    with pytest.raises(LocalProtocolError, match=complaint):
        check(tree, iter(members))


def test_the_checker_finds_strangers_and_depth() -> None:
    tree, members = line(4)
    tree.depth_limit = 2
    with pytest.raises(LocalProtocolError, match="deep"):
        check(tree, iter(members))
    stranger = Member(9, "x", "peer", parent=members[0], rank=1 << 50)
    with pytest.raises(LocalProtocolError, match="child"):
        check(tree, iter([stranger]))


def test_the_dead_do_not_come_back() -> None:
    member = Member(1, "m", "peer")
    member.become(State.DEAD)
    with pytest.raises(LocalProtocolError, match="DEAD cannot become ACTIVE"):
        member.become(State.ACTIVE)
    assert "DEAD" in repr(member)


def test_a_timer_is_in_force_once() -> None:
    timers = Timers()
    timers.arm(5, "ping", 1)
    timers.arm(3, "ping", 1)
    timers.arm(4, "flag", 2)
    timers.cancel("flag", 2)
    assert timers.next() == 3
    assert timers.due(10) == [("ping", 1)]
    assert timers.next() is None


def test_a_snapshot_of_another_version_is_refused() -> None:
    with pytest.raises(ConfigError, match="version"):
        Overlay.restore(GroupSettings(), KEY, {"version": 99}, 0)


def test_people_see_every_member() -> None:
    scene = figure_2a()
    scene.pass_time(2)
    members = scene.overlay.members()
    assert [one.name for one in members if one.primary] == ["a1", "c1", "d1", "e1"]
    one = next(one for one in members if one.name == "a1")
    assert one.routers == ("A", "B", "core", "srv")
    assert one.receive_mbit == pytest.approx(8.4)
    assert one.transmit_mbit == pytest.approx(8.4)
    assert {seat.site for seat in scene.overlay.tree().members} >= {"B", "C", "D", "E"}
