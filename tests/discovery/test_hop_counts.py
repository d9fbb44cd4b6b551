"""How far hosts are, by the time to live of their answers, over routers of the kernel's and without privilege."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.discovery.hop_counts import MOST_HOPS, count_hops, hops_of
from tests.discovery.emulated import World, line_of_ipv6
from tests.discovery.test_tracing import line

COUNT = """
import json, os, sys
from overlaycast.discovery.hop_counts import count_hops
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
found = dict.fromkeys(sys.argv[1:])
for patience_s in (1.0, 2.0, 4.0):  # a busy kernel's routes may not be there at once
    left = [host for host in found if found[host] is None]
    found |= dict(zip(left, count_hops([(host, 8471) for host in left], patience_s)))
print(json.dumps([one and one.hops for one in found.values()]))
"""


def counted(world: World, *hosts: str) -> list[int | None]:
    found: list[int | None] = json.loads(world.run("host", ["-c", COUNT, *hosts]))
    return found


def test_what_a_time_to_live_tells() -> None:
    assert [hops_of(ttl) for ttl in (64, 63, 61, 128, 120, 255, 250)] == [0, 1, 3, 0, 8, 0, 5]
    assert hops_of(200) is None, "it began with a number of its own"
    assert hops_of(256) is None


@given(st.integers(0, 255))
def test_any_time_to_live_is_a_few_hops_or_nothing(ttl: int) -> None:
    hops = hops_of(ttl)
    assert hops is None or 0 <= hops <= MOST_HOPS


def test_a_host_is_no_hop_from_itself_and_what_is_no_target_costs_nothing() -> None:
    began = time.monotonic()
    hosts = ["127.0.0.1", "::1", "not an address", "", "fe80::1%no-such-interface", "224.0.0.1%x"]
    found = count_hops([(host, 9) for host in hosts], 5.0)
    assert [one and one.hops for one in found] == [0, 0, None, None, None, None]
    assert time.monotonic() - began < 4, "nothing was waited for"
    assert count_hops([], 5.0) == []


@pytest.mark.lab
def test_routers_between_are_counted_and_silent_hosts_are_none() -> None:
    assert counted(line(), "10.0.0.1", "10.0.1.1", "10.0.3.1", "10.0.3.2", "10.0.0.9") == [3, 2, 0, 0, None]


@pytest.mark.lab
def test_a_router_that_has_no_way_does_not_speak_for_the_host() -> None:
    assert counted(line(), "192.0.2.9") == [None]


@pytest.mark.lab
def test_routers_are_counted_by_ipv6() -> None:
    assert counted(line_of_ipv6(), "fd00::1", "fd00:2::1") == [2, 0]
