"""Many silent deaths at once, and members that claim to be further than the stream can be."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.overlay.plan import mass_failure
from overlaycast.overlay.state import credit
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Begin, Ping, Pong
from tests.overlay.scene import Scene


def wasted(seed: int) -> int:
    """Kill four in ten of thirty members silently; return how often an orphan was sent to a dead one."""
    rng = random.Random(seed)
    scene = Scene(start_members=30, rate_mbit=8, source_out_degree=4, default_out_degree=3, improve_s=0)
    scene.join("source", ("srv",), "source", rate_mbit=300)
    for number in range(30):
        scene.join(f"m{number}", ("srv", "core", f"site {number % 3}"), rate_mbit=300)
    scene.pass_time(3)
    dead = {f"m{number}" for number in rng.sample(range(30), 12)}
    for name in dead:
        scene[name].answers = False  # silent: its control link stays open
    count = 0
    for _ in range(12):
        before = scene.parents()
        for name, above in before.items():
            if above in dead and name not in dead:
                scene.complain(scene[name])
        scene.pass_time(1.1)
        after = scene.parents()
        count += sum(after[name] in dead for name in after if name not in dead and after[name] != before[name])
    assert not [name for name, above in scene.parents().items() if above in dead and name not in dead]
    return count


def test_in_a_mass_failure_orphans_are_seldom_sent_to_the_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = range(8)
    heard_first = sum(wasted(seed) for seed in seeds)
    monkeypatch.setattr(mass_failure, "under_way", lambda group: False)
    anybody = sum(wasted(seed) for seed in seeds)
    print(f"sent to the dead: {heard_first}, without asking who was heard: {anybody}")
    assert heard_first < anybody


def test_a_mass_failure_is_several_soon_after_one_another_and_passes() -> None:
    group = Group(GroupSettings(), bytes(32))
    member = Member(1, "m", "peer")
    member.watch.heard_at = 9.0
    group.clock = 11.0
    mass_failure.fell_silent(group, 10.0, 11.0)
    assert mass_failure.known_alive(group, member)
    mass_failure.fell_silent(group, 10.5, 11.0)
    assert mass_failure.under_way(group)
    assert not mass_failure.known_alive(group, member)
    member.watch.heard_at = 10.1
    assert mass_failure.known_alive(group, member)
    assert mass_failure.known_alive(group, Member(2, "s", "source"))
    group.clock = 17.0
    assert not mass_failure.under_way(group)
    mass_failure.fell_silent(group, 16.0, 17.0)
    assert not mass_failure.under_way(group)


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.floats(0.01, 60)), max_size=6),
    st.integers(0, (1 << 63) - 1),
    st.floats(0, 60),
)
def test_what_is_believed_is_never_more_than_claimed_nor_less_than_the_source_had(
    said: list[tuple[int, float]], claim: int, later: float
) -> None:
    group = Group(GroupSettings(), bytes(32))
    seq = 0
    for more, seconds in said:
        seq += more
        group.clock += seconds
        credit.on_source_report(group, seq, group.clock)
    group.clock += later
    believed = credit.believed(group, claim)
    assert believed <= claim
    if not said:
        assert believed == 0  # nothing was let go yet
    else:
        assert believed >= min(claim, seq)
        pace = credit.FASTEST if len(said) < 2 else 2 * 10_000 / 0.2 + 8 * 125_000 / 188
        assert believed <= seq + pace * (later + 1) + credit.SLACK


def test_a_source_that_returns_goes_on_behind_what_can_be_true() -> None:
    scene = Scene(start_members=2, source_out_degree=2)
    scene.join("source", ("srv",), "source")
    scene.join("ann", ("srv", "a"))
    liar = scene.join("bob", ("srv", "b"))
    scene.pass_time(5)
    honest = scene["ann"].next_seq
    scene.kill(scene["source"])
    liar.answers = False
    again = scene.join("again", ("srv",), "source")
    asked = [message.nonce for message in liar.heard if isinstance(message, Ping)]
    scene.say(liar, Pong(nonce=asked[-1], next_seq=1 << 62, parent=None))
    scene.pass_time(2)
    (begin,) = [message for message in again.heard if isinstance(message, Begin)]
    assert honest <= begin.next_seq < honest + 50_000
    assert scene.overlay.snapshot()["next_seq"] < honest + 50_000


def test_in_a_mass_failure_nobody_is_better_than_one_who_has_no_room() -> None:
    scene = Scene(start_members=1, source_out_degree=1, default_out_degree=0)
    scene.join("source", ("srv",), "source")
    scene.join("ann", ("srv", "a"))
    group = scene.overlay._group
    mass_failure.fell_silent(group, scene.now, scene.now)
    mass_failure.fell_silent(group, scene.now, scene.now)
    group.clock = scene.now
    assert mass_failure.under_way(group)
    late = scene.join("late", ("srv", "a"))
    assert scene.parents()["late"] is None
    assert late.id in group.repair.waiting
