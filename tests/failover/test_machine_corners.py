"""What happens to the parent link rarely: words of links that are gone, calls, damage, and orders at odd moments."""

from __future__ import annotations

import pytest

from overlaycast.failover.machine import Upstream
from overlaycast.failover.words import (
    Action,
    CloseLink,
    Complain,
    Dial,
    ParentChanged,
    SendStart,
    SendStop,
    State,
)
from overlaycast.wire.frames import RefuseCode
from overlaycast.wire.messages import Assign, Peer

P, S, T, F = 1, 2, 3, 4


def order(epoch: int, parent: int | None, standbys: tuple[int, ...] = (), fallbacks: tuple[int, ...] = ()) -> Assign:
    def peer(member: int) -> Peer:
        return Peer(member=member, name=f"m{member}", addresses=(), grant="0" * 32, rank=1)

    return Assign(
        epoch=epoch,
        rank=9,
        depth=1,
        parent=None if parent is None else peer(parent),
        standbys=tuple(map(peer, standbys)),
        fallbacks=tuple(map(peer, fallbacks)),
    )


class Shell:
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
    shell = Shell()
    shell.streaming()
    machine = shell.machine
    machine.heartbeat(99, False, 0.01)
    machine.data(99, True, 0.01)
    machine.trickled(99, 10, 0.01)
    machine.lost(99, "reset", 0.01)
    machine.refused(99, RefuseCode.GONE, 7, 0.01)
    assert shell.do() == []


def test_what_the_shell_may_ask() -> None:
    shell = Shell()
    assert (shell.machine.order, shell.machine.starved, shell.machine.settled_parent) == (None, True, None)
    shell.streaming()
    machine = shell.machine
    assert (machine.order, machine.starved, machine.standbys_ready) == (order(1, P, (S,)), False, (S,))
    assert machine.current is machine.links.get(shell.links[P])


def test_after_the_end_nothing_counts() -> None:
    shell = Shell()
    shell.streaming()
    machine = shell.machine
    machine.ended(0.01)
    machine.assign(order(2, S), 0.02)
    machine.heartbeat(shell.links[S], True, 0.02)
    machine.lost(shell.links[P], "reset", 0.02)
    machine.called(S, 0.02)
    machine.tick(9.0)
    assert machine.next_deadline() is None
    assert shell.do() == []
    assert (machine.state, machine.starved) == (State.ENDED, False)


def test_an_order_without_a_parent_keeps_the_parent_that_delivers() -> None:
    shell = Shell()
    shell.streaming()
    shell.machine.assign(order(2, None, (T,)), 0.01)
    assert [type(action) for action in shell.do()] == [CloseLink, Dial]
    assert (shell.machine.parent, shell.machine.state) == (P, State.STREAMING)


def test_a_new_member_obeys_orders_of_a_smaller_epoch() -> None:
    shell = Shell()
    shell.machine.assign(order(5, P), 0.0)
    shell.machine.assign(order(4, S), 0.0)
    assert shell.machine.order == order(5, P)
    shell.machine.new_identity()
    shell.machine.assign(order(1, S), 0.0)
    assert shell.machine.order == order(1, S)


def test_without_an_order_a_lost_parent_leaves_nobody_to_ask() -> None:
    shell = Shell()
    shell.streaming()
    shell.machine.new_identity()
    shell.machine.lost(shell.links[P], "reset", 0.01)
    assert shell.do() == []
    assert shell.machine.state is State.SWITCHING


def test_an_order_for_the_silent_parent_keeps_asking_the_others() -> None:
    shell = Shell()
    shell.streaming()
    at = shell.silent()
    shell.do()
    shell.machine.assign(order(2, P, (S, T)), at)
    assert [action.peer.member for action in shell.do() if isinstance(action, Dial)] == [T]
    assert shell.machine.state is State.SWITCHING


def test_bytes_of_a_record_from_a_standby_count_as_data_that_is_not_new() -> None:
    shell = Shell()
    shell.streaming()
    shell.machine.trickled(shell.links[S], 100, 0.01)
    assert shell.machine.parent == P
    link = shell.machine.links.get(shell.links[S])
    assert link is not None
    assert (link.taken, link.heard) == (100, 0.01)


def test_a_heartbeat_of_one_that_has_lost_the_next_record_does_not_win() -> None:
    shell = Shell()
    shell.streaming(standbys=(S, T))
    shell.silent()
    assert SendStart(shell.links[S]) in shell.do()
    shell.machine.refused(shell.links[S], RefuseCode.GONE, 7, 1.0)
    assert SendStart(shell.links[T]) in shell.do()
    shell.machine.heartbeat(shell.links[S], False, 1.0)
    assert shell.machine.parent == P
    shell.machine.heartbeat(shell.links[T], False, 1.0)
    assert shell.machine.parent == T


