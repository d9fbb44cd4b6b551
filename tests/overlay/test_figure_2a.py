"""Figure 2A: one copy per site, standbys prepared before a failure, and the coordinator's reaction to one."""

from __future__ import annotations

import json
import random

import pytest

from overlaycast.overlay import Overlay
from overlaycast.wire.messages import Leaving, Released
from overlaycast.wire.views import SeatView
from tests.overlay.scene import FIGURE_2A, KEY, Scene, figure_2a

SITES = {name: name[0] if name[0] > "b" else "B" for name in FIGURE_2A}


def inbound(scene: Scene) -> dict[str, int]:
    """Copies that enter each site, by the plan."""
    copies = dict.fromkeys(SITES.values(), 0)
    for child, parent in scene.parents().items():
        if child in SITES and SITES.get(parent or "") != SITES[child]:
            copies[SITES[child]] += 1
    return copies


def test_one_copy_enters_each_site_and_the_source_feeds_all_of_them() -> None:
    scene = figure_2a()
    assert inbound(scene) == {"B": 1, "c": 1, "d": 1, "e": 1}
    assert len(scene.children("source")) == 5  # four heads and the backup server
    assert scene.kinds()[-2:] == ["placed", "begin"]


def test_the_tree_does_not_depend_on_who_came_first() -> None:
    one = figure_2a()
    other = Scene(rate_mbit=8.4, default_out_degree=3, start_members=len(FIGURE_2A))
    for name, path in reversed(FIGURE_2A.items()):
        other.join(name, path, rtt_ms=14.3, rate_mbit=19)
    other.join("backup", ("srv", "core"), "backup", rtt_ms=4.2, rate_mbit=80)
    other.join("source", ("srv",), "source", rtt_ms=0.2, rate_mbit=300)
    assert one.parents() == other.parents()


def test_heirs_have_their_standby_outside_and_siblings_have_the_heir() -> None:
    scene = figure_2a()
    for head in ("a1", "c1", "d1"):
        heir, *siblings = sorted(scene.children(head), key=lambda name: scene[name].order.rank)  # type: ignore[union-attr]
        assert [peer.name for peer in scene[heir].order.standbys] == ["backup"]  # type: ignore[union-attr]
        for sibling in siblings:
            assert [peer.name for peer in scene[sibling].order.standbys] == [heir]  # type: ignore[union-attr]


@pytest.mark.parametrize("order", range(6))
def test_looking_for_improvements_leaves_a_good_plan_alone(order: int) -> None:
    scene = Scene(rate_mbit=8.4, default_out_degree=3, start_members=len(FIGURE_2A))
    names = list(FIGURE_2A)
    for name in random.Random(order).sample(names, len(names)):
        scene.join(name, FIGURE_2A[name], rtt_ms=14.3, rate_mbit=19)
    scene.join("backup", ("srv", "core"), "backup", rtt_ms=4.2, rate_mbit=80)
    scene.join("source", ("srv",), "source", rtt_ms=0.2, rate_mbit=300)
    scene.deliver()
    planned = {name: [peer.name for peer in scene[name].order.standbys] for name in names}  # type: ignore[union-attr]
    scene.pass_time(35)  # three rounds of improvement, in which nothing is worth moving
    assert {name: [peer.name for peer in scene[name].order.standbys] for name in names} == planned  # type: ignore[union-attr]


def test_one_who_complains_without_cause_drives_nobody_else_away() -> None:
    scene = figure_2a(strategy="location", rate_mbit=3.3)
    liar = scene["c1"]
    before = {name: parent for name, parent in scene.parents().items() if name != "c1"}
    for _ in range(20):
        scene.complain(liar)
        scene.deliver()
        scene.pass_time(0.2)
    scene.pass_time(35)
    after = {name: parent for name, parent in scene.parents().items() if name != "c1"}
    assert after == before


