"""What happens to the parent link rarely: words of links that are gone, calls, damage, and orders at odd moments."""

from __future__ import annotations

import pytest

from overlaycast.failover.machine import Upstream
from overlaycast.failover.outage import LOSS_PATIENCE
from overlaycast.failover.words import (
    Action,
    AskedInVain,
    CloseLink,
    Complain,
    Dial,
    LinkFailed,
    ParentChanged,
    SendStart,
    SendStop,
    State,
)
from overlaycast.wire.frames import RefuseCode
from overlaycast.wire.messages import Assign, Peer

P, S, T, F = 1, 2, 3, 4


def order(
    epoch: int,
    parent: int | None,
    standbys: tuple[int, ...] = (),
    fallbacks: tuple[int, ...] = (),
    deposed: int | None = None,
) -> Assign:
    def peer(member: int) -> Peer:
        return Peer(member=member, name=f"m{member}", addresses=(), grant="0" * 32, rank=1)

    return Assign(
        epoch=epoch,
        rank=9,
        depth=1,
        parent=None if parent is None else peer(parent),
        standbys=tuple(map(peer, standbys)),
        fallbacks=tuple(map(peer, fallbacks)),
        deposed=deposed,
    )


class Driver:
    """A machine that runs; links by member."""

    def __init__(self, flag_s: float = 3.0) -> None:
        self.machine = Upstream(silence_s=0.08, heartbeat_s=0.025, flag_s=flag_s, jitter=lambda: 0.5)
        self.links: dict[int, int] = {}

    def do(self) -> list[Action]:
        """Return what is to be done; connections are numbered as asked."""
        actions = self.machine.actions()
        self.links |= {action.peer.member: action.link for action in actions if isinstance(action, Dial)}
        return actions

    def streaming(self, parent: int = P, standbys: tuple[int, ...] = (S,), fallbacks: tuple[int, ...] = ()) -> None:
        """Have a parent that delivers and warm standbys at second 0."""
        self.machine.assign(order(1, parent, standbys, fallbacks), 0.0)
        self.do()
        for member in (parent, *standbys):
            self.machine.heartbeat(self.links[member], False, 0.0)
        self.machine.data(self.links[parent], True, 0.0, 1000)
        self.do()
        assert self.machine.state is State.STREAMING

    def silent(self) -> float:
        """Let the parent be silent until it is suspected; return when."""
        at = self.machine.next_deadline()
        assert at is not None
        self.machine.tick(at)
        return at

    def switched(self) -> float:
        """Have the standby take over, the old parent in doubt; return when."""
        at = self.silent()
        self.do()
        self.machine.data(self.links[S], True, at, 1000)
        assert self.machine.parent == S
        assert self.machine.settled_parent == P
        self.do()
        return at


def test_links_that_are_gone_say_nothing() -> None:
    driver = Driver()
    driver.streaming()
    machine = driver.machine
    machine.heartbeat(99, False, 0.01)
    machine.data(99, True, 0.01)
    machine.trickled(99, 10, 0.01)
    machine.lost(99, "reset", 0.01)
    machine.refused(99, RefuseCode.GONE, 7, 0.01)
    assert driver.do() == []


def test_what_the_shell_may_ask() -> None:
    driver = Driver()
    assert (driver.machine.order, driver.machine.starved, driver.machine.settled_parent) == (None, True, None)
    driver.streaming()
    machine = driver.machine
    assert (machine.order, machine.starved, machine.standbys_ready) == (order(1, P, (S,)), False, (S,))
    assert machine.current is machine.links.get(driver.links[P])


def test_after_the_end_nothing_counts() -> None:
    driver = Driver()
    driver.streaming()
    machine = driver.machine
    machine.ended(0.01)
    machine.assign(order(2, S), 0.02)
    machine.heartbeat(driver.links[S], True, 0.02)
    machine.lost(driver.links[P], "reset", 0.02)
    machine.called(S, 0.02)
    machine.tick(9.0)
    assert machine.next_deadline() is None
    assert driver.do() == []
    assert (machine.state, machine.starved) == (State.ENDED, False)


def test_an_order_without_a_parent_keeps_the_parent_that_delivers() -> None:
    driver = Driver()
    driver.streaming()
    driver.machine.assign(order(2, None, (T,)), 0.01)
    assert [type(action) for action in driver.do()] == [CloseLink, Dial]
    assert (driver.machine.parent, driver.machine.state) == (P, State.STREAMING)


