"""Who can open a connection to whom, and what parents and children are told of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay import Overlay
from overlaycast.overlay.plan.reach import linked, neighbours, neighbours_only, opens, way
from overlaycast.overlay.state.members import Member
from overlaycast.wire.messages import Accept, Address, Assign, Resume, Subscribe
from tests.overlay.scene import KEY, Actor, Scene, inside

BOX = "192.0.2.1"
MEMBERS = st.builds(
    Member,
    id=st.integers(1, 9),
    name=st.just("m"),
    role=st.just("peer"),
    addresses=st.just((("192.0.2.9", 8471),)),
    reachable=st.booleans(),
    dials=st.booleans(),
    inside=st.sampled_from([None, (BOX, "10.0.0.2", 8471), ("192.0.2.7", "10.0.0.2", 8471)]),
)


@given(MEMBERS, MEMBERS)
def test_a_link_needs_one_end_that_can_dial(one: Member, other: Member) -> None:
    assert linked(one, other) == linked(other, one) == (opens(one, other) or opens(other, one))
    assert bool(way(one, other)) == opens(one, other)
    if not one.dials and not other.dials:
        assert not linked(one, other)
    if one.dials and other.reachable:
        assert opens(one, other)
    if not neighbours(one, other):
        assert opens(one, other) == (one.dials and other.reachable)


@given(MEMBERS, MEMBERS)
def test_a_pair_is_of_neighbours_only_if_the_assumption_alone_links_it(parent: Member, child: Member) -> None:
    strangers = linked(replace(parent, inside=None), child)
    assert neighbours_only(parent, child) == (not strangers)


def accepts(scene: Scene, parent: str, child: str) -> list[Accept]:
    ids = scene[parent].id, scene[child].id
    return [m for to, m in scene.sent if isinstance(m, Accept) and (to, m.child) == ids]


def order(actor: Actor) -> Assign:
    assert actor.order is not None
    return actor.order


def hidden_source(**settings: Any) -> Scene:
    scene = Scene(start_members=2, **settings)
    scene.join("source", ("srv",), "source", reachable=False)
    scene.join("ann", ("srv", "core", "a"))
    scene.join("bob", ("srv", "core", "b"))
    return scene


def test_a_parent_that_cannot_be_dialled_is_told_to_call_and_its_child_to_wait() -> None:
    scene = hidden_source()
    assert scene.parents()["ann"] == "source"
    (told,) = accepts(scene, "source", "ann")
    assert told.addresses == (Address(host="10.0.2.2", port=8471),)
    parent = order(scene["ann"]).parent
    assert parent is not None
    assert (parent.addresses, parent.grant) == ((), told.grant)


def test_who_can_be_dialled_is_dialled_as_ever() -> None:
    scene = Scene(start_members=1)
    scene.join("source", ("srv",), "source")
    scene.join("ann", ("srv", "a"), reachable=False)
    assert accepts(scene, "source", "ann")[0].addresses == ()
    parent = order(scene["ann"]).parent
    assert parent is not None
    assert parent.addresses == (Address(host="10.0.1.2", port=8471),)


def test_a_member_that_cannot_dial_is_called() -> None:
    scene = Scene(start_members=1)
    scene.join("source", ("srv",), "source")
    scene.join("ann", ("srv", "a"), dials=False)
    assert len(accepts(scene, "source", "ann")[0].addresses) == 1
    scene.join("nobody", ("srv", "a"), dials=False, reachable=False)
    assert scene.parents()["nobody"] is None  # there is no way to it at all
    scene.join("bob", ("srv", "a"), reachable=False)
    assert scene.parents()["bob"] in ("source", "ann")


def test_neighbours_behind_one_translator_dial_each_other_inside_and_one_copy_comes_in() -> None:
    scene = Scene(start_members=4, default_out_degree=2)
    scene.join("source", ("srv",), "source")
    for name in ("ann", "bob", "cat", "dan"):
        scene.join(name, ("srv", "core"), behind=BOX)
    parents = scene.parents()
    assert sorted(parents.values(), key=str).count("source") == 1
    for name, above in parents.items():
        if above not in (None, "source"):
            parent = order(scene[name]).parent
            assert parent is not None
            assert parent.addresses[0].host.startswith("10.0.")
            assert accepts(scene, above or "", name)[0].addresses == ()
    assert {seat.site for seat in scene.overlay.tree().members if seat.name != "source"} == {BOX}


def test_who_forwards_by_calling_feeds_those_whom_nobody_else_can_feed() -> None:
    scene = Scene(start_members=5, source_out_degree=1, default_out_degree=3)
    scene.join("source", ("srv",), "source")
    for name in ("ann", "bob", "cat"):
        scene.join(name, ("srv", "core"), behind=BOX)
    for name in ("dan", "eve"):
        scene.join(name, ("srv", "core", "office"))
    parents = scene.parents()
    head = next(name for name, above in parents.items() if above == "source")
    assert head in ("ann", "bob", "cat")
    outer = next(name for name in ("dan", "eve") if parents[name] in ("ann", "bob", "cat"))
    assert accepts(scene, parents[outer] or "", outer)[0].addresses
    caller = scene[parents[outer] or ""]
    scene.kill(caller)
    scene.pass_time(15)
    after = scene.parents()
    assert all(above is not None for name, above in after.items() if name not in ("source", caller.name))


def test_nobody_is_on_a_predefined_list_whom_the_member_cannot_dial() -> None:
    scene = hidden_source(source_out_degree=1)
    for actor in scene.actors.values():
        if actor.order is not None:
            assert all(peer.addresses for peer in actor.order.fallbacks)


def test_a_neighbour_that_cannot_be_reached_after_all_is_no_neighbour() -> None:
    scene = Scene(start_members=2)
    scene.join("source", ("srv",), "source")
    scene.join("ann", ("srv", "core"), behind=BOX)
    scene.join("bob", ("srv", "core"), behind=BOX)
    child = next(name for name, above in scene.parents().items() if above in ("ann", "bob"))
    scene.complain(scene[child], reason="unreachable")
    scene.deliver()
    assert scene.parents()[child] == "source"
    scene.pass_time(120)
    assert scene.parents()[child] == "source"


@pytest.mark.parametrize("failed", ["cat", "dan"])
def test_what_one_neighbour_cannot_open_is_not_held_against_the_others(failed: str) -> None:
    """One of the parent's children could not dial it: the parent keeps its own parent and its other children."""
    scene = Scene(start_members=4, default_out_degree=2, source_out_degree=1, improve_s=0)
    scene.join("source", ("srv",), "source")
    for name in ("ann", "bob", "cat", "dan"):
        scene.join(name, ("srv", "core"), behind=BOX)
    before = scene.parents()
    assert before == {"source": None, "ann": "source", "bob": "ann", "cat": "ann", "dan": "bob"}
    scene.complain(scene[failed], reason="unreachable")
    well_linked(scene)
    scene.deliver()
    well_linked(scene)
    assert "unusable-pair" in scene.kinds()
    assert scene.parents() == before | {failed: {"cat": "bob", "dan": "cat"}[failed]}


