"""Members that cannot keep up: told when it begins, when it is over, and what it cost; one that lies floods nobody."""

from __future__ import annotations

from typing import Any

from overlaycast.overlay import Overlay
from tests.overlay.scene import KEY, Actor, Scene


def chain() -> tuple[Scene, Actor]:
    """Return a source with one child: nobody else could feed it."""
    scene = Scene(source_out_degree=1, improve_s=0)
    scene.join("s", ("r0",), "source")
    leaf = scene.join("a", ("r0", "a"))
    scene.pass_time(5)
    return scene, leaf


def told(scene: Scene) -> list[tuple[str, dict[str, Any]]]:
    return [(e.kind, e.details) for e in scene.events if e.kind in ("behind", "caught-up", "lost")]


def say(scene: Scene, actor: Actor, seconds: float = 0.0, **more: Any) -> None:
    """Let a member report, and time pass."""
    scene.report(actor, **more)
    scene.deliver()
    scene.now += seconds


def shown(scene: Scene, actor: Actor) -> str | None:
    return next(seat.behind for seat in scene.overlay.tree().members if seat.id == actor.id)


def test_a_healthy_group_says_nothing() -> None:
    scene, _ = chain()
    scene.pass_time(60)
    assert told(scene) == []


def test_it_is_told_when_it_begins_and_when_it_is_over_though_nobody_else_could_feed_it() -> None:
    scene, leaf = chain()
    say(scene, leaf, 1, behind="link", lost=3)
    assert shown(scene, leaf) == "link"
    for lost in range(4, 24):
        say(scene, leaf, 1, behind="link", lost=lost)
    say(scene, leaf, 1, lost=24)
    assert shown(scene, leaf) is None
    begin, end = [one for one in told(scene) if one[0] != "lost"]
    assert begin == ("behind", {"what": "link", "parent": scene["s"].id, "lost": 3})
    assert end == ("caught-up", {"what": "link", "seconds": 21.0, "lost": 21})
    say(scene, leaf, 1, lost=24)
    assert len([one for one in told(scene) if one[0] != "lost"]) == 2
    say(scene, leaf, 4, lost=24)
    say(scene, leaf, 1, behind="output", lost=24)
    assert told(scene)[-1] == ("behind", {"what": "output", "parent": scene["s"].id, "lost": 24})


def test_another_cause_is_told_and_the_time_goes_on() -> None:
    scene, leaf = chain()
    say(scene, leaf, 5, behind="link")
    say(scene, leaf, 5, behind="parent")
    say(scene, leaf)
    assert [(kind, what["what"]) for kind, what in told(scene)] == [
        ("behind", "link"),
        ("behind", "parent"),
        ("caught-up", "parent"),
    ]
    assert told(scene)[-1][1]["seconds"] == 10


def test_losses_are_told_at_once_and_then_in_sums() -> None:
    scene, leaf = chain()
    for lost in (5, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7):
        say(scene, leaf, 1, lost=lost)
    assert told(scene) == [("lost", {"records": 5, "in_all": 5}), ("lost", {"records": 2, "in_all": 7})]
    say(scene, leaf, 60, lost=1)
    say(scene, leaf, 1, lost=7)
    assert len(told(scene)) == 2


def test_who_says_something_else_with_every_report_is_not_told_each_time() -> None:
    scene, leaf = chain()
    for step in range(600):
        say(scene, leaf, 0.1, behind=("link", None, "output")[step % 3], lost=step * (1 << 40))
    assert len(told(scene)) <= 60 / 3 + 60 / 10 + 2


def test_the_source_may_be_behind_too() -> None:
    scene, _ = chain()
    say(scene, scene["s"], 1, behind="processor")
    assert told(scene) == [("behind", {"what": "processor", "parent": None, "lost": 0})]


def test_what_was_lost_before_a_restart_of_the_coordinator_is_no_news() -> None:
    scene, leaf = chain()
    say(scene, leaf, 1, lost=7)
    scene.overlay = Overlay.restore(scene.settings, KEY, scene.overlay.snapshot(), scene.now)
    scene.events.clear()
    assert scene.resume(leaf)
    say(scene, leaf, 1, lost=9)
    assert told(scene) == []
    say(scene, leaf, 1, lost=12)
    assert told(scene) == [("lost", {"records": 3, "in_all": 12})]


def sums(scene: Scene) -> tuple[int, int]:
    counters = scene.overlay.counters()
    return counters.links_failed, counters.asked_in_vain


def test_failures_of_links_are_summed_over_all_members() -> None:
    scene, leaf = chain()
    assert sums(scene) == (0, 0)
    say(scene, leaf, 1, links_failed=3, asked_in_vain=1)
    say(scene, leaf, 1, links_failed=5, asked_in_vain=1)
    other = scene.join("b", ("r0", "b"))
    say(scene, other, 1, links_failed=2, asked_in_vain=4)
    assert sums(scene) == (7, 5)
    seen = {one.id: (one.links_failed, one.asked_in_vain) for one in scene.overlay.members()}
    assert (seen[leaf.id], seen[other.id]) == ((5, 1), (2, 4))
    say(scene, leaf, 1, links_failed=1, asked_in_vain=0)  # it lies, or forgot: nothing is taken back
    say(scene, leaf, 1, links_failed=2, asked_in_vain=0)
    assert sums(scene) == (8, 5)


def test_who_feeds_a_member_is_who_has_brought_it_a_record() -> None:
    scene, leaf = chain()

    def shown_feeder() -> int | None:
        return next(one.fed_by for one in scene.overlay.members() if one.id == leaf.id)

    say(scene, leaf, 1)
    assert shown_feeder() is None
    say(scene, leaf, 1, fed_by=scene["s"].id)
    assert shown_feeder() == scene["s"].id


def test_a_member_that_gets_nothing_is_shown_so() -> None:
    scene, leaf = chain()

    def state() -> str:
        return next(seat.state for seat in scene.overlay.tree().members if seat.id == leaf.id)

    for said, expected in (("streaming", "ACTIVE"), ("stalled", "STALLED"), ("switching", "SEARCHING")):
        say(scene, leaf, 1, state=said)
        assert state() == expected
