"""Branches that a death has scattered come home in the batch that settles it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from overlaycast.overlay.mending import gather
from overlaycast.overlay.placing import placement
from overlaycast.overlay.plan import moves
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.processes import Inquiry
from overlaycast.overlay.state.tree import ceiling, check, depth
from tests.overlay.scene import Actor, Scene, inside, record

NEAR, FAR = ("srv", "core", "N"), ("srv", "core", "F")


def two_sites(near: int = 8, far: int = 4) -> Scene:
    """A source and two sites of so many; nobody has more than three children."""
    scene = Scene(default_out_degree=3, start_members=near + far, improve_s=0)
    scene.join("source", ("srv",), "source", rtt_ms=0.2, rate_mbit=1000)
    for number in range(near):
        scene.join(f"n{number}", NEAR)
    for number in range(far):
        scene.join(f"f{number}", FAR)
    scene.pass_time(6)
    return scene


def strayed(scene: Scene) -> tuple[Member, Member]:
    """Hang a leaf of the first site from a member of the second, as a standby elsewhere would; return both."""
    group = inside(scene)
    leaf = next(one for one in group.members.values() if one.name.startswith("n") and not one.children)
    feeder = next(one for one in group.members.values() if one.name.startswith("f") and one.spare > 0)
    moves.detach(group, leaf)
    leaf.rank = max(leaf.rank, feeder.rank + 1)
    moves.attach(group, leaf, feeder)
    gather.note_stray(group, leaf)
    return leaf, feeder


def test_a_stray_comes_home_and_one_copy_enters_its_site() -> None:
    scene = two_sites()
    group = inside(scene)
    leaf, _ = strayed(scene)
    assert leaf.router is not None
    assert leaf.router.inbound == 2
    gather.gather_strays(group, scene.now)
    assert leaf.parent is not None
    assert leaf.parent.router is leaf.router
    assert leaf.router.inbound == 1
    assert not group.repair.strays
    check(group.tree, iter(group.members.values()))


@pytest.mark.parametrize("why", ["accused", "unreachable", "stalled"])
def test_a_stray_stays_where_it_is_fed_while_its_neighbours_are_in_doubt(why: str) -> None:
    scene = two_sites()
    group = inside(scene)
    leaf, feeder = strayed(scene)
    source = group.source
    assert source is not None
    edge = leaf.edge_ms
    head = next(one for one in source.children if one.router is leaf.router)
    if why == "accused":
        group.watch.inquiries[head.id] = Inquiry(head.id, scene.now, group.watch.nonce())
    elif why == "unreachable":
        head.connected = False
    else:
        head.watch.status = "stalled"
    gather.gather_strays(group, scene.now)
    assert (leaf.parent, leaf.edge_ms) == (feeder, edge)
    assert list(group.repair.strays) == [leaf.id]  # looked at again when that is settled
    head.connected, head.watch.status = True, "streaming"
    group.watch.inquiries.clear()
    gather.gather_strays(group, scene.now)
    assert leaf.parent is not feeder
    assert leaf.router is not None
    assert leaf.router.inbound == 1


def test_the_only_copy_of_a_site_is_no_stray() -> None:
    scene = two_sites()
    group = inside(scene)
    source = group.source
    assert source is not None
    for head in source.children:
        gather.note_stray(group, head)
    assert group.repair.strays
    before = scene.parents()
    gather.gather_strays(group, scene.now)
    assert scene.parents() == before
    assert not group.repair.strays


def test_who_hangs_from_nobody_or_has_no_neighbour_with_room_is_left_alone() -> None:
    scene = two_sites()
    group = inside(scene)
    leaf, feeder = strayed(scene)
    neighbours = [one for one in group.members.values() if one.router is leaf.router and one is not leaf]
    degrees = {one.id: one.degree for one in neighbours}
    for one in neighbours:
        one.degree = len(one.children)
    gather.gather_strays(group, scene.now)
    assert leaf.parent is feeder
    assert not group.repair.strays
    for one in neighbours:
        one.degree = degrees[one.id]
    gather.note_stray(group, leaf)
    moves.detach(group, leaf)
    gather.gather_strays(group, scene.now)
    assert leaf.parent is None
    assert not group.repair.strays


def test_a_death_that_scatters_a_family_ends_with_one_copy() -> None:
    """Each child has turned to the other site by itself; the batch that settles the death brings all of them home."""
    scene = two_sites(13, 5)
    group = inside(scene)
    router = record(scene, "n0").router
    assert router is not None
    dying = max(
        (one for one in group.members.values() if one.router is router and one.height == 1),
        key=lambda one: len(one.children),
    )
    children = list(dying.children)
    assert len(children) > 1
    elsewhere = [one for one in group.members.values() if one.name.startswith("f") and not one.children]
    scene.actors[dying.id].answers = False  # silent: it is asked whether it lives
    for child in children:
        scene.complain(scene.actors[child.id], scene.actors[elsewhere[0].id])
    assert router.inbound == 1 + len(children)
    scene.pass_time(2)
    assert "gathered" in scene.kinds()
    assert router.inbound == 1
    assert {child.parent.router for child in children if child.parent is not None} == {router}
    check(group.tree, iter(group.members.values()))


def turned(scene: Scene, actor: Actor) -> None:
    """A member without data turns to its standby, or else down its predefined list, and tells."""
    assert actor.order is not None
    named = (*actor.order.standbys, *actor.order.fallbacks)
    living = (scene.actors[peer.member] for peer in named if scene.actors[peer.member].answers)
    scene.complain(actor, next(living, None))


@pytest.mark.parametrize("seed", range(6))
def test_after_a_third_has_died_one_copy_enters_each_site_again(seed: int) -> None:
    scene = Scene(default_out_degree=4, start_members=180, improve_s=0, lost_after_s=2)
    scene.join("source", ("srv",), "source", rtt_ms=0.2, rate_mbit=1000)
    for number in range(180):
        scene.join(f"m{number}", ("srv", "core", f"site {number % 3}"))
    scene.pass_time(6)
    peers = [actor for actor in scene.actors.values() if actor.role == "peer"]
    dead = random.Random(seed).sample(peers, 60)
    for actor in dead:
        actor.answers = False
    for _ in range(30):
        for actor in peers:
            if actor.answers and actor.parent is not None and not scene.actors[actor.parent].answers:
                turned(scene, actor)
        scene.pass_time(1)
    sites = [router for router in inside(scene).routers.core.children if router.count]
    assert [router.inbound for router in sites] == [1, 1, 1]
    check(inside(scene).tree, iter(inside(scene).members.values()))


def remote(scene: Scene, stray: Member) -> None:
    """Hang a member, with its branch, from the source, as if nobody near had been found."""
    group = inside(scene)
    assert group.source is not None
    moves.detach(group, stray)
    moves.attach(group, stray, group.source)
    group.repair.remote[stray.id] = 0


def forwarder(scene: Scene) -> Member:
    """Return one of the first site's forwarders, below its head, whose children forward nothing."""
    return next(
        one
        for one in inside(scene).members.values()
        if one.name.startswith("n") and one.height == 1 and one.parent is not inside(scene).source
    )


