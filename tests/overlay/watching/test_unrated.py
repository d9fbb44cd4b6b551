"""Newcomers behind links of which nothing is known wait for a rate; the others get their places without their own."""

from __future__ import annotations

import json

from overlaycast.overlay import Overlay
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Begin
from tests.overlay.scene import KEY, Scene, inside, record

A, B = ("gw", "core", "a"), ("gw", "core", "b")


def begun(scene: Scene) -> bool:
    return any(isinstance(message, Begin) for _, message in scene.sent)


def start(*names: str, members: int = 0, **settings: object) -> Scene:
    """Return a group whose source is measured, and whose members have come."""
    scene = Scene(**({"rate_mbit": 8, "start_members": members or len(names)} | settings))
    scene.join("source", ("gw",), "source")
    for name in names:
        scene.join(name, measure=False)
    return scene


def test_all_are_placed_when_one_of_each_site_has_shown_a_rate() -> None:
    scene = start("a1", "a2", "b1", "b2")
    for name in ("a1", "a2", "b1", "b2"):
        scene.locate(scene[name], A if name[0] == "a" else B)
    assert set(inside(scene).start.unrated) == {scene[name].id for name in ("a1", "a2", "b1", "b2")}
    scene.measure(scene["a1"], A, rate_mbit=20)
    assert not begun(scene)
    scene.measure(scene["b2"], B, rate_mbit=20)
    assert not begun(scene), "the rates of the others may come within a moment"
    scene.pass_time(1.3)
    assert begun(scene)
    assert None not in [parent for name, parent in scene.parents().items() if name != "source"]
    assert record(scene, "a1").primary, "whoever has shown a rate is the better head"
    assert not record(scene, "a2").rated
    scene.measure(scene["a2"], A, rate_mbit=19)
    assert record(scene, "a2").rated


def test_the_start_comes_at_once_with_the_last_rate() -> None:
    scene = start("a1", "a2", "b1")
    for name in ("a1", "a2", "b1"):
        scene.locate(scene[name], A if name[0] == "a" else B)
    for name in ("a1", "b1", "a2"):
        assert not begun(scene)
        scene.measure(scene[name], A if name[0] == "a" else B, rate_mbit=20)
    assert begun(scene)


def test_a_rate_that_does_not_come_is_waited_for_so_long_and_no_longer() -> None:
    scene = start("a1", "b1")
    scene.locate(scene["a1"], A)
    scene.measure(scene["b1"], B, rate_mbit=20)
    scene.pass_time(1.4)
    assert not begun(scene)
    scene.pass_time(0.2)
    assert begun(scene)
    assert scene.parents()["a1"] is not None


def test_a_train_that_shows_nothing_ends_the_waiting() -> None:
    scene = start("a1", "b1")
    scene.locate(scene["a1"], A)
    scene.measure(scene["b1"], B, rate_mbit=20)
    scene.measure(scene["a1"], A, rate_mbit=None)
    assert begun(scene)


def test_a_newcomer_to_a_known_site_gets_its_place_at_once_and_to_a_new_one_with_its_rate() -> None:
    scene = start("a1", start_members=0)
    scene.measure(scene["a1"], A, rate_mbit=20)
    scene.locate(scene.join("a2", measure=False), A)
    assert scene.parents()["a2"] == "a1"
    new = scene.join("b1", measure=False)
    scene.locate(new, B)
    assert scene.parents()["b1"] is None
    scene.measure(new, B, rate_mbit=20)
    assert scene.parents()["b1"] is not None


def test_one_that_comes_back_before_it_is_rated_is_measured_again() -> None:
    scene = start("a1", "a2")
    scene.measure(scene["a1"], A)
    scene.locate(scene["a2"], A)
    group = inside(scene)
    assert not group.wanted
    again = Overlay.restore(group.settings, KEY, json.loads(json.dumps(scene.overlay.snapshot())), scene.now)._group
    assert [again.members[scene[name].id].rated for name in ("a1", "a2")] == [True, False]
    kept = scene.overlay.snapshot()
    for member in kept["members"]:
        del member["rated"]
    before = Overlay.restore(GroupSettings(), KEY, kept, scene.now)._group
    assert before.members[scene["a2"].id].rated, "by releases that had no such thing"


def test_a_rate_that_comes_late_and_is_thin_moves_heads_away() -> None:
    scene = start("a1", "a2", "b1", "b2", "c1", start_members=5)
    for name in ("a1", "b1", "c1"):
        scene.measure(scene[name], ("gw", "core", name[0]), rate_mbit=None)
    for name in ("a2", "b2"):
        scene.locate(scene[name], ("gw", "core", name[0]))
    scene.pass_time(70)
    assert begun(scene)
    for name in ("a2", "b2"):
        scene.measure(scene[name], ("gw", "core", name[0]), rate_mbit=9)
    scene.pass_time(70)
    group = inside(scene)
    assert all(group.routers.known[one].outbound <= 1 for one in "ab")
    assert all(group.routers.known[one].inbound <= 1 for one in "abc")


def test_the_start_waits_two_seconds_for_the_measuring_of_those_that_have_come() -> None:
    scene = start("a1", "b1", "mute")
    scene.measure(scene["a1"], A)
    scene.pass_time(1.9)
    assert scene.parents()["a1"] is None
    scene.measure(scene["b1"], B)
    scene.pass_time(0.2)
    assert scene.parents()["a1"] is not None
    assert not begun(scene), "the third is awaited some seconds more, or would miss the first records"
    scene.pass_time(2.5)
    assert begun(scene)
    assert scene.parents()["mute"] is None


def test_the_source_begins_when_the_last_one_is_measured_after_all() -> None:
    scene = start("a1", "b1")
    scene.measure(scene["a1"], A)
    scene.pass_time(2.1)
    assert not begun(scene)
    scene.measure(scene["b1"], B)
    assert begun(scene)
    assert scene.parents()["b1"] is not None


def test_there_is_no_start_while_nobody_is_measured_or_the_source_is_not() -> None:
    scene = start("a1", "b1")
    scene.pass_time(3)
    assert not inside(scene).start.started
    scene.measure(scene["a1"], A)
    scene.pass_time(0.3)
    assert inside(scene).start.started
    scene = Scene(rate_mbit=8, start_members=1)
    scene.join("a1", A)
    source = scene.join("source", role="source", measure=False)
    scene.pass_time(3)
    assert not inside(scene).start.started
    scene.measure(source, ("gw",))
    assert inside(scene).start.started
