"""Answers that come late, twice, from elsewhere or to nobody, driven by hand."""

from __future__ import annotations

from overlaycast.discovery.survey import survey as rules
from overlaycast.discovery.survey.survey import KEPT_S, LARGE_TTL, LATE_S, MOST_PROBES, STALE_S, Probe, Survey
from tests.discovery.survey.emulated import World, regions


def begun(gateway: str | None = None) -> tuple[Survey, Probe]:
    """A survey that looks for the route to ``h``, and its first probe."""
    survey = Survey(0.0)
    survey.seek("h", gateway, 0.0)
    return survey, next(one for one in survey.probes(0.0) if one.ttl == LARGE_TTL)


def hops(survey: Survey, now: float) -> dict[int, Probe]:
    """The probes to send now, by their time to live."""
    return {one.ttl: one for one in survey.probes(now)}


def test_what_is_known_is_told_also_when_asked_for() -> None:
    survey, probe = begun("a")
    assert survey.route("nobody") is None
    survey.answer(probe.number, "h", "h", "target", LARGE_TTL - 1, 0.001)
    found = survey.route("h")
    assert found is not None
    assert found.routers == ("a",)
    assert found.reached
    assert not found.shared
    assert len(found.hops_ms) == 1


def test_the_time_counts_from_when_a_probe_was_sent() -> None:
    survey, probe = begun()
    survey.sent(probe.number, 0.2)
    survey.sent(probe.number + 1, 0.3)
    survey.answer(probe.number, "h", "h", "target", LARGE_TTL, 0.25)
    found = survey.routes(1.0)[0]
    assert (found.routers, found.reached) == ((), True)


def test_an_answer_of_long_ago_counts_no_more() -> None:
    survey, probe = begun()
    survey.answer(probe.number, "h", "h", "target", LARGE_TTL - 1, LATE_S + 1)
    found = survey.route("h")
    assert found is not None
    assert not found.reached


def test_an_answer_for_a_target_that_is_sought_anew_counts_no_more() -> None:
    survey, probe = begun()
    survey.seek("h", None, rules.FRESH_S)
    survey.answer(probe.number, "h", "h", "target", LARGE_TTL - 1, rules.FRESH_S)
    assert survey.routes(rules.FRESH_S) == [], "what is told is told of the new one"
    found = survey.route("h")
    assert found is not None
    assert not found.reached


def test_a_router_that_blocks_without_saying_where_it_is_tells_nothing() -> None:
    survey, probe = begun()
    survey.answer(probe.number, "h", "x", "blocked", None, 0.001)
    found = survey.route("h")
    assert found is not None
    assert found.routers == ()


def test_who_is_reached_is_not_blocked() -> None:
    survey, probe = begun()
    survey.answer(probe.number, "h", "h", "target", LARGE_TTL - 2, 0.001)
    probe = hops(survey, 0.001)[2]
    survey.answer(probe.number, "h", "x", "blocked", 1, 0.002)
    found = survey.route("h")
    assert found is not None
    assert found.reached


def test_the_nearest_router_that_blocks_ends_the_way() -> None:
    survey, first = begun()
    second = hops(survey, 1.0)[LARGE_TTL]
    survey.answer(first.number, "h", "near", "blocked", LARGE_TTL - 1, 1.1)
    survey.answer(second.number, "h", "far", "blocked", LARGE_TTL - 4, 1.2)
    found = survey.route("h")
    assert found is not None
    assert not found.reached
    assert found.routers[1:2] == ("near",)


def test_probes_are_numbered_from_1_to_65535() -> None:
    survey = Survey(0.0, first=0xFFFF - 1)
    survey.seek("h", None, 0.0)
    survey.seek("i", None, 0.0)
    assert [one.number for one in survey.probes(0.0)] == [0xFFFF, 1]


def test_of_balanced_routes_the_first_answer_stays() -> None:
    survey, probe = begun()
    survey.answer(probe.number, "h", "h", "target", LARGE_TTL - 2, 0.001)
    first = hops(survey, 0.001)[2]
    second = hops(survey, 0.5)[2]
    survey.answer(first.number, "h", "x", "hop", 1, 0.6)
    survey.answer(second.number, "h", "y", "hop", 1, 0.7)
    found = survey.route("h")
    assert found is not None
    assert found.routers[-1] == "x"


def test_a_router_beyond_the_target_is_on_no_way_to_it() -> None:
    survey, first = begun()
    ahead: dict[int, Probe] = {}
    for now in (1.0, 2.0, 3.0, 4.0):
        ahead |= hops(survey, now)
    further = ahead[max(ttl for ttl in ahead if ttl < LARGE_TTL)]
    assert further.ttl > 2
    survey.answer(first.number, "h", "h", "target", LARGE_TTL - 1, 5.0)
    survey.answer(further.number, "h", "z", "hop", 1, 5.1)
    found = survey.route("h")
    assert found is not None
    assert "z" not in found.routers


def test_what_answered_beyond_the_target_is_on_its_way_no_more() -> None:
    survey, first = begun()
    ahead: dict[int, Probe] = {}
    for now in (1.0, 2.0, 3.0, 4.0):
        ahead |= hops(survey, now)
    further = ahead[max(ttl for ttl in ahead if ttl < LARGE_TTL)]
    survey.answer(further.number, "h", "z", "hop", 1, 4.9)
    before = survey.route("h")
    survey.answer(first.number, "h", "h", "target", LARGE_TTL - 1, 5.0)
    after = survey.route("h")
    assert before is not None
    assert after is not None
    assert "z" in before.routers
    assert "z" not in after.routers


def test_a_late_answer_to_what_is_asked_no_more_is_harmless() -> None:
    world = World(regions(leaves=1))
    early, late = list(world.routes)[:2], list(world.routes)[2:3]
    world.seek(early)
    world.run(STALE_S + 10)
    world.silent = frozenset({"r1"})
    before = len(world.probes)
    world.seek(late)
    world.run(STALE_S + 15)
    number, target = next((probe.number, probe.target) for _, probe in world.probes[before:] if probe.ttl == 2)
    world.survey.answer(number, target, "r1", "hop", 1, world.now)
    world.run(STALE_S + 16)
    assert world.path(late[0]) == ("r0", "r1", "l0")


def test_all_is_forgotten_in_the_end() -> None:
    """Also what was asked for in vain."""
    world = World(regions(), silent=frozenset({"l0", "r2"}))
    world.seek()
    world.run(KEPT_S + LATE_S + 60)
    assert len(world.survey) == 0


def test_no_target_gets_more_than_so_many_probes() -> None:
    world = World({"h": [f"r{hop}" for hop in range(12)]}, silent=frozenset({"h"}), loss=0.7, table=False)
    world.seek()
    world.run(KEPT_S - 1)
    assert len(world.probes) <= MOST_PROBES


def test_a_way_seen_long_ago_is_asked_once_more() -> None:
    world = World(regions(leaves=1))
    early, late, last = list(world.routes)[:2], list(world.routes)[2:3], list(world.routes)[3:4]
    world.seek(early)
    world.run(STALE_S + 10)
    before = len(world.probes)
    world.seek(late)
    world.run(STALE_S + 20)
    assert any(probe.ttl == 2 for _, probe in world.probes[before:]), "it may be another one by now"
    assert world.path(late[0]) == ("r0", "r1", "l0")
    world.run(2 * STALE_S + 40)
    world.silent = frozenset({"r1"})
    world.seek(last)
    world.run(2 * STALE_S + 60)
    assert world.path(last[0]) == ("r0", "r1", "l0"), "silence says nothing"
