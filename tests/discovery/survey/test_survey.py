"""The survey in virtual time: every route right, with few probes, on networks that limit, lose, hide and lie."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlaycast.discovery.survey import survey as rules
from overlaycast.discovery.survey.route import Route
from overlaycast.discovery.survey.survey import LATE_S, MOST_PROBES, RATE, Survey
from tests.discovery.survey.emulated import World, regions

ANSWER = tuple[int, str, str, str, int | None]


def at_once(world: World, seconds: float = 20.0) -> World:
    """Ask for all routes at once, and let so many seconds pass."""
    world.seek()
    world.run(seconds)
    return world


def last(world: World, target: str) -> Route:
    """The newest route that was told."""
    return world.told[target][-1][1]


def test_48_members_behind_stock_routers_take_few_probes_and_little_time() -> None:
    world = at_once(World(regions()))
    complete = world.complete()
    assert len(complete) == 48
    assert max(complete.values()) < 3
    assert sum(at < 0.2 for at in complete.values()) == 36, "Linux answers six at once"
    assert len(world.probes) <= 125
    assert all(not last(world, target).open for target in world.routes)


def test_routers_without_limits_are_asked_once_each() -> None:
    world = at_once(World(regions(), stock=False))
    assert set(world.complete()) == set(world.routes)
    # a probe for the distance and one for the last router of each, one per leaf, and the time to the first router
    assert len(world.probes) == 48 + 48 + 6 + 1
    assert max(world.complete().values()) < 0.1


def test_the_first_route_is_told_after_half_a_second_complete_or_not() -> None:
    world = at_once(World(regions()), 0.55)
    assert set(world.told) == set(world.routes)
    partial = [one for told in world.told.values() for _, one in told if None in one.routers]
    assert len(partial) == 12
    assert all(one.routers == ("r0", None, None) and one.reached and one.open for one in partial)
    assert all(one.sources == ("table", "silent", "silent") for one in partial)


@pytest.mark.parametrize("loss", [0.05, 0.2])
@pytest.mark.parametrize("seed", range(5))
def test_lost_probes_are_sent_again(loss: float, seed: int) -> None:
    world = at_once(World(regions(), loss=loss, seed=seed))
    assert set(world.complete()) == set(world.routes)
    assert max(world.complete().values()) < 10


def test_a_leaf_of_many_gets_one_answer_a_second_and_few_probes_more() -> None:
    routes = regions(members=30, leaves=1)
    world = at_once(World(routes), 30)
    assert set(world.complete()) == set(routes)
    assert max(world.complete().values()) < 27, "24 come one a second"
    assert len(world.probes) < 30 + 30 + 24 * 3


def test_a_silent_router_between_two_is_anonymous_only_after_five_askers() -> None:
    world = World(regions(), silent=frozenset({"r2"}))
    world.seek()
    world.run(0.6)
    under = [f"10.2.{member}.2" for member in range(8)]
    assert {last(world, target).routers for target in under if last(world, target).routers[2]} == {("r0", None, "l2")}
    assert all(last(world, target).open for target in under)
    world.run(5)
    for target in under:
        assert last(world, target).routers == ("r0", None, "l2")
        assert last(world, target).sources == ("table", "anonymous", "answered")
        assert not last(world, target).open
    asked = {probe.target for at, probe in world.probes if probe.ttl == 2 and at < 5} & set(under)
    assert len(asked) >= 5


def test_a_silent_leaf_confirms_nothing() -> None:
    world = at_once(World(regions(), silent=frozenset({"l0"})))
    for target in world.routes:
        expected = ("r0", "r1", None) if target.startswith("10.0.") else tuple(world.routes[target])
        assert last(world, target).routers == expected
        assert last(world, target).reached
    assert last(world, "10.0.0.2").sources[-1] == "anonymous"


def test_a_lone_member_behind_a_silent_router_is_told_as_far_as_is_known() -> None:
    world = at_once(World({"h": ["a", "b", "c"]}, silent=frozenset({"b"})), 10)
    assert last(world, "h").routers == ("a", None, "c")
    assert not last(world, "h").open
    assert len(world.probes) < 15


def test_a_router_that_answers_late_is_no_longer_anonymous() -> None:
    """What was closed is opened again by time alone, with no newcomer."""
    world = at_once(World(regions(), silent=frozenset({"l0", "r2"})), 15)
    assert last(world, "10.0.0.2").routers == ("r0", "r1", None)
    world.silent = frozenset()
    world.run(30)
    assert last(world, "10.0.0.2").routers == ("r0", "r1", "l0")
    world.run(55)
    assert all(last(world, target).routers == tuple(way) for target, way in world.routes.items())


def test_one_answer_reopens_the_question_of_all_beside() -> None:
    world = at_once(World(regions(), silent=frozenset({"l0"})), 60)
    world.silent = frozenset()
    before = world.now
    world.run(100)
    right = [at for target, at in world.complete().items() if target.startswith("10.0.")]
    assert len(right) == 8
    assert max(right) - min(right) < 6
    assert min(right) - before < 31


def test_a_target_that_never_answers_ends_at_its_last_router() -> None:
    for silent in (1, 47):
        hosts = frozenset(list(regions())[:silent])
        world = at_once(World(regions(), silent=hosts), 40)
        for target, way in world.routes.items():
            assert last(world, target).routers == tuple(way), target
            assert last(world, target).reached == (target not in hosts)
            assert not last(world, target).open
        assert sum(at < 5 for at, _ in world.probes) < 48 * 20


def test_while_a_silent_target_is_looked_for_its_route_ends_in_silence() -> None:
    world = at_once(World({"h": ["a", "b", "c"]}, silent=frozenset({"h"})), 0.55)
    assert last(world, "h").routers[-1] is None
    assert last(world, "h").open
    world.run(10)
    assert last(world, "h").routers == ("a", "b", "c")
    assert not last(world, "h").open


def test_where_nothing_answers_only_the_routing_table_speaks() -> None:
    world = at_once(World({"h": ["a", "b"]}, silent=frozenset({"h", "a", "b"})), 60)
    assert last(world, "h") == Route("h", ("a", None), False, (None, None), ("table", "silent"))
    assert len(world.probes) < 60


def test_neighbours_on_the_own_lan_have_no_router() -> None:
    world = at_once(World({"h": [], "i": []}), 5)
    assert last(world, "h") == Route("h", (), True, last(world, "h").rtt_ms)
    assert len(world.probes) == 2


def test_behind_the_first_router_one_probe_is_enough() -> None:
    world = at_once(World({f"h{number}": ["a"] for number in range(20)}), 5)
    assert len(world.complete()) == 20
    assert len(world.probes) == 21, "and one for the time to the first router"


def test_routers_without_a_time_to_live_are_no_hops() -> None:
    world = at_once(World(regions(), hidden=frozenset({"r3"})))
    for target, way in world.routes.items():
        assert last(world, target).routers == tuple(router for router in way if router != "r3")


def test_without_a_routing_table_the_first_router_is_asked_too() -> None:
    world = at_once(World(regions(), table=False))
    assert set(world.complete()) == set(world.routes)
    assert len(world.probes) <= 150


def test_balanced_routes_are_ways_that_exist() -> None:
    """Each flow has a way of its own above the first region: what is taken over is a way, if not one's own."""
    routes = {
        target: [way[0], f"x{index % 2}", *way[1:]] if way[1] == "r1" else way
        for index, (target, way) in enumerate(regions().items())
    }
    world = at_once(World(routes))
    for target, way in routes.items():
        found = last(world, target)
        assert not found.open
        assert found.routers[-1] == way[-1]
        assert [router for router in found.routers if router not in ("x0", "x1")] == [r for r in way if r[0] != "x"]
        assert len(found.routers) == len(way)
        answered = [hop for hop, source in zip(found.routers, found.sources, strict=True) if source == "answered"]
        assert set(answered) <= set(way)


