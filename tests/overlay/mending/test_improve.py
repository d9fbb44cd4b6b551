"""Improvement while a group runs: unlucky orders of arrival are mended, and only where nothing else is being mended."""

from __future__ import annotations

import random

import pytest

from overlaycast.overlay.mending import improve
from overlaycast.overlay.placing import placement, search
from overlaycast.overlay.placing.search import Rules, Search
from overlaycast.overlay.plan import moves
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import links_between
from overlaycast.overlay.state.tree import LEVEL_BITS, check
from tests.overlay.scene import Scene, after_a_death, figure_2a, record

ROAD = ("gw", "r1", "r2", "r3", "r4", "r5", "r6", "r7")


def road(order: list[int], **settings: object) -> Scene:
    """A source at one end of a chain of routers, and members that come one after another, each at one router."""
    scene = Scene(**({"start_members": 0, "report_ms": 1000, "rate_mbit": 1} | settings))
    scene.join("source", ("gw",), "source", rtt_ms=0.2)
    scene.pass_time(2)
    for stop in order:
        hops = tuple(0.2 + 10.0 * hop for hop in range(stop + 1))
        scene.join(f"m{stop}", ROAD[: stop + 1], rtt_ms=0.2 + 10 * stop, hops_ms=hops)
        scene.pass_time(1)
    return scene


def copies(scene: Scene) -> int:
    """Links that all copies pass."""
    members = scene.overlay._group.members.values()
    return sum(links_between(one.router, one.parent.router) for one in members if one.parent is not None)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_order_of_arrival_each_link_carries_one_copy_in_the_end(seed: int) -> None:
    order = list(range(1, 8))
    random.Random(seed).shuffle(order)
    scene = road(order)
    scene.pass_time(240)
    assert copies(scene) == 7
    for event in scene.events:
        if event.kind == "improved":
            assert event.details["gain_links"] >= 1 or event.details["gain_ms"] >= improve.LEAST_GAIN_MS
    check(scene.overlay._group.tree, iter(scene.overlay._group.members.values()))


def test_a_newcomer_on_the_way_moves_nobody_and_is_followed_later() -> None:
    scene = road([6])
    assert scene.parents()["m6"] == "source"
    scene.join("m5", ROAD[:6], rtt_ms=50.2)
    assert scene.parents() == {"source": None, "m6": "source", "m5": "source"}
    scene.pass_time(90)
    assert scene.parents() == {"source": None, "m6": "m5", "m5": "source"}
    assert [event.kind for event in scene.events].count("improved") == 1


def test_without_improvement_a_newcomer_hangs_from_the_nearest() -> None:
    scene = road([6], improve_s=0)
    scene.join("m5", ROAD[:6], rtt_ms=50.2)
    assert scene.parents()["m5"] == "m6"


def test_ranks_follow_the_distance_from_the_source() -> None:
    scene = road([6, 3, 1])
    ranks = [record(scene, name).rank >> LEVEL_BITS for name in ("m1", "m3", "m6")]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 3


def test_a_repair_keeps_improvement_from_its_own_branch_only() -> None:
    scene = road([6, 7])
    scene.join("x2", ("gw", "s1", "s2"), rtt_ms=20.2)
    scene.join("x1", ("gw", "s1"), rtt_ms=10.2)
    scene.join("m3", ROAD[:4], rtt_ms=30.2)
    group = scene.overlay._group
    assert scene.parents()["m6"] == "source"
    assert scene.parents()["x2"] == "source"
    later = scene.now + 100  # long after everybody has come
    group.improvement.hinted = dict.fromkeys((scene["m6"].id, scene["x2"].id))
    record(scene, "m7").past(mended_at=later)  # below m6
    assert record(scene, "m7").parent is record(scene, "m6")
    improve.step(group, later + 1)
    assert scene.parents()["x2"] == "x1"
    assert scene.parents()["m6"] == "source"
    improve.step(group, later + improve.CALM_S)
    assert scene.parents()["m6"] == "m3"


@pytest.mark.parametrize("who", ["above", "target"])
def test_nobody_is_moved_from_or_to_a_branch_that_is_being_mended(who: str) -> None:
    scene = road([6])
    scene.join("m3", ROAD[:4], rtt_ms=30.2)
    group = scene.overlay._group
    later = scene.now + 100
    mended = record(scene, "m6" if who == "above" else "m3")
    mended.past(mended_at=later)
    group.improvement.hinted = {scene["m6"].id: None}
    improve.step(group, later + 1)
    assert scene.parents()["m6"] == "source"


def test_repairs_are_remembered() -> None:
    scene, heir = after_a_death()
    assert record(scene, heir).history.mended_at == scene.now


def test_who_feeds_others_elsewhere_does_not_make_their_way_too_long() -> None:
    """A shorter copy for one may be a long way round for those behind it."""
    scene = road([6])
    one, group = record(scene, "m6"), scene.overlay._group
    scene.join("m7", ROAD, rtt_ms=70.2)
    assert record(scene, "m7").parent is one
    assert search.short_enough(group, one, 31.0)
    assert not search.short_enough(group, one, 60.0)


