"""The least part that fails."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.lab.commands.ddmin import ddmin


@given(st.integers(1, 12).flatmap(lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1), min_size=1))))
def test_finds_exactly_the_guilty_when_all_of_them_are_needed(case: tuple[int, set[int]]) -> None:
    size, guilty = case
    tried: list[tuple[int, ...]] = []

    def fails(part: Sequence[int]) -> bool:
        tried.append(tuple(part))
        return guilty <= {*part}

    assert ddmin(range(size), fails) == sorted(guilty)
    assert len(tried) == len({*tried})


@given(st.sets(st.frozensets(st.integers(0, 7), min_size=1, max_size=3), min_size=1, max_size=4))
def test_no_item_of_what_is_found_can_be_left_out(causes: set[frozenset[int]]) -> None:
    def fails(part: Sequence[int]) -> bool:
        return any(cause <= {*part} for cause in causes)

    least = ddmin(range(8), fails)
    assert fails(least)
    assert not any(fails([one for one in least if one != left_out]) for left_out in least)


def test_a_single_item_is_not_tried_again() -> None:
    def fails(part: Sequence[str]) -> bool:
        raise AssertionError

    assert ddmin(["only"], fails) == ["only"]
