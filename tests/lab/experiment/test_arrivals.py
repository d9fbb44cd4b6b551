"""Who comes when is the seed's, and possible."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.lab.experiment.arrivals import QUIET_S, plan
from overlaycast.lab.experiment.experiment import Arrival

PEERS = tuple(f"h{number}" for number in range(8))
CHURNS = st.builds(
    Arrival,
    kind=st.just("churn"),
    initial=st.floats(0, 1),
    per_minute=st.floats(1, 300),
    lifetime_s=st.floats(0.5, 30),
    kill_share=st.floats(0, 1),
)


def test_all_at_once_in_the_order_of_the_cast() -> None:
    found = plan(Arrival(), PEERS, 1, 10)
    assert (found.first, found.later) == (PEERS, ())


def test_spread_has_one_at_the_beginning_and_the_others_evenly() -> None:
    found = plan(Arrival(kind="spread", over_s=7), PEERS, 1, 10)
    assert len(found.first) == 1
    assert [passage.at_s for passage in found.later] == [1, 2, 3, 4, 5, 6, 7]
    assert {*found.first, *(passage.host for passage in found.later)} == {*PEERS}
    assert found != plan(Arrival(kind="spread", over_s=7), PEERS, 2, 10)


@given(CHURNS, st.integers(0, 1000), st.floats(3, 60))
def test_no_peer_joins_twice_or_leaves_before_it_joined(arrival: Arrival, seed: int, stream_s: float) -> None:
    found = plan(arrival, PEERS, seed, stream_s)
    there = set(found.first)
    assert there
    for passage in found.later:
        assert 0 <= passage.at_s <= stream_s - QUIET_S + 0.001
        if passage.what == "come":
            assert passage.host not in there
            there.add(passage.host)
        else:
            assert passage.host in there
            assert passage.host != found.first[0]
            there.remove(passage.host)
    times = [passage.at_s for passage in found.later]
    assert times == sorted(times)


@given(CHURNS, st.integers(0, 1000))
def test_the_same_seed_gives_the_same_plan(arrival: Arrival, seed: int) -> None:
    assert plan(arrival, PEERS, seed, 20) == plan(arrival, PEERS, seed, 20)


def test_departures_without_good_bye_are_as_many_as_asked() -> None:
    def ways(share: float) -> set[str]:
        arrival = Arrival(kind="churn", per_minute=100, lifetime_s=2, kill_share=share)
        return {passage.what for passage in plan(arrival, PEERS, 3, 60).later}

    assert ways(0) == {"come", "leave"}
    assert ways(1) == {"come", "kill"}