def test_a_router_that_refuses_is_the_end() -> None:
    world = at_once(World({"h": ["a", "b", "c"], "i": ["a", "b", "d"]}, blocks={"h": "c"}), 10)
    assert last(world, "h").routers == ("a", "b", "c")
    assert not last(world, "h").reached
    assert last(world, "i").reached


def test_slow_networks_are_waited_for() -> None:
    world = at_once(World(regions(), delay_s=0.1), 20)
    assert set(world.complete()) == set(world.routes)


def test_a_target_asked_for_again_is_told_again_and_traced_anew_after_a_while() -> None:
    world = at_once(World(regions()), 5)
    probes = len(world.probes)
    target = "10.0.0.2"
    told = len(world.told[target])
    world.seek([target])
    assert len(world.told[target]) == told + 1
    assert len(world.probes) == probes
    world.run(30)
    world.seek([target])
    world.run(35)
    assert len(world.probes) == probes + 2
    assert last(world, target).routers == ("r0", "r1", "l0")


def test_another_way_is_seen_when_somebody_comes_after_a_while() -> None:
    routes = {**regions(), "new": ["r0", "r1", "l0"]}
    world = World(routes)
    world.seek(regions())
    world.run(200)
    world.routes = {target: ["r0", "r9", "l0"] if way[-1] == "l0" else way for target, way in routes.items()}
    world.seek(["new"])
    world.run(210)
    assert last(world, "new").routers == ("r0", "r9", "l0")


def test_no_more_than_so_many_a_second() -> None:
    world = at_once(World(regions(members=250)), 3)
    seconds = Counter(int(at * 10) for at, _ in world.probes)
    assert max(seconds.values()) <= RATE / 10 + 40


def test_of_very_many_the_first_are_found_first() -> None:
    """What is begun is ended before more is begun, and nothing is told of those that were not asked yet."""
    routes = {f"h{number}": ["a", f"b{number % 500}", f"c{number % 500}"] for number in range(4000)}
    world = at_once(World(routes, stock=False), 3)
    assert len(world.complete()) > 2500
    assert all(len(told) == 1 for told in world.told.values())


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST_TARGETS", 100)
    routes = {f"h{number}": ["a", f"b{number}", f"c{number}"] for number in range(1000)}
    world = World(routes)
    for start in range(0, 1000, 100):
        world.seek(list(routes)[start : start + 100])
        world.run(world.now + 2)
    assert len(world.survey) <= 100 + 3 * 100 + RATE * LATE_S
    assert world.survey.probes(world.now + rules.KEPT_S + LATE_S) == []
    assert len(world.survey) == 0
    assert world.survey.next_deadline() is None