def test_a_new_member_obeys_orders_of_a_smaller_epoch() -> None:
    driver = Driver()
    driver.machine.assign(order(5, P), 0.0)
    driver.machine.assign(order(4, S), 0.0)
    assert driver.machine.order == order(5, P)
    driver.machine.new_identity()
    driver.machine.assign(order(1, S), 0.0)
    assert driver.machine.order == order(1, S)


def test_without_an_order_a_lost_parent_leaves_nobody_to_ask() -> None:
    driver = Driver()
    driver.streaming()
    driver.machine.new_identity()
    driver.machine.lost(driver.links[P], "reset", 0.01)
    assert driver.do() == [LinkFailed(P, "reset")]
    assert driver.machine.state is State.SWITCHING


def test_an_order_for_the_silent_parent_keeps_asking_the_others() -> None:
    driver = Driver()
    driver.streaming()
    at = driver.silent()
    driver.do()
    driver.machine.assign(order(2, P, (S, T)), at)
    assert [action.peer.member for action in driver.do() if isinstance(action, Dial)] == [T]
    assert driver.machine.state is State.SWITCHING


def test_bytes_of_a_record_from_a_standby_count_as_data_that_is_not_new() -> None:
    driver = Driver()
    driver.streaming()
    driver.machine.trickled(driver.links[S], 100, 0.01)
    assert driver.machine.parent == P
    link = driver.machine.links.get(driver.links[S])
    assert link is not None
    assert (link.taken, link.heard) == (100, 0.01)


def test_a_heartbeat_of_one_that_has_lost_the_next_record_does_not_win() -> None:
    driver = Driver()
    driver.streaming(standbys=(S, T))
    driver.silent()
    assert SendStart(driver.links[S]) in driver.do()
    driver.machine.refused(driver.links[S], RefuseCode.GONE, 7, 1.0)
    assert SendStart(driver.links[T]) in driver.do()
    driver.machine.heartbeat(driver.links[S], False, 1.0)
    assert driver.machine.parent == P
    driver.machine.heartbeat(driver.links[T], False, 1.0)
    assert driver.machine.parent == T


def test_a_standby_that_gets_warm_during_an_outage_is_asked_next() -> None:
    driver = Driver()
    driver.streaming()
    driver.machine.assign(order(2, P, (S, T), (F,)), 0.01)
    driver.machine.lost(driver.links[P], "reset", 0.02)
    assert SendStart(driver.links[S]) in driver.do()
    driver.machine.heartbeat(driver.links[T], False, 0.03)
    driver.machine.tick(0.03)
    assert driver.do() == [SendStart(driver.links[T])]


def test_a_standby_of_a_forgotten_order_is_not_dialled_again() -> None:
    driver = Driver()
    driver.streaming()
    machine = driver.machine
    machine.lost(driver.links[S], "reset", 0.01)
    machine.new_identity()
    machine.data(driver.links[P], True, 1.0)
    machine.tick(1.0)
    assert driver.do() == [LinkFailed(S, "reset")]


def test_we_are_more_patient_when_our_own_timers_are_late() -> None:
    driver = Driver()
    driver.streaming()
    before = driver.machine.next_deadline()
    driver.machine.woke_late(0.1, 0.0)
    after = driver.machine.next_deadline()
    assert before is not None
    assert after == pytest.approx(before + 0.1, abs=0.02)


def test_our_own_sleep_puts_off_the_next_complaint() -> None:
    driver = Driver()
    driver.streaming(standbys=())
    driver.silent()
    driver.do()
    driver.machine.next_deadline()
    driver.machine.tick(0.5)  # due at 0.33, slept until 0.5
    assert not [action for action in driver.do() if isinstance(action, Complain)]
    driver.machine.tick(1.5)
    assert [action for action in driver.do() if isinstance(action, Complain)]


def test_a_healthy_parent_is_left_for_the_ordered_one_once_that_lives_and_is_not_stalled() -> None:
    driver = Driver()
    driver.streaming()
    machine = driver.machine
    machine.assign(order(2, S, (P,)), 0.01)
    assert SendStart(driver.links[S]) in driver.do()
    machine.heartbeat(driver.links[S], True, 0.02)
    assert machine.parent == P
    machine.heartbeat(driver.links[S], False, 0.03)
    assert machine.parent == S


