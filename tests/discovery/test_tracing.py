"""Traceroute for real: raw sockets, scapy's probes, the kernel's routers with all their reluctance."""

from __future__ import annotations

import itertools
import json

import pytest

from tests.discovery.emulated import World

pytestmark = pytest.mark.lab


def line(silent: str | None = None) -> World:
    """coord - r1 - r2 - r3 - host, 10.0.N.0/24 each; ``host`` has two more addresses in its subnet."""
    world = World()
    names = ["coord", "r1", "r2", "r3", "host"]
    for name in names:
        world.node(name)
    for number, (a, b) in enumerate(itertools.pairwise(names)):
        world.link(a, f"10.0.{number}.1/24", b, f"10.0.{number}.2/24")
    for place, name in enumerate(names):
        for number in range(4):
            if number > place:
                world.route(name, f"10.0.{number}.0/24 via 10.0.{place}.2")
            elif number < place - 1:
                world.route(name, f"10.0.{number}.0/24 via 10.0.{place - 1}.1")
    world.address("host", "r3", "10.0.3.3/24")
    if silent:
        world.silence(silent)
    return world


def test_the_route_to_a_host_is_its_routers_in_order() -> None:
    [route] = line().routes("coord", ["10.0.3.2"]).values()
    assert route["routers"] == ["10.0.0.2", "10.0.1.2", "10.0.2.2"]
    assert route["reached"]
    assert not route["shared"]
    assert len(route["rtt_ms"]) == 4
    assert all(0 < rtt < 5000 for rtt in route["rtt_ms"])


def test_a_router_that_never_answers_is_anonymous() -> None:
    [route] = line(silent="r2").routes("coord", ["10.0.3.2"]).values()
    assert (route["routers"], route["reached"]) == (["10.0.0.2", None, "10.0.2.2"], True)


def test_a_host_that_never_answers_ends_the_route_at_its_last_router() -> None:
    [route] = line(silent="host").routes("coord", ["10.0.3.2"]).values()
    assert (route["routers"], route["reached"]) == (["10.0.0.2", "10.0.1.2", "10.0.2.2"], False)


def test_neighbours_share_a_route() -> None:
    routes = line().routes("coord", ["10.0.3.2", "10.0.3.3"])
    assert [route["routers"] for route in routes.values()] == [["10.0.0.2", "10.0.1.2", "10.0.2.2"]] * 2
    assert sorted(route["shared"] for route in routes.values()) == [False, True]
    assert [route["sources"][-1] for route in routes.values()] == ["answered"] * 2, "its last router is its own"
    assert all(route["reached"] for route in routes.values())


def test_one_subnet_with_hosts_behind_different_routers_is_noticed() -> None:
    world = World()
    for name in ("coord", "r1", "r2", "near", "far"):
        world.node(name)
    world.link("coord", "10.0.0.1/24", "r1", "10.0.0.2/24")
    world.link("r1", "10.9.9.1/32", "near", "10.9.9.2/32")
    world.link("r1", "10.0.1.1/24", "r2", "10.0.1.2/24")
    world.link("r2", "10.9.9.3/32", "far", "10.9.9.4/32")
    for node, routes in {
        "coord": ["default via 10.0.0.2"],
        "r1": ["10.9.9.2 dev r1-near", "10.9.9.4 via 10.0.1.2"],
        "r2": ["10.9.9.4 dev r2-far", "default via 10.0.1.1"],
        "near": ["10.9.9.1 dev near-r1", "default via 10.9.9.1"],
        "far": ["10.9.9.3 dev far-r2", "default via 10.9.9.3"],
    }.items():
        for route in routes:
            world.route(node, route)
    found = world.routes("coord", ["10.9.9.2", "10.9.9.4"])
    assert found["10.9.9.2"]["routers"] == ["10.0.0.2"]
    assert found["10.9.9.4"]["routers"] == ["10.0.0.2", "10.0.1.2"]
    assert not found["10.9.9.4"]["shared"]


