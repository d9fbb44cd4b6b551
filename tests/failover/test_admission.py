"""Who is let in at a data port, who waits, and who has to go again."""

from __future__ import annotations

import pytest

from overlaycast.failover.admission import PER_CHILD, REVOKED_S, Admission, Admissions, is_called_by, proves
from overlaycast.wire import grants
from overlaycast.wire.frames import IDLE, VERSION, Call, Enter, Hello, Offer, RefuseCode
from overlaycast.wire.grants import Bond, Identity, Nonces
from overlaycast.wire.messages import Accept, Peer, Revoke

MOST = 3


def accept(child: int, epoch: int, standby: bool = False) -> Accept:
    return Accept(epoch=epoch, child=child, name=f"k{child}", grant=grant(child, epoch).hex(), standby=standby)


def grant(child: int, epoch: int) -> bytes:
    return bytes.fromhex(f"{child:016x}{epoch:016x}")


def shown(child: int, epoch: int, rank: int) -> Hello:
    return Hello(grant(child, epoch), rank, IDLE)


def port(*announced: int, rank: int | None = 10) -> Admissions:
    """A member of this rank to which these children were announced, in the first epoch."""
    admissions = Admissions(MOST)
    admissions.rank = rank
    for child in announced:
        admissions.accept(accept(child, 1))
    return admissions


def test_an_announced_child_below_us_comes_in() -> None:
    assert port(1).verdict(shown(1, 1, 11), None, ()) == Admission(1, "k1", 1, standby=False)


def test_a_hello_waits_for_its_grant_and_for_our_rank() -> None:
    admissions = port(rank=None)
    assert admissions.verdict(shown(1, 1, 11), None, ()) is None
    admissions.accept(accept(1, 1))
    assert admissions.verdict(shown(1, 1, 11), None, ()) is None
    admissions.rise(10, {})
    assert isinstance(admissions.verdict(shown(1, 1, 11), None, ()), Admission)


@pytest.mark.parametrize("rank", [9, 10])
def test_a_child_that_does_not_rank_below_us_is_refused(rank: int) -> None:
    assert port(1).verdict(shown(1, 1, rank), None, ()) == RefuseCode.RANK


def test_no_more_children_than_there_is_room_for_but_one_may_come_again() -> None:
    admissions = port(1, 4)
    assert admissions.verdict(shown(4, 1, 11), None, {1, 2, 3}) == RefuseCode.FULL
    assert isinstance(admissions.verdict(shown(1, 1, 11), None, {1, 2, 3}), Admission)
    assert isinstance(admissions.verdict(shown(4, 1, 11), None, {1, 2}), Admission)


def test_who_leaves_lets_nobody_in() -> None:
    admissions = port(1)
    admissions.leaving = True
    assert admissions.verdict(shown(1, 1, 11), None, ()) == RefuseCode.LEAVING
    assert (
        admissions.verdict(shown(2, 1, 11), None, ()) is None
    )  # not announced: it may be for the next one at this port


def test_a_higher_rank_sends_away_those_that_it_overtakes() -> None:
    admissions = port(1, 2, 3)
    assert admissions.rise(20, {1: 19, 2: 20, 3: 21}) == [1, 2]
    assert admissions.verdict(shown(1, 1, 20), None, ()) == RefuseCode.RANK


def test_of_each_child_the_newest_grants_are_kept() -> None:
    admissions = port()
    for epoch in range(PER_CHILD + 6):
        admissions.accept(accept(1, epoch))
        admissions.accept(accept(2, epoch))
    kept = [epoch for epoch in range(PER_CHILD + 6) if admissions.verdict(shown(1, epoch, 11), None, ()) is not None]
    assert kept == [6, 7, 8, 9]


def test_a_revocation_takes_back_what_was_announced_before_it() -> None:
    admissions = port()
    admissions.accept(accept(1, 8))
    admissions.accept(accept(1, 9))
    admissions.accept(accept(2, 8))
    admissions.revoke(Revoke(epoch=8, child=1))
    assert admissions.verdict(shown(1, 8, 11), None, ()) is None
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


# --- grants that are proven -------------------------------------------------------------------------------------------

ME = Identity("g", 50)
LINK = Nonces(b"a" * 16, b"b" * 16)


def proven(child: int, epoch: int, rank: int = 11, link: Nonces = LINK, me: Identity = ME) -> Enter:
    """What a child says that knows the grant of this epoch."""
    unproven = Enter(child, epoch, rank, IDLE, b"")
    return grants.enter(grant(child, epoch), Bond(me.group, me.member, child), link, unproven)


