"""Members that are drained: their children go elsewhere, they get none, and they go on receiving."""

from __future__ import annotations

import json

import pytest

from overlaycast.overlay import Overlay
from overlaycast.overlay.mending import drain
from overlaycast.overlay.plan import moves, orders
from overlaycast.overlay.state.members import State
from overlaycast.overlay.state.tree import check
from overlaycast.wire.messages import Done, Leaving
from tests.overlay.scene import KEY, Scene, figure_2a, inside, record, restart

WHY = "a test"


def sound(scene: Scene) -> None:
    check(inside(scene).tree, iter(inside(scene).members.values()))


def forwarder(scene: Scene) -> str:
    """Return a member, no server, that has most children."""
    names = [name for name in scene.parents() if name not in ("source", "backup")]
    return max(names, key=lambda name: (len(scene.children(name)), name))


def drained(scene: Scene, name: str) -> None:
    assert scene.overlay.drain(scene[name].id, scene.now, WHY) is None
    scene.deliver()
    sound(scene)


def left(scene: Scene, name: str) -> list[str]:
    return [one.name for one in scene.overlay.draining(scene[name].id).left]


def states(scene: Scene) -> dict[str, str]:
    return {seat.name: seat.state for seat in scene.overlay.tree().members}


def test_its_children_go_elsewhere_and_it_stays_where_it_is() -> None:
    scene = figure_2a()
    name = forwarder(scene)
    before, children = scene.parents(), scene.children(name)
    drained(scene, name)
    assert scene.children(name) == []
    assert scene.parents()[name] is not None
    assert {scene.parents()[child] for child in children}.isdisjoint({None, name})
    assert all(scene.parents()[one] == before[one] for one in before if one not in (name, *children))
    assert states(scene)[name] == "DRAINING"
    assert left(scene, name) == []
    told = [(event.kind, event.details.get("reason")) for event in scene.events if "drain" in event.kind]
    assert told == [("draining", WHY), ("drained", None)]


def test_it_is_empty_only_when_its_children_say_that_others_feed_them() -> None:
    scene = figure_2a()
    name = forwarder(scene)
    children = [scene[child] for child in scene.children(name)]
    for child in children:
        child.answers = False
    scene.overlay.drain(scene[name].id, scene.now, WHY)
    scene.deliver()
    assert sorted(left(scene, name)) == sorted(child.name for child in children)
    for child in children:
        assert "drained" not in scene.kinds()
        child.answers = True
        scene.deliver()
        scene._obey(child, next(said for said in reversed(child.heard) if said.kind == "assign"))
        scene.deliver()
    assert left(scene, name) == []
    assert scene.kinds().count("drained") == 1


def test_nobody_goes_to_a_drained_member() -> None:
    scene = figure_2a()
    name = forwarder(scene)
    drained(scene, name)
    one = record(scene, name)
    assert one.degree == 0
    for other in inside(scene).members.values():
        assert one not in (*other.standbys, *other.fallbacks)
    path = [router.name for router in reversed(list(one.router.up()))][1:]  # type: ignore[union-attr]
    scene.join("neighbour", path)
    scene.pass_time(30)
    assert scene.children(name) == []


def test_whoever_turns_to_it_by_itself_is_sent_away() -> None:
    scene = figure_2a()
    name = forwarder(scene)
    child = scene[scene.children(name)[0]]
    drained(scene, name)
    scene.complain(child, scene[name], "reset")
    assert record(scene, child.name).parent is not record(scene, name)
    scene.overlay.receive(child.id, scene_report(scene, child.name, scene[name].id), scene.now)
    assert left(scene, name) == [child.name]
    scene.pass_time(10)
    assert scene.children(name) == []
    assert left(scene, name) == []


def scene_report(scene: Scene, name: str, parent: int):  # type: ignore[no-untyped-def]
    from overlaycast.wire.messages import Report

    actor = scene[name]
    return Report(
        epoch=actor.epoch, parent=parent, state="streaming", next_seq=1, interval_ms=1000, bytes=1000, records=1
    )


