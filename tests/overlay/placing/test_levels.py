"""Sharing out the depth limit: kept always, cheapest nearly always, compared with all plans there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay.placing.levels import SOURCE, Berth, Links, share_out

Case = tuple[list[int], list[int], list[int], int]


@st.composite
def cases(choose: st.DrawFn, most: int = 30) -> Case:
    """Places in a tree, their links, the levels they need within, a limit that each can keep."""
    size = choose(st.integers(1, most))
    above = [choose(st.integers(max(SOURCE, router - 3), router - 1)) for router in range(size)]
    hops = [choose(st.integers(1, 3)) for _ in range(size)]
    limit = choose(st.integers(2, 6))
    within = [choose(st.integers(0, min(2, limit - 1))) for _ in range(size)]
    return above, hops, within, limit


def way(above: list[int], router: int) -> list[int]:
    """A place and all before it, the source last."""
    found = [router]
    while found[-1] != SOURCE:
        found.append(above[found[-1]])
    return found


def links_of(above: list[int], hops: list[int]) -> Links:
    def links(parent: int, router: int) -> int:
        crossed = 0
        for passed in way(above, router):
            if passed == parent:
                return crossed
            crossed += hops[passed]
        raise AssertionError("only those further up feed")

    return links


def depths(berths: list[Berth]) -> list[int]:
    found: list[int] = []
    for berth in berths:
        found.append(1 if berth.parent == SOURCE else found[berth.parent] + 1)
    return found


def crossed(berths: list[Berth], links: Links) -> int:
    return sum(links(berth.parent, router) for router, berth in enumerate(berths))


def cheapest(case: Case) -> int:
    """The fewest links of all plans in which everybody is fed from further up, by trying them all."""
    above, hops, within, limit = case
    links = links_of(above, hops)

    def rest(router: int, found: tuple[int, ...]) -> int:
        if router == len(above):
            return 0
        costs = []
        for parent in way(above, router)[1:]:
            depth = 1 if parent == SOURCE else found[parent] + 1
            if depth + within[router] <= limit:
                costs.append(links(parent, router) + rest(router + 1, (*found, depth)))
        return min(costs, default=1 << 60)

    return rest(0, ())


@given(cases())
def test_the_limit_is_kept_and_the_berth_says_no_less_than_the_plan(case: Case) -> None:
    above, hops, within, limit = case
    berths = share_out(above, within, limit, links_of(above, hops))
    for router, depth in enumerate(depths(berths)):
        assert 1 <= depth <= berths[router].deepest
        assert berths[router].deepest + within[router] <= limit


@given(cases())
def test_a_branch_that_fits_is_a_plain_chain(case: Case) -> None:
    above, hops, within, _ = case
    berths = share_out(above, within, len(above) + 3, links_of(above, hops))
    assert [berth.parent for berth in berths] == above


@given(cases(most=7))
def test_no_plan_is_much_cheaper(case: Case) -> None:
    above, hops, within, limit = case
    links = links_of(above, hops)
    assert cheapest(case) <= crossed(share_out(above, within, limit, links), links) <= 1.5 * cheapest(case)


def test_a_chain_of_places_costs_hardly_more_than_the_best_plan() -> None:
    for length in range(1, 10):
        for limit in range(2, 6):
            case = ([router - 1 for router in range(length)], [1] * length, [0] * length, limit)
            links = links_of(case[0], case[1])
            found = crossed(share_out(case[0], case[2], limit, links), links)
            assert found <= 1.05 * cheapest(case), (length, limit)


def test_what_fits_nowhere_hangs_from_the_source() -> None:
    assert share_out([SOURCE, 0], [0, 9], 3, lambda parent, router: 1)[1] == Berth(1, SOURCE)


def test_a_long_chain_is_planned_at_once() -> None:
    """Sixty places and ten levels: an exhaustive search would not end."""
    size = 60
    above = [router - 1 for router in range(size)]
    links = links_of(above, [1] * size)
    berths = share_out(above, [0] * size, 10, links)
    assert max(depths(berths)) == 10
    assert crossed(berths, links) < 2 * size
