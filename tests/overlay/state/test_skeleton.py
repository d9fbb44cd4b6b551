"""What paths say together: silent hops get names, contradictions are decided by numbers, and order is nothing."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay.state.skeleton import ROOT, Above, Hops, infer, usable

PATHS = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "d", "e", None]), max_size=5).map(lambda hops: usable(tuple(hops))),
    max_size=10,
)


def above(*paths: Hops) -> dict[str, Above]:
    return infer(Counter(paths)).above


def test_a_router_that_is_silent_in_one_path_has_the_name_that_another_gives() -> None:
    found = above(("r", None, "s"), (None, "m", "s"), (None, None, "s", "leaf"))
    assert found == {"r": Above(ROOT), "m": Above("r"), "s": Above("m"), "leaf": Above("s")}


def test_names_spread_from_path_to_path() -> None:
    # the second names what is before ``m``, which the third puts before ``s``, and the first knows ``s`` alone
    found = above((None, None, "s"), ("r", "m", "t"), (None, "m", "s"))
    assert found["m"] == Above("r")
    assert found["s"] == Above("m")


def test_a_silent_first_hop_is_the_gateway_by_which_all_leave() -> None:
    assert above(("r", "m"), (None, "n"), (None, None, "s")) == {
        "r": Above(ROOT),
        "m": Above("r"),
        "n": Above("r"),
        "s": Above("r", 1),
    }


def test_where_paths_leave_by_two_gateways_a_silent_one_may_be_either() -> None:
    assert above(("r", "m"), ("q", "t"), (None, "n"))["n"] == Above(ROOT, 1)


def test_what_stays_silent_is_counted() -> None:
    assert above((None, "m", None, None, "s")) == {"m": Above(ROOT, 1), "s": Above("m", 2)}


def test_nothing_is_filled_in_where_paths_disagree() -> None:
    found = infer(Counter({("r", "x", "s"): 2, ("r", "y", "s"): 1, ("r", None, "s"): 1}))
    assert found.contested
    assert found.above["s"] == Above("x")


def test_one_wrong_path_does_not_outvote_the_others() -> None:
    paths: dict[Hops, int] = {("r", "m", "s"): 3, ("r", "m", "t"): 3, ("z", "q", "s"): 1}
    assert infer(paths).above["s"] == Above("m")


def test_a_router_that_comes_twice_is_believed_once() -> None:
    assert usable(("a", "b", "a", None, "b", "c")) == ("a", "b", None, None, None, "c")


@given(PATHS, st.randoms(use_true_random=False))
def test_any_order_gives_the_same_tree_without_circles(paths: list[Hops], chance: random.Random) -> None:
    shuffled = chance.sample(paths, len(paths))
    found = above(*paths)
    assert above(*shuffled) == found
    assert set(found) == {hop for hops in paths for hop in hops if hop is not None}
    for router in found:
        seen = [router]
        while seen[-1] != ROOT:
            seen.append(found[seen[-1]].router)
            assert len(seen) <= len(found) + 1
