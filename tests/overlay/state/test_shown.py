"""Which of several echoes is believed: the best, unless nobody in the group confirms it and its neighbours deny it."""

from __future__ import annotations

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay import Overlay
from overlaycast.overlay.plan import capacity
from overlaycast.overlay.state.locality import Routers
from overlaycast.overlay.state.measurement import Measurement
from overlaycast.overlay.state.shown import FEW, Readings
from overlaycast.wire.group import GroupSettings
from tests.overlay.scene import KEY, Scene, inside, locate, record

HOST = (("192.0.2.7", 8471),)


def tree(*readings: tuple[str, float]) -> Routers:
    """Return the routers of a group whose members, each behind ``r`` and a router, have shown these rates."""
    routers = Routers()
    for number, (name, rate) in enumerate(readings, 1):
        routers.show(locate(routers, Measurement(("r", name)), HOST), {number: rate})
    return routers


def rates(routers: Routers, *names: str) -> list[float | None]:
    return [routers.known[name].rate_mbit for name in names]


def test_late_echoes_do_not_hide_what_one_has_shown() -> None:
    assert rates(tree(("a", 7), ("a", 20), ("b", 19)), "a", "b", "r") == [20, 19, 20]


def test_one_that_nobody_confirms_is_not_believed_against_its_neighbours() -> None:
    found = tree(("a", 22), ("a", 29), ("a", 20), ("b", 21))
    assert rates(found, "a", "b", "r") == [22, 21, 22]


def test_it_is_believed_as_soon_as_anybody_confirms_it() -> None:
    found = tree(("a", 22), ("a", 29), ("a", 20), ("b", 27))
    assert rates(found, "a", "b", "r") == [29, 27, 29]


def test_a_member_on_its_own_behind_a_fast_link_is_believed() -> None:
    assert rates(tree(("a", 100), ("b", 20), ("b", 20), ("b", 20)), "a", "b", "r") == [100, 20, 100]


def test_of_two_the_better_one_is_believed() -> None:
    assert rates(tree(("a", 20), ("a", 10)), "a") == [20]


def test_one_that_shows_nothing_is_unknown_and_not_fast() -> None:
    scene = Scene(start_members=3)
    scene.join("silent", ("r", "a"), rate_mbit=None)
    routers = inside(scene).routers
    assert rates(routers, "a", "r") == [None, None]
    assert routers.middling_mbit is None
    scene.join("thin", ("r", "b"), rate_mbit=20)
    assert rates(routers, "a", "b", "r") == [None, 20, 20]
    assert [capacity.known_mbit(inside(scene), routers.known[name]) for name in "ab"] == [20, 20]
    scene.join("neighbour", ("r", "a"), rate_mbit=50)
    assert rates(routers, "a", "b", "r") == [50, 20, 50]


def test_a_newer_echo_takes_the_place_of_the_one_before() -> None:
    found = tree(("a", 20), ("b", 10))
    found.show(found.known["a"], {1: 8})
    assert rates(found, "a", "b", "r") == [8, 10, 10]


def test_an_echo_tells_nothing_of_where_its_member_was_taken_to_be() -> None:
    scene = Scene(start_members=3)
    scene.join("far", ("r", "a"), rate_mbit=50)
    scene.join("near", ("r", "b"), rate_mbit=10)
    scene.measure(scene["far"], ("r", "c"), rate_mbit=50)
    known = inside(scene).routers.known
    assert [known[name].rate_mbit for name in ("a", "b", "c", "r")] == [None, 10, 50, 50]
    assert record(scene, "far").router is known["c"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([5.0, 8.0, 20.0, 29.0, 500.0]))), st.randoms())
def test_the_order_changes_nothing(readings: list[tuple[str, float]], chance: random.Random) -> None:
    numbered = list(enumerate(readings, 1))
    found = []
    for order in (numbered, chance.sample(numbered, len(numbered))):
        routers = Routers()
        for number, (name, rate) in order:
            routers.show(locate(routers, Measurement(("r", name)), HOST), {number: rate})
        found.append({name: one.rate_mbit for name, one in routers.known.items()})
    assert found[0] == found[1]


@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from("abc"), st.sampled_from([5.0, 8.0, 20.0, 29.0]))))
def test_what_is_kept_is_bounded_by_the_readings_that_count(echoes: list[tuple[int, str, float]]) -> None:
    readings, routers = Readings(), Routers()
    for number, (member, name, rate) in enumerate(echoes * 20):
        router = locate(routers, Measurement(("r", name)), HOST)
        readings.take(router, member, rate + number / 1000)
        count = sum(len(one.readings) for one in routers.known.values())
        assert len(readings) <= max(2 * count, FEW)
        if number % 7 == 0:
            router.readings.pop(member, None)  # it is elsewhere
        readings.doubted()


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from("ab"), st.sampled_from([5.0, 20.0, 29.0])), min_size=70))
def test_who_is_doubted_does_not_depend_on_what_was_cleared_away(echoes: list[tuple[int, str, float]]) -> None:
    found = []
    for few in (1, 10_000):
        readings, routers = Readings(few), Routers()
        doubted = []
        for member, name, rate in echoes:
            readings.take(locate(routers, Measurement(("r", name)), HOST), member, rate)
            one = readings.doubted()
            doubted.append(one and (one[0].key, one[1]))
        found.append(doubted)
    assert found[0] == found[1]


def test_a_restart_keeps_what_was_shown() -> None:
    scene = Scene(start_members=4)
    for name, rate in (("one", 20.0), ("two", 29.0), ("three", 22.0), ("four", None)):
        scene.join(name, ("r", "a") if rate else ("r", "b"), rate_mbit=rate)
    kept = json.loads(json.dumps(scene.overlay.snapshot()))
    again = Overlay.restore(GroupSettings(start_members=4), KEY, kept, scene.now)._group.routers.known
    before = inside(scene).routers.known
    assert {key: one.rate_mbit for key, one in again.items()} == {key: one.rate_mbit for key, one in before.items()}
    assert again["b"].rate_mbit is None


def test_what_earlier_releases_took_for_too_fast_to_tell_is_unknown() -> None:
    scene = Scene(start_members=2)
    scene.join("one", ("r", "a"), rate_mbit=20.0)
    scene.join("two", ("r", "b"), rate_mbit=None)
    kept = json.loads(json.dumps(scene.overlay.snapshot()))
    for place in kept["places"]:
        if place[0] == "b":
            place[6:] = ["ample", [[2, "ample"]]]
    again = Overlay.restore(GroupSettings(start_members=2), KEY, kept, scene.now)._group.routers.known
    assert [again[name].rate_mbit for name in ("a", "b", "r")] == [20, None, 20]
    for place in kept["places"]:
        if place[0] == "b":
            place[6:] = ["ample"]  # by releases before those, without the members
    again = Overlay.restore(GroupSettings(start_members=2), KEY, kept, scene.now)._group.routers.known
    assert [again[name].rate_mbit for name in ("a", "b", "r")] == [20, None, 20]
