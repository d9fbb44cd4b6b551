"""Whose train goes when: one at a time, the sites' first ones first, and more together only where that is proven."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlaycast.discovery.trains.neighbours import neighbours
from overlaycast.discovery.trains.turns import (
    ENOUGH,
    FRESH_S,
    HOLD_S,
    LONGEST_REST_S,
    REMEMBER_S,
    REST,
    TRIAL_AGAIN_S,
    TRIES,
    Turns,
    Whereto,
    whereto,
)


def site(name: str) -> Whereto:
    """Return the way to a site that shares few routers with any other."""
    return whereto(("gw", f"b{name}", f"c{name}", f"l{name}"), True, "")


def come(turns: Turns, *names: str, at: float = 0.0, group: str = "g") -> list[int]:
    """Let members come, each named after its site and its number there."""
    return [turns.come(group, name, site(name[0]), at) for name in names]


def test_where_a_train_goes() -> None:
    assert whereto((), True, "h") == Whereto((), "here", False)
    assert whereto((), False, "h") == Whereto((), "at h", True)
    assert whereto(("a", None), True, "h") == Whereto(("a", None), "at h", True)
    assert whereto(("a", "b"), True, "h") == Whereto(("a", "b"), "behind b", True)


def test_sites_have_one_train_before_any_has_two_and_one_goes_at_a_time() -> None:
    turns = Turns(16)
    a1, a2, b1, b2, c1 = come(turns, "a1", "a2", "b1", "b2", "c1")
    order, now = [], 0.0
    while begun := turns.begin(now):
        [one] = begun
        order.append(one)
        assert turns.begin(now) == []
        now += 0.1
        assert not turns.done(one, 20, now)
        while not (begun := turns.begin(now)) and (due := turns.next_deadline()) is not None:
            now = due
        if begun:
            order += begun
            now += 0.1
            assert not turns.done(begun[0], 20, now)
            now = max(now, turns.next_deadline() or now)
    assert order[:3] == [a1, b1, c1]
    assert sorted(order[3:]) == [a2, b2]
    assert turns.next_deadline() is None


def test_after_each_train_but_the_first_of_a_site_the_link_rests() -> None:
    turns = Turns(16)
    a1, a2, a3 = come(turns, "a1", "a2", "a3", at=-FRESH_S)
    [one] = turns.begin(0.0)
    assert turns.expected(one) is None
    turns.done(one, 20, 0.5)
    [two] = turns.begin(0.5)
    assert turns.expected(two) == 20
    turns.done(two, 20, 0.6)
    assert turns.begin(0.8) == []
    assert turns.next_deadline() == pytest.approx(0.6 + REST * 0.1)
    [newcomer] = come(turns, "b1", at=0.8)
    assert turns.begin(0.85) == [newcomer], "the first of a site waits for no such rest"
    [waits] = {a1, a2, a3} - {one, two}
    turns.done(newcomer, 20, 0.92)
    assert turns.begin(0.92) == [waits]


def test_a_rest_is_short_though_a_busy_host_made_the_train_take_long() -> None:
    turns = Turns(16)
    come(turns, "a1", "a2", "a3", at=-FRESH_S)
    for now in (0.0, 1.0):
        [one] = turns.begin(now)
        turns.done(one, 20, now + 0.9)
    assert turns.begin(2.0) == []
    assert turns.next_deadline() == pytest.approx(1.9 + LONGEST_REST_S)
    assert len(turns.begin(1.9 + LONGEST_REST_S)) == 1


def test_before_a_stream_begins_there_is_no_rest() -> None:
    turns = Turns(16)
    come(turns, "a1", "a2", "a3")
    now = 0.0
    for _ in range(3):
        [one] = turns.begin(now)
        now += 0.1
        turns.done(one, 20, now)


def test_a_site_has_some_trains_and_no_more_until_it_is_forgotten() -> None:
    turns = Turns(16)
    trains = come(turns, *(f"a{number}" for number in range(ENOUGH + 3)))
    now, gone = 0.0, 0
    for _ in range(ENOUGH):
        [one] = turns.begin(now)
        gone += 1
        turns.done(one, 20, now + 0.1)
        now += 1
    assert turns.begin(now) == []
    assert len(turns.needless()) == 3 == len(trains) - gone
    assert turns.needless() == []
    [late] = come(turns, "a9", at=now)
    assert turns.begin(now) == []
    assert turns.needless() == [late]
    [later] = come(turns, "a9", at=now + REMEMBER_S + 1)
    assert turns.begin(now + REMEMBER_S + 1) == [later]


def test_groups_take_turns_then_addresses_and_the_newest_of_an_address_comes_first() -> None:
    turns = Turns(16)
    for name in ("x", "y"):
        turns.done(turns.begin(0.0)[0] if come(turns, f"{name}0") else 0, 20, 0.0)
    crowd = [turns.come("a", "evil", site("x"), 0.0) for _ in range(3)]
    good, other = turns.come("a", "good", site("y"), 0.0), turns.come("b", "other", site("y"), 0.0)
    order, now = [], 1.0
    while begun := turns.begin(now):
        order += begun
        turns.done(begun[0], 20, now)
        now += 1
    assert order == [crowd[2], other, good, crowd[1], crowd[0]]


def test_one_that_does_not_answer_holds_nobody_up_for_long_and_another_one_speaks_for_its_site() -> None:
    turns = Turns(16)
    a1, a2, a3 = come(turns, "a1", "a2", "a3")
    assert turns.begin(0.0) == [a1]
    assert turns.next_deadline() == HOLD_S
    assert turns.begin(HOLD_S / 2) == []
    assert turns.begin(HOLD_S) == [a3]
    turns.done(a3, 20, 1.2)
    assert turns.begin(1.3) == [a2]
    turns.leave(a2, 1.4)
    assert not turns.done(a1, 1.5, 9.0), "so thin a link is known all the same"
    turns.leave(a1, 9.0)


def test_a_site_whose_trains_show_nothing_is_no_more_than_the_others() -> None:
    turns = Turns(16)
    come(turns, *(f"a{number}" for number in range(TRIES + 2)))
    now = 0.0
    for _ in range(TRIES):
        turns.done(turns.begin(now)[0], None, now + 0.1)
        now += 0.1
    come(turns, "b1")
    order = []
    for _ in range(3):
        order += turns.begin(now)
        turns.done(order[-1], 20, now)
        now += 1
    assert order[0] == TRIES + 3, "a site that is new comes before the rest of it"
    assert sorted(order[1:]) == [2, 3], "of the others the newest had tried first"


def test_who_goes_before_its_turn_leaves_nothing() -> None:
    turns = Turns(16)
    a1, a2, a3, b1, b2 = come(turns, "a1", "a2", "a3", "b1", "b2")
    turns.leave(a2, 0.0)
    turns.leave(a1, 0.0)
    turns.leave(b1, 0.0)
    assert turns.begin(0.0) == [a3]
    for one in (a3, b2, 99):
        turns.leave(one, 0.1)
    assert turns.begin(0.2) == []
    assert not turns._trains
    assert not turns._queues
    assert (turns._queues.first, turns._queues.later) == (0, 0)
    assert all(not one.trains and one.ahead is None and not one.waiting for one in turns._sites.values())


def test_trains_in_the_coordinators_own_network_wait_for_no_others() -> None:
    turns = Turns(2)
    [far] = come(turns, "a1")
    near = [turns.come("g", f"n{number}", whereto((), True, ""), 0.0) for number in range(2)]
    assert sorted(turns.begin(0.0)) == [far, near[0]]
    [farther] = come(turns, "b1")
    assert turns.begin(0.1) == [], "no more than two at once"
    turns.done(far, 20, 0.2)
    assert turns.begin(0.2) == [farther]


def known(turns: Turns, names: str, mbit: float, more: int = 1) -> list[int]:
    """Make sites known, one after the other, and return the trains of ``more`` further members of each."""
    now = -100.0
    for name in names:
        come(turns, f"{name}0", at=now)
        turns.done(turns.begin(now)[-1], mbit, now + 0.01)
        now += 0.02
    return come(turns, *(f"{name}{number}" for name in names for number in range(1, more + 1)))


def test_a_trial_shows_that_the_link_carries_more_and_then_more_go_together() -> None:
    turns = Turns(16)
    known(turns, "abcdefgh", 20)
    two = turns.begin(0.0)
    assert len(two) == 2, "twice as much as is known"
    assert turns.begin(0.1) == [], "nobody beside a trial"
    assert [turns.done(one, 19, 0.2) for one in two] == [False, False]
    come(turns, *(f"{name}2" for name in "abcdefgh"))
    four = turns.begin(1.0)
    assert len(four) == 4
    assert not any(turns.done(one, 20, 1.1) for one in four)
    new = come(turns, "i1", "j1", "k1", at=2.0)
    assert turns.begin(2.0) == new[:2], "half of what is known"
    assert not turns.done(new[0], 20, 2.1)
    assert turns.begin(2.1) == new[2:]
    assert turns.done(new[1], 45, 2.2), "together with those beside it too near to what is known"
    assert turns.begin(2.2) == []
    assert not turns.done(new[2], 20, 2.3)
    assert turns.begin(2.3) == [new[1]], "alone"
    assert not turns.done(new[1], 50, 2.4)


def test_a_trial_in_which_they_disturb_one_another_is_not_believed() -> None:
    turns = Turns(16)
    known(turns, "abcdefgh", 20)
    one, other = turns.begin(0.0)
    assert turns.done(one, 11, 0.1)
    assert turns.begin(0.1) == [], "not yet: it goes alone"
    assert not turns.done(other, 20, 0.2)
    assert turns.begin(0.2) == [one]
    turns.leave(one, 0.3)
    assert len(turns.begin(1.0)) == 1, "no other trial for now"
    assert len(turns.begin(1.0 + HOLD_S)) == 1
    come(turns, *(f"{name}3" for name in "abcdefgh"), at=2.0)
    assert len(turns.begin(0.2 + TRIAL_AGAIN_S)) == 2


def test_one_that_leaves_before_it_goes_alone_is_forgotten() -> None:
    turns = Turns(16)
    known(turns, "abcdefgh", 20)
    one, other = turns.begin(0.0)
    assert turns.done(one, 11, 0.1)
    turns.leave(one, 0.1)
    turns.leave(other, 0.2)
    assert len(turns.begin(1.0)) == 1


def test_a_trial_that_takes_too_long_shows_nothing() -> None:
    turns = Turns(16)
    known(turns, "abcdefgh", 20)
    trial = turns.begin(0.0)
    assert len(turns.begin(HOLD_S)) == 1
    assert turns.done(trial[0], 12, HOLD_S + 0.1), "disturbed, if late"
    assert not turns.done(trial[1], 20, HOLD_S + 0.1)


def test_many_new_sites_are_worth_a_trial_and_few_are_not() -> None:
    turns = Turns(16)
    known(turns, "ab", 20)
    new = come(turns, *"cdefghij")
    assert len(turns.begin(0.0)) == 2
    turns = Turns(16)
    known(turns, "ab", 20)
    new = come(turns, *"cdef")
    assert turns.begin(0.0) == new[:1]


def test_a_trial_is_of_sites_that_are_known_and_apart_and_adds_up_to_more() -> None:
    turns = Turns(16)
    known(turns, "a", 100, more=9)
    assert len(turns.begin(0.0)) == 1, "one site alone shows nothing new"
    turns = Turns(16)
    known(turns, "a", 100)
    known(turns, "bcdefghi", 1)
    turns.come("g", "n", whereto((), True, ""), 0.0)
    assert len(turns._trial(0.0, 16)) == 0, "nor do thin ones"


def test_sites_of_long_ago_are_forgotten_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlaycast.discovery.trains.turns.MOST_SITES", 2)
    turns = Turns(16)
    come(turns, "a1", "b1", "c1")
    assert len(turns._sites) == 3, "all of them are in use"
    turns.done(turns.begin(0.0)[0], 20, 0.0)
    come(turns, "d1")
    assert sorted(turns._sites) == ["behind lb", "behind lc", "behind ld"]


class Played:
    """Members that come, have their trains and go; what has to hold is looked at after every step."""

    def __init__(self) -> None:
        self.turns = Turns(4)
        self.now = 0.0
        self.wanting: dict[int, Whereto] = {}
        self.going: dict[int, float] = {}

    def step(self, what: str, number: int, mbit: float | None) -> None:
        self.now += 0.05
        if what == "come":
            to = whereto((), True, "") if number == 30 else site("abcdefgh"[number % 8])
            self.wanting[self.turns.come("gh"[number % 2], f"h{number}", to, self.now)] = to
        elif what == "done" and self.going:
            self.done(sorted(self.going)[number % len(self.going)], mbit)
        elif what == "leave" and self.wanting:
            one = sorted(self.wanting)[number % len(self.wanting)]
            del self.wanting[one]
            self.going.pop(one, None)
            self.turns.leave(one, self.now)
        elif what == "wait":
            self.now = max(self.now, self.turns.next_deadline() or 0.0)
        self.pump()

    def done(self, one: int, mbit: float | None) -> None:
        del self.going[one]
        if not self.turns.done(one, mbit, self.now):
            del self.wanting[one]

    def pump(self) -> None:
        for one in self.turns.begin(self.now):
            assert one in self.wanting
            assert one not in self.going
            self.going[one] = self.now
        for one in self.turns.needless():
            del self.wanting[one]
        counting = [one for one, began in self.going.items() if self.now < began + HOLD_S]
        assert len(counting) <= 4
        for index, one in enumerate(counting):
            mine = self.wanting[one]
            assert not any(neighbours(mine.path, self.wanting[other].path) for other in counting[:index])


STEPS = st.sampled_from(["come", "come", "come", "done", "leave", "wait"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(STEPS, st.integers(0, 30), st.sampled_from([None, 5.0, 20.0, 300.0]))))
def test_whatever_happens_bounds_hold_and_everybody_gets_a_turn(steps: list[tuple[str, int, float | None]]) -> None:
    played = Played()
    for step in steps:
        played.step(*step)
    for _ in range(1000):
        for one in list(played.going):
            played.done(one, 20.0)
        played.now += 0.3
        played.pump()
        if not played.wanting:
            break
    assert not played.wanting
    assert not played.turns._trains
    assert (played.turns._queues.first, played.turns._queues.later) == (0, 0)
