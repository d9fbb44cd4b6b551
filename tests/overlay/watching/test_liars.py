"""Parents that their children have found to lie: the pair is kept apart, and nobody else."""

from __future__ import annotations

from overlaycast.overlay.state.members import Member
from overlaycast.wire.messages import Untrue
from tests.overlay.scene import Actor, Scene, inside


def two_sites() -> Scene:
    scene = Scene(default_out_degree=3, source_out_degree=4, start_members=12, improve_s=0)
    scene.join("source", ("srv",), "source", rtt_ms=0.2, rate_mbit=1000)
    for number in range(12):
        scene.join(f"m{number}", ("srv", "core", f"site {number % 2}"))
    scene.pass_time(6)
    return scene


def record(scene: Scene, actor: Actor) -> Member:
    return inside(scene).members[actor.id]


def forwarder(scene: Scene) -> Actor:
    return next(one for one in scene.actors.values() if one.role == "peer" and len(scene.children(one.name)) > 1)


def accuse(scene: Scene, child: Actor, *parents: Actor) -> None:
    scene.report(child, untrue=tuple(Untrue(parent=one.id, what="end") for one in parents))
    scene.deliver()


def told(scene: Scene) -> list[tuple[int | None, object]]:
    return [(one.member, one.details["parent"]) for one in scene.events if one.kind == "untrue"]


def test_a_child_that_was_lied_to_gets_another_parent_and_its_siblings_stay() -> None:
    scene = two_sites()
    liar = forwarder(scene)
    child, sibling = (scene[name] for name in scene.children(liar.name)[:2])
    accuse(scene, child, liar)
    assert scene.parents()[child.name] not in (liar.name, None)
    assert scene.parents()[sibling.name] == liar.name
    assert told(scene) == [(child.id, liar.id)]
    assert scene.overlay.counters().events["untrue"] == 1
    assert record(scene, liar) not in (*record(scene, child).standbys, *record(scene, child).fallbacks)


def test_only_parents_that_it_was_sent_to_count_and_never_the_source() -> None:
    scene = two_sites()
    liar = forwarder(scene)
    child = scene[scene.children(liar.name)[0]]
    mine = record(scene, child)
    strangers = [
        one
        for one in scene.actors.values()
        if record(scene, one) not in (mine, mine.parent, *mine.standbys, *mine.fallbacks)
    ]
    accuse(scene, child, *strangers[:3], scene["source"])
    assert told(scene) == []


def test_accusations_count_at_most_once_a_second() -> None:
    scene = two_sites()
    liar = forwarder(scene)
    child = scene[scene.children(liar.name)[0]]
    accuse(scene, child, liar)
    second = scene.actors[child.parent or 0]
    accuse(scene, child, second)
    assert told(scene) == [(child.id, liar.id)]


def test_a_standby_that_lies_is_none_any_more() -> None:
    scene = two_sites()
    child, standby = next(
        (child, scene.actors[one.id])
        for child in scene.actors.values()
        for one in record(scene, child).standbys
        if one.role != "source"
    )
    parent = scene.parents()[child.name]
    accuse(scene, child, standby)
    assert told(scene) == [(child.id, standby.id)]
    assert scene.parents()[child.name] == parent
    assert record(scene, standby) not in record(scene, child).standbys