def well_linked(scene: Scene) -> None:
    for member in inside(scene).members.values():
        assert member.parent is None or linked(member.parent, member), member


def test_a_source_that_comes_back_hidden_calls_and_whom_it_cannot_call_goes_elsewhere() -> None:
    scene = Scene(start_members=2)
    scene.join("source", ("srv",), "source")
    scene.join("ann", ("srv", "a"))
    scene.join("bob", ("srv", "b"), reachable=False)
    assert set(scene.children("source")) == {"ann", "bob"}
    scene.kill(scene["source"])
    scene.join("again", ("srv",), "source", reachable=False)
    scene.pass_time(3)
    assert scene.parents()["ann"] == "again"
    assert accepts(scene, "again", "ann")[0].addresses
    assert scene.parents()["bob"] == "ann"


def test_children_hear_of_a_parent_that_comes_back_elsewhere() -> None:
    scene = Scene(start_members=1)
    source = scene.join("source", ("srv",), "source")
    scene.join("ann", ("srv", "a"))
    scene.overlay.disconnected(source.id, scene.now)
    request = Subscribe(
        version=2,
        group="g",
        token="t",
        name="source",
        role="source",
        addresses=(Address(host="203.0.113.7", port=9000),),
        resume=Resume(member=source.id, secret="s" * 16, epoch=source.epoch, rank=0, next_seq=0),
    )
    assert scene.overlay.resume(request, scene.now)
    scene.deliver()
    parent = order(scene["ann"]).parent
    assert parent is not None
    assert parent.addresses == request.addresses


def test_what_is_known_of_reach_outlives_the_coordinator() -> None:
    scene = Scene(start_members=2)
    scene.join("source", ("srv",), "source")
    scene.join("ann", ("srv", "core"), behind=BOX)
    scene.join("bob", ("srv", "core"), dials=False)
    kept = json.loads(json.dumps(scene.overlay.snapshot()))
    again = Overlay.restore(scene.settings, KEY, kept, scene.now)
    members = {member.name: member for member in again._group.members.values()}
    assert members["ann"].inside == (BOX, "10.0.2.2", 8471)
    assert (members["ann"].dials, members["bob"].dials) == (True, False)
    for one in kept["members"]:  # a snapshot from before these were kept
        del one["dials"], one["inside"]
    older = Overlay.restore(scene.settings, KEY, kept, scene.now)
    assert all(member.dials and member.inside is None for member in older._group.members.values())
