"""A rolling upgrade: every member leaves and comes again, one after the other, and last the source.

Afterwards the tree is as good as before, by itself: nobody is below a backup server, the mean depth is no greater and
the copies pass no more links. The source's return puts everybody right at once; no round of improvement is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from overlaycast.lab.simulate.member import Member
from overlaycast.overlay.state.router import links_between
from overlaycast.overlay.state.tree import ancestors, depth
from overlaycast.wire.frames import VERSION
from overlaycast.wire.group import GroupSettings
from tests.sim.group import HEAD, Group

AWAY_S = 3.0
"""A member's process is stopped, and runs again after this."""
FED_S = 3.0
"""The next one is restarted so long after the one before is back."""
BACK_S = 5.0
SETTLED_S = 150.0
"""Two rounds of improvement beyond the minute for which nobody is moved twice."""


@dataclass(frozen=True)
class Quality:
    """How good a tree is: what members wait for, and what networks carry."""

    members: int
    below_backup: tuple[int, ...]
    mean_depth: float
    links: int


def quality(group: Group) -> Quality:
    fed = [one for one in group.overlay._group.members.values() if one.parent is not None]
    guests = [one.id for one in fed if any(above.role == "backup" for above in ancestors(one))]
    links = sum(links_between(one.router, one.parent.router) for one in fed if one.parent is not None)
    return Quality(len(fed), tuple(guests), sum(map(depth, fed)) / len(fed), links)


def streaming(sites: tuple[int, ...], each: int, data_version: int | None = VERSION) -> Group:
    """A source, a backup server beside it, a relay at the first site, and peers; long enough to be settled."""
    group = Group(1, GroupSettings(start_members=each * len(sites)))
    group.data_version = data_version
    here = group.seats_of(HEAD)[0]
    group.join(here, "source")
    group.join(here, "backup")
    group.join(group.seats_of(sites[0])[-1], "relay")
    for seat in [seat for site in sites for seat in group.seats_of(site)[:each]]:
        group.join(seat)
    group.run(3.0)
    group.run_until_fed(5.0)
    group.run(SETTLED_S)
    return group


def restart(group: Group, *members: Member) -> None:
    """Let members leave together, and come again."""
    for member in members:
        group.leave(member)
    group.run(AWAY_S)
    for member in members:
        group.join(member.seat, member.role)
    group.run(FED_S)


def depth_of(group: Group, member: Member) -> int:
    return depth(group.overlay._group.members[member.ident])


def of_role(group: Group, role: str) -> list[Member]:
    """Return the present members of a role, those furthest from the source first."""
    found = [member for member in group.present() if member.role == role]
    return sorted(found, key=lambda member: (-depth_of(group, member), member.ident))


def upgrade_members(group: Group) -> None:
    """Leaves first, then forwarders, then servers."""
    for role in ("peer", "relay", "backup"):
        for member in of_role(group, role):
            restart(group, member)


def is_as_good(now: Quality, before: Quality) -> bool:
    return (
        now.members == before.members
        and not now.below_backup
        and now.mean_depth <= before.mean_depth
        and now.links <= before.links
    )


@pytest.mark.parametrize(("sites", "each"), [((1, 2), 2), ((1, 2), 4), ((1, 2, 3), 3)])
@pytest.mark.parametrize("killed", [False, True])
def test_after_a_rolling_upgrade_the_tree_is_as_good_as_before(sites: tuple[int, ...], each: int, killed: bool) -> None:
    group = streaming(sites, each)
    before = quality(group)
    upgrade_members(group)
    assert is_as_good(quality(group), before)
    group.lose_coordinator()
    group.run(AWAY_S)
    group.return_coordinator()
    group.run(BACK_S)
    assert is_as_good(quality(group), before)
    source = group.source
    if killed:
        group.crash(source, "reset")
    else:
        group.leave(source)
    group.run(AWAY_S)
    group.join(source.seat, "source")
    group.run(BACK_S)
    assert is_as_good(quality(group), before)
    assert group.unfed() == []
    assert group.tally.events["slow"] == 0, "nobody is slow for want of a source"
    group.run(SETTLED_S)
    assert is_as_good(quality(group), before)