def strict(*announced: int, me: Identity = ME) -> Admissions:
    """A member to which these children were announced as such that prove their grants."""
    admissions = Admissions(MOST, lambda: me)
    admissions.rank = 10
    for child in announced:
        admissions.accept(accept(child, 1).model_copy(update={"data_version": VERSION}))
    return admissions


def test_a_child_that_proves_its_grant_comes_in_and_gets_our_proof() -> None:
    answer = grants.answer(grant(1, 1), Bond("g", 50, 1), LINK)
    assert strict(1, 2).verdict(proven(1, 1), LINK, ()) == Admission(1, "k1", 1, False, answer)
    assert strict(1).verdict(proven(1, 1, rank=10), LINK, ()) == RefuseCode.RANK


def test_any_of_a_childs_newest_grants_will_do() -> None:
    admissions = strict(1)
    admissions.accept(accept(1, 2).model_copy(update={"data_version": VERSION}))
    assert isinstance(admissions.verdict(proven(1, 1), LINK, ()), Admission)
    assert isinstance(admissions.verdict(proven(1, 2), LINK, ()), Admission)


@pytest.mark.parametrize(
    ("said", "link"),
    [
        (proven(1, 1), Nonces(b"a" * 16, b"c" * 16)),  # what was said on another connection
        (proven(1, 1), Nonces(b"a" * 16, b"b" * 16, calls=True)),
        (proven(1, 1), None),
        (proven(1, 2), LINK),
        (proven(2, 1), LINK),
        (proven(1, 1, me=Identity("h", 50)), LINK),
        (proven(1, 1, me=Identity("g", 51)), LINK),
        (Enter(1, 1, 11, IDLE, bytes(32)), LINK),
    ],
)
def test_without_the_right_proof_nobody_comes_in(said: Enter, link: Nonces | None) -> None:
    assert strict(1).verdict(said, link, ()) is None


def test_who_has_to_prove_a_grant_may_not_show_it() -> None:
    assert strict(1).verdict(shown(1, 1, 11), None, ()) == RefuseCode.VERSION
    assert port(1).verdict(proven(1, 1, me=Identity()), LINK, ()) is None  # it was announced as one that shows it
    assert [proves(version) for version in (None, 1, 2, 3)] == [False, False, True, True]


def test_grants_are_for_who_we_were_when_they_were_announced() -> None:
    mine = [Identity("g", 50)]
    admissions = Admissions(MOST, lambda: mine[0])
    admissions.rank = 10
    admissions.accept(accept(1, 1).model_copy(update={"data_version": VERSION}))
    mine[0] = Identity("g", 60)
    assert isinstance(admissions.verdict(proven(1, 1), LINK, ()), Admission)
    admissions.accept(accept(1, 2).model_copy(update={"data_version": VERSION}))
    assert isinstance(admissions.verdict(proven(1, 2, me=mine[0]), LINK, ()), Admission)
    assert admissions.verdict(proven(1, 2), LINK, ()) is None


def peer(version: int | None) -> Peer:
    return Peer(member=50, name="p", addresses=(), grant=grant(1, 1).hex(), rank=5, data_version=version)


def test_a_calling_parent_is_known_by_what_it_proves() -> None:
    me, link = Identity("g", 1), Nonces(b"a" * 16, b"b" * 16, calls=True)
    said = strict(1).offer(accept(1, 1), link)
    assert said == Offer(50, 1, said.proof)
    assert is_called_by(peer(VERSION), me, said, link)
    assert not is_called_by(peer(VERSION), me, said, LINK)
    assert not is_called_by(peer(VERSION), me, said, None)
    assert not is_called_by(peer(VERSION), Identity("g", 2), said, link)
    assert not is_called_by(peer(VERSION), me, strict(1).offer(accept(1, 2), link), link)
    assert not is_called_by(peer(VERSION), me, Call(grant(1, 1)), link)


def test_a_calling_parent_of_the_first_version_is_known_by_what_it_shows() -> None:
    me = Identity("g", 1)
    assert is_called_by(peer(None), me, Call(grant(1, 1)), None)
    assert not is_called_by(peer(None), me, Call(grant(1, 2)), None)
    assert not is_called_by(peer(None), me, strict(1).offer(accept(1, 1), LINK), LINK)