def test_a_burst_of_joins_sees_through_rate_limited_routers() -> None:
    """Four sites of three leaf routers of two hosts join at once, site by site. Every router answers six times and
    then once a second, as Linux has it; the first two are on all 24 routes."""
    world = World()
    world.node("coord")
    for name in ("r1", "r2", *(f"site{site}" for site in range(4))):
        world.node(name, icmp_ratelimit=1000)
    world.link("coord", "10.0.0.1/24", "r1", "10.0.0.2/24")
    world.link("r1", "10.0.1.1/24", "r2", "10.0.1.2/24")
    world.route("coord", "default via 10.0.0.2")
    world.route("r1", "default via 10.0.1.2")
    world.route("r2", "default via 10.0.1.1")
    expected: dict[str, list[str]] = {}
    for site in range(4):
        world.link("r2", f"10.1.{site}.1/24", f"site{site}", f"10.1.{site}.2/24")
        world.route("r2", f"10.{10 + site}.0.0/16 via 10.1.{site}.2")
        world.route(f"site{site}", f"default via 10.1.{site}.1")
        for leaf in range(3):
            router, host, net = f"leaf{site}{leaf}", f"host{site}{leaf}", f"10.{10 + site}.{leaf}"
            world.node(router, icmp_ratelimit=1000)
            world.node(host, icmp_ratelimit=1000)
            world.link(f"site{site}", f"10.2.{site * 3 + leaf}.1/24", router, f"10.2.{site * 3 + leaf}.2/24")
            world.link(router, f"{net}.254/24", host, f"{net}.1/24")
            world.address(host, router, f"{net}.2/24")
            world.route(f"site{site}", f"{net}.0/24 via 10.2.{site * 3 + leaf}.2")
            world.route(router, f"default via 10.2.{site * 3 + leaf}.1")
            world.route(host, f"default via {net}.254")
            way = ["10.0.0.2", "10.0.1.2", f"10.1.{site}.2", f"10.2.{site * 3 + leaf}.2"]
            expected |= {f"{net}.1": way, f"{net}.2": way}
    found = {host: route["routers"] for host, route in world.routes("coord", list(expected)).items()}
    assert found == expected


def test_probes_of_one_route_take_one_of_several_balanced_ways() -> None:
    """r0 balances by flow over eight ways of two routers each: a mixed route would name routers of two ways."""
    world = World()
    world.node("coord")
    world.node("r0")
    world.node("join")
    world.node("host")
    world.link("coord", "10.0.0.1/24", "r0", "10.0.0.2/24")
    world.link("join", "10.0.9.1/24", "host", "10.0.9.2/24")
    ways = []
    for way in range(8):
        for place in "ab":
            world.node(f"{place}{way}")
        world.link("r0", f"10.1.{way}.1/24", f"a{way}", f"10.1.{way}.2/24")
        world.link(f"a{way}", f"10.2.{way}.1/24", f"b{way}", f"10.2.{way}.2/24")
        world.link(f"b{way}", f"10.3.{way}.1/24", "join", f"10.3.{way}.2/24")
        world.route(f"a{way}", f"10.0.9.0/24 via 10.2.{way}.2")
        world.route(f"a{way}", f"default via 10.1.{way}.1")
        world.route(f"b{way}", f"10.0.9.0/24 via 10.3.{way}.2")
        world.route(f"b{way}", f"default via 10.2.{way}.1")
        ways.append(f"nexthop via 10.1.{way}.2")
    world.lines.append("ip netns exec r0 sysctl -qw net.ipv4.fib_multipath_hash_policy=1")
    # name the interface by which a probe came in, not the one by which the answer leaves
    world.lines.append("ip netns exec join sysctl -qw net.ipv4.icmp_errors_use_inbound_ifaddr=1")
    world.route("r0", "10.0.9.0/24 " + " ".join(ways))
    world.route("join", "default via 10.3.0.1")
    world.route("coord", "default via 10.0.0.2")
    world.route("host", "default via 10.0.9.1")
    [route] = world.routes("coord", ["10.0.9.2"]).values()
    first, a, b, last = route["routers"]
    assert first == "10.0.0.2"
    assert a.split(".")[2] == b.split(".")[2] == last.split(".")[2]
    assert (a[:5], b[:5], last[:5]) == ("10.1.", "10.2.", "10.3.")


def test_the_command_prints_the_route() -> None:
    world = line(silent="r2")
    printed = world.run("coord", ["-m", "overlaycast.cli", "trace", "10.0.3.2"])
    rows = printed.splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [["1", "10.0.0.2"], ["2", "*"], ["3", "10.0.2.2"], ["4", "10.0.3.2"]]
    assert rows[0].endswith("ms  by the routing table")
    assert rows[1].endswith("anonymous: it answers nothing")
    assert rows[2].endswith("ms")


def test_the_command_prints_json() -> None:
    printed = line(silent="host").run("coord", ["-m", "overlaycast.cli", "trace", "10.0.3.2", "--json"])
    route = json.loads(printed)
    assert (route["routers"], route["reached"]) == (["10.0.0.2", "10.0.1.2", "10.0.2.2"], False)
