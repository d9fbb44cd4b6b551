"""What members say of their networks makes neighbourhoods, and paths show where one is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlaycast.overlay.state.vicinity import REPRESENTATIVES, Vicinity, Witnesses, vicinity

PREFIX = "203.0.114.0/24"


def near(gateway: str | None = "g", beyond: str | None = "b", where: str = PREFIX, wide: bool = True) -> Vicinity:
    return Vicinity(where, gateway, beyond, wide and beyond is not None)


def hear(*said: tuple[str, Vicinity]) -> Witnesses:
    witnesses = Witnesses()
    for member, (router, words) in enumerate(said):
        witnesses.hear(member, router, words)
    return witnesses


def test_the_gateway_is_the_first_hop_where_the_table_does_not_name_it() -> None:
    assert vicinity("8.8.8.8", "p", False, None, ("1.1.1.1", None, "1.1.3.1")) == Vicinity("p", "1.1.1.1")
    assert vicinity("8.8.8.8", "p", False, "1.1.1.9", (None, "1.1.2.1")) == Vicinity("p", "1.1.1.9", "1.1.2.1", True)
    assert vicinity("8.8.8.8", "p", False, "1.1.1.9", ()) == Vicinity("p", "1.1.1.9")
    assert vicinity("8.8.8.8", "p", False, None, (None, "1.1.2.1")) == Vicinity("p", None, "1.1.2.1", True)
    assert vicinity("8.8.8.8", "p", False, None, (None, None)) is None
    assert vicinity("somewhere", None, False, None, ("1.1.1.1",)) == Vicinity("somewhere", "1.1.1.1")


def test_behind_a_translator_only_its_own_address_tells_whose_the_private_ones_are() -> None:
    said = ("10.0.0.1", "10.9.0.1")
    assert vicinity("8.8.8.8", "p", False, None, said) == Vicinity("8.8.8.8", "10.0.0.1", "10.9.0.1")
    assert vicinity("10.0.0.7", "p", False, None, said) == Vicinity("p", "10.0.0.1", "10.9.0.1", True)
    assert vicinity("10.0.0.7", "p", True, None, said) == Vicinity("10.0.0.7", "10.0.0.1", "10.9.0.1")
    assert vicinity("8.8.8.8", "p", False, "10.0.0.1", (None, "1.1.1.1")) == Vicinity(
        "8.8.8.8", "10.0.0.1", "1.1.1.1", True
    )


def test_neighbourhoods_are_ever_wider() -> None:
    assert near().neighbourhoods == (
        Vicinity(PREFIX, "g", "b"),
        Vicinity("", "g", "b"),
        Vicinity(PREFIX, None, "b"),
        Vicinity("", None, "b"),
    )
    assert near(wide=False).neighbourhoods == (Vicinity(PREFIX, "g", "b"), Vicinity(PREFIX, None, "b"))
    assert near(None, wide=False).neighbourhoods == (Vicinity(PREFIX, None, "b"),)
    assert near(beyond=None).neighbourhoods == (near(beyond=None),)


def test_two_that_were_traced_show_where_their_neighbourhood_is() -> None:
    assert hear(("La", near())).home(near()) is None
    both = hear(("La", near("g1")), ("La", near("g2")))
    assert both.home(near("g3")) == "La", "each has a link of its own to one router"
    assert both.home(near("g3", where="other")) == "La"
    assert both.home(near("g3", where="other", wide=False)) is None
    assert both.home(near("g1", "c")) is None
    assert REPRESENTATIVES == 2


def test_where_all_have_one_gateway_one_that_has_another_may_be_elsewhere() -> None:
    homes = hear(("La", near("g1")), ("La", near("g1")))
    assert homes.home(near("g1")) == "La"
    assert homes.home(near("g1", where="other")) == "La"
    assert homes.home(near("g2")) is None
    assert homes.home(near(None)) is None
    assert hear(("La", near(None)), ("La", near(None))).home(near(None)) == "La"


def test_one_of_which_paths_disagree_is_nowhere_unless_a_narrower_one_is_somewhere() -> None:
    two = hear(*[("La", near("g1"))] * 2, *[("Lb", near("g2"))] * 2)
    assert two.home(near("g1")) == "La"
    assert two.home(near("g2")) == "Lb"
    assert two.home(near("g3")) is None


def test_few_among_many_at_a_router_are_doubted() -> None:
    witnesses = hear(*[("La", near("g", "a"))] * 3, *[("Lb", near("g", "b"))] * 3, ("Lb", near("g", "a")))
    assert witnesses.doubtful() == [6]
    assert witnesses.outvoted("Lb", near("g", "a"))
    assert not witnesses.outvoted("Lb", near("g", "b"))
    assert witnesses.home(near("g", "a")) == "La"
    for member in range(6):
        witnesses.hear(member, None, None)
    assert witnesses.doubtful() == []
    assert not witnesses.outvoted("Lb", near("g", "a"))


SAID = st.tuples(
    st.sampled_from(["La", "Lb", "Lc", None]),
    st.none()
    | st.builds(
        near,
        st.sampled_from(["g", "h", None]),
        st.sampled_from(["a", "b", None]),
        st.sampled_from(["p", "q"]),
        st.booleans(),
    ),
)


@given(st.lists(st.tuples(st.integers(0, 6), SAID), max_size=30), st.randoms(use_true_random=False))
def test_only_what_was_said_last_counts_and_no_order(
    said: list[tuple[int, tuple[str | None, Vicinity | None]]], chance: random.Random
) -> None:
    long = Witnesses()
    heard = [near("g"), near("h", "b", "p"), near(None, "a", "q", wide=False)]
    for member, words in said:
        version, homes = long.version, [long.home(one) for one in heard]
        long.hear(member, *words)
        assert long.version != version or homes == [long.home(one) for one in heard]
    last = list(dict(said).items())
    chance.shuffle(last)
    short = Witnesses()
    for member, words in last:
        short.hear(member, *words)
    assert sorted(long.doubtful()) == sorted(short.doubtful())
    for _, (_, near_it) in last:
        if near_it is not None:
            assert long.home(near_it) == short.home(near_it)
            for router in ("La", "Lb"):
                assert long.outvoted(router, near_it) == short.outvoted(router, near_it)
    for member, _ in last:
        long.hear(member, None, None)
    assert [*long._said, *long._votes, *long._present, *long._most, *long._at, *long._split] == []


TRUTH = {"La": near("g", "a"), "Lb": near("g", "b"), "Lc": near("h", "c")}


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(TRUTH)), st.sampled_from([*TRUTH.values(), near("x", "y")])), max_size=9),
    st.randoms(use_true_random=False),
)
def test_liars_that_are_fewer_at_their_routers_change_nothing(
    lies: list[tuple[str, Vicinity]], chance: random.Random
) -> None:
    honest = [(router, words) for router, words in TRUTH.items() for _ in range(10)]
    told = [*honest, *lies]
    chance.shuffle(told)
    witnesses = hear(*told)
    for router, words in TRUTH.items():
        assert witnesses.home(words) == router
        assert not witnesses.outvoted(router, words)


@pytest.mark.parametrize("claimed", ["Lb", "Lc"])
def test_a_liar_alone_at_its_router_takes_nobody_with_it(claimed: str) -> None:
    witnesses = hear(*[("La", TRUTH["La"])] * 2, ("L9", TRUTH["La"]), ("L9", TRUTH[claimed]))
    assert witnesses.home(TRUTH["La"]) == "La"
    assert witnesses.home(TRUTH[claimed]) is None
