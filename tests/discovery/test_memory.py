"""What is remembered of routes, and what may be inferred from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.discovery.memory import RouteMemory, subnet_of
from overlaycast.discovery.route import Route


@pytest.mark.parametrize(
    ("address", "subnet"),
    [("192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64")],
)
def test_the_subnet_of_an_address(address: str, subnet: str) -> None:
    assert str(subnet_of(address)) == subnet


def test_neighbours_share_a_route_while_it_is_fresh() -> None:
    memory = RouteMemory(max_age=10)
    route = Route("192.0.2.1", ("a", "b"), True)
    memory.remember(route, 0)
    assert memory.neighbour("192.0.2.200", 10) == route
    assert memory.neighbour("192.0.3.1", 10) is None
    assert memory.neighbour("192.0.2.200", 10.1) is None


def test_a_route_that_was_wrong_is_forgotten() -> None:
    memory = RouteMemory()
    memory.remember(Route("192.0.2.1", ("a",), True), 0)
    memory.forget("192.0.2.9")
    assert memory.neighbour("192.0.2.1", 0) is None


def test_nothing_is_remembered_of_a_trace_that_found_nothing() -> None:
    memory = RouteMemory()
    memory.remember(Route("192.0.2.1", (), False), 0)
    assert memory.neighbour("192.0.2.1", 0) is None


def test_silent_routers_are_filled_in_from_another_route_through_the_same_later_router() -> None:
    memory = RouteMemory()
    memory.remember(Route("192.0.2.1", ("a", "b", "c", "x"), True), 0)
    assert memory.fill((None, None, "c", "y"), 1) == ("a", "b", "c", "y")
    assert memory.fill((None, "b", None, "y"), 1) == ("a", "b", None, "y")


def test_another_distance_another_way_or_an_old_one_fill_nothing() -> None:
    memory = RouteMemory(max_age=10)
    memory.remember(Route("192.0.2.1", ("a", "b", "c"), True), 0)
    assert memory.fill((None, "c", "y"), 1) == (None, "c", "y")
    assert memory.fill(("z", None, "c"), 1) == ("z", None, "c")
    assert memory.fill((None, None, "c"), 11) == (None, None, "c")


def test_a_way_that_is_too_old_does_not_leave_open_what_a_new_one_says() -> None:
    memory = RouteMemory(max_age=10)
    memory.remember(Route("192.0.2.1", ("a", "b", "c"), True), 0)
    memory.remember(Route("192.0.3.1", ("x", "y", "c"), True), 11)
    assert memory.fill((None, None, "c"), 12) == ("x", "y", "c")


def test_two_ways_to_the_same_place_leave_it_open() -> None:
    memory = RouteMemory()
    memory.remember(Route("192.0.2.1", ("a", "b", "c"), True), 0)
    memory.remember(Route("192.0.3.1", ("a", "d", "c"), True), 0)
    assert memory.fill(("a", None, "c"), 0) == ("a", None, "c")
    assert memory.fill((None, "d", "c"), 0) == ("a", "d", "c")


def test_a_way_that_is_better_known_replaces_the_one_with_holes() -> None:
    memory = RouteMemory()
    memory.remember(Route("192.0.2.1", (None, "b", "c"), True), 0)
    memory.remember(Route("192.0.3.1", ("a", "b", "c"), True), 0)
    memory.remember(Route("192.0.4.1", (None, None, "c"), True), 0)
    assert memory.fill((None, None, "c"), 0) == ("a", "b", "c")


def test_memory_is_bounded() -> None:
    memory = RouteMemory(capacity=3)
    for number in range(10):
        memory.remember(Route(f"192.0.{number}.1", (f"a{number}", f"b{number}"), True), 0)
    assert memory.neighbour("192.0.9.1", 0) is not None
    assert memory.neighbour("192.0.6.1", 0) is None
    assert len(memory._routes) == len(memory._ways) == 3


HOPS = st.lists(st.one_of(st.none(), st.sampled_from("abcd")), max_size=6).map(tuple)


@given(st.lists(HOPS, max_size=8), HOPS)
def test_filling_adds_to_a_route_and_never_changes_it(
    routes: list[tuple[str | None, ...]], seen: tuple[str | None, ...]
) -> None:
    memory = RouteMemory()
    for number, hops in enumerate(routes):
        memory.remember(Route(f"192.0.{number}.1", hops, True), 0)
    filled = memory.fill(seen, 0)
    assert len(filled) == len(seen)
    assert all(old is None or old == new for old, new in zip(seen, filled, strict=True))
    known = {(index, hop) for hops in routes for index, hop in enumerate(hops)}
    assert all(
        old is not None or new is None or (index, new) in known
        for index, (old, new) in enumerate(zip(seen, filled, strict=True))
    )


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True), st.data())
def test_on_a_tree_of_routes_whatever_is_filled_in_is_true(names: list[str], data: st.DataObject) -> None:
    """Where every router is reached in one way only, as on any network without balancing, inference is right."""
    memory = RouteMemory()
    truth = tuple(names)
    for number in range(4):
        holes = data.draw(st.lists(st.booleans(), min_size=len(truth), max_size=len(truth)))
        memory.remember(
            Route(f"192.0.{number}.1", tuple(n if keep else None for n, keep in zip(truth, holes, strict=True)), True),
            0,
        )
    seen = tuple(n if data.draw(st.booleans()) else None for n in truth)
    assert all(new in (None, true) for new, true in zip(memory.fill(seen, 0), truth, strict=True))
