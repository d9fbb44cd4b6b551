"""Who is seen to live: the word of the source, of a parent and of a fallback counts alike."""

from __future__ import annotations

import pytest

from overlaycast.wire.messages import ChildReport
from tests.overlay.scene import Actor, Scene, inside, record


def group_of_four() -> Scene:
    """Return a source with two children, each with one of its own."""
    scene = Scene(source_out_degree=2, default_out_degree=2, improve_s=0)
    scene.join("s", ("r0",), "source")
    for name in "abcd":
        scene.join(name, ("r0", name))
    scene.pass_time(8)
    return scene


def without_control(scene: Scene, lost: Actor, seconds: int, feeder: Actor) -> None:
    """Let a member's control link be down for so long, while its parent reports that it is sent the stream."""
    lost.answers = False
    scene.overlay.disconnected(lost.id, scene.now)
    for _ in range(seconds):
        scene.pass_time(1)
        lost.next_seq += 100
        children = (ChildReport(child=lost.id, next_seq=lost.next_seq),)
        scene.report(feeder, children=children)


@pytest.mark.parametrize("by", ["parent", "fallback"])
def test_a_member_whose_data_flows_is_not_buried(by: str) -> None:
    scene = group_of_four()
    leaf = next(scene[name] for name in "abcd" if not scene.children(name))
    head = next(scene[name] for name in "abcd" if scene.parents()[name] == "s")
    lost, feeder = (head, scene["s"]) if by == "parent" else (leaf, scene["s"])
    mine = record(scene, leaf.name)
    assert by == "parent" or record(scene, "s") in (*mine.fallbacks, *mine.standbys)
    without_control(scene, lost, 40, feeder)
    assert "dead" not in scene.kinds()
    assert "suspect" not in scene.kinds()
    assert scene.resume(lost)
    scene.pass_time(10, reports=False)


def test_a_member_that_nobody_sees_is_buried() -> None:
    scene = group_of_four()
    scene.kill(next(scene[name] for name in "abcd" if not scene.children(name)))
    scene.pass_time(20)
    assert scene.kinds().count("dead") == 1


@pytest.mark.parametrize("others", ["fed", "not fed", "not fed in the end"])
def test_a_child_that_the_source_does_not_reach_gets_another_parent_though_the_source_s_control_link_is_gone(
    others: str,
) -> None:
    scene = group_of_four()
    source = scene["s"]
    source.answers = False
    one, other = (scene[name] for name in scene.children("s"))
    scene.overlay.disconnected(source.id, scene.now)
    if others == "not fed":
        record(scene, other.name).watch.status = "stalled"
    scene.complain(one)
    if others != "not fed":
        assert inside(scene).watch.inquiries
    if others == "not fed in the end":
        record(scene, other.name).watch.status = "stalled"
    scene.deliver()
    scene.now += 1.5
    scene.overlay.tick(scene.now)
    scene.deliver()
    assert ("new-sender" in scene.kinds()) == (others == "fed")


def test_the_tree_shows_rate_latency_losses_and_who_is_silent() -> None:
    scene = group_of_four()
    leaf = next(scene[name] for name in "abcd" if not scene.children(name))
    scene.report(leaf, latency_p50_ms=12.3456, lost=7)
    seats = {seat.id: seat for seat in scene.overlay.tree().members}
    assert (seats[leaf.id].latency_ms, seats[leaf.id].lost, seats[leaf.id].state) == (12.346, 7, "ACTIVE")
    assert seats[leaf.id].receive_mbit == scene.settings.rate_mbit
    leaf.answers = False
    scene.pass_time(4)
    seats = {seat.id: seat for seat in scene.overlay.tree().members}
    assert [one for one in seats if seats[one].state == "SILENT"] == [leaf.id]