def test_members_that_come_while_there_is_no_source_end_below_no_backup_server() -> None:
    group = streaming((1, 2), 3)
    before = quality(group)
    source = group.source
    group.leave(source)
    group.run(AWAY_S)
    restart(group, *of_role(group, "peer"))
    group.join(source.seat, "source")
    group.run(BACK_S)
    assert group.unfed() == []
    assert quality(group).below_backup == ()
    group.run(SETTLED_S)
    assert is_as_good(quality(group), before)


def drain(group: Group, member: Member) -> None:
    """Have a member drained, and wait until nobody needs it."""
    assert group.overlay.drain(member.ident, group.now, "an upgrade") is None
    group._pump()
    group.run(FED_S)
    assert group.overlay.draining(member.ident).left == ()
    assert group.children(member) == []
    assert member.flowing


def test_a_member_that_was_drained_may_even_be_killed_and_nobody_notices() -> None:
    group = streaming((1, 2, 3), 3)
    before = quality(group)
    group.settle()
    for role in ("peer", "relay", "backup"):
        for member in of_role(group, role):
            drain(group, member)
            group.crash(member, "reset")
            group.run(AWAY_S)
            group.join(member.seat, member.role)
            group.run(FED_S)
    assert group.unfed() == []
    assert max(group.tally.gaps, default=0.0) == 0.0
    assert all(member.lost == 0 for member in group.present())
    group.run(SETTLED_S)
    assert is_as_good(quality(group), before)


def test_draining_may_be_ended_and_outlives_the_coordinator() -> None:
    group = streaming((1, 2), 4)
    victim = group.forwarder()
    drain(group, victim)
    group.lose_coordinator()
    group.run(AWAY_S)
    group.return_coordinator()
    group.run(BACK_S)
    assert group.overlay.draining(victim.ident).draining
    assert group.children(victim) == []
    group.overlay.undo_drain(victim.ident, group.now, "done")
    group._pump()
    group.join(victim.seat)
    group.run(BACK_S)
    assert group.overlay._group.members[victim.ident].degree == 8
    assert max(group.tally.gaps, default=0.0) == 0.0


def links_are_as_both_ends_speak(group: Group) -> None:
    """Grants are proven between new programs, and shown where one of the two is of before."""
    new = {member.id: member.data_version > 1 for member in group.overlay._group.members.values()}
    for member in group.present():
        for hop in member.uplink.hops.values():
            assert hop.proven or not hop.admitted  # a link may just be dialled
            assert not hop.admitted or (hop.nonces is not None) == (new[hop.child.ident] and new[hop.parent.ident])


@pytest.mark.parametrize(("before", "after"), [(None, VERSION), (VERSION, None), (VERSION, VERSION + 1)])
def test_members_of_before_and_of_now_feed_each_other_while_all_are_replaced(
    before: int | None, after: int | None
) -> None:
    group = streaming((1, 2), 4, before)
    links_are_as_both_ends_speak(group)
    group.data_version = after
    for role in ("peer", "relay", "backup"):
        for member in of_role(group, role):
            restart(group, member)
            assert group.unfed() == []
            links_are_as_both_ends_speak(group)
    group.lose_coordinator()
    group.run(AWAY_S)
    group.return_coordinator()
    group.run(BACK_S)
    source = group.source
    group.leave(source)
    group.run(AWAY_S)
    group.join(source.seat, "source")
    group.run(BACK_S)
    assert group.unfed() == []
    links_are_as_both_ends_speak(group)
    hops = [hop for one in group.present() for hop in one.uplink.hops.values() if hop.admitted]
    assert {hop.nonces is not None for hop in hops} == {bool(after)}
