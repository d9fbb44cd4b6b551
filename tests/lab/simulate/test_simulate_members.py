"""The simulated agent by itself: what it does with orders, and what a parent's death costs. One path is 10 ms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from overlaycast.errors import LocalProtocolError
from overlaycast.failover.admission import HOLD_S
from overlaycast.failover.rise import HOLD_S as RISE_S
from overlaycast.lab.simulate.agenda import Agenda
from overlaycast.lab.simulate.hop import RECORDS_PER_S, Network
from overlaycast.lab.simulate.member import Member
from overlaycast.lab.simulate.node import RING_S, Node
from overlaycast.wire.frames import VERSION
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import (
    Accept,
    Address,
    Assign,
    Begin,
    DistanceReply,
    DistanceRequest,
    Leaving,
    MemberMessage,
    NotReceiving,
    Peer,
    Ping,
    Pong,
    Released,
    Report,
    Revoke,
)

PATH_S = 0.01
S = 9  # the source; the others are 1 to 5
SILENCE_S = GroupSettings().silence_ms / 1000
FLAG_S = GroupSettings().flag_s
REPEAT_S = 1.0
RECORD_S = 1 / RECORDS_PER_S
SPOKEN: list[int | None] = [VERSION]
"""The version of all data links."""
ADDRESSES = (Address(host="192.0.2.1", port=8471),)


class Town:
    """Members with one delay between all of them, and no coordinator: the test gives the orders."""

    def __init__(self) -> None:
        self.settings = GroupSettings()
        self.network = Network(Agenda(), lambda a, b: PATH_S, encode=True)
        self.said: list[tuple[int, MemberMessage]] = []
        self.changes: list[tuple[int, int | None, int | None]] = []
        self.gaps: dict[int, float] = {}
        self.members: dict[int, Member] = {}
        for ident in (S, 1, 2, 3, 4, 5):
            self.members[ident] = Member(self, ident, ident, "source" if ident == S else "peer")

    def jitter(self) -> float:
        return 0.5

    def node(self, ident: int) -> Node:
        return self.members[ident]

    def count_hops(self, member: Member, request: DistanceRequest, say: Callable[[DistanceReply], None]) -> None:
        raise AssertionError("nobody asks for it")

    def tell(self, sender: Member, message: MemberMessage) -> None:
        self.said.append((sender.ident, message))

    def moved(self, member: Node, old: int | None, new: int | None) -> None:
        self.changes.append((member.ident, old, new))

    def flows(self, member: Node, gap_s: float | None) -> None:
        if gap_s is not None:
            self.gaps[member.ident] = gap_s

    def skips(self, member: Node, to: int) -> None:
        """What is lost the members count."""

    # --- the test's words -----------------------------------------------------------------------------------------

    def assign(
        self,
        child: int,
        parent: int,
        standbys: tuple[int, ...] = (),
        epoch: int = 1,
        rank: int = 0,
        called: bool = False,
    ) -> None:
        for other in (parent, *standbys):
            self.accept(other, child, epoch, called)
        place = Assign(
            epoch=epoch,
            rank=rank or child * 10,
            depth=1,
            parent=peer(parent, child, called),
            standbys=tuple(peer(standby, child, called) for standby in standbys),
        )
        self.members[child].receive(place)

    def accept(self, parent: int, child: int, epoch: int = 1, called: bool = False) -> None:
        addresses = ADDRESSES if called else ()
        accept = Accept(
            epoch=epoch,
            child=child,
            name=f"m{child}",
            grant=grant(parent, child),
            addresses=addresses,
            data_version=SPOKEN[0],
        )
        self.members[parent].receive(accept)

    def run(self, seconds: float) -> None:
        self.network.agenda.run(self.network.agenda.now + seconds)

    def begin(self) -> None:
        self.members[S].receive(Assign(epoch=1, rank=0, depth=0))
        self.members[S].receive(Begin(epoch=1, incarnation=0, next_seq=1))

    def cut(self, a: int, b: int) -> None:
        self.network.cuts.add((a, b))
        self.members[a].path_changed()

    def heal(self, a: int, b: int) -> None:
        self.network.cuts.remove((a, b))
        self.members[a].path_changed()

    def parent(self, ident: int) -> int | None:
        return self.members[ident].parent

    def complaints(self, ident: int) -> list[NotReceiving]:
        return [message for who, message in self.said if who == ident and isinstance(message, NotReceiving)]

    def moves(self, ident: int) -> list[tuple[int | None, int | None]]:
        return [(old, new) for who, old, new in self.changes if who == ident and old not in (None, new)]

    def links(self, ident: int) -> dict[int, bool]:
        """Return the parents and standbys of a member, and whether each has let it in."""
        hops = self.members[ident].uplink.hops.values()
        return {hop.parent.ident: hop.admitted for hop in hops}


def grant(parent: int, child: int) -> str:
    return f"{parent:016x}{child:016x}"


def peer(parent: int, child: int, called: bool = False) -> Peer:
    addresses = () if called else ADDRESSES
    return Peer(
        member=parent,
        name=f"m{parent}",
        addresses=addresses,
        grant=grant(parent, child),
        rank=parent * 10 % 90,
        data_version=SPOKEN[0],
    )


@pytest.fixture(params=[VERSION, None], ids=["proven", "shown"], autouse=True)
def spoken(request: pytest.FixtureRequest) -> None:
    """Each test is played twice: grants are proven, or shown as by the first programs."""
    SPOKEN[0] = request.param


@pytest.fixture
def town(spoken: None) -> Town:
    """The source feeds 1 and 2; 1 feeds 3, whose standby is 2; 3 feeds 4. Data flows."""
    made = Town()
    made.assign(1, S)
    made.assign(2, S)
    made.assign(3, 1, standbys=(2,))
    made.assign(4, 3)
    made.assign(5, 2)
    made.begin()
    made.run(0.4)
    assert all(made.members[ident].flowing for ident in (S, 1, 2, 3, 4))
    made.said.clear()
    made.changes.clear()
    return made


def test_a_reset_parent_costs_one_round_trip(town: Town) -> None:
    town.members[1].die("reset")
    town.run(1.0)
    assert town.parent(3) == 2
    assert town.gaps[3] == pytest.approx(2 * PATH_S)
    assert town.complaints(3)[0].now_from == 2


def test_a_silent_parent_costs_the_silence_more(town: Town) -> None:
    town.members[1].die("silent")
    town.run(1.0)
    assert town.gaps[3] == pytest.approx(SILENCE_S + 2 * PATH_S)


def test_only_the_top_of_a_broken_branch_moves(town: Town) -> None:
    town.members[1].die("silent")
    town.run(1.0)
    assert town.moves(3) == [(1, 2)]
    assert town.moves(4) == []
    assert town.complaints(4) == []
    assert town.gaps[4] == pytest.approx(SILENCE_S + 2 * PATH_S)


def test_a_stalled_parent_is_held_on_to(town: Town) -> None:
    town.assign(4, 3, standbys=(2,), epoch=2)
    town.run(0.1)
    for ident in (S, 1):
        town.members[ident].die("silent")
    town.run(FLAG_S - 0.2)
    assert town.moves(4) == []


def test_the_error_is_repeated_until_an_order_comes(town: Town) -> None:
    town.members[1].die("reset")
    town.run(3.5 * REPEAT_S)
    before = len(town.complaints(3))
    assert before == 4
    town.assign(3, 2, epoch=2)
    town.run(3 * REPEAT_S)
    assert len(town.complaints(3)) == before
    assert town.moves(3) == [(1, 2)]  # adopted where it went by itself


def test_without_standby_it_says_so_and_waits_for_a_place(town: Town) -> None:
    town.members[3].die("reset")
    town.run(1.0)
    assert not town.members[4].flowing
    assert town.complaints(4)[0].now_from is None
    town.assign(4, 2, epoch=2)
    town.run(0.2)
    assert town.parent(4) == 2
    assert town.members[4].flowing


def test_an_ordered_move_is_seamless_and_closes_the_old_link(town: Town) -> None:
    town.assign(3, 2, epoch=2)
    town.run(0.2)
    assert town.parent(3) == 2
    assert town.moves(3) == [(1, 2)]
    assert 3 not in town.gaps
    assert 3 not in town.members[1].downlink.children
    assert town.complaints(3) == []


def test_an_order_to_a_dead_parent_leaves_it_where_it_is_well(town: Town) -> None:
    town.members[5].die("reset")
    town.assign(3, 5, epoch=2)
    town.run(1.0)
    assert town.parent(3) == 1
    assert town.members[3].flowing
    assert town.complaints(3)[0].now_from == 1


def test_an_older_order_changes_nothing(town: Town) -> None:
    town.assign(3, 1, standbys=(2,), epoch=5)
    town.assign(3, S, epoch=4)
    town.run(0.5)
    assert town.parent(3) == 1


def test_a_child_waits_for_its_grant_and_is_refused_after_a_while() -> None:
    town = Town()
    town.begin()
    town.members[1].receive(Assign(epoch=1, rank=10, depth=1, parent=peer(S, 1)))
    town.run(HOLD_S / 2)
    assert town.parent(1) is None
    town.accept(S, 1)
    town.run(0.1)
    assert town.parent(1) == S
    town.members[2].receive(Assign(epoch=1, rank=20, depth=1, parent=peer(S, 2)))
    town.run(0.1)
    assert town.links(2) == {S: False}  # its HELLO waits
    town.run(HOLD_S)
    assert town.parent(2) is None
    assert S not in town.links(2)


def test_nobody_feeds_who_does_not_rank_below(town: Town) -> None:
    town.accept(4, 2)
    town.members[2].receive(Assign(epoch=2, rank=40, depth=1, parent=peer(4, 2)))  # 4's own rank is 40
    town.run(1.0)
    assert town.parent(2) == S
    assert town.complaints(2)[0].reason == "refused"


def test_who_is_overtaken_by_its_parents_rank_has_to_come_again(town: Town) -> None:
    town.assign(1, S, epoch=2, rank=35)
    town.run(RISE_S - PATH_S)
    assert town.parent(3) == 1  # it said 30, and its own order may be on the way
    town.run(0.2)
    assert 3 not in town.members[1].downlink.children
    assert town.parent(3) == 2


def test_who_says_a_higher_rank_in_time_stays(town: Town) -> None:
    town.assign(1, S, epoch=2, rank=35)
    town.run(0.2)
    town.assign(3, 1, standbys=(2,), epoch=2, rank=36)
    town.run(1.0)
    assert town.members[1].rank == 35
    assert town.moves(3) == []


def test_a_revoked_standby_is_dialled_again(town: Town) -> None:
    assert town.links(3) == {1: True, 2: True}
    town.members[2].receive(Revoke(epoch=2, child=3))
    town.run(2 * PATH_S)
    assert 2 not in town.links(3)
    town.accept(2, 3)
    town.run(2 * REPEAT_S)
    assert town.links(3) == {1: True, 2: True}


def test_a_parent_that_closes_while_nothing_passes_is_silent_and_not_well(town: Town) -> None:
    town.run(HOLD_S)  # a child that was let in a moment ago is not put out at once
    assert town.moves(3) == []
    town.members[1].receive(Revoke(epoch=2, child=3))
    while any(hop.child.ident == 3 for hop in town.members[1].downlink.hops):
        town.run(PATH_S / 10)
    town.cut(1, 3)
    town.run(1.0)
    assert town.moves(3) == [(1, 2)]


def test_a_parent_calls_a_child_that_cannot_dial_it(town: Town) -> None:
    town.network.dials = lambda child, parent: parent != 2 or child == S
    town.assign(3, 1, standbys=(2,), epoch=2, called=True)
    town.run(0.5)
    assert town.links(3) == {1: True, 2: True}
    town.members[1].die("reset")
    town.run(0.5)
    assert town.parent(3) == 2


def test_a_ping_is_answered_and_reports_tell_the_truth(town: Town) -> None:
    town.members[3].receive(Ping(nonce=9))
    town.members[3].report()
    pong, report = (message for who, message in town.said if who == 3)
    assert isinstance(pong, Pong)
    assert (pong.nonce, pong.parent) == (9, 1)
    assert isinstance(report, Report)
    assert (report.parent, report.state, report.standbys_ready) == (1, "streaming", (2,))
    assert report.latency_p50_ms == pytest.approx(2 * PATH_S * 1000)
    assert [entry.child for entry in report.children] == [4]


def test_reports_add_up_whatever_lies_between_them(town: Town) -> None:
    town.members[3].report()
    town.said.clear()
    town.run(0.5)
    town.members[3].receive(Ping(nonce=1))  # looks at the records too
    town.run(0.5)
    town.members[3].report()
    report = town.said[-1][1]
    assert isinstance(report, Report)
    assert report.interval_ms == pytest.approx(1000)
    assert report.records == RECORDS_PER_S
    assert report.bytes == pytest.approx(town.settings.rate_mbit * 125_000)


def test_who_leaves_stays_until_it_is_released(town: Town) -> None:
    town.members[1].leave()
    assert isinstance(town.said[-1][1], Leaving)
    town.run(0.5)
    assert town.members[1].flowing
    town.assign(3, 2, epoch=2)
    town.run(0.2)
    town.members[1].receive(Released())
    town.run(0.5)
    assert not town.members[1].alive
    assert town.complaints(3) == []
    assert town.members[3].flowing


def test_the_dead_say_nothing(town: Town) -> None:
    town.members[3].die("reset")
    town.said.clear()
    town.members[3].receive(Ping(nonce=1))
    town.members[3].report()
    town.members[3].leave()
    assert [who for who, _ in town.said if who == 3] == []


# --- what the network and the machines do to it -----------------------------------------------------------------


def behind(town: Town, ident: int) -> float:
    """Return how many records a member is behind the source."""
    return town.members[S].position() - town.members[ident].position()


def test_a_frozen_parent_is_left_and_nothing_is_lost(town: Town) -> None:
    town.members[1].freeze()
    town.run(1.0)
    assert town.parent(3) == 2
    assert town.members[3].lost == 0
    assert behind(town, 3) == pytest.approx(2 * PATH_S / RECORD_S)


def test_a_parent_that_was_only_late_is_gone_back_to(town: Town) -> None:
    town.members[1].freeze()
    town.run(SILENCE_S + 5 * PATH_S)
    assert town.parent(3) == 2
    town.members[1].thaw()
    town.run(1.0)
    assert town.moves(3) == [(1, 2), (2, 1)]
    assert town.complaints(3) == []


def test_a_frozen_child_reads_what_its_parent_still_holds(town: Town) -> None:
    town.members[4].freeze()
    town.run(RING_S / 2)
    town.members[4].thaw()
    town.run(0.5)
    assert (town.parent(4), town.members[4].lost) == (3, 0)
    assert behind(town, 4) == pytest.approx(3 * PATH_S / RECORD_S)


def test_what_nobody_holds_any_more_is_lost_and_counted(town: Town) -> None:
    town.members[4].freeze()
    town.run(RING_S + 2)
    town.members[4].thaw()
    town.run(0.5)
    assert town.members[4].lost == pytest.approx(2 * RECORDS_PER_S, abs=0.1 * RECORDS_PER_S)


def test_a_report_right_after_a_loss_takes_nothing_back(town: Town) -> None:
    town.cut(4, 3)
    town.run(1.005)
    assert town.members[4].position() % 1  # in the middle of a record
    town.members[4].report()
    town.members[4].skip_to(int(town.members[4].position()) + 100)
    town.members[4].report()
    report = town.said[-1][1]
    assert isinstance(report, Report)
    assert (report.bytes, report.records, report.lost) == (0, 0, 100)


def test_a_short_cut_costs_nothing_but_time(town: Town) -> None:
    town.cut(4, 3)
    town.run(0.5)
    assert not town.members[4].flowing
    town.heal(4, 3)
    town.run(0.5)
    assert (town.parent(4), town.members[4].lost, town.moves(4)) == (3, 0, [])
    assert behind(town, 4) == pytest.approx(3 * PATH_S / RECORD_S)


def test_a_stalled_parent_still_sends_what_it_has(town: Town) -> None:
    town.cut(4, 3)
    town.run(0.5)
    for other in (1, 2):
        town.cut(3, other)
    town.run(0.1)
    town.heal(4, 3)
    town.run(0.1)
    assert not town.members[4].flowing
    assert town.members[4].position() == town.members[3].position()
    assert (town.parent(4), town.members[4].lost) == (3, 0)


def test_a_mute_parent_is_left(town: Town) -> None:
    town.members[1].silence(True)
    town.run(1.0)
    assert town.moves(3) == [(1, 2)]
    assert town.members[1].flowing


def test_a_member_that_was_too_long_without_a_parent_takes_the_loss(town: Town) -> None:
    town.cut(4, 3)
    town.run(RING_S + 2)
    town.heal(4, 3)
    town.run(6.0)
    assert town.members[4].flowing
    assert town.members[4].lost >= 2 * RECORDS_PER_S
    assert behind(town, 4) == pytest.approx(3 * PATH_S / RECORD_S)


def test_time_never_runs_backwards() -> None:
    agenda = Agenda()
    seen: list[int] = []
    for number in (1, 2, 3):
        agenda.after(1.0, seen.append, number)
    agenda.run(1.0)
    assert seen == [1, 2, 3]
    with pytest.raises(LocalProtocolError):
        agenda.after(-0.1, seen.append, 4)
