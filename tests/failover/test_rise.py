"""An order that raises a rank waits for the children that it would overtake: rules 1 to 3 of ``rise``."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.failover.rise import HOLD_S, LEAST_HOLD_S, LEVEL_S, Rise
from overlaycast.wire.messages import Assign


def order(rank: int, epoch: int = 1, depth: int = 1) -> Assign:
    return Assign(epoch=epoch, rank=rank, depth=depth)


def test_an_order_that_overtakes_no_child_is_obeyed_at_once() -> None:
    rise = Rise()
    wanted = order(rank=5)
    rise.offer(wanted, now=0.0)
    assert rise.ready([6, 7], now=0.0) is wanted
    assert rise.ready([], now=0.0) is None  # once
    assert rise.next_deadline() is None


def test_a_parent_whose_order_comes_first_does_not_outrank_its_child() -> None:
    rise = Rise()
    wanted = order(rank=20)
    rise.offer(wanted, now=0.0)
    assert rise.ready([10, 30], now=0.0002) is None
    assert rise.next_deadline() == HOLD_S
    assert rise.ready([21, 30], now=0.0004) is wanted  # the child has said its own new rank


def test_a_child_that_has_gone_is_not_waited_for() -> None:
    rise = Rise()
    wanted = order(rank=20)
    rise.offer(wanted, now=0.0)
    assert rise.ready([10], now=0.1) is None
    assert rise.ready([], now=0.1) is wanted


def test_no_order_waits_for_long_whatever_comes_after_it() -> None:
    rise = Rise()
    rise.offer(order(rank=20), now=0.0)
    newer = order(rank=30, epoch=2)
    rise.offer(newer, now=0.4)
    rise.offer(order(rank=25, epoch=1), now=0.45)  # late: the newer one is kept
    assert rise.ready([10], now=0.45) is None
    assert rise.ready([10], now=HOLD_S) is newer


def test_of_two_that_wait_the_lower_one_gives_up_first() -> None:
    """A leaf has died without a word, and all above it have grown: only the link to the leaf is to end."""
    waits = [Rise() for _ in range(20)]
    for depth, rise in enumerate(waits):
        rise.offer(order(rank=20, depth=depth), now=0.0)
    until = [rise.next_deadline() or 0.0 for rise in waits]
    assert until[:2] == [HOLD_S, HOLD_S]
    assert all(above - below >= LEVEL_S - 1e-9 for above, below in pairwise(until[1:13]))
    assert min(until) == LEAST_HOLD_S


def test_a_new_member_does_not_obey_what_was_said_to_the_former_one() -> None:
    rise = Rise()
    rise.offer(order(rank=20), now=0.0)
    rise.forget()
    assert rise.ready([], now=1.0) is None


@given(st.lists(st.integers(1, 9), max_size=4), st.integers(1, 9), st.floats(0, 1))
def test_before_time_is_up_no_order_is_obeyed_that_overtakes_a_child(children: list[int], rank: int, at: float) -> None:
    rise = Rise()
    rise.offer(order(rank), now=0.0)
    obeyed = rise.ready(children, at) is not None
    assert obeyed == (at >= HOLD_S or min(children, default=10) > rank)