def test_a_killed_primary_is_replaced_as_planned_and_nothing_below_moves() -> None:
    scene = figure_2a()
    before = scene.parents()
    head = max(scene.children("source"), key=lambda name: len(scene.children(name)))
    children = sorted(scene.children(head), key=lambda name: scene[name].order.rank)  # type: ignore[union-attr]
    heir, *siblings = children
    scene.kill(scene[head])
    scene.complain(scene[heir], scene["backup"], "reset")
    for sibling in siblings:
        scene.complain(scene[sibling], scene[heir], "reset")
    scene.deliver()
    scene.pass_time(10)
    after = scene.parents()
    assert after[heir] == "backup"
    assert {after[sibling] for sibling in siblings} == {heir}
    assert inbound(scene)["B"] == 1
    unmoved = set(before) - {head, *children}
    assert {name: after[name] for name in unmoved} == {name: before[name] for name in unmoved}
    assert "dead" in scene.kinds()


def test_a_frozen_primary_is_asked_and_loses_its_children() -> None:
    scene = figure_2a()
    scene["c1"].answers = False
    scene.complain(scene["c2"], scene["backup"])
    scene.deliver()
    assert scene.parents()["c3"] == "c1"
    scene.pass_time(1.5)
    assert scene.parents()["c3"] == "c2"
    assert scene.parents()["c1"] is None
    scene["c1"].answers = True
    scene.report(scene["c1"])
    scene.deliver()
    assert scene.parents()["c1"] in ("c2", "c3")


def test_errors_from_inside_a_broken_branch_are_set_aside() -> None:
    scene = figure_2a()
    below = scene.children("a2")[0]
    scene.complain(scene["a2"])
    epoch = scene.overlay.epoch
    scene.complain(scene[below])
    assert scene.overlay.counters().events["set-aside"] == 1
    scene.overlay.messages_to_send()
    assert scene.overlay.epoch == epoch


def test_a_leaver_is_released_when_its_children_are_elsewhere() -> None:
    scene = figure_2a()
    scene.say(scene["d1"], Leaving())
    scene.deliver()
    assert any(isinstance(message, Released) for message in scene["d1"].heard)
    assert scene.parents()["d2"] == "source"
    assert scene.parents()["d3"] == "d2"
    scene.kill(scene["d1"])
    assert "d1" not in scene.parents()


def _seat(scene: Scene, name: str) -> SeatView:
    return next(seat for seat in scene.overlay.tree().members if seat.name == name)


def test_the_source_is_active_once_it_has_been_told_to_begin() -> None:
    scene = Scene(start_members=2)
    scene.join("source", ("gw",), role="source")
    scene.join("one", ("gw", "a"))
    assert _seat(scene, "source").state == "JOINING"
    scene.join("two", ("gw", "a"))
    assert _seat(scene, "source").state == "ACTIVE"
    scene.kill(scene["source"])
    scene.join("source", ("gw",), role="source")
    scene.pass_time(1.0)
    assert _seat(scene, "source").state == "ACTIVE"


def test_a_restart_moves_nobody() -> None:
    scene = figure_2a()
    before = scene.overlay.tree()
    kept = json.loads(json.dumps(scene.overlay.snapshot()))
    again = Overlay.restore(scene.settings, KEY, kept, scene.now + 10)
    fresh = {"receive_mbit": None, "latency_ms": None, "lost": 0}  # what is reported starts afresh
    assert again.tree().members == tuple(seat.model_copy(update=fresh) for seat in before.members)
    assert again.epoch == before.epoch
    assert again.messages_to_send() == []
    assert json.loads(json.dumps(again.snapshot())) == kept


def test_failovers_of_the_time_without_a_coordinator_are_adopted_in_any_order() -> None:
    scene = figure_2a()
    head, (heir, *siblings) = "a1", sorted(scene.children("a1"), key=lambda name: scene[name].order.rank)  # type: ignore[union-attr]
    kept = json.loads(json.dumps(scene.overlay.snapshot()))
    scene.overlay = Overlay.restore(scene.settings, KEY, kept, scene.now + 10)
    scene.now += 10
    scene[head].answers = False
    scene[heir].parent = scene["backup"].id
    for sibling in siblings:
        scene[sibling].parent = scene[heir].id
    for name in (*siblings, heir, "backup", "source"):
        scene.resume(scene[name])
    scene.deliver()
    parents = scene.parents()
    assert parents[heir] == "backup"
    assert {parents[sibling] for sibling in siblings} == {heir}
