"""Exchanges in a running tree: they save what no single move would, and are made whole or not at all."""

from __future__ import annotations

import functools
import random

import pytest

from overlaycast.overlay.mending import replan
from overlaycast.overlay.mending.replan import Leave
from overlaycast.overlay.placing import search
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import links_between
from overlaycast.overlay.state.tree import check
from tests.overlay.scene import Scene

ANYBODY = Leave(lambda member: True, lambda feeder, member: True)


def arrivals(seed: int, routers: int = 14) -> Scene:
    """A source and members at routers of a tree by chance, who come one after another, too deep for the limit."""
    rng = random.Random(seed)
    paths: list[tuple[str, ...]] = [("gw",)]
    for number in range(routers):
        paths.append((*rng.choice(paths[-3:]), f"r{number}"))
    scene = Scene(start_members=0, report_ms=1000, rate_mbit=1, depth_limit=4)
    scene.join("source", paths[0], "source", rtt_ms=0.2)
    scene.pass_time(2)
    for path in rng.sample(paths[1:], routers):
        hops = tuple(0.2 + hop for hop in range(len(path)))
        scene.join(f"m-{path[-1]}", path, rtt_ms=hops[-1], hops_ms=hops)
        scene.pass_time(1)
    return scene


def copies(scene: Scene) -> int:
    """Links that all copies pass."""
    members = scene.overlay._group.members.values()
    return sum(links_between(one.router, one.parent.router) for one in members if one.parent is not None)


def at_rest(seed: int) -> Scene:
    """A group in which no single move is worth it any more."""
    scene = arrivals(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replan, "MOST", 0)
        scene.pass_time(400)
    return scene


@functools.cache
def telling_seed() -> int:
    """A seed of a group at rest in which an exchange of several heads still saves links."""
    for seed in range(100):
        scene = at_rest(seed)
        before = copies(scene)
        if len(replan.exchange(scene.overlay._group, ANYBODY, 2)) > 1:
            assert copies(scene) < before
            return seed
    raise AssertionError("no exchange in a hundred groups")


def stuck() -> Scene:
    return at_rest(telling_seed())


def parents(scene: Scene) -> dict[int, Member | None]:
    return {one.id: one.parent for one in scene.overlay._group.members.values()}


def ranks(scene: Scene) -> dict[int, int]:
    """New ones would cost branches their links."""
    return {one.id: one.rank for one in scene.overlay._group.members.values()}


def test_heads_that_move_together_save_what_no_single_move_does() -> None:
    scene = stuck()
    before = copies(scene)
    scene.pass_time(60)
    assert copies(scene) < before
    assert all(event.details.get("gain_links", 1) >= 0 for event in scene.events if event.kind == "improved")
    check(scene.overlay._group.tree, iter(scene.overlay._group.members.values()))


@pytest.mark.parametrize("seed", range(8))
def test_it_comes_to_rest(seed: int) -> None:
    scene = arrivals(seed)
    scene.pass_time(900)
    rested = parents(scene)
    scene.pass_time(300)
    assert parents(scene) == rested
    check(scene.overlay._group.tree, iter(scene.overlay._group.members.values()))


def test_an_exchange_is_taken_back_if_a_step_cannot_be_made() -> None:
    scene = stuck()
    before, told = parents(scene), ranks(scene)
    first: list[Member] = []

    def feeds(feeder: Member, member: Member) -> bool:
        first.append(member)
        return member is first[0]

    assert replan.exchange(scene.overlay._group, Leave(lambda member: True, feeds), 1) == []
    assert len(set(first)) > 1
    assert parents(scene) == before
    assert ranks(scene) == told
    check(scene.overlay._group.tree, iter(scene.overlay._group.members.values()))


def test_nobody_is_moved_who_may_not_be() -> None:
    scene = stuck()
    before = parents(scene)
    assert replan.exchange(scene.overlay._group, Leave(lambda member: False, lambda feeder, member: True), 100) == []
    assert replan.exchange(scene.overlay._group, Leave(lambda member: True, lambda feeder, member: False), 100) == []
    assert parents(scene) == before


def test_a_way_that_would_become_too_long_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = stuck()
    before = parents(scene)
    monkeypatch.setattr(search, "short_enough", lambda group, member, delay, stretch: False)
    assert replan.exchange(scene.overlay._group, ANYBODY, 100) == []
    assert parents(scene) == before


def test_without_a_source_that_has_a_place_there_is_no_plan() -> None:
    scene = stuck()
    group, before = scene.overlay._group, parents(scene)
    assert group.source is not None
    group.source.router = None
    assert replan.exchange(group, ANYBODY, 100) == []
    assert parents(scene) == before