def test_a_standby_that_gets_warm_during_an_outage_is_asked_next() -> None:
    shell = Shell()
    shell.streaming()
    shell.machine.assign(order(2, P, (S, T), (F,)), 0.01)
    shell.machine.lost(shell.links[P], "reset", 0.02)
    assert SendStart(shell.links[S]) in shell.do()
    shell.machine.heartbeat(shell.links[T], False, 0.03)
    shell.machine.tick(0.03)
    assert shell.do() == [SendStart(shell.links[T])]


def test_a_standby_of_a_forgotten_order_is_not_dialled_again() -> None:
    shell = Shell()
    shell.streaming()
    machine = shell.machine
    machine.lost(shell.links[S], "reset", 0.01)
    machine.new_identity()
    machine.data(shell.links[P], True, 1.0)
    machine.tick(1.0)
    assert shell.do() == []


def test_we_are_more_patient_when_our_own_timers_are_late() -> None:
    shell = Shell()
    shell.streaming()
    before = shell.machine.next_deadline()
    shell.machine.woke_late(0.1, 0.0)
    after = shell.machine.next_deadline()
    assert before is not None
    assert after == pytest.approx(before + 0.1, abs=0.02)


def test_our_own_sleep_puts_off_the_next_complaint() -> None:
    shell = Shell()
    shell.streaming(standbys=())
    shell.silent()
    shell.do()
    shell.machine.next_deadline()
    shell.machine.tick(0.5)  # due at 0.33, slept until 0.5
    assert not [action for action in shell.do() if isinstance(action, Complain)]
    shell.machine.tick(1.5)
    assert [action for action in shell.do() if isinstance(action, Complain)]


def test_a_healthy_parent_is_left_for_the_ordered_one_once_that_lives_and_is_not_stalled() -> None:
    shell = Shell()
    shell.streaming()
    machine = shell.machine
    machine.assign(order(2, S, (P,)), 0.01)
    assert SendStart(shell.links[S]) in shell.do()
    machine.heartbeat(shell.links[S], True, 0.02)
    assert machine.parent == P
    machine.heartbeat(shell.links[S], False, 0.03)
    assert machine.parent == S


def test_a_silent_parent_is_left_for_a_standby_that_lives_only_when_the_silence_is_twice_the_limit() -> None:
    shell = Shell()
    shell.streaming()
    at = shell.silent()
    shell.do()
    shell.machine.heartbeat(shell.links[S], False, at + 0.01)
    assert shell.machine.parent == P
    shell.machine.heartbeat(shell.links[S], False, 3 * at)
    assert shell.machine.parent == S


def test_a_parent_that_calls_ends_the_wait_for_the_next_try() -> None:
    shell = Shell()
    shell.streaming()
    machine = shell.machine
    machine.called(T, 0.01)  # not in our order
    machine.called(S, 0.01)  # its link stands
    assert shell.do() == []
    machine.lost(shell.links[S], "reset", 0.01)
    machine.called(S, 0.02)
    assert [action.feed for action in shell.do() if isinstance(action, Dial)] == [False]


def test_a_call_during_an_outage_is_taken_at_once() -> None:
    shell = Shell()
    shell.streaming()
    shell.machine.lost(shell.links[S], "reset", 0.0)
    at = shell.machine.next_deadline()
    assert at is not None
    shell.machine.lost(shell.links[P], "reset", 0.01)
    shell.do()
    machine = shell.machine
    link = machine.links.to(S)
    assert link is not None
    machine.lost(link.number, "unreachable", 0.02)
    shell.do()
    machine.called(S, 0.03)
    assert machine.links.to(S) is not None


def test_a_standby_that_answers_with_nothing_asked_is_no_parent() -> None:
    shell = Shell()
    shell.streaming(standbys=(S,), fallbacks=(F,))
    shell.machine.refused(shell.links[S], RefuseCode.GONE, 7, 0.01)
    assert shell.do() == []
    assert shell.machine.parent == P


def test_the_first_word_may_be_that_the_record_is_gone() -> None:
    shell = Shell()
    shell.machine.assign(order(1, P), 0.0)
    shell.do()
    shell.machine.refused(shell.links[P], RefuseCode.GONE, 7, 0.01)
    link = shell.machine.links.get(shell.links[P])
    assert link is not None
    assert SendStart(link.number, oldest=True) in shell.do()  # nobody else is left: the loss is taken


