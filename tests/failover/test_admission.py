"""Who is let in at a data port, who waits, and who has to go again."""

from __future__ import annotations

import pytest

from overlaycast.failover.admission import PER_CHILD, REVOKED_S, Admission, Admissions
from overlaycast.wire.frames import RefuseCode
from overlaycast.wire.messages import Accept, Revoke

MOST = 3


def accept(child: int, epoch: int, standby: bool = False) -> Accept:
    return Accept(epoch=epoch, child=child, name=f"k{child}", grant=grant(child, epoch).hex(), standby=standby)


def grant(child: int, epoch: int) -> bytes:
    return bytes.fromhex(f"{child:016x}{epoch:016x}")


def port(*announced: int, rank: int | None = 10) -> Admissions:
    """A member of this rank to which these children were announced, in the first epoch."""
    admissions = Admissions(MOST)
    admissions.rank = rank
    for child in announced:
        admissions.accept(accept(child, 1))
    return admissions


def test_an_announced_child_below_us_comes_in() -> None:
    assert port(1).verdict(grant(1, 1), 11, ()) == Admission(1, "k1", 1, standby=False)


def test_a_hello_waits_for_its_grant_and_for_our_rank() -> None:
    admissions = port(rank=None)
    assert admissions.verdict(grant(1, 1), 11, ()) is None
    admissions.accept(accept(1, 1))
    assert admissions.verdict(grant(1, 1), 11, ()) is None
    admissions.rise(10, {})
    assert isinstance(admissions.verdict(grant(1, 1), 11, ()), Admission)


@pytest.mark.parametrize("rank", [9, 10])
def test_a_child_that_does_not_rank_below_us_is_refused(rank: int) -> None:
    assert port(1).verdict(grant(1, 1), rank, ()) == RefuseCode.RANK


def test_no_more_children_than_there_is_room_for_but_one_may_come_again() -> None:
    admissions = port(1, 4)
    assert admissions.verdict(grant(4, 1), 11, {1, 2, 3}) == RefuseCode.FULL
    assert isinstance(admissions.verdict(grant(1, 1), 11, {1, 2, 3}), Admission)
    assert isinstance(admissions.verdict(grant(4, 1), 11, {1, 2}), Admission)


def test_who_leaves_lets_nobody_in() -> None:
    admissions = port(1)
    admissions.leaving = True
    assert admissions.verdict(grant(1, 1), 11, ()) == RefuseCode.LEAVING
    assert admissions.verdict(grant(2, 1), 11, ()) is None  # not announced: it may be for the next one at this port


def test_a_higher_rank_sends_away_those_that_it_overtakes() -> None:
    admissions = port(1, 2, 3)
    assert admissions.rise(20, {1: 19, 2: 20, 3: 21}) == [1, 2]
    assert admissions.verdict(grant(1, 1), 20, ()) == RefuseCode.RANK


def test_of_each_child_the_newest_grants_are_kept() -> None:
    admissions = port()
    for epoch in range(PER_CHILD + 6):
        admissions.accept(accept(1, epoch))
        admissions.accept(accept(2, epoch))
    kept = [epoch for epoch in range(PER_CHILD + 6) if admissions.verdict(grant(1, epoch), 11, ()) is not None]
    assert kept == [6, 7, 8, 9]


def test_a_revocation_takes_back_what_was_announced_before_it() -> None:
    admissions = port()
    admissions.accept(accept(1, 8))
    admissions.accept(accept(1, 9))
    admissions.accept(accept(2, 8))
    admissions.revoke(Revoke(epoch=8, child=1))
    assert admissions.verdict(grant(1, 8), 11, ()) is None
    assert admissions.expects(1)
    admissions.revoke(Revoke(epoch=9, child=1))
    assert not admissions.expects(1)
    assert admissions.expects(2)


def test_a_revoked_child_has_a_moment_to_leave_if_it_is_fed() -> None:
    admissions, order = port(1), Revoke(epoch=5, child=1)
    assert admissions.leave_within_s(order, 5, fed=True) == REVOKED_S
    assert admissions.leave_within_s(order, 4, fed=False) == 0
    assert admissions.leave_within_s(order, 6, fed=True) is None


def test_children_have_their_place_where_they_were_announced_last_and_not_as_standby() -> None:
    admissions = port(1, 2)
    admissions.accept(accept(2, 2, standby=True))
    admissions.accept(accept(3, 1, standby=True))
    admissions.accept(accept(3, 2))
    assert admissions.fed() == {1, 3}
