"""Counted ways: only shorter ones count, in one direction, and no more are kept than are of use."""

from __future__ import annotations

from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import Router
from overlaycast.overlay.state.ways import MOST, NEAR, Way, Ways


def two_branches() -> tuple[Router, Router, Router]:
    """The root, and the ends of two branches of three links each."""
    root = Router("", None)
    ends = []
    for branch in "ab":
        router = root
        for step in range(3):
            router = Router(f"{branch}{step}", router)
            router.delay_ms = 5.0 * (step + 1)
        ends.append(router)
    a, b = ends
    return root, a, b


def member(router: Router | None) -> Member:
    found = Member(1, "m", "peer")
    found.router = router
    return found


def test_a_count_holds_for_copies_to_the_router_that_counted_if_it_is_shorter() -> None:
    _, a, b = two_branches()
    ways = Ways()
    assert ways.links(a, b) == ways.links(b, a) == 6
    ways.learn(a, b, Way(2, 1.5))
    assert (ways.links(a, b), ways.links(b, a)) == (2, 6)
    assert (ways.delay_ms(member(a), member(b)), ways.delay_ms(member(b), member(a))) == (1.5, 30.0)
    ways.learn(a, b, Way(9, 99.0))
    assert ways.links(a, b) == 6, "the tree of paths knows a shorter way"
    assert ways.delay_ms(member(a), member(b)) == 30.0
    assert ways.links(None, b) == ways.links(a, None) == ways.links(b, b) == 0
    assert ways.delay_ms(member(b), member(b)) == 0.0
    assert ways.delay_ms(member(None), member(b)) == 16.0, "an estimate: nothing is known of the first"


def test_near_are_the_nearest_that_counted_ways_lead_from() -> None:
    root, _, b = two_branches()
    ways = Ways()
    others = [Router(f"c{number}", root) for number in range(NEAR + 3)]
    for number, one in enumerate(reversed(others)):
        ways.learn(one, b, Way(1 + number // 2, 1.0 + number))
    assert ways.near(b) == tuple(one.key for one in reversed(others))[:NEAR]
    ways.learn(others[0], b, Way(1, 0.5))
    assert ways.near(b)[0] == others[0].key, "it has been counted anew"
    assert ways.near(None) == ways.near(root) == ()


def test_around_is_what_either_end_has_counted() -> None:
    root, a, b = two_branches()
    c = Router("c", root)
    ways = Ways()
    ways.learn(a, b, Way(2, 1.0))
    ways.learn(c, a, Way(3, 2.0))
    assert ways.around(a.key) == [(b.key, Way(2, 1.0)), (c.key, Way(3, 2.0))]
    assert ways.around(root.key) == []


def test_the_longest_ways_give_room() -> None:
    root, _, b = two_branches()
    ways = Ways()
    others = [Router(f"c{number}", root) for number in range(MOST + 5)]
    for number, one in enumerate(others):
        ways.learn(one, b, Way(1 + number, 1.0))
    assert [ways.counted(one, b) is not None for one in others] == [True] * MOST + [False] * 5


def test_routers_that_are_gone_are_forgotten() -> None:
    root, a, b = two_branches()
    c = Router("c", root)
    ways = Ways()
    for feeder, fed in ((a, b), (b, a), (c, a), (a, c)):
        ways.learn(feeder, fed, Way(2, 1.0))
    assert ways.near(a) == (b.key, c.key)
    ways.keep([a.key, b.key])
    assert ways.near(a) == (b.key,)
    assert ways.counted(a, c) is None
    ways.keep([])
    assert (ways._into, ways._out_of, ways._near) == ({}, {}, {})