def test_a_silent_parent_is_left_for_a_standby_that_lives_only_when_the_silence_is_twice_the_limit() -> None:
    driver = Driver()
    driver.streaming()
    at = driver.silent()
    driver.do()
    driver.machine.heartbeat(driver.links[S], False, at + 0.01)
    assert driver.machine.parent == P
    driver.machine.heartbeat(driver.links[S], False, 3 * at)
    assert driver.machine.parent == S


def test_a_parent_that_calls_ends_the_wait_for_the_next_try() -> None:
    driver = Driver()
    driver.streaming()
    machine = driver.machine
    machine.called(T, 0.01)  # not in our order
    machine.called(S, 0.01)  # its link stands
    assert driver.do() == []
    machine.lost(driver.links[S], "reset", 0.01)
    machine.called(S, 0.02)
    assert [action.feed for action in driver.do() if isinstance(action, Dial)] == [False]


def test_a_call_during_an_outage_is_taken_at_once() -> None:
    driver = Driver()
    driver.streaming()
    driver.machine.lost(driver.links[S], "reset", 0.0)
    at = driver.machine.next_deadline()
    assert at is not None
    driver.machine.lost(driver.links[P], "reset", 0.01)
    driver.do()
    machine = driver.machine
    link = machine.links.to(S)
    assert link is not None
    machine.lost(link.number, "unreachable", 0.02)
    driver.do()
    machine.called(S, 0.03)
    assert machine.links.to(S) is not None


def test_a_standby_that_answers_with_nothing_asked_is_no_parent() -> None:
    driver = Driver()
    driver.streaming(standbys=(S,), fallbacks=(F,))
    driver.machine.refused(driver.links[S], RefuseCode.GONE, 7, 0.01)
    assert driver.do() == []
    assert driver.machine.parent == P


def test_the_first_word_may_be_that_the_record_is_gone() -> None:
    driver = Driver()
    driver.machine.assign(order(1, P), 0.0)
    driver.do()
    driver.machine.refused(driver.links[P], RefuseCode.GONE, 7, 0.01)
    link = driver.machine.links.get(driver.links[P])
    assert link is not None
    assert SendStart(link.number, oldest=True) in driver.do()  # nobody else is left: the loss is taken


def test_the_parent_itself_is_asked_for_its_oldest() -> None:
    driver = Driver()
    driver.streaming()
    driver.machine.refused(driver.links[P], RefuseCode.GONE, 7, 0.01)
    assert driver.do() == [SendStart(driver.links[P], oldest=True)]


@pytest.mark.parametrize(("slept_s", "asked"), [(0.9, False), (1.0, True)])
def test_after_a_sleep_of_our_own_the_first_loss_is_asked_of_others(slept_s: float, asked: bool) -> None:
    driver = Driver()
    driver.streaming()
    machine, link = driver.machine, driver.links[P]
    machine.woke_late(slept_s, slept_s)
    machine.data(link, True, slept_s, 1000)  # what it had sent before it was silent itself
    assert machine.may_skip(link) is not asked
    machine.refused(link, RefuseCode.GONE, 70, slept_s)
    assert (SendStart(driver.links[S], False) in driver.do()) is asked
    if asked:
        machine.refused(driver.links[S], RefuseCode.GONE, 80, slept_s)
        assert SendStart(link, True) in driver.do()
        assert machine.may_skip(link)
        machine.data(link, True, slept_s, 1000)
    machine.refused(link, RefuseCode.GONE, 90, slept_s + 0.01)  # the next one is of our own making
    assert SendStart(link, True) in driver.do()


def asked_for_its_oldest(driver: Driver) -> int:
    """Have the only parent of a new order lack the next record; return its link when the loss is about to be taken."""
    driver.streaming(standbys=())
    machine = driver.machine
    machine.lost(driver.links[P], "reset", 0.01)
    machine.assign(order(2, S), 0.02)
    driver.do()
    machine.refused(driver.links[S], RefuseCode.GONE, 70, 0.03)
    machine.tick(0.02 + LOSS_PATIENCE)
    assert SendStart(driver.links[S], oldest=True) in driver.do()
    assert machine.may_skip(driver.links[S])
    return driver.links[S]


