"""How routers answer, where addresses lie and which way packets go, as topologies say it. No network is built."""

from __future__ import annotations

import itertools
from ipaddress import ip_network
from pathlib import Path

import pytest

from overlaycast.errors import ConfigError
from overlaycast.lab.routedtopo import RoutedTopo
from overlaycast.lab.topology import terminal as draw
from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.loading import load_topology
from overlaycast.lab.topology.manners import IcmpLimit, Manners, read_icmp, rules
from overlaycast.lab.topology.node_plan import KernelSettings, ip_batch, node_plans
from overlaycast.lab.topology.shape import Shape
from overlaycast.lab.topology.topology import Topology
from tests.lab.topology.test_topology import forwarded

REGIONS = Path(__file__).parents[3] / "topologies" / "regions.py"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("off", "off"),
        ("stock", "stock"),
        ("0.5/3", IcmpLimit(0.5, 3)),
        ({"per_s": 2, "burst": 10}, IcmpLimit(2.0, 10)),
        (IcmpLimit(1, 6), IcmpLimit(1, 6)),
    ],
)
def test_limits_of_icmp_errors_are_read(said: object, meant: object) -> None:
    assert read_icmp("x", said) == meant


@pytest.mark.parametrize(
    "said",
    ["on", 6, None, "1/", "1/0", "0.001/6", {"per_s": 1}, {"per_s": 0, "burst": 6}, {"per_s": True, "burst": 6},
     {"per_s": 1, "burst": 2.5}, {"per_s": "1", "burst": 6}, {"per_s": 1, "burst": 6, "more": 1}],
)  # fmt: skip
def test_limits_that_mean_nothing_are_refused_in_one_line(said: object) -> None:
    with pytest.raises(ConfigError) as refused:
        read_icmp("topology t", said)
    assert str(refused.value).startswith("topology t: icmp is ")
    assert "accepted: off, stock, or {per_s" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_only_a_limit_of_our_own_needs_rules() -> None:
    plain = Manners()
    assert rules(plain, "off") == rules(plain, "stock") == ""
    assert "limit rate over 90/minute burst 4 packets" in rules(plain, IcmpLimit(1.5, 4))
    silent = rules(Manners(anonymous=True), IcmpLimit(1.5, 4))
    assert "icmp type time-exceeded drop" in silent
    assert "limit rate" not in silent
    assert "ip saddr set 192.0.2.1" in rules(plain, "off", ("192.0.2.1", "2001:db8::1"))
    assert "ip6 saddr set 2001:db8::1" in rules(plain, "off", ("192.0.2.1", "2001:db8::1"))


def test_stock_leaves_the_limit_to_the_kernel() -> None:
    for icmp in ("off", IcmpLimit(1, 6)):
        assert KernelSettings.of(icmp).sysctls(True, (4, 6))["ipv6/icmp/ratelimit"] == "0"
    stock = KernelSettings.of("stock").sysctls(True, (4, 6))
    assert not {name for name in stock if "ratelimit" in name}


def test_regions_are_what_they_say() -> None:
    topology = load_topology(REGIONS)
    assert (topology.icmp, topology.addressing, len(topology.hosts("client"))) == ("stock", "spread", 48)
    assert topology.path("source", "f8") == ("R0-source", "R0-R3", "R3-Lf", "Lf-f8")
    thin = [topology.link(uplink.link).ab.rate_mbit for uplink in topology.uplinks]
    assert thin == [20] * 7


def test_spread_hosts_share_no_block_and_hosts_of_one24_share_one() -> None:
    def blocks(topology: Topology) -> set[str]:
        return {str(ip_network(f"{topology.address(host.name, 4)}/24", strict=False)) for host in topology.hosts()}

    assert len(blocks(load_topology(REGIONS))) == 50
    packed = load_topology(REGIONS, addressing="one24")
    assert blocks(packed) == {"10.0.0.0/24"}
    routers = {end.address for end in packed.interfaces if end.address is not None}
    assert all(address.startswith("10.0.0.") for address in routers)
    assert len(blocks(load_topology(REGIONS, addressing="lans"))) == 7
    assert len({host.address for lan in packed.lans for host in lan.hosts}) == 50


