"""Who is told whose place, and again when a control link was down."""

from __future__ import annotations

from overlaycast.wire.messages import Accept
from tests.overlay.scene import Actor, Scene, figure_2a, inside


def named_by(scene: Scene, feeder: Actor) -> set[int]:
    """Return the members whose newest orders name this one."""
    return {
        actor.id
        for actor in scene.actors.values()
        if (order := actor.order) is not None
        for peer in (order.parent, *order.standbys, *order.fallbacks)
        if peer is not None and peer.member == feeder.id
    }


def test_who_comes_back_hears_of_all_that_may_turn_to_it() -> None:
    """What was said while its control link was down, it has missed."""
    scene = figure_2a()
    fallbacks = {peer.member for actor in scene.actors.values() if actor.order for peer in actor.order.fallbacks}
    assert len(fallbacks) >= 2
    for actor in scene.actors.values():
        actor.heard.clear()
        assert scene.resume(actor)
        scene.deliver()
        accepted = {one.child for one in actor.heard if isinstance(one, Accept)}
        assert accepted == named_by(scene, actor), actor.name


def test_lists_are_counted_for_members_that_there_are() -> None:
    scene = figure_2a()
    listed = inside(scene).orders.listed
    for name in ("c1", "a2", "d3", "backup", "b1"):
        scene.kill(scene[name])
        scene.pass_time(60.0)
        members = inside(scene).members
        expected = {(one.id, member.id) for member in members.values() for one in member.fallbacks}
        assert {(one, holder) for one, holders in listed.items() for holder in holders} == expected
        assert all(listed.values())