@pytest.mark.parametrize("parent", [None, S, F])
@pytest.mark.parametrize("spoke", [False, True])
def test_a_loss_that_is_not_taken_yet_waits_for_those_whom_an_order_names(parent: int | None, spoke: bool) -> None:
    driver = Driver()
    link, machine = asked_for_its_oldest(driver), driver.machine
    if spoke:  # that it lives is no record
        machine.heartbeat(link, False, 0.53)
    machine.assign(order(3, parent, (S, T), (F,)), 0.53)
    driver.do()
    assert not machine.may_skip(link)
    machine.heartbeat(link, False, 0.54)  # sent before it was asked for its oldest
    machine.refused(link, RefuseCode.GONE, 71, 0.54)
    assert machine.may_skip(link) is False
    machine.heartbeat(driver.links[T], False, 0.55)
    machine.tick(0.8)
    driver.do()
    machine.data(driver.links[T], True, 0.81, 1000)
    assert machine.parent == T


@pytest.mark.parametrize("parent", [None, S])
def test_it_is_taken_when_these_have_not_what_is_missing_either(parent: int | None) -> None:
    driver = Driver()
    link, machine = asked_for_its_oldest(driver), driver.machine
    machine.assign(order(3, parent, (S, T)), 0.53)
    driver.do()
    machine.refused(driver.links[T], RefuseCode.GONE, 90, 0.54)
    machine.refused(link, RefuseCode.GONE, 71, 0.54)
    machine.tick(0.6)
    assert SendStart(link, oldest=True) in driver.do()
    assert machine.may_skip(link)
    machine.data(link, True, 0.61, 1000)
    assert machine.parent == S


def test_an_order_that_names_nobody_new_puts_off_no_loss() -> None:
    driver = Driver()
    link, machine = asked_for_its_oldest(driver), driver.machine
    machine.assign(order(3, S), 0.53)
    assert machine.may_skip(link)
    machine.assign(order(4, None, (S,)), 0.54)
    assert machine.may_skip(link)
    machine.data(link, True, 0.55, 1000)
    assert machine.parent == S


def test_one_loss_is_taken_and_not_the_next_one() -> None:
    """What was agreed to for one gap is no word about the gap after a silence."""
    driver = Driver()
    link, machine = asked_for_its_oldest(driver), driver.machine
    machine.data(link, True, 0.55, 1000)
    machine.assign(order(3, S, (T,)), 0.56)
    driver.do()
    machine.heartbeat(driver.links[T], False, 0.57)
    machine.data(link, True, 0.58, 1000)
    driver.silent()
    driver.do()
    machine.refused(link, RefuseCode.GONE, 170, 9.0)
    assert SendStart(link, oldest=True) not in driver.do()


def test_a_healthy_parent_is_not_left_for_a_loss() -> None:
    driver = Driver()
    driver.streaming()
    machine = driver.machine
    machine.assign(order(2, S, (P,)), 0.01)
    driver.do()
    machine.refused(driver.links[S], RefuseCode.GONE, 7, 0.02)
    done = driver.do()
    assert CloseLink(driver.links[S]) in done
    assert Complain(S, 0.0, "gone", P) in done
    assert machine.parent == P


def test_damage_by_the_ordered_parent_is_what_the_coordinator_hears_of() -> None:
    driver = Driver()
    driver.machine.assign(order(1, P, (S,)), 0.0)
    driver.do()
    driver.machine.lost(driver.links[P], "damaged", 0.01)
    driver.do()
    driver.machine.heartbeat(driver.links[S], False, 0.02)
    driver.machine.data(driver.links[S], True, 0.02)
    reasons = [action.reason for action in driver.do() if isinstance(action, Complain | ParentChanged)]
    assert "damaged" in reasons


def test_a_link_to_an_ordered_parent_that_breaks_is_dialled_again_while_the_old_one_delivers() -> None:
    driver = Driver()
    driver.streaming()
    machine = driver.machine
    machine.assign(order(2, T, (S,)), 0.01)
    driver.do()
    machine.lost(driver.links[T], "unreachable", 0.02)
    assert Complain(T, 0.0, "unreachable", P) in driver.do()
    machine.assign(order(3, None, (S,)), 0.03)
    machine.data(driver.links[P], True, 0.3)
    machine.tick(0.35)
    assert not [action for action in driver.do() if isinstance(action, Dial)]  # the newest order does not name it


def test_the_old_parent_is_lost_while_it_is_in_doubt() -> None:
    driver = Driver()
    driver.streaming()
    at = driver.switched()
    driver.machine.lost(driver.links[P], "reset", at + 0.01)
    assert [action.now_from for action in driver.do() if isinstance(action, Complain)] == [S]
    assert driver.machine.settled_parent == S


