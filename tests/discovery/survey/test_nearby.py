"""Which first hops are asked, how often, and what the answers come to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.discovery.survey.nearby import HOPS, LAST_S, Nearby


def test_all_hops_are_asked_at_once_and_the_silent_ones_twice_more() -> None:
    nearby = Nearby(5.0)
    assert nearby.probes(5.0) == [1, 2, 3]
    assert nearby.probes(5.1) == []
    nearby.answer(1, "hop", "10.0.0.1")
    nearby.answer(3, "hop", "10.0.2.1")
    assert not nearby.over(5.2)
    assert nearby.probes(5.3) == [2]
    assert nearby.probes(5.6) == [2]
    assert nearby.probes(5.8) == []
    assert nearby.over(5.0 + LAST_S)
    assert nearby.found() == ("10.0.0.1", None, "10.0.2.1")


def test_it_is_over_as_soon_as_all_have_answered() -> None:
    nearby = Nearby(0.0)
    nearby.probes(0.0)
    for hop in (2, 1, 3):
        assert not nearby.over(0.01)
        nearby.answer(hop, "hop", f"10.0.{hop}.1")
    assert nearby.over(0.01)
    assert nearby.found() == ("10.0.1.1", "10.0.2.1", "10.0.3.1")


def test_what_is_at_the_end_or_beyond_it_is_no_router() -> None:
    nearby = Nearby(0.0)
    nearby.probes(0.0)
    nearby.answer(3, "hop", "10.9.9.9")
    nearby.answer(2, "end", "192.0.2.1")
    nearby.answer(3, "end", "192.0.2.1")
    nearby.answer(2, "hop", "10.9.9.9")
    assert not nearby.over(0.0)
    nearby.answer(1, "hop", "10.0.0.1")
    nearby.answer(1, "hop", "10.0.0.2")
    assert nearby.over(0.0)
    assert nearby.found() == ("10.0.0.1",)


def test_a_neighbour_has_no_router_before_it() -> None:
    nearby = Nearby(0.0)
    nearby.answer(1, "end", "192.0.2.1")
    assert nearby.over(0.0)
    assert nearby.found() == ()


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, HOPS), st.sampled_from(["hop", "end"]), st.text()), max_size=20)
)
def test_few_probes_and_an_end_whatever_is_answered(answers: list[tuple[float, int, str, str]]) -> None:
    nearby, sent = Nearby(0.0), 0
    for at, hop, verdict, router in sorted(answers):
        sent += len(nearby.probes(at))
        nearby.answer(hop, "hop" if verdict == "hop" else "end", router)
        assert len(nearby.found()) <= HOPS
    assert sent <= 3 * HOPS
    assert nearby.over(LAST_S)
