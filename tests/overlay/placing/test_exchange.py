"""Shortening a plan: it never gets longer or deeper, and comes near the shortest of all plans on small maps."""

from __future__ import annotations

import random
from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay.placing import exchange
from overlaycast.overlay.placing.exchange import shorten
from overlaycast.overlay.placing.levels import SOURCE, Berth, share_out
from overlaycast.overlay.placing.nearest import nearest, neighbours
from overlaycast.overlay.state.router import Router, links_between
from overlaycast.overlay.state.ways import Ways


@st.composite
def maps(choose: st.DrawFn, most: int = 25) -> list[Router]:
    """Routers in a tree, of which some have members; the last one is the source's."""
    routers = [Router("root", None)]
    for order in range(1, choose(st.integers(2, most))):
        above = routers[choose(st.integers(max(0, order - 4), order - 1))]
        routers.append(Router(f"r{order}", above, order=order))
    inside = choose(st.lists(st.sampled_from(routers[1:]), min_size=1, unique_by=lambda router: router.order))
    return [*sorted(inside, key=lambda router: router.order), routers[0]]


def links_in(routers: list[Router]) -> list[list[int]]:
    """Links between all; the last row and column are the source's, which -1 names too."""
    return [[links_between(one, other) for other in routers] for one in routers]


def star(routers: list[Router]) -> list[int]:
    return [SOURCE] * (len(routers) - 1)


def depths(berths: list[Berth]) -> list[int]:
    """Return the depth of each; fails if there is a cycle."""
    found = []
    for berth in berths:
        depth, parent = 1, berth.parent
        while parent != SOURCE:
            depth, parent = depth + 1, berths[parent].parent
            assert depth <= len(berths)
        found.append(depth)
    return found


def crossed(parents: list[int], links: list[list[int]]) -> int:
    return sum(links[parent][router] for router, parent in enumerate(parents))


@given(maps(), st.lists(st.integers(1, 5), min_size=25, max_size=25), st.integers(1, 4))
def test_a_plan_gets_no_longer_and_keeps_its_limits(routers: list[Router], depth: list[int], most: int) -> None:
    links = links_in(routers)
    room = depth[: len(routers) - 1]
    degrees = [most] * len(routers)
    berths = shorten(star(routers), room, degrees, neighbours(routers, Ways()), lambda a, b: links[a][b])
    assert all(at <= berth.deepest <= limit for at, berth, limit in zip(depths(berths), berths, room, strict=True))
    assert crossed([berth.parent for berth in berths], links) <= crossed(star(routers), links)


def shortest(links: list[list[int]], limit: int) -> int:
    """The fewest links of all plans no deeper than the limit: everybody has a level, and the nearest above it feeds."""
    size = len(links) - 1

    def cost(levels: tuple[int, ...]) -> int:
        above = [[links[other][one] for other in range(size) if levels[other] < levels[one]] for one in range(size)]
        return sum(min([links[SOURCE][one], *found]) for one, found in enumerate(above))

    return min(map(cost, product(range(1, limit + 1), repeat=size)))


def drawn(rng: random.Random, most: int) -> list[Router]:
    """A map by chance."""
    routers = [Router("root", None)]
    for order in range(1, rng.randint(most // 2, 3 * most)):
        routers.append(Router(f"r{order}", rng.choice(routers[-4:]), order=order))
    inside = rng.sample(routers[1:], min(most, len(routers) - 1))
    return [*sorted(inside, key=lambda router: router.order), routers[0]]


def over_the_shortest(seed: int) -> float:
    """By which share a plan is longer than the shortest, on a map by chance."""
    rng = random.Random(seed)
    routers, limit = drawn(rng, 7), rng.choice((2, 3))
    links = links_in(routers)
    above = before(routers)

    def between(one: int, other: int) -> int:
        return links[one][other]

    plan = [berth.parent for berth in share_out(above, [0] * len(above), limit, between)]
    berths = shorten(plan, [limit] * len(above), [8] * len(routers), neighbours(routers, Ways()), between)
    found, best = crossed([berth.parent for berth in berths], links), shortest(links, limit)
    assert best <= found <= crossed(plan, links)
    return found / best - 1


def test_plans_are_near_the_shortest() -> None:
    over = [over_the_shortest(seed) for seed in range(300)]
    print(sorted(Counter(round(one, 2) for one in over).items()))
    assert sum(one == 0 for one in over) >= 0.95 * len(over)
    assert max(over) <= 0.25


def test_it_ends_when_its_rounds_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PASSES", 1)
    assert all(over_the_shortest(seed) >= 0 for seed in range(20))


def test_a_cluster_stays_where_what_is_below_it_could_go_nowhere_else() -> None:
    """Cluster 0 is nearer to 2 than to the source, but 1 below it would get too deep, and only 0 is near to 1."""
    near = [[(1, 2)], [(1, 0)], [(1, SOURCE)]]
    links = {(SOURCE, 0): 5, (0, 1): 1, (SOURCE, 2): 1}
    plan = exchange.Plan([SOURCE, 0, SOURCE], [3, 2, 3], [4] * 4, near, lambda one, other: links[one, other])
    assert plan.best(0) == exchange.NONE


def before(routers: list[Router]) -> list[int]:
    number = {router.order: index for index, router in enumerate(routers[:-1])}
    found = []
    for router in routers[:-1]:
        above = router.parent
        while above is not None and above.order not in number:
            above = above.parent
        found.append(SOURCE if above is None else number[above.order])
    return found


@given(maps(40), st.integers(1, 8))
def test_the_nearest_are_the_nearest(routers: list[Router], most: int) -> None:
    links = links_in(routers)
    for number, found in enumerate(nearest(routers, most)):
        ways = sorted(links[number][other] for other in range(len(routers)) if other != number)
        assert [way for way, _ in found] == ways[:most]
        assert all(links[number][other] == way for way, other in found)