@pytest.mark.parametrize(("parent", "done"), [(P, []), (S, [SendStop])])
def test_an_order_ends_the_doubt(parent: int, done: list[type]) -> None:
    driver = Driver()
    driver.streaming()
    at = driver.switched()
    other = S if parent == P else P
    driver.machine.assign(order(2, parent, (other,)), at + 0.01)
    assert [type(action) for action in driver.do()] == done
    assert driver.machine.settled_parent == S


def test_our_own_sleep_is_no_time_to_come_back_for_others() -> None:
    driver = Driver()
    driver.streaming()
    machine = driver.machine
    at = driver.switched()
    machine.next_deadline()
    machine.tick(at + 5.0)
    assert machine.settled_parent == P  # still in doubt
    machine.data(driver.links[P], True, at + 5.01)
    assert machine.parent == P


def test_a_doubt_ends_with_the_old_parent_if_it_keeps_up() -> None:
    driver = Driver()
    driver.streaming()
    machine, at = driver.machine, driver.switched()
    end = at + 2.0
    machine.trickled(driver.links[P], 1_000_000, end)
    machine.data(driver.links[S], True, end, 10)
    machine.tick(end)
    assert machine.parent == P


def test_after_a_pause_of_our_own_silence_counts_from_now() -> None:
    driver = Driver()
    driver.streaming()
    machine = driver.machine
    machine.listening = False
    assert machine.next_deadline() is None
    machine.tick(5.0)
    machine.listening = True
    machine.links.heard_all(5.0)
    machine.tick(5.01)
    assert machine.state is State.STREAMING
    assert driver.do() == []


def test_a_warm_standby_that_begins_to_stall_feeds_nobody_sooner_than_the_flag_allows() -> None:
    driver = Driver(flag_s=0.5)
    driver.streaming()
    machine = driver.machine
    at = driver.silent()
    driver.do()
    machine.heartbeat(driver.links[S], True, at)
    assert machine.parent == P
    machine.heartbeat(driver.links[P], True, at + 0.01)  # it lives, but is stalled too: the outage goes on
    assert machine.state is State.SWITCHING


def test_a_parent_that_was_empty_when_it_was_asked_counts_once_it_has_records() -> None:
    shell = Driver()
    shell.machine.assign(order(1, P, (), (F,)), 0.0)
    shell.do()
    shell.machine.heartbeat(shell.links[P], False, 0.1, empty=True)
    assert shell.machine.parent is None
    shell.machine.heartbeat(shell.links[P], False, 0.2)
    assert shell.machine.parent == P


def test_a_parent_that_refuses_is_as_good_as_lost() -> None:
    driver = Driver()
    driver.machine.assign(order(1, P, (S,)), 0.0)
    driver.do()
    driver.machine.refused(driver.links[P], RefuseCode.FULL, 0, 0.01)
    assert driver.machine.links.to(P) is None
    assert SendStart(driver.links[S]) in driver.do()


@pytest.mark.parametrize(("depth", "later_s"), [(0, 0), (1, 0), (2, 0.25), (5, 1.0), (13, 3.0), (1000, 3.0)])
def test_a_stalled_parent_is_left_later_the_further_down_we_are(depth: int, later_s: float) -> None:
    """The level above us leaves first; if it is fed again, so are we, and stay where we are."""
    driver = Driver(flag_s=0.5)
    driver.machine.assign(order(1, P, (S,)).model_copy(update={"depth": depth}), 0.0)
    driver.do()
    for member in (P, S):
        driver.machine.heartbeat(driver.links[member], False, 0.0)
    driver.machine.data(driver.links[P], True, 0.0, 1000)
    driver.do()
    until = 0.5 + later_s
    for number in range(round(until / 0.02)):
        driver.machine.heartbeat(driver.links[P], True, number * 0.02)
        driver.machine.tick(number * 0.02)
    assert driver.machine.state.name == "STALLED"
    driver.machine.heartbeat(driver.links[P], True, until)
    driver.machine.tick(until)
    assert driver.machine.state.name == "SWITCHING"


def failures(actions: list[Action]) -> list[Action]:
    return [one for one in actions if isinstance(one, LinkFailed | AskedInVain)]


