"""While the source is gone nobody else is to blame; when it is back, everybody is where it was."""

from __future__ import annotations

import pytest

from overlaycast.overlay.state.tree import check
from overlaycast.overlay.watching import source_lost, start
from overlaycast.wire.messages import Leaving, Pong
from tests.overlay.scene import Scene, figure_2a, inside, record


def lost(scene: Scene, *stay: str) -> None:
    """Let the source's process die; all its children but these turn to the backup server, in vain."""
    heads = scene.children("source")
    scene.kill(scene["source"])
    for name in heads:
        if name not in ("backup", *stay):
            scene.complain(scene[name], scene["backup"], "reset")
    scene.complain(scene["backup"], None, "reset")
    scene.deliver()


def back(scene: Scene) -> None:
    scene.join("source", ("srv",), "source", rtt_ms=0.2, rate_mbit=300)
    scene.deliver()
    check(inside(scene).tree, iter(inside(scene).members.values()))


def test_without_a_source_there_is_none_to_be_gone() -> None:
    assert not source_lost.is_gone(inside(Scene()))


def test_those_that_turned_away_for_want_of_a_source_get_their_places_back() -> None:
    scene = figure_2a()
    before = scene.parents()
    lost(scene)
    assert set(scene.children("backup")) == set(scene.children("source") + scene.children("backup")) - {"backup"}
    back(scene)
    assert scene.parents() == before


def test_whoever_turned_away_long_before_stays_where_it_is_wanted() -> None:
    scene = figure_2a()
    head = next(name for name in scene.children("source") if name != "backup")
    inside(scene).start.parted[scene[head].id] = scene.now - 60
    assert source_lost.parted(inside(scene), record(scene, "source")) == []
    assert inside(scene).start.parted == {}


def test_whoever_is_gone_or_is_back_by_itself_needs_no_place() -> None:
    scene = figure_2a()
    head, leaf = next(name for name in scene.children("source") if name != "backup"), 999
    inside(scene).start.parted.update({scene[head].id: scene.now, leaf: scene.now})
    assert source_lost.parted(inside(scene), record(scene, "source")) == []


def test_a_guest_for_whom_nobody_else_has_room_stays_at_the_backup_server() -> None:
    scene = Scene(start_members=0, source_out_degree=1)
    scene.join("source", ("srv",), "source")
    scene.pass_time(2)
    scene.join("backup", ("srv",), "backup", out_degree=4)
    scene.join("guest", ("srv", "a"), out_degree=0)
    assert scene.parents() == {"source": None, "backup": "source", "guest": "backup"}
    scene.kill(scene["source"])
    back(scene)
    assert scene.parents() == {"source": None, "backup": "source", "guest": "backup"}


def test_whoever_came_while_there_was_no_source_is_placed_when_it_is_back() -> None:
    scene = Scene(start_members=0)
    scene.join("source", ("srv",), "source")
    scene.pass_time(2)
    scene.join("backup", ("srv",), "backup")
    scene.kill(scene["source"])
    scene.join("late", ("srv", "a"))
    assert scene.parents()["late"] == "backup"
    back(scene)
    assert scene.parents()["late"] == "source"


@pytest.mark.parametrize("leaves", [False, True])
def test_nobody_is_accused_while_the_source_is_gone(leaves: bool) -> None:
    scene = figure_2a()
    forwarder = next(name for name in scene.parents() if scene.children(name) and name not in ("source", "backup"))
    child = scene[scene.children(forwarder)[0]]
    if leaves:
        scene.say(scene["source"], Leaving())
        for name in scene.children("source"):
            scene.complain(scene[name], None, "reset")
        scene.deliver()
    else:
        lost(scene)
    before = scene.parents()
    inside(scene).watch.inquiries.clear()
    for one in inside(scene).members.values():
        one.watch.flag_until = 0.0
    scene.complain(child, None, "silence")
    assert inside(scene).watch.inquiries == {}
    scene.deliver()
    assert scene.parents() == before


def test_a_source_that_goes_while_somebody_is_accused_ends_the_accusation() -> None:
    scene = figure_2a()
    forwarder = next(name for name in scene.parents() if scene.children(name) and name not in ("source", "backup"))
    child = scene[scene.children(forwarder)[0]]
    child.answers = scene[forwarder].answers = False  # for now
    scene.complain(child, None, "silence")
    [inquiry] = inside(scene).watch.inquiries.values()
    lost(scene)
    before = scene.parents()
    for member, nonce in ((scene[forwarder].id, inquiry.nonce), (child.id, inquiry.reporters[child.id])):
        scene.overlay.receive(member, Pong(nonce=nonce, next_seq=0, parent=None), scene.now)
    scene.deliver()
    assert scene.parents() == before
    assert "new-sender" not in scene.kinds()


def test_nobody_is_slow_for_want_of_a_source() -> None:
    scene = figure_2a()
    heads = [name for name in scene.children("source") if name != "backup"]
    lost(scene)
    assert not start.sends(inside(scene), scene.now)
    scene.report(scene[heads[0]], mbit=0.1)
    assert record(scene, heads[0]).watch.slow_since is None
    back(scene)
    scene.report(scene[heads[0]], mbit=0.1)  # of the time before
    assert record(scene, heads[0]).watch.slow_since is None
    scene.pass_time(3, reports=False)
    scene.report(scene[heads[0]], mbit=0.1)
    assert record(scene, heads[0]).watch.slow_since is not None


def test_a_source_whose_control_link_alone_is_down_is_not_gone() -> None:
    scene = figure_2a()
    for name in scene.children("source"):
        scene.report(scene[name])
    scene.overlay.disconnected(scene["source"].id, scene.now)
    assert not source_lost.is_gone(inside(scene))
    assert start.sends(inside(scene), scene.now)