def test_a_branch_too_tall_for_any_place_is_hung_in_parts() -> None:
    scene = road([1, 2, 3, 4], depth_limit=4, source_out_degree=1, default_out_degree=2, improve_s=0)
    scene.join("y", ("gw", "s1"), rtt_ms=10.2)
    group = scene.overlay._group
    names = ("m1", "m2", "m3", "m4", "y")
    m1, m2, m3, m4, y = (record(scene, name) for name in names)
    moves.detach(group, y)
    moves.attach(group, y, m1)
    assert [one.parent for one in (m1, m2, m3, m4, y)] == [group.source, m1, m2, m3, m1]
    moves.detach(group, m2)
    m1.degree = 1  # all that is left is the third level, and three levels want a place
    assert placement.attach_to_best(group, m2)
    assert [one.parent for one in (m2, m3, m4)] == [y, y, m3]
    check(group.tree, iter(group.members.values()))


def test_where_nobody_has_room_at_all_a_branch_waits_whole_and_nothing_is_improved() -> None:
    scene = road([1, 2, 3], default_out_degree=1, source_out_degree=1)
    group, m1 = scene.overlay._group, record(scene, "m1")
    moves.detach(group, m1)
    assert group.source is not None
    group.source.degree = 0
    assert not placement.attach_to_best(group, m1)
    assert m1.height == 2
    assert list(group.repair.waiting) == [m1.id]
    group.improvement.hinted = {m1.id: None}
    improve.step(group, scene.now)
    assert group.improvement.hinted


def test_many_near_the_source_are_searched_from_the_member_outwards() -> None:
    scene = Scene(start_members=0, source_out_degree=80)
    scene.join("source", ("gw",), "source")
    for number in range(70):
        scene.join(f"m{number}", ("gw", f"s{number}"))
    group = scene.overlay._group
    newcomer = Member(999, "new", "peer", located=True, router=record(scene, "m7").router)
    two_levels = Search(group, newcomer, rules=Rules(deepest=2))
    assert two_levels._shallow() is None
    assert two_levels.run() is record(scene, "m7")
    assert Search(group, newcomer, rules=Rules(deepest=1)).run() is group.source


def test_who_has_no_place_enters_no_site_twice() -> None:
    scene = figure_2a()
    assert improve._doubled(scene.overlay._group, record(scene, "source")) is None


@pytest.mark.parametrize("always", [False, True])
def test_nobody_is_moved_while_the_group_settles_but_not_for_ever(always: bool) -> None:
    scene = road([6], improve_s=2)
    scene.pass_time(improve.REST_S)
    scene.join("m5", ROAD[:6], rtt_ms=50.2)
    failed = scene.now
    while "improved" not in scene.kinds() and scene.now < failed + 90:
        if always or scene.now == failed:
            scene.overlay._group.note(scene.now, "failover", None)
        scene.pass_time(1)
    took = scene.now - failed
    assert "improved" in scene.kinds()
    assert (improve.PATIENCE_S if always else improve.SETTLED_S) <= took <= improve.PATIENCE_S + 15


# --- at once, for an operator ---------------------------------------------------------------------------------


@pytest.mark.parametrize("improve_s", [0, 3600])
def test_an_operator_may_have_a_round_at_once(improve_s: int) -> None:
    scene = road([6], improve_s=improve_s)
    scene.join("m3", ROAD[:4], rtt_ms=30.2)
    scene.pass_time(improve.SETTLED_S)
    assert scene.parents()["m6"] == "source"
    done = scene.overlay.rebalance(scene.now)
    scene.deliver()
    [move] = done.moves
    assert (move.member.name, move.was.name, move.now.name, move.gain_links) == ("m6", "source", "m3", 3)
    assert done.hindrance is None
    assert scene.parents()["m6"] == "m3"
    assert scene.overlay.rebalance(scene.now).moves == ()


def test_a_round_at_once_moves_no_more_than_any_other() -> None:
    scene = road([6, 7], improve_s=0)
    for number in (2, 3, 4):
        scene.join(f"x{number}", ("gw", *(f"s{stop}" for stop in range(number))), rtt_ms=10.2 * number)
    for _ in range(5):
        assert len(scene.overlay.rebalance(scene.now).moves) <= 1
        scene.deliver()
        check(scene.overlay._group.tree, iter(scene.overlay._group.members.values()))


def test_what_hinders_a_round_is_said() -> None:
    scene = Scene(start_members=1)
    assert scene.overlay.rebalance(scene.now).hindrance == "the source has not begun"
    scene = road([6], source_out_degree=1, default_out_degree=0, improve_s=0)
    scene.join("late", ROAD[:3])
    assert scene.overlay.rebalance(scene.now).hindrance == "members wait for a parent: 1"
    scene = road([6], improve_s=0)
    scene.overlay._group.note(scene.now, "failover", None)
    assert scene.overlay.rebalance(scene.now).hindrance == "a failure is being settled"