def test_links_that_fail_are_told_with_their_reason() -> None:
    driver = Driver()
    driver.streaming(standbys=(S, T))
    machine = driver.machine
    machine.lost(driver.links[T], "reset", 0.01)  # a warm standby
    machine.lost(driver.links[P], "reset", 0.02)  # the parent
    machine.refused(driver.links[S], RefuseCode.FULL, 0, 0.03)  # the one that was asked
    assert failures(driver.do()) == [LinkFailed(T, "reset"), LinkFailed(P, "reset"), LinkFailed(S, "refused")]
    machine.tick(0.03 + 3.1)  # what was dialled meanwhile does not answer
    told = failures(driver.do())
    assert told
    assert {one.reason for one in told if isinstance(one, LinkFailed)} == {"unreachable"}


def test_a_standby_that_helps_was_not_asked_in_vain() -> None:
    driver = Driver()
    driver.streaming()
    driver.switched()
    driver.machine.tick(0.6)
    assert failures(driver.do()) == []


def test_a_false_alarm_asked_nobody_in_vain() -> None:
    driver = Driver()
    driver.streaming()
    at = driver.silent()
    driver.machine.data(driver.links[P], True, at + 0.01, 1000)
    assert failures(driver.do()) == []


def test_those_that_bring_nothing_before_another_does_were_asked_in_vain() -> None:
    driver = Driver()
    driver.streaming(standbys=(S, T))
    at = driver.silent()
    machine = driver.machine
    while T not in {link.peer.member for link in machine.links if link.feed}:
        deadline = machine.next_deadline()
        assert deadline is not None
        machine.tick(deadline)
        at = deadline
    machine.data(driver.links[T], True, at, 1000)
    assert failures(driver.do()) == [AskedInVain((S,))]


def test_where_nobody_helps_each_round_is_counted() -> None:
    driver = Driver()
    driver.streaming()
    driver.silent()
    for _ in range(40):  # heartbeats that claim what does not come: nobody is dead
        deadline = driver.machine.next_deadline()
        assert deadline is not None
        driver.machine.tick(deadline)
        driver.machine.heartbeat(driver.links[S], False, deadline, owes=True)
    told = [one for one in failures(driver.do()) if isinstance(one, AskedInVain)]
    assert len(told) >= 2
    assert told[0] == AskedInVain((S,))
    assert all(S in one.parents for one in told)


def test_who_was_asked_before_an_order_counts_still() -> None:
    driver = Driver()
    driver.streaming()
    at = driver.silent()
    driver.machine.assign(order(2, T), at)
    driver.do()
    driver.machine.heartbeat(driver.links[T], False, at)
    driver.machine.data(driver.links[T], True, at, 1000)
    assert AskedInVain((S,)) in driver.do()


# --- a source that has lost its place -------------------------------------------------------------------------------


@pytest.mark.parametrize("silent", [False, True])
def test_a_deposed_source_feeds_nobody_any_more(silent: bool) -> None:
    driver = Driver()
    driver.streaming(P, ())
    at = driver.silent() if silent else 0.01
    driver.do()
    former = driver.links[P]
    driver.machine.assign(order(2, S, deposed=P), at)
    done = driver.do()
    assert CloseLink(former) in done
    assert [action.peer.member for action in done if isinstance(action, Dial)] == [S]
    assert (driver.machine.parent, driver.machine.state) == (None, State.SWITCHING)
    driver.machine.data(former, True, at, 1000)  # it had been read before the link was closed
    assert driver.machine.parent is None
    driver.machine.heartbeat(driver.links[S], False, at)
    assert driver.do()[0] == ParentChanged(S, P, "silence" if silent else "reset")


def test_a_deposed_source_that_was_asked_is_asked_no_more() -> None:
    driver = Driver()
    driver.streaming(P, (S,))
    driver.do()
    driver.machine.assign(order(2, P, deposed=S), 0.0)
    assert driver.do() == [CloseLink(driver.links[S])]
    assert driver.machine.parent == P
    driver.machine.assign(order(3, P, deposed=S), 0.0)
    assert driver.do() == []


def test_without_a_successor_others_are_asked_when_the_source_is_deposed() -> None:
    driver = Driver()
    driver.streaming(P, (S,))
    driver.do()
    driver.machine.assign(order(2, None, (S,), deposed=P), 0.0)
    assert driver.do() == [CloseLink(driver.links[P]), SendStart(driver.links[S])]
