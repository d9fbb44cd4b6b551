"""Links that do not come to be though both ends live: told again once, then left alone, and nobody waits for it."""

from __future__ import annotations

import pytest

from overlaycast.overlay.plan import unusable_pair
from overlaycast.overlay.plan.reach import linked
from overlaycast.overlay.state.tree import check
from overlaycast.wire.messages import Assign, Leaving, Released
from tests.overlay.scene import Actor, Scene, inside, record, restart


def site(*names: str, degree: int = 3, heads: int = 1) -> Scene:
    """A source that feeds so many heads, and these members, each head at a site of its own."""
    scene = Scene(start_members=len(names), source_out_degree=heads, default_out_degree=degree, improve_s=0)
    scene.join("source", ("srv",), "source", rtt_ms=0.2, rate_mbit=1000)
    for number, name in enumerate(names):
        scene.join(name, ("srv", "core", f"S{number % heads}"))
    scene.pass_time(6)
    return scene


def stuck(scene: Scene, actor: Actor, at: Actor, seconds: int) -> None:
    """For so long a member stays with one parent and reports it, whatever it is told."""
    for _ in range(seconds):
        scene.now += 1
        scene.overlay.tick(scene.now)
        actor.parent = at.id
        for one in scene.actors.values():
            scene.report(one)
        scene.deliver()


def ordered(scene: Scene, name: str) -> list[str]:
    """Return the parents that a member has been sent to, one entry for each order."""
    names = {actor.id: actor.name for actor in scene.actors.values()}
    orders = [message for message in scene[name].heard if isinstance(message, Assign) and message.parent]
    return [names[one.parent.member] for one in orders if one.parent]


def test_who_stays_elsewhere_is_told_again_and_then_placed_anew() -> None:
    """It is fed by a full member of its predefined list, beyond that one's degree: not for long."""
    scene = site("a", "b", "c", "d", "e", "f")
    leaf = next(name for name in "abcdef" if scene.parents()[name] not in ("source", None) and not scene.children(name))
    was, full = scene.parents()[leaf], scene["source"]
    assert was is not None
    before = len(ordered(scene, leaf))
    stuck(scene, scene[leaf], full, 12)
    told = ordered(scene, leaf)[before:]
    assert told[0] == was
    assert told[-1] not in (was, "source")
    assert scene.parents()[leaf] == told[-1]
    assert not linked(record(scene, was), record(scene, leaf))
    assert "unusable-pair" in scene.kinds()
    check(inside(scene).tree, iter(inside(scene).members.values()))
    scene.pass_time(unusable_pair.BARRED_S + 1)
    assert linked(record(scene, was), record(scene, leaf))


def test_who_is_kept_apart_remains_so_over_a_restart_and_no_longer() -> None:
    scene = site("a", "b", "c", "d", "e", "f")
    child, parent = record(scene, "f"), record(scene, "a")
    unusable_pair.bar(inside(scene), parent, child, scene.now)
    scene.deliver()
    restart(scene, after=unusable_pair.BARRED_S / 2)
    assert not linked(record(scene, "a"), record(scene, "f"))
    scene.pass_time(unusable_pair.BARRED_S / 2 + 1)
    assert linked(record(scene, "a"), record(scene, "f"))


def test_a_guest_that_accuses_a_parent_that_lives_is_sent_to_a_proper_place() -> None:
    """It turned to somebody full, so its way cannot be adopted; its parent answers, so its order has to change."""
    scene = site("a", "b", "c", "d", "e", "f")
    leaf = next(name for name in "abcdef" if scene.parents()[name] not in ("source", None) and not scene.children(name))
    was = scene.parents()[leaf]
    scene.complain(scene[leaf], scene["source"], "unreachable")
    scene.deliver()
    assert scene.parents()[leaf] not in (was, "source", None)
    assert scene[leaf].parent != scene["source"].id


def test_who_has_no_other_place_is_forgiven() -> None:
    scene = site("a", "b", degree=1)
    leaf, head = ("a", "b") if scene.parents()["a"] == "b" else ("b", "a")
    for _ in range(3):
        scene.now += 2
        scene.overlay.tick(scene.now)
        scene.complain(scene[leaf], reason="unreachable")
        scene.deliver()
    assert scene.parents()[leaf] == head
    assert not record(scene, leaf).barred


def test_a_top_that_is_cut_off_from_the_source_changes_places_with_its_branch() -> None:
    """All are below the one member that cannot reach the source: its child goes there first, and feeds it."""
    scene = site("a", "b", degree=1)
    leaf, head = ("a", "b") if scene.parents()["a"] == "b" else ("b", "a")
    for _ in range(2):
        scene.now += 2
        scene.overlay.tick(scene.now)
        scene.complain(scene[head])
        scene.deliver()
    assert scene.parents() == {"source": None, leaf: "source", head: leaf}
    check(inside(scene).tree, iter(inside(scene).members.values()))