answers = st.tuples(
    st.integers(0, 200),
    st.sampled_from([*list(regions(2))[:4], "stranger"]),
    st.sampled_from(["r0", "r1", "l0", "evil", *list(regions(2))[:2]]),
    st.sampled_from(["hop", "target", "blocked"]),
    st.one_of(st.none(), st.integers(0, 300)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 4), answers), max_size=60), st.integers(0, 5))
def test_what_others_send_never_kills_and_never_stops_it(forged: list[tuple[float, ANSWER]], seed: int) -> None:
    """Even one that knows the numbers: what it says may be believed, but the survey ends, and others are found."""
    world = World(regions(2), seed=seed)
    world.seek()
    for at, (number, target, router, verdict, left) in sorted(forged, key=lambda one: one[0]):
        world.run(at)
        assert verdict in ("hop", "target", "blocked")
        world.survey.answer(number, target, router, verdict, left, world.now)  # type: ignore[arg-type]
    world.run(60)
    assert set(world.told) == set(world.routes)
    assert all(not last(world, target).open for target in world.routes)
    spared = set(world.routes) - {target for _, (_, target, *_) in forged}
    heard = any(number <= 120 for _, (number, *_) in forged)
    for target in spared if not heard else ():
        assert last(world, target).routers == tuple(world.routes[target])


def test_an_answer_to_no_probe_of_ours_changes_nothing() -> None:
    survey = Survey(0.0)
    survey.seek("h", "a", 0.0)
    [first] = [probe for probe in survey.probes(0.0) if probe.ttl > 1]
    survey.answer(first.number + 7, "h", "evil", "hop", 1, 0.1)
    survey.answer(first.number, "i", "evil", "target", 60, 0.1)
    assert survey.routes(0.2) == []
    survey.answer(first.number, "h", "h", "target", 63, 0.2)
    [route] = survey.routes(0.2)
    assert (route.routers, route.reached) == (("a",), True)
    survey.answer(first.number, "h", "evil", "hop", 1, 0.3)
    assert survey.routes(0.3) == [], "it was answered already"


def test_a_nonsense_rest_of_the_time_to_live_is_no_distance() -> None:
    def meddle(answer: ANSWER) -> list[ANSWER]:
        number, target, router, verdict, left = answer
        return [(number, target, router, verdict, 200 if verdict == "target" else left)]

    world = at_once(World(regions(2), meddle=meddle), 20)
    assert set(world.complete()) == set(world.routes)


def test_a_rest_that_names_a_distance_too_far_is_mended() -> None:
    """A box on the way has set the time to live anew: the hop before answers in the target's own name."""

    def meddle(answer: ANSWER) -> list[ANSWER]:
        number, target, router, verdict, left = answer
        return [(number, target, router, verdict, 60 if verdict == "target" and left and left > 5 else left)]

    world = at_once(World({"h": ["a", "b"]}, meddle=meddle), 10)
    assert last(world, "h").routers == ("a", "b")


@st.composite
def networks(draw: st.DrawFn) -> tuple[dict[str, list[str]], frozenset[str]]:
    """A tree of routers, targets anywhere below, some of both silent."""
    parents: list[int] = [draw(st.integers(0, max(0, index - 1))) for index in range(draw(st.integers(1, 12)))]

    def way(router: int) -> list[str]:
        return [*(way(parents[router]) if router else []), f"r{router}"]

    seats: Sequence[int] = draw(st.lists(st.integers(0, len(parents) - 1), min_size=1, max_size=25))
    routes = {f"h{number}": way(seat) for number, seat in enumerate(seats)}
    able = [f"r{index}" for index in range(1, len(parents))] + list(routes)
    silent = draw(st.sets(st.sampled_from(able), max_size=4)) if able else set()
    return routes, frozenset(silent)


@settings(deadline=None, max_examples=150)
@given(networks(), st.sampled_from([0.0, 0.0, 0.1]), st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_on_any_tree_every_hop_that_is_named_is_right(
    network: tuple[dict[str, list[str]], frozenset[str]],
    loss: float,
    table: bool,
    together: bool,
    chance: random.Random,
) -> None:
    routes, silent = network
    world = World(routes, silent=silent, loss=loss, table=table)
    if together:
        world.seek()
    else:
        for target in routes:
            world.seek([target])
            world.run(world.now + chance.random() * 3)
    world.run(world.now + 90)
    for target, way in routes.items():
        for _, route in world.told[target]:
            named = route.routers
            if route.reached:
                assert len(named) == len(way)
            assert all(hop is None or hop == true for hop, true in zip(named, way, strict=False))
        found = last(world, target)
        assert not found.open
        if target not in silent:
            assert found.routers == tuple(None if router in silent else router for router in way)
            assert found.reached
        assert Counter(probe.target for _, probe in world.probes)[target] <= MOST_PROBES
