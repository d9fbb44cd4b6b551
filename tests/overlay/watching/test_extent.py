"""What members are told of how far the stream is: by the source's own word, also over restarts."""

from __future__ import annotations

import json

from overlaycast.overlay import Overlay
from overlaycast.overlay.state import credit
from overlaycast.wire.messages import Assign, Extent, Ping
from tests.overlay.scene import KEY, Actor, Scene, inside


def pair() -> tuple[Scene, Actor, Actor]:
    scene = Scene(source_out_degree=2, improve_s=0)
    source = scene.join("s", ("r0",), "source")
    member = scene.join("a", ("r0", "a"))
    scene.pass_time(8)
    return scene, source, member


def told(scene: Scene, actor: Actor) -> Extent:
    """Return what the newest order, or answer, says."""
    found = [m.extent for m in actor.heard if isinstance(m, Assign | Ping) and m.extent is not None]
    return found[-1]


def ask(scene: Scene, actor: Actor) -> Extent:
    scene.report(actor, asks=True)
    scene.deliver()
    return told(scene, actor)


def test_an_order_says_how_far_the_stream_can_be() -> None:
    scene, source, _ = pair()
    late = scene.join("b", ("r0", "b"))
    extent = told(scene, late)
    assert extent.least == source.next_seq
    assert source.next_seq < extent.most < source.next_seq + 100_000
    assert extent.mbit == scene.settings.rate_mbit
    assert extent.over is False


def test_before_the_source_has_begun_there_are_no_records() -> None:
    scene = Scene(source_out_degree=2, improve_s=0, start_members=2)
    scene.join("s", ("r0",), "source")
    assert credit.extent(inside(scene)).model_dump() == {"least": 0, "most": 0, "mbit": 8.0, "over": False}


def test_who_asks_is_answered_at_once_and_again_when_the_stream_is_over() -> None:
    scene, source, member = pair()
    assert ask(scene, member).over is False
    assert ask(scene, member).over is False
    answers = sum(isinstance(m, Ping) for m in member.heard)
    scene.report(source, state="ended")
    scene.deliver()
    assert told(scene, member) == credit.extent(inside(scene))
    assert told(scene, member).over
    assert told(scene, member).least == source.next_seq
    assert sum(isinstance(m, Ping) for m in member.heard) == answers + 1  # once, however often it has asked
    scene.report(source, state="ended")
    scene.deliver()
    assert sum(isinstance(m, Ping) for m in member.heard) == answers + 1
    assert ask(scene, member).over


def test_a_source_that_is_away_has_not_said_that_it_goes_on() -> None:
    scene, source, member = pair()
    scene.overlay.disconnected(source.id, scene.now)
    assert ask(scene, member).over is None


def test_a_member_that_is_gone_is_not_answered() -> None:
    scene, _, member = pair()
    ask(scene, member)
    assert inside(scene).watch.asking == {member.id: None}
    inside(scene).watch.forget(member.id)
    assert inside(scene).watch.asking == {}


def test_what_is_known_of_the_stream_outlives_a_restart_of_the_coordinator_and_of_the_source() -> None:
    scene, _, member = pair()
    before = ask(scene, member)
    kept = json.loads(json.dumps(scene.overlay.snapshot()))
    scene.overlay = Overlay.restore(scene.settings, KEY, kept, scene.now)
    assert scene.resume(member)
    scene.deliver()
    extent = told(scene, member)
    assert extent.least == before.least
    assert before.least < extent.most < before.least + 100_000
    assert extent.over is None
    again = scene.join("s2", ("r0",), "source")
    scene.pass_time(2)
    assert again.next_seq >= before.least
    assert before.least <= ask(scene, member).least < before.least + 100_000