def test_it_may_have_children_again() -> None:
    scene = figure_2a()
    name = forwarder(scene)
    drained(scene, name)
    scene.overlay.undo_drain(scene[name].id, scene.now, WHY)
    scene.overlay.undo_drain(scene[name].id, scene.now, WHY)
    scene.deliver()
    assert states(scene)[name] == "ACTIVE"
    assert record(scene, name).degree == 3
    assert not scene.overlay.draining(scene[name].id).draining
    assert scene.kinds().count("drain-ended") == 1


def test_asked_twice_nothing_more_happens() -> None:
    scene = figure_2a()
    name = forwarder(scene)
    drained(scene, name)
    before = scene.parents()
    drained(scene, name)
    assert scene.parents() == before
    assert scene.kinds().count("draining") == 1


def test_who_goes_or_is_gone_or_feeds_all_cannot_be_drained() -> None:
    scene = figure_2a()
    assert "source" in (scene.overlay.drain(scene["source"].id, scene.now, WHY) or "")
    assert "gone" in (scene.overlay.drain(999, scene.now, WHY) or "")
    scene.overlay.undo_drain(999, scene.now, WHY)
    assert scene.overlay.draining(999).left == ()
    scene.say(scene["c1"], Leaving())
    assert "goes" in (scene.overlay.drain(scene["c1"].id, scene.now, WHY) or "")
    scene.say(scene["d1"], Done(next_seq=1, sha256="0" * 64, ok=True))
    assert scene.overlay.drain(scene["d1"].id, scene.now, WHY) is not None
    drain.drain(inside(scene), record(scene, "c1"), scene.now, WHY)
    assert "draining" not in scene.kinds()


def chain(degree: int, leaf: int | None = None) -> Scene:
    """A source that feeds one, which feeds the last one, in one site; ``leaf``: children that the last one may have."""
    scene = Scene(start_members=0, source_out_degree=degree, default_out_degree=2)
    scene.join("source", ("gw",), "source")
    scene.pass_time(2)
    scene.join("middle", ("gw", "a"))
    scene.join("last", ("gw", "a"), out_degree=leaf)
    assert scene.parents() == {"source": None, "middle": "source", "last": "middle"}
    return scene


def test_the_heir_takes_its_place_and_feeds_it_where_its_parent_has_no_more_room() -> None:
    scene = chain(1)
    drained(scene, "middle")
    assert scene.parents() == {"source": None, "middle": "last", "last": "source"}


def test_with_room_it_stays_where_it_was() -> None:
    scene = chain(4)
    rank = record(scene, "middle").rank
    drained(scene, "middle")
    assert scene.parents()["middle"] == "source"
    assert scene.parents()["last"] == "source"
    assert record(scene, "middle").rank == rank


def test_a_child_that_nobody_else_can_feed_stays_until_somebody_can() -> None:
    scene = chain(1, leaf=0)
    drained(scene, "middle")
    assert scene.parents() == {"source": None, "middle": "source", "last": "middle"}
    assert left(scene, "middle") == ["last"]
    scene.pass_time(5)
    assert left(scene, "middle") == ["last"]
    assert "drained" not in scene.kinds()
    record(scene, "source").degree = 2
    scene.pass_time(3)
    assert scene.parents() == {"source": None, "middle": "source", "last": "source"}
    assert left(scene, "middle") == []
    assert scene.kinds().count("drained") == 1
    assert record(scene, "middle").degree == 0


def test_a_child_that_it_had_to_keep_may_go() -> None:
    scene = chain(1, leaf=0)
    drained(scene, "middle")
    scene.kill(scene["last"])
    scene.pass_time(60)
    assert "last" not in scene.parents()
    assert left(scene, "middle") == []
    assert scene.kinds().count("drained") == 1
    assert record(scene, "middle").degree == 0


def test_it_is_told_its_new_place_only_when_its_children_have_changed_over() -> None:
    scene = chain(1)
    middle, last = scene["middle"], scene["last"]
    last.answers = False
    before = middle.epoch
    scene.overlay.drain(middle.id, scene.now, WHY)
    scene.deliver()
    assert middle.epoch == before
    last.answers = True
    scene._obey(last, next(said for said in reversed(last.heard) if said.kind == "assign"))
    scene.deliver()
    assert (middle.parent, last.parent) == (last.id, scene["source"].id)


