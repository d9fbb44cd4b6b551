"""What a train shows of each direction, whatever the clocks say and however long the way is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.discovery.trains.dispersion import Passage, down_mbit, up_mbit

BITS = 8 * 32768.0
MBIT = st.floats(0.1, 10_000)


def passage(count: int, down: float, up: float, late_s: float = 0.0) -> Passage:
    """Return what the ends see of a train over a link with these rates, payload by payload."""
    each_down, each_up = BITS / down / 1e6, BITS / up / 1e6
    back = 0.0
    for number in range(count):
        back = max(back, (number + 1) * each_down) + each_up
    return Passage(count, BITS, count * each_down + late_s, back + late_s)


@given(st.integers(1, 8), MBIT, MBIT)
def test_each_direction_shows_its_own_rate(count: int, down: float, up: float) -> None:
    trains = [passage(count, down, up)] * 2
    assert down_mbit(trains) == pytest.approx(down, rel=1e-6)
    assert up_mbit(trains) == pytest.approx(up, rel=1e-3)


def test_those_two_count_that_agree_best() -> None:
    late = passage(1, 20, 20, late_s=0.02)
    early = Passage(1, BITS, 0.001, 0.002)
    good = [passage(1, 20, 20), passage(1, 20.2, 20.2)]
    for trains in ([late, *good, early], [*good, early], [early, late, *reversed(good)]):
        assert down_mbit(trains) == pytest.approx(20.1, rel=0.01)


def test_what_no_other_train_confirms_is_not_known() -> None:
    assert down_mbit([]) is None
    assert up_mbit([passage(1, 20, 20)]) is None
    assert down_mbit([passage(1, 20, 20), passage(1, 30, 30)]) is None


@given(st.lists(st.tuples(st.integers(1, 4), st.floats(-1e9, 1e9), st.floats(-10, 10)), max_size=5))
def test_no_claim_of_a_member_breaks_it(claims: list[tuple[int, float, float]]) -> None:
    trains = [Passage(count, BITS, there, back) for count, there, back in claims]
    for rate in (down_mbit(trains), up_mbit(trains)):
        assert rate is None or rate > 0
