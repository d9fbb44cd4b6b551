"""Settings that change while the group runs: what was made from them follows, and nobody loses a place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from overlaycast.overlay import Overlay
from tests.overlay.scene import KEY, Scene, figure_2a, inside, record


def retune(scene: Scene, **settings: Any) -> None:
    scene.settings = scene.settings.model_copy(update=settings)
    assert scene.overlay.objections(scene.settings) == {}
    scene.overlay.retune(scene.settings, scene.now)
    scene.deliver()


def chain(length: int) -> Scene:
    """Return the source with members below one another."""
    scene = Scene(source_out_degree=1, default_out_degree=1, depth_limit=length)
    scene.join("source", ("srv",), "source")
    for number in range(length):
        scene.join(f"m{number}", ("srv", "core", "A"))
    return scene


def test_a_depth_below_that_of_the_tree_is_objected_to() -> None:
    scene = chain(3)
    assert scene.overlay.objections(scene.settings) == {}
    lower = scene.settings.model_copy(update={"depth_limit": 2})
    assert scene.overlay.objections(lower) == {"depth_limit": "the tree is 3 deep now"}
    scene.join("late", ("srv", "core", "A"))
    assert scene.parents()["late"] is None
    retune(scene, depth_limit=4)
    assert scene.parents()["late"] == "m2"


def test_a_tree_from_before_a_lower_depth_was_kept_is_loaded() -> None:
    scene = chain(3)
    lower = scene.settings.model_copy(update={"depth_limit": 2})
    kept = json.loads(json.dumps(scene.overlay.snapshot()))
    again = Overlay.restore(lower, KEY, kept, scene.now)
    assert [seat.parent for seat in again.tree().members] == [seat.parent for seat in scene.overlay.tree().members]
    assert again.objections(lower) == {"depth_limit": "the tree is 3 deep now"}


def test_more_children_are_allowed_at_once_and_those_who_wait_get_a_place() -> None:
    scene = Scene(source_out_degree=2, default_out_degree=0)
    scene.join("source", ("srv",), "source")
    for number in range(4):
        scene.join(f"m{number}", ("srv", "core", "A"))
    assert len(scene.children("source")) == 2
    retune(scene, source_out_degree=4)
    assert len(scene.children("source")) == 4


def test_fewer_children_are_allowed_but_nobody_loses_one_by_it() -> None:
    scene = Scene(source_out_degree=4, default_out_degree=0, lost_after_s=2)
    scene.join("source", ("srv",), "source")
    for number in range(4):
        scene.join(f"m{number}", ("srv", "core", "A"))
    retune(scene, source_out_degree=2)
    assert len(scene.children("source")) == 4
    scene.kill(scene["m0"])
    scene.pass_time(10)
    assert scene.children("source") == ["m1", "m2", "m3"]
    assert record(scene, "source").degree == 3  # and not 4 for another
    scene.join("late", ("srv", "core", "A"))
    assert scene.parents()["late"] is None


def test_a_higher_rate_means_fewer_children_of_a_host_with_a_stated_upload() -> None:
    scene = Scene(rate_mbit=2)
    scene.join("source", ("srv",), "source", upload_mbit=20)
    assert record(scene, "source").degree == 8
    retune(scene, rate_mbit=8)
    assert record(scene, "source").degree == 2


def test_promises_that_a_member_has_no_degree_left_for_are_broken() -> None:
    scene = figure_2a()
    promised = sum(member.promised for member in inside(scene).members.values())
    retune(scene, source_out_degree=4, default_out_degree=1)
    for member in inside(scene).members.values():
        assert member.spare >= 0
    assert 0 < promised > sum(member.promised for member in inside(scene).members.values())


@pytest.mark.parametrize(("before", "after", "first"), [(0, 5, 5.0), (60, 5, 5.0), (5, 0, None)])
def test_improvements_come_at_the_new_interval(before: float, after: float, first: float | None) -> None:
    scene = Scene(improve_s=before)
    scene.join("source", ("srv",), "source")
    retune(scene, improve_s=after)
    due = [at - scene.now for _, at in inside(scene).timers.pending("improve")]
    assert due == ([] if first is None else [first])


def test_there_is_nothing_to_improve_before_the_start() -> None:
    scene = Scene(start_members=2)
    scene.join("source", ("srv",), "source")
    retune(scene, improve_s=5)
    assert inside(scene).timers.pending("improve") == []


def test_those_who_were_awaited_in_vain_are_awaited_no_more() -> None:
    scene = Scene(start_members=5)
    scene.join("source", ("srv",), "source")
    scene.join("m0", ("srv", "core", "A"))
    assert scene.parents()["m0"] is None
    retune(scene, start_members=1)
    assert scene.parents()["m0"] == "source"


def test_the_wait_for_the_start_begins_anew() -> None:
    scene = Scene(start_members=5, start_timeout_s=600)
    scene.join("source", ("srv",), "source")
    scene.join("m0", ("srv", "core", "A"))
    retune(scene, start_timeout_s=3)
    scene.pass_time(2, reports=False)
    assert scene.parents()["m0"] is None
    scene.pass_time(2, reports=False)
    assert scene.parents()["m0"] == "source"


@pytest.mark.parametrize(("before", "after", "waits"), [(600, 5, 5.0), (5, 600, 5.0), (4, 5, 4.0)])
def test_a_shorter_patience_counts_for_those_who_are_missed_already(before: float, after: float, waits: float) -> None:
    scene = Scene(lost_after_s=before)
    scene.join("source", ("srv",), "source")
    scene.join("m0", ("srv", "core", "A"))
    scene.kill(scene["m0"])
    retune(scene, lost_after_s=after)
    assert [at - scene.now for _, at in inside(scene).timers.pending("lost")] == [waits]


def test_who_kept_to_a_longer_interval_between_reports_is_not_silent() -> None:
    scene = Scene(report_ms=60_000)
    scene.join("source", ("srv",), "source")
    scene.join("m0", ("srv", "core", "A"))
    scene.join("gone", ("srv", "core", "A"))
    scene.kill(scene["gone"])
    missed = record(scene, "gone").watch.heard_at
    scene.pass_time(50, reports=False)
    retune(scene, report_ms=1000)
    assert record(scene, "m0").watch.heard_at == scene.now
    scene.pass_time(1, reports=False)
    assert "suspect" not in scene.kinds()
    assert "gone" not in scene.parents() or record(scene, "gone").watch.heard_at == missed