def test_it_is_not_kept_from_its_place_for_ever() -> None:
    scene = chain(1)
    scene["last"].answers = False
    scene.overlay.drain(scene["middle"].id, scene.now, WHY)
    scene.pass_time(drain.RELEASE_S + 1, reports=False)
    assert scene["middle"].parent == scene["last"].id
    assert left(scene, "middle") == ["last"]


def test_a_child_for_which_it_sits_too_deep_waits() -> None:
    scene = chain(1, leaf=0)
    group, middle, last = inside(scene), record(scene, "middle"), record(scene, "last")
    moves.detach(group, last)
    middle.draining, middle.degree = True, 0
    group.tree.depth_limit = 1
    drain._keep(group, middle, last)
    assert (last.parent, middle.degree) == (None, 0)
    assert last.id in group.repair.waiting


def test_one_that_waits_for_a_parent_is_drained_all_the_same() -> None:
    scene = chain(1, leaf=0)
    late = record(scene, "last")
    moves.detach(inside(scene), late)
    assert late.parent is None
    drain.drain(inside(scene), late, scene.now, WHY)
    assert (late.draining, late.degree) == (True, 0)
    assert scene.overlay.draining(late.id).left == ()


def test_whose_list_it_was_on_gets_another_list() -> None:
    scene = figure_2a()
    name = forwarder(scene)
    one = next(scene[other] for other in scene.parents() if other not in ("source", name, *scene.children(name)))
    orders.list_fallbacks(inside(scene), record(scene, one.name), (record(scene, name),))
    drained(scene, name)
    assert record(scene, name) not in record(scene, one.name).fallbacks


def test_one_that_dies_while_its_children_change_over_is_waited_for_no_more() -> None:
    scene = figure_2a()
    name = forwarder(scene)
    child = scene[scene.children(name)[0]]
    child.answers = False
    scene.overlay.drain(scene[name].id, scene.now, WHY)
    scene.deliver()
    record(scene, name).state = State.DEAD
    scene.overlay.receive(child.id, scene_report(scene, child.name, scene[name].id), scene.now)
    assert "drained" not in scene.kinds()


def test_a_drained_member_that_leaves_goes_at_once() -> None:
    scene = figure_2a()
    name = forwarder(scene)
    drained(scene, name)
    heard = len(scene[name].heard)
    scene.say(scene[name], Leaving())
    scene.deliver()
    assert "released" in [message.kind for message in scene[name].heard[heard:]]
    assert states(scene)[name] == "LEAVING"


def test_one_that_starts_anew_is_not_drained() -> None:
    scene = figure_2a()
    name = forwarder(scene)
    path = [router.name for router in reversed(list(record(scene, name).router.up()))][1:]  # type: ignore[union-attr]
    drained(scene, name)
    scene.say(scene[name], Leaving())
    scene.deliver()
    scene.kill(scene[name])
    scene.join(name, path)
    assert states(scene)[name] == "ACTIVE"
    assert record(scene, name).degree == 3


def test_done_children_are_not_waited_for() -> None:
    scene = figure_2a()
    name = forwarder(scene)
    for child in scene.children(name):
        scene.say(scene[child], Done(next_seq=1, sha256="0" * 64, ok=True))
    drained(scene, name)
    assert left(scene, name) == []


@pytest.mark.parametrize("settled", [False, True])
def test_it_is_drained_still_after_a_restart_of_the_coordinator(settled: bool) -> None:
    scene = chain(1, leaf=None if settled else 0)
    drained(scene, "middle")
    restart(scene, 1.0)
    scene.pass_time(1)
    assert states(scene)["middle"] == "DRAINING"
    assert left(scene, "middle") == ([] if settled else ["last"])
    assert not settled or record(scene, "middle").degree == 0
    sound(scene)


def test_snapshots_of_before_drain_nobody() -> None:
    scene = figure_2a()
    kept = json.loads(json.dumps(scene.overlay.snapshot()))
    for member in kept["members"]:
        del member["draining"]
    again = Overlay.restore(scene.settings, KEY, kept, scene.now)
    assert again._group.repair.releasing == {}


def test_improvement_goes_on_while_a_member_stays_drained() -> None:
    scene = figure_2a()
    drained(scene, forwarder(scene))
    scene.pass_time(20)
    assert inside(scene).improvement.waits_since is None
