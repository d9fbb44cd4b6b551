"""Who was placed by a wrong idea of the network is moved when better paths come, and nobody else is."""

from __future__ import annotations

import pytest

from overlaycast.overlay.state.router import Router
from tests.overlay.scene import Scene, inside, sound

FAST = ("r", "fast")


@pytest.fixture
def scene() -> Scene:
    """Two leaf routers of one site, whose other routers are silent: each seems to be a site, and has its own copy."""
    scene = Scene(rate_mbit=8, start_members=5)
    for name in ("a1", "a2"):
        scene.join(name, (None, None, "A"), rtt_ms=10, rate_mbit=20)
    for name in ("b1", "b2"):
        scene.join(name, (None, None, "B"), rtt_ms=10, rate_mbit=20)
    scene.join("far", FAST, rtt_ms=10, rate_mbit=200)
    scene.join("source", (), "source", rtt_ms=0.2, rate_mbit=1000)
    scene.pass_time(6)
    return scene


def router(scene: Scene, name: str) -> Router:
    return inside(scene).routers.known[name]


def show(scene: Scene) -> None:
    """Let the site's own router answer, and measure two of its members again."""
    for name, leaf in (("a1", "A"), ("b1", "B")):
        scene.measure(scene[name], ("r", "site", leaf), rtt_ms=10, rate_mbit=20)


def test_a_second_copy_over_a_thin_uplink_ends_within_seconds(scene: Scene) -> None:
    before = scene.parents()
    show(scene)
    assert router(scene, "site").inbound == 2
    scene.pass_time(3)
    assert router(scene, "site").inbound == 1
    assert scene.kinds().count("improved") == 1
    assert sum(before[name] != parent for name, parent in scene.parents().items()) == 1
    assert not inside(scene).improvement.misplaced
    sound(inside(scene))


def test_it_waits_while_a_failure_is_settled(scene: Scene) -> None:
    scene.kill(scene["far"])
    scene.overlay.disconnected(scene["far"].id, scene.now)
    scene.pass_time(6)
    show(scene)
    scene.pass_time(1.5)
    assert inside(scene).improvement.misplaced
    assert router(scene, "site").inbound == 2
    scene.pass_time(30)
    assert router(scene, "site").inbound == 1


def test_where_nothing_is_improved_nothing_is_corrected() -> None:
    scene = Scene(rate_mbit=8, start_members=1, improve_s=0)
    scene.join("source", (), "source")
    scene.join("one", (None, "A"))
    scene.measure(scene["one"], ("r", "A"))
    assert not inside(scene).timers.armed("correct")
