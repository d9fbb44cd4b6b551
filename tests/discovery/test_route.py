"""A trace as a state machine, in made-up time and against made-up networks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.discovery.route import MAX_HOPS, ROUND_TIMES, Route, Trace

ROUTERS = st.lists(st.booleans(), max_size=MAX_HOPS - 1)  # per router: does it ever answer?


def walk(trace: Trace, answers: list[bool], host_answers: bool, lost: set[int]) -> tuple[Route, dict[int, int], float]:
    """Run a trace through a network; the ``n``-th probe is lost if ``n`` is in ``lost``.

    Returns the route, how often each hop was asked, and how long it took.
    """
    now, asked = 100.0, dict.fromkeys(range(1, MAX_HOPS + 1), 0)
    probes = itertools.count()
    hops = trace.start(now)
    while not trace.done:
        for hop in hops:
            asked[hop] += 1
            if next(probes) in lost or trace.done:
                continue
            if hop > len(answers):
                if host_answers:
                    trace.answer(hop, "target", "target", 0.01)
            elif answers[hop - 1]:
                trace.answer(hop, f"r{hop}", "hop", 0.001 * hop)
        if not trace.done:
            assert trace.deadline is not None
            now = trace.deadline
            hops = trace.expire(now)
    return trace.result(), asked, now - 100.0


@given(ROUTERS, st.booleans(), st.sets(st.integers(0, 120), max_size=30))
def test_a_trace_ends_in_time_and_asks_no_hop_too_often(answers: list[bool], host: bool, lost: set[int]) -> None:
    route, asked, took = walk(Trace("t"), answers, host, lost)
    assert took <= sum(ROUND_TIMES) + 1e-6
    assert max(asked.values()) <= len(ROUND_TIMES)
    assert len(route.rtt_ms) == len(route.routers) + route.reached


@given(ROUTERS, st.booleans())
def test_without_loss_the_route_is_the_truth(answers: list[bool], host: bool) -> None:
    route, _, _ = walk(Trace("t"), answers, host, set())
    truth = tuple(f"r{hop}" if answer else None for hop, answer in enumerate(answers, start=1))
    if host:
        assert route.routers == truth
        assert route.reached
    else:
        # it ends after the last router that answered; nothing can be said of what is behind
        last = max((hop for hop, answer in enumerate(answers, start=1) if answer), default=0)
        assert route.routers == truth[:last]
        assert not route.reached


@given(ROUTERS, st.sets(st.integers(0, 120), max_size=30))
def test_loss_only_hides_routers_never_invents_or_misplaces_them(answers: list[bool], lost: set[int]) -> None:
    route, _, _ = walk(Trace("t"), answers, True, lost)
    truth = [f"r{hop}" if answer else None for hop, answer in enumerate(answers, start=1)]
    for found, true in zip(route.routers, truth, strict=False):
        assert found in (None, true)


def test_a_quick_network_needs_one_round_trip_and_no_second_round() -> None:
    route, asked, took = walk(Trace("t"), [True] * 4, True, set())
    assert route.routers == ("r1", "r2", "r3", "r4")
    assert took == 0
    assert set(asked.values()) == {1}


def test_a_lost_probe_is_repeated_and_nothing_else() -> None:
    route, asked, took = walk(Trace("t"), [True] * 4, True, {1})
    assert route.routers == ("r1", "r2", "r3", "r4")
    assert took == pytest.approx(ROUND_TIMES[0])
    assert [hop for hop, times in asked.items() if times > 1] == [2]


def test_the_nearest_answer_of_the_target_counts() -> None:
    trace = Trace("t")
    trace.start(0)
    trace.answer(5, "t", "target", 0.1)
    trace.answer(3, "t", "target", 0.1)
    trace.answer(1, "a", "hop", 0.1)
    assert trace.routers == ("a", None)
    trace.answer(2, "b", "hop", 0.1)
    assert trace.done
    assert trace.result() == Route("t", ("a", "b"), True, (100.0, 100.0, 100.0))


def test_a_router_that_blocks_the_way_ends_the_route_with_itself() -> None:
    trace = Trace("t")
    trace.start(0)
    trace.answer(1, "a", "hop", None)
    trace.answer(2, "wall", "blocked", None)
    assert trace.done
    assert trace.result() == Route("t", ("a", "wall"), False, (None, None))


def test_what_is_inferred_ends_the_waiting_but_never_replaces_an_answer() -> None:
    trace = Trace("t")
    trace.start(0)
    trace.answer(2, "b", "hop", None)
    trace.answer(3, "t", "target", None)
    trace.infer(("a", "wrong"))
    assert trace.done
    assert trace.result().routers == ("a", "b")


def test_answers_after_the_end_and_beyond_what_was_asked_change_nothing() -> None:
    trace = Trace("t", hops=(2, 3), round_times=(0.4,))
    assert trace.start(0) == [2, 3]
    trace.answer(9, "x", "hop", None)
    assert trace.expire(0.1) == []
    assert trace.expire(0.4) == []
    assert trace.done
    trace.answer(2, "x", "hop", None)
    assert trace.result() == Route("t", (), False, ())
