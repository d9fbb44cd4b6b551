"""Members whose path ends in silence wait a moment for a better one; at the start, the source waits with them."""

from __future__ import annotations

from overlaycast.wire.messages import Begin
from tests.overlay.scene import Scene


def begun(scene: Scene) -> bool:
    return any(isinstance(message, Begin) for _, message in scene.sent)


def start() -> Scene:
    scene = Scene(rate_mbit=8, start_members=3)
    scene.join("source", ("gw",), "source")
    scene.join("one", ("gw", "core", "a"))
    scene.join("two", ("gw", "core", "b"))
    scene.join("late", ("gw", None, None))
    return scene


def test_the_source_begins_when_the_last_path_is_known() -> None:
    scene = start()
    assert scene.parents()["one"] == "source"
    assert scene.parents()["late"] is None
    assert not begun(scene)
    scene.measure(scene["late"], ("gw", "core", "b"), None, None)
    assert scene.parents()["late"] == "two"
    assert begun(scene)


def test_a_path_that_stays_unknown_is_waited_for_two_seconds() -> None:
    scene = start()
    scene.pass_time(1.9)
    assert not begun(scene)
    scene.pass_time(0.3)
    assert scene.parents()["late"] is not None
    assert begun(scene)


def test_one_that_dies_while_it_is_waited_for_is_waited_for_no_more() -> None:
    scene = start()
    scene.kill(scene["late"])
    scene.pass_time(5)
    assert begun(scene)