@pytest.mark.parametrize("how", ["room", "make-room", "lift"])
def test_a_stray_with_children_finds_room_from_the_top_of_its_place(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = two_sites(14, 5)
    group = inside(scene)
    stray = forwarder(scene)
    head = stray.parent
    assert head is not None
    remote(scene, stray)
    assert stray.router is not None
    assert stray.router.inbound == 2
    monkeypatch.setattr(placement, "seek", lambda *rest, real=placement.seek: _unless(stray, real, *rest))
    if how != "room":
        only_a_leaf_has_room(group, stray)
    if how == "lift":
        monkeypatch.setattr(gather, "_make_room", lambda *_: None)
    before = {child.id for child in stray.children}
    gather.look_for_room(group, scene.now)
    assert stray.parent is not None
    assert stray.parent.router is stray.router
    assert stray.router.inbound == 1
    assert {child.id for child in stray.children} == before
    assert not group.repair.remote
    scene.deliver()
    assert ("made-room" in scene.kinds()) == (how == "make-room")
    check(group.tree, iter(group.members.values()))


def only_a_leaf_has_room(group: Group, stray: Member) -> None:
    """Nobody at the stray's place has room but one who outranks the stray's children."""
    router = [one for one in group.members.values() if one.router is stray.router and one.parent is not stray]
    leaf = max((one for one in router if not one.children and not one.wards), key=lambda one: one.rank)
    leaf.rank = max(leaf.rank, ceiling(stray))
    for one in router:
        if one is not leaf:
            one.degree = len(one.children) + one.promised


def _unless(stray: Member, real: Any, group: Group, member: Member, *rest: Any) -> Any:
    return None if member is stray else real(group, member, *rest)


def test_a_stray_for_whom_there_is_no_room_is_left_to_improvement_at_last() -> None:
    scene = two_sites()
    group = inside(scene)
    leaf, feeder = strayed(scene)
    for one in group.members.values():
        if one.router is leaf.router:
            one.degree = len(one.children)
    group.repair.strays.clear()
    group.repair.remote[leaf.id] = 0
    for looks in range(1, gather.LOOKS):
        gather.look_for_room(group, scene.now)
        assert group.repair.remote == {leaf.id: looks}
    gather.look_for_room(group, scene.now)
    assert not group.repair.remote
    assert leaf.parent is feeder


def test_of_a_place_s_tree_only_the_top_is_in_view(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = two_sites(14, 5)
    router = record(scene, "n0").router
    assert router is not None
    everybody = list(gather._from_the_top(inside(scene), router))
    assert {one.name for one in everybody} == {f"n{number}" for number in range(14)}
    monkeypatch.setattr(gather, "IN_VIEW", 3)
    assert list(gather._from_the_top(inside(scene), router)) == everybody[:3]


def at_the_depth_limit() -> tuple[Scene, list[Member]]:
    """Both members of a site hang from two leaves of another, as deep as may be; return them."""
    scene = Scene(default_out_degree=3, start_members=6, improve_s=0, depth_limit=3)
    scene.join("source", ("srv",), "source", rtt_ms=0.2, rate_mbit=1000)
    for name, router in (("n0", NEAR), ("n1", NEAR), *((f"f{number}", FAR) for number in range(4))):
        scene.join(name, router)
    scene.pass_time(6)
    group = inside(scene)
    near = (one for one in group.members.values() if one.name.startswith("n"))
    pair = sorted(near, key=lambda one: len(one.children))
    leaves = [one for one in group.members.values() if one.name.startswith("f") and depth(one) == 2]
    for one, feeder in zip(pair, leaves, strict=False):
        moves.detach(group, one)
        one.rank = max(one.rank, feeder.rank + 1)
        moves.attach(group, one, feeder)
        group.repair.remote[one.id] = 0
    assert group.source is not None
    group.source.degree = len(group.source.children)
    return scene, pair


def test_where_all_are_at_the_depth_limit_one_is_fed_from_further_up_and_feeds_the_others() -> None:
    scene, pair = at_the_depth_limit()
    group = inside(scene)
    router = pair[0].router
    assert router is not None
    assert [depth(one) for one in pair] == [3, 3]
    assert router.inbound == 2
    head = group.source.children[0] if group.source else None
    assert head is not None
    full, head.degree = head.degree, len(head.children)
    gather.look_for_room(group, scene.now)
    assert router.inbound == 2  # nobody further up has room
    head.degree = full + 1
    moves.enter(group, head)
    gather.look_for_room(group, scene.now)
    assert router.inbound == 1
    assert sorted(depth(one) for one in pair) == [2, 3]
    assert not group.repair.remote
    check(group.tree, iter(group.members.values()))