def test_the_parent_itself_is_asked_for_its_oldest() -> None:
    shell = Shell()
    shell.streaming()
    shell.machine.refused(shell.links[P], RefuseCode.GONE, 7, 0.01)
    assert shell.do() == [SendStart(shell.links[P], oldest=True)]


def test_a_healthy_parent_is_not_left_for_a_loss() -> None:
    shell = Shell()
    shell.streaming()
    machine = shell.machine
    machine.assign(order(2, S, (P,)), 0.01)
    shell.do()
    machine.refused(shell.links[S], RefuseCode.GONE, 7, 0.02)
    done = shell.do()
    assert CloseLink(shell.links[S]) in done
    assert Complain(S, 0.0, "gone", P) in done
    assert machine.parent == P


def test_damage_by_the_ordered_parent_is_what_the_coordinator_hears_of() -> None:
    shell = Shell()
    shell.machine.assign(order(1, P, (S,)), 0.0)
    shell.do()
    shell.machine.lost(shell.links[P], "damaged", 0.01)
    shell.do()
    shell.machine.heartbeat(shell.links[S], False, 0.02)
    shell.machine.data(shell.links[S], True, 0.02)
    reasons = [action.reason for action in shell.do() if isinstance(action, Complain | ParentChanged)]
    assert "damaged" in reasons


def test_a_link_to_an_ordered_parent_that_breaks_is_dialled_again_while_the_old_one_delivers() -> None:
    shell = Shell()
    shell.streaming()
    machine = shell.machine
    machine.assign(order(2, T, (S,)), 0.01)
    shell.do()
    machine.lost(shell.links[T], "unreachable", 0.02)
    assert Complain(T, 0.0, "unreachable", P) in shell.do()
    machine.assign(order(3, None, (S,)), 0.03)
    machine.data(shell.links[P], True, 0.3)
    machine.tick(0.35)
    assert not [action for action in shell.do() if isinstance(action, Dial)]  # the newest order does not name it


def test_the_old_parent_is_lost_while_it_is_in_doubt() -> None:
    shell = Shell()
    shell.streaming()
    at = shell.switched()
    shell.machine.lost(shell.links[P], "reset", at + 0.01)
    assert [action.now_from for action in shell.do() if isinstance(action, Complain)] == [S]
    assert shell.machine.settled_parent == S


@pytest.mark.parametrize(("parent", "done"), [(P, []), (S, [SendStop])])
def test_an_order_ends_the_doubt(parent: int, done: list[type]) -> None:
    shell = Shell()
    shell.streaming()
    at = shell.switched()
    other = S if parent == P else P
    shell.machine.assign(order(2, parent, (other,)), at + 0.01)
    assert [type(action) for action in shell.do()] == done
    assert shell.machine.settled_parent == S


def test_our_own_sleep_is_no_time_to_come_back_for_others() -> None:
    shell = Shell()
    shell.streaming()
    machine = shell.machine
    at = shell.switched()
    machine.next_deadline()
    machine.tick(at + 5.0)
    assert machine.settled_parent == P  # still in doubt
    machine.data(shell.links[P], True, at + 5.01)
    assert machine.parent == P


def test_a_doubt_ends_with_the_old_parent_if_it_keeps_up() -> None:
    shell = Shell()
    shell.streaming()
    machine, at = shell.machine, shell.switched()
    end = at + 2.0
    machine.trickled(shell.links[P], 1_000_000, end)
    machine.data(shell.links[S], True, end, 10)
    machine.tick(end)
    assert machine.parent == P


def test_after_a_pause_of_our_own_silence_counts_from_now() -> None:
    shell = Shell()
    shell.streaming()
    machine = shell.machine
    machine.listening = False
    assert machine.next_deadline() is None
    machine.tick(5.0)
    machine.listening = True
    machine.links.heard_all(5.0)
    machine.tick(5.01)
    assert machine.state is State.STREAMING
    assert shell.do() == []


def test_a_warm_standby_that_begins_to_stall_feeds_nobody_sooner_than_the_flag_allows() -> None:
    shell = Shell(flag_s=0.5)
    shell.streaming()
    machine = shell.machine
    at = shell.silent()
    shell.do()
    machine.heartbeat(shell.links[S], True, at)
    assert machine.parent == P
    machine.heartbeat(shell.links[P], True, at + 0.01)  # it lives, but is stalled too: the outage goes on
    assert machine.state is State.SWITCHING


def test_a_parent_that_refuses_is_as_good_as_lost() -> None:
    shell = Shell()
    shell.machine.assign(order(1, P, (S,)), 0.0)
    shell.do()
    shell.machine.refused(shell.links[P], RefuseCode.FULL, 0, 0.01)
    assert shell.machine.links.to(P) is None
    assert SendStart(shell.links[S]) in shell.do()
