"""Trains over links that are queues, as the turns let them go: what they read, and how long that takes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.discovery.trains.fifo import Host, World

CLOSE = 0.15
SIX = (20.0,) * 6
UNLIKE = (12.0, 50.0, 20.0, 30.0, 16.0, 40.0)


def regions(
    own_mbit: float, uplinks_mbit: tuple[float, ...], members: int = 8, core_mbit: float = 100.0, **options: Any
) -> World:
    """Members of sites behind uplinks, two sites to a regional router, behind the coordinator's own link."""
    links = {"R0": (own_mbit, 0.001)}
    ways = {}
    for number, mbit in enumerate(uplinks_mbit):
        region, leaf = f"R{1 + number // 2}", f"L{number}"
        links |= {region: (core_mbit, 0.0005), leaf: (mbit, 0.001)}
        for member in range(members):
            name = f"h{number}-{member}"
            links[name] = (1000.0, 0.00005)
            ways[name] = ("R0", region, leaf, name)
    return World(links, ways, **options)


def off(host: Host, own_mbit: float, uplinks_mbit: tuple[float, ...]) -> float:
    """Return by which share a member's reading differs from what its way carries."""
    true = min(own_mbit, uplinks_mbit[int(host.routers[-1][1:])])
    assert host.found is not None
    assert host.found.rate_mbit is not None
    return abs(host.found.rate_mbit / true - 1)


def first_of_sites(world: World) -> list[float]:
    """Return when each site had its first reading."""
    first: dict[str, float] = {}
    for host in world.hosts:
        if host.found is not None and host.read_at is not None:
            first[host.routers[-1]] = min(host.read_at, first.get(host.routers[-1], host.read_at))
    return sorted(first.values())


@pytest.mark.parametrize("own_mbit", [20.0, 50.0, 1000.0])
@pytest.mark.parametrize("uplinks_mbit", [SIX, UNLIKE], ids=["equal", "unlike"])
def test_48_members_read_what_their_ways_carry(own_mbit: float, uplinks_mbit: tuple[float, ...]) -> None:
    world = regions(own_mbit, uplinks_mbit).play(30)
    assert len(world.hosts) == 48
    assert max(off(host, own_mbit, uplinks_mbit) for host in world.hosts) < CLOSE
    first = first_of_sites(world)
    assert len(first) == 6
    assert first[-1] < 1.3, "each site has its first one, a second after the routes are known"
    assert max(host.read_at or 99.0 for host in world.hosts) < 9
    assert max(len(host.again) for host in world.hosts) <= 1
    sent = [host.sent for host in world.hosts]
    assert sum(sent) / len(sent) < 60_000, "bytes a member"


def test_members_that_say_no_times_are_measured_as_well() -> None:
    world = regions(20.0, SIX, old=True).play(30)
    assert max(off(host, 20.0, SIX) for host in world.hosts) < CLOSE


@pytest.mark.parametrize(("down", "up"), [(50.0, 10.0), (10.0, 50.0)])
def test_of_a_line_that_is_thinner_one_way_that_way_counts(down: float, up: float) -> None:
    world = regions(1000.0, (50.0, 50.0), members=1)
    for side, mbit in ((world.down, down), (world.up, up)):
        for leaf in ("L0", "L1"):
            side[leaf].mbit = mbit
    world.play(10)
    for host in world.hosts:
        assert host.found is not None
        assert host.found.rate_mbit == pytest.approx(10, rel=CLOSE)
        assert host.found.down_mbit == pytest.approx(down, rel=CLOSE)
        assert host.found.up_mbit == pytest.approx(up, rel=CLOSE)


def test_a_hundred_sites_behind_a_thick_link_wait_for_few_others() -> None:
    world = regions(1000.0, SIX * 17, members=4, core_mbit=1000.0).play(20)
    first = first_of_sites(world)
    assert len(first) == 102
    assert first[-1] < 7.5, "one at a time takes twelve seconds"
    assert max(off(host, 1000.0, SIX * 17) for host in world.hosts if host.found is not None) < CLOSE
    assert 4 < world.most <= 16


def test_sites_behind_one_thin_link_further_away_are_not_read_together() -> None:
    """The coordinator's own link is thick, the one before a region is as thin as those behind it."""
    world = regions(1000.0, SIX * 2, core_mbit=20.0).play(40)
    assert max(off(host, 1000.0, SIX * 2) for host in world.hosts if host.found is not None) < CLOSE


def test_members_that_return_no_train_hold_up_others_for_a_second_each() -> None:
    world = regions(20.0, SIX, mute=["h0-7", "h1-7"])
    world.play(30)
    first = first_of_sites(world)
    assert len(first) == 6
    honest = [host for host in world.hosts if host.name not in world.mute]
    assert max(off(host, 20.0, SIX) for host in honest) < CLOSE