def test_the_source_is_not_left_for_a_silence_that_others_hear_too() -> None:
    scene = site("a", "b", "c", "d", heads=2)
    one, other = scene.children("source")
    for _ in range(2):
        scene.now += 2
        scene.overlay.tick(scene.now)
        scene.complain(scene[one])
        scene.complain(scene[other])
        scene.deliver()
    source = scene["source"].id
    assert all(source not in record(scene, name).barred for name in (one, other))


def test_a_link_that_works_after_all_is_no_unusable_pair() -> None:
    scene = site("a", "b", "c", "d", "e", "f")
    group = inside(scene)
    leaf = next(name for name in "abcdef" if record(scene, name).standbys and not scene.children(name))
    standby = record(scene, leaf).standbys[0]
    unusable_pair.bar(group, standby, record(scene, leaf), scene.now)
    assert standby not in record(scene, leaf).standbys
    unusable_pair.bar(group, standby, record(scene, leaf), scene.now)
    assert record(scene, leaf).barred == (standby.id,)
    scene.complain(scene[leaf], scene.actors[standby.id])
    scene.deliver()
    assert scene.parents()[leaf] == standby.name
    assert not record(scene, leaf).barred


@pytest.mark.parametrize("says", ["report", "complaint"])
def test_an_order_that_was_lost_is_told_again(says: str) -> None:
    scene = site("a", "b", "c", "d", "e", "f")
    leaf = next(name for name in "abcdef" if scene.parents()[name] not in ("source", None) and not scene.children(name))
    actor = scene[leaf]
    known, parent = actor.epoch, actor.parent
    inside(scene).touch(record(scene, leaf), force=True)
    scene.deliver(obey=False)
    heard = len(ordered(scene, leaf))
    for _ in range(5):
        scene.now += 1
        scene.overlay.tick(scene.now)
        assert actor.epoch == known
        if says == "report":
            scene.report(actor)
        else:
            actor.parent = scene["source"].id  # not its parent: about an order of before
            scene.complain(actor)
            actor.parent = parent
        scene.deliver(obey=False)
    assert len(ordered(scene, leaf)) == heard + 1
    actor.epoch = record(scene, leaf).order_epoch
    scene.report(actor)
    assert not inside(scene).watch.overdue


def test_a_leaver_that_has_not_heard_that_it_may_go_is_told_again() -> None:
    scene = site("a", "b", "c")
    leaf = next(name for name in "abc" if not scene.children(name))
    scene.say(scene[leaf], Leaving())
    scene.deliver()
    released = sum(isinstance(message, Released) for message in scene[leaf].heard)
    scene.report(scene[leaf])
    scene.deliver()
    assert sum(isinstance(message, Released) for message in scene[leaf].heard) == released + 1 == 2


def test_who_has_no_parent_can_be_kept_from_its_standby_too() -> None:
    scene = site("a", "b", "c", "d", "e", "f")
    ward = next(one for one in inside(scene).members.values() if one.standbys and not one.children)
    (standby,) = ward.standbys
    parent, ward.parent = ward.parent, None
    unusable_pair.bar(inside(scene), standby, ward, scene.now)
    ward.parent = parent
    assert not ward.standbys


def test_who_accuses_all_others_in_turn_moves_nobody_but_itself() -> None:
    scene = site("a", "b", "c", "d", "e", "f", heads=3, degree=2)
    liar = next(name for name in scene.children("source") if scene.children(name))
    before = {name: parent for name, parent in scene.parents().items() if name != liar}
    for _ in range(80):
        scene.now += 0.1
        scene.overlay.tick(scene.now)
        scene.complain(scene[liar])
        scene.deliver()
    assert scene.kinds().count("unusable-pair") > 2
    assert {name: parent for name, parent in scene.parents().items() if name != liar} == before


def test_a_new_parent_has_a_second_before_it_is_taken_away() -> None:
    scene = site("a", "b", "c", "d", "e", "f", heads=3, degree=2)
    child = next(name for name in scene.parents() if scene.parents()[name] not in ("source", None))
    while "new-sender" not in scene.kinds():
        scene.now += 0.3
        scene.overlay.tick(scene.now)
        scene.complain(scene[child])
        scene.deliver()
    for elapsed in (0.3, 0.6, 0.9, 1.2):
        scene.now += 0.3
        scene.overlay.tick(scene.now)
        scene.complain(scene[child])
        scene.deliver()
        assert scene.kinds().count("new-sender") == 1 + (elapsed > 1)