@pytest.mark.parametrize("addressing", ["lans", "spread", "one24"])
@pytest.mark.parametrize("words", ["ip=both", "ip=both,mpls=1", "ip=both,ecmp=1", "anonymous=1"])
def test_packets_arrive_whatever_the_addresses(addressing: str, words: str) -> None:
    topology = load_topology(REGIONS, f"regions,{words}", addressing=addressing)
    plans = node_plans(topology)
    for family in topology.families:
        for host in ("a1", "c8", "e3"):
            visited = forwarded(topology, plans, "source", topology.address(host, family))
            assert (visited[0], visited[-1]) == ("source", host)
            assert visited[1] == "R0"


def test_too_many_hosts_to_spread_are_refused() -> None:
    hosts = [Node(f"h{n}", "host", role="client") for n in range(300)]
    links = [Link("r", host.name, Shape(), Shape()) for host in hosts]
    with pytest.raises(ConfigError, match=r"its LAN of 76800 addresses does not fit in .* with addressing spread"):
        Topology.of("t", [Node("r", "router"), *hosts], links, addressing="spread")


def test_many_subnets_of_one24_run_on_into_the_next_block() -> None:
    routers = [f"r{n}" for n in range(100)]
    links = [Link(a, b, Shape(), Shape()) for a, b in itertools.pairwise(routers)]
    topology = Topology.of("t", [Node(name, "router") for name in routers], links, addressing="one24")
    assert topology.interface("r0-r1", "r0").address == "10.0.0.1"
    assert topology.interface("r98-r99", "r99").address == "10.0.1.138"


def test_the_way_back_may_be_another() -> None:
    topology = load_topology(REGIONS, "regions,apart=1")
    there = topology.path("source", "c1")
    assert there == ("R0-source", "R0-R2", "R2-Lc", "Lc-c1")
    assert topology.path("c1", "source") == ("Lc-c1", "R2-Lc", "B-R2", "R0-B", "R0-source")


def test_a_router_that_balances_has_all_ways_of_equal_cost() -> None:
    topology = load_topology(REGIONS, "regions,ecmp=1")
    assert topology.equal_links["La"]["R0"] == ("R0-X1", "R0-X2")
    assert "R0" not in topology.equal_links.get("Lc", {})
    lan = next(lan for lan in topology.lans if lan.router == "La").network
    [line] = [line for line in ip_batch(node_plans(topology)["R0"]) if f" {lan}/" in line]
    assert line.count("nexthop via") == 2


def test_ways_that_differ_in_hops_are_not_equal() -> None:
    nodes = [Node("r", "router", manners=Manners(ecmp=True)), *(Node(name, "router") for name in "abcd")]
    pairs = [("r", "a"), ("a", "b"), ("r", "c"), ("c", "d"), ("d", "b")]
    links = [Link(a, b, Shape(), Shape()) for a, b in pairs]
    assert Topology.of("t", nodes, links).equal_links == {}


class Odd(RoutedTopo):
    """A router that answers by its address towards s."""

    def build(self, near: str = "s") -> None:
        self.router("r", answers_from=near)
        self.router("s", hides_ttl=True)
        self.host("h")
        self.link("r", "s")
        self.link("r", "h")


def test_a_router_may_answer_from_another_interface() -> None:
    plans = node_plans(Odd(ip="both").topology("odd"))
    (text,) = plans["r"].rules
    assert "ip saddr set 10.128.0.1" in text
    assert "ip6 saddr set fd6f:7665:a80::1" in text
    (text,) = node_plans(Odd("h").topology("odd"))["r"].rules
    assert "ip saddr set 10.0.0.1" in text
    with pytest.raises(ConfigError, match=r"router 'r': answers_from is 'x'; accepted: a neighbour \(h, s\)"):
        Odd("x")


def test_manners_are_drawn() -> None:
    text = str(draw.network_tree(Odd().topology("odd")).label)
    assert "answers from its side of s" in text


@pytest.mark.parametrize(
    ("words", "complaint"),
    [("cost=-1", "cost is -1; accepted: 0 to 120000, ms"), ("back={'cost': 'x'}", "cost is 'x'")],
)
def test_costs_that_mean_nothing_are_refused(tmp_path: Path, words: str, complaint: str) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "from overlaycast.lab.routedtopo import RoutedTopo\n"
        "class N(RoutedTopo):\n"
        f"    def build(self):\n        self.router('r'); self.host('h'); self.link('r', 'h', {words})\n"
        "topos = {'net': N}\n"
    )
    with pytest.raises(ConfigError) as refused:
        load_topology(file)
    assert f"net.py: link r-h: {complaint}" in str(refused.value)
