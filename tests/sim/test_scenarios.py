"""Whole groups through what can befall them.

After each scenario every live member is fed by one parent, nothing is lost that somebody still held, and no more
members have moved than had to.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from overlaycast.lab.simulate.hop import Death
from overlaycast.lab.simulate.member import Member
from overlaycast.wire.group import GroupSettings
from tests.sim.group import HEAD, Group
from tests.sim.script import (
    Crash,
    Cut,
    Freeze,
    Heal,
    Isolate,
    Join,
    Leave,
    Lose,
    LoseCoordinator,
    Mute,
    Rejoin,
    RestartSource,
    ReturnCoordinator,
    Thaw,
    Wait,
    play,
)

SEED = 1
SITES = (1, 2, 3)
PER_SITE = 4
SILENCE_S = GroupSettings().silence_ms / 1000
FLAG_S = GroupSettings().flag_s
SETTLED_S = 15.0
"""So long after a fault the plan and the members agree again."""


def peers(sites: tuple[int, ...] = SITES, each: int = PER_SITE) -> list[Join]:
    empty = Group(SEED)
    return [Join(seat) for site in sites for seat in empty.seats_of(site)[:each]]


def streaming(backups: int = 0, **settings: object) -> Group:
    """A group of three sites with four members each, the source and backup servers at a fourth."""
    joins = peers()
    group = Group(SEED, GroupSettings.model_validate({"start_members": len(joins), "improve_s": 0, **settings}))
    head = group.seats_of(HEAD)[0]
    play(group, [Join(head, "source"), *(Join(head, "backup") for _ in range(backups)), *joins, Wait(3.0)])
    group.run_until_fed(5.0)
    group.run(5.0)
    group.check()
    return group


def settle(group: Group, lost: bool = False) -> None:
    group.run_until_fed(SETTLED_S)
    group.run(SETTLED_S)
    group.check(lost)


def copies_into(group: Group, site: int) -> int:
    """Return how many members of a site are fed from outside."""
    inside = [member for member in group.present() if group.site(member) == site]
    return sum(group.site(group.members[member.parent or 0]) != site for member in inside)


def ids(members: Iterable[Member]) -> set[int]:
    return {member.ident for member in members}


def standbys(member: Member) -> list[int]:
    return [peer.member for peer in member.order.standbys] if member.order else []


def heir(group: Group, member: Member) -> Member:
    """Return the child that the other children have for their standby."""
    children = group.children(member)
    chosen = [standby for child in children for standby in standbys(child)]
    return max(children, key=lambda child: chosen.count(child.ident))


# --- coming -----------------------------------------------------------------------------------------------------


def test_members_that_join_one_by_one_move_nobody() -> None:
    group = Group(SEED, GroupSettings(improve_s=0))
    play(group, [Join(group.seats_of(HEAD)[0], "source"), Wait(1.0)])
    for join in peers():
        play(group, [join, Wait(1.0)])
        assert group.unfed() == []
    assert group.switched == []
    settle(group)
    assert [copies_into(group, site) for site in SITES] == [1, 1, 1]


def test_many_that_start_together_get_one_copy_per_site() -> None:
    group = streaming()
    assert group.switched == []
    assert [copies_into(group, site) for site in SITES] == [1, 1, 1]


# --- forwarders -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("death", ["reset", "silent"])
def test_the_heir_takes_over_and_its_siblings_follow(death: Death) -> None:
    group = streaming()
    victim = group.forwarder()
    children, successor, since = group.children(victim), heir(group, victim), group.now
    assert len(children) > 1
    play(group, [Crash((victim.ident,), death), Wait(1.0)])
    assert group.unfed() == []
    siblings = [child for child in children if child is not successor and group.site(child) == group.site(victim)]
    assert {child.parent for child in siblings} == {successor.ident}
    assert copies_into(group, group.site(victim)) == 1
    settle(group)
    assert group.movers(since) == ids(children)


@pytest.mark.parametrize("death", ["reset", "silent"])
def test_a_switch_costs_the_silence_and_two_round_trips(death: Death) -> None:
    group = streaming()
    victim = group.forwarder()
    children = group.children(victim)
    play(group, [Crash((victim.ident,), death), Wait(2.0)])
    round_trip_s = 4 * 0.0053  # up to the core and down again, both ways, and two LANs
    limit_s = 2 * round_trip_s + (SILENCE_S if death == "silent" else 0.0)
    assert max(group.longest_gap_s[child.ident] for child in children) <= limit_s


def test_a_forwarder_that_leaves_costs_nothing() -> None:
    group = streaming()
    leaver = group.forwarder()
    children, since = group.children(leaver), group.now
    play(group, [Leave(leaver.ident), Wait(5.0)])
    assert not leaver.alive
    settle(group)
    assert max(group.longest_gap_s.get(child.ident, 0.0) for child in children) == 0.0
    assert group.movers(since) <= ids(children)


def test_a_forwarder_that_is_frozen_for_a_moment_gets_its_children_back() -> None:
    group = streaming()
    frozen, since = group.forwarder(), group.now
    play(group, [Freeze(frozen.ident), Wait(SILENCE_S + 0.04), Thaw(frozen.ident), Wait(2.0)])
    assert group.tally.errors == 0
    settle(group)
    assert group.movers(since) == set()


def test_a_forwarder_that_is_frozen_for_long_comes_back_as_a_member() -> None:
    group = streaming()
    frozen = group.forwarder()
    concerned, since = {frozen.ident, *ids(group.children(frozen))}, group.now
    play(group, [Freeze(frozen.ident), Wait(7.0), Thaw(frozen.ident)])
    settle(group)
    assert frozen.alive
    assert group.movers(since) <= concerned


def test_a_mute_parent_is_left_by_its_children_alone() -> None:
    group = streaming()
    mute = group.forwarder()
    children, since = group.children(mute), group.now
    play(group, [Mute(mute.ident), Wait(1.0)])
    assert group.unfed() == []
    play(group, [Wait(10.0), Mute(mute.ident, False)])
    settle(group)
    assert group.movers(since) <= ids(children)


def test_a_third_of_the_members_dies_at_once() -> None:
    group = streaming()
    everybody = [member.ident for member in group.present() if member.role == "peer"]
    victims = tuple(sorted(group.chance.sample(everybody, round(0.3 * len(everybody)))))
    concerned = set().union(*(group.branch(group.members[victim]) for victim in victims))
    since = group.now
    play(group, [Crash(victims, "silent"), Wait(FLAG_S)])
    assert group.unfed() == []
    settle(group)
    assert group.movers(since) <= concerned
    assert max(copies_into(group, site) for site in SITES) == 1


# --- paths ------------------------------------------------------------------------------------------------------


def test_a_link_that_is_cut_for_a_while_moves_one_member_at_most() -> None:
    group = streaming()
    parent = group.forwarder()
    child, since = group.children(parent)[-1], group.now
    play(group, [Cut(child.ident, parent.ident), Wait(1.0)])
    assert group.unfed() == []
    play(group, [Wait(3.0), Heal(child.ident, parent.ident)])
    settle(group)
    assert group.movers(since) <= {child.ident}


@pytest.mark.parametrize("seconds", [0.5, 4.0])
def test_a_site_that_is_cut_off_stays_in_one_piece(seconds: float) -> None:
    group = streaming()
    inside = [member for member in group.present() if group.site(member) == 1]
    concerned, since = {one.ident for one in inside}.union(*(ids(group.children(one)) for one in inside)), group.now
    play(group, [Isolate(1), Wait(seconds), Rejoin(1)])
    settle(group)
    assert copies_into(group, 1) == 1
    assert group.movers(since) <= concerned


def test_a_site_that_was_cut_off_for_longer_than_it_is_waited_for_comes_back() -> None:
    group = streaming()
    play(group, [Isolate(1), Wait(30.0), Rejoin(1)])
    settle(group)
    assert sum(group.site(member) == 1 for member in group.present()) == PER_SITE
    assert copies_into(group, 1) == 1


def test_losses_cost_time_and_no_record() -> None:
    group = streaming()
    play(group, [Lose(0.02), Wait(10.0), Lose(0.0)])
    assert group.tally.gaps  # something was late
    settle(group)
    assert all(member.lost == 0 for member in group.present())


# --- servers ----------------------------------------------------------------------------------------------------


def test_nobody_moves_while_the_coordinator_is_away_or_when_it_returns() -> None:
    group = streaming()
    play(group, [LoseCoordinator(), Wait(10.0), ReturnCoordinator()])
    settle(group)
    assert group.switched == []
    assert group.tally.gaps == []


def test_failovers_go_on_without_the_coordinator_and_it_adopts_them() -> None:
    group = streaming()
    victim = group.forwarder()
    children, since = group.children(victim), group.now
    play(group, [LoseCoordinator(), Wait(1.0), Crash((victim.ident,), "silent"), Wait(2.0)])
    assert group.unfed() == []
    went = {child.ident: child.parent for child in children}
    play(group, [ReturnCoordinator()])
    settle(group)
    assert {child.ident: child.parent for child in children} == went
    assert group.movers(since) == set(went)


def test_a_backup_server_takes_over_where_nobody_else_can() -> None:
    """Two children each: where a forwarder's heir has to go, nobody else has room."""
    group = streaming(backups=1, source_out_degree=2, default_out_degree=2)
    backup = next(member for member in group.present() if member.role == "backup")
    child = next(member for member in group.present() if backup.ident in standbys(member))
    assert child.parent not in (None, backup.ident, group.source.ident)
    play(group, [Crash((child.parent or 0,), "silent"), Wait(1.0)])
    assert group.unfed() == []
    assert child.parent == backup.ident
    settle(group)


def test_a_member_whose_standby_dies_with_its_parent_goes_by_the_predefined_list() -> None:
    group = streaming(backups=1)
    top = {group.source.ident}
    child = next(one for one in group.present() if standbys(one) and not top & {one.parent, *standbys(one)})
    victims = (child.parent or 0, *standbys(child))
    fallbacks = [peer.member for peer in child.order.fallbacks if peer.member not in victims] if child.order else []
    group.lose_coordinator()  # nobody gives it another place
    play(group, [Crash(victims, "silent"), Wait(4.0)])
    assert child.flowing
    assert child.parent in fallbacks
    play(group, [ReturnCoordinator()])
    settle(group)


def test_a_source_that_starts_again_moves_nobody_but_its_children() -> None:
    group = streaming()
    children, since = ids(group.children(group.source)), group.now
    play(group, [RestartSource()])
    settle(group, lost=True)
    assert group.movers(since) == children
