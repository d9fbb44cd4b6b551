"""Topologies: what is refused and how, addresses, routes that arrive, sites and uplinks. No network is built."""

from __future__ import annotations

import io
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from overlaycast.errors import ConfigError
from overlaycast.lab.routedtopo import RoutedTopo
from overlaycast.lab.topology import terminal as draw
from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.loading import load_topology
from overlaycast.lab.topology.node_plan import NodePlan, ip_batch, node_plans
from overlaycast.lab.topology.shape import Shape
from overlaycast.lab.topology.topology import Topology
from tests.lab.inside import FIGURE_2A
from tests.lab.topology.addresses import node_of


def wired(*pairs: tuple[str, str], delay: float = 0.0) -> list[Link]:
    return [Link(a, b, Shape(delay_ms=delay), Shape(delay_ms=delay)) for a, b in pairs]


@st.composite
def topologies(draw_: st.DrawFn) -> Topology:
    """Connected networks of routers with chords, parallel links and hosts, some of them with two links."""
    routers = [f"r{n}" for n in range(draw_(st.integers(1, 8)))]
    pairs = [(routers[draw_(st.integers(0, n - 1))], routers[n]) for n in range(1, len(routers))]
    for _ in range(draw_(st.integers(0, 4)) if len(routers) > 1 else 0):
        a, b = draw_(st.permutations(routers))[:2]
        pairs.append((a, b))
    hosts = [f"h{n}" for n in range(draw_(st.integers(0, 8)))]
    for host in hosts:
        for router in draw_(st.permutations(routers))[: draw_(st.integers(1, 2))]:
            pairs.append((router, host) if draw_(st.booleans()) else (host, router))
    delays = st.sampled_from([0.0, 0.0, 1.0, 5.0])
    links = [Link(a, b, Shape(delay_ms=draw_(delays)), Shape(delay_ms=draw_(delays))) for a, b in pairs]
    nodes = [Node(name, "router") for name in routers] + [Node(name, "host", role="client") for name in hosts]
    return Topology.of("random", draw_(st.permutations(nodes)), links, ip=draw_(st.sampled_from(["4", "6", "both"])))


def forwarded(topology: Topology, plans: dict[str, NodePlan], source: str, address: str) -> list[str]:
    """Walk a packet by the plans' addresses and routes alone, as kernels would; return the nodes it visits."""
    owner = {a.address: plan.node for plan in plans.values() for a in plan.addresses}
    here, visited = source, [source]
    while address not in {a.address for a in plans[here].addresses}:
        assert len(visited) <= len(plans), f"a circle: {visited}"
        connected = [ip_interface(f"{a.address}/{a.prefix}").network for a in plans[here].addresses]
        if any(ip_address(address) in network for network in connected):
            here = owner[address]
        else:
            routes = [r for r in plans[here].routes if ip_address(address) in ip_network(f"{r.network}/{r.prefix}")]
            best = max(routes, key=lambda route: route.prefix)
            here = owner[best.via]
        visited.append(here)
    return visited


@settings(deadline=None)
@given(topologies())
def test_addresses_are_unique_and_every_packet_arrives(topology: Topology) -> None:
    plans = node_plans(topology)
    addresses = [a.address for plan in plans.values() for a in plan.addresses]
    assert len(addresses) == len(set(addresses))
    macs = [end.mac for end in topology.interfaces] + [lan.mac for lan in topology.lans if lan.bridged]
    assert len(macs) == len(set(macs))
    names = [end.name for end in topology.interfaces]
    assert len(names) == len(set(names)) == 2 * len(topology.links)
    assert all(len(name) <= 15 for name in names)
    for plan in plans.values():
        for address in addresses:
            assert forwarded(topology, plans, plan.node, address)[-1] == node_of(topology, address)


@settings(deadline=None)
@given(topologies())
def test_paths_are_shortest_by_round_trip_and_the_same_both_ways(topology: Topology) -> None:
    graph: nx.Graph[str] = nx.Graph()
    for link in topology.links:
        weight = link.ab.delay_ms + link.ba.delay_ms
        if not graph.has_edge(link.a, link.b) or weight < graph[link.a][link.b]["weight"]:
            graph.add_edge(link.a, link.b, weight=weight)
    routers = graph.subgraph([router.name for router in topology.routers])
    for a in topology.routers:
        for b in topology.routers:
            path = topology.path(a.name, b.name)
            assert path == tuple(reversed(topology.path(b.name, a.name)))
            there_and_back = topology.delay_ms(a.name, b.name) + topology.delay_ms(b.name, a.name)
            assert there_and_back == pytest.approx(
                nx.shortest_path_length(routers, a.name, b.name, weight="weight") if a.name != b.name else 0
            )


@settings(deadline=None, max_examples=25)
@given(topologies())
def test_neighbours_are_known_beforehand_on_every_link(topology: Topology) -> None:
    plans = node_plans(topology)
    macs = {
        a.address: end.mac for end in topology.interfaces for a in plans[end.node].addresses if a.device == end.name
    }
    macs |= {lan.router_address(family)[0]: lan.mac for lan in topology.lans for family in topology.families}
    for plan in plans.values():
        entries = {(n.device, n.address): n.mac for n in plan.neighbours}
        for route in plan.routes:
            assert entries[route.device, route.via] == macs[route.via]
        assert all(macs[address] == mac for (_, address), mac in entries.items())


def test_figure_2a_is_the_figure() -> None:
    topology = load_topology(FIGURE_2A)
    clients = topology.hosts("client")
    assert len(clients) >= 12
    assert len(topology.sites) == 4
    assert {topology.links_of(f"202{x}")[0].other(f"202{x}") for x in "abc"} == {"A"}
    leaves = {topology.links_of(f"202{x}")[0].other(f"202{x}") for x in "abcdef"}
    assert len(leaves) == 3
    assert all("core1-B" in topology.path("source", f"202{x}") for x in "abcdef")
    assert topology.hosts("server")[0].name != topology.hosts("coordinator")[0].name
    for site in topology.sites:
        (uplink,) = topology.uplinks_of(site)
        link = topology.link(uplink.link)
        assert (link.ab.rate_mbit, link.ba.rate_mbit, uplink.inbound) == (20, 20, "ab")
        for host in topology.hosts(site=site):
            assert uplink.link in topology.path("source", host.name)
            assert topology.delay_ms("source", host.name) in (7, 9)


def test_uplinks_know_their_inside_whichever_end_is_named_first() -> None:
    nodes = [
        Node("core", "router"),
        Node("edge", "router"),
        Node("h", "host", "s", "client"),
        Node("x", "host", role="server"),
    ]
    links = [*wired(("edge", "h"), ("core", "x")), Link("edge", "core", Shape(), Shape(), "s")]
    (uplink,) = Topology.of("t", nodes, links).uplinks
    assert (uplink.site, uplink.link, uplink.inside, uplink.inbound) == ("s", "edge-core", "edge", "ba")


R, H = Node("r", "router"), Node("h", "host", role="client")


@pytest.mark.parametrize(
    ("nodes", "links", "complaint"),
    [
        ([], [], "topology t: the topology has no nodes"),
        ([R, R], [], "topology t: node 'r' is there twice"),
        ([Node("far_too_long", "router")], [], "topology t: node name 'far_too_long'; accepted: 1 to 9 letters"),
        ([Node("a b", "router")], [], "topology t: node name 'a b'"),
        ([R, Node("h", "host", role="king")], wired(("r", "h")), "host 'h': role is 'king'; accepted: client, server"),
        ([R], wired(("r", "x")), "topology t: link r-x: no node 'x'"),
        ([R], wired(("r", "r")), "topology t: link r-r joins a node with itself"),
        (
            [H, Node("i", "host", role="client")],
            wired(("h", "i")),
            "link h-i joins two hosts; one end must be a router",
        ),
        ([R, H], [], "topology t: node 'h' is not connected with 'r'"),
        (
            [R, Node("s", "router"), Node("h", "host", role="client")],
            wired(("r", "h"), ("h", "s")),
            "node 's' is not connected with 'r'",
        ),
        ([R, H], [Link("r", "h", Shape(), Shape(), "x")], "link r-h: uplink_of is 'x', but no host has that site"),
        (
            [R, Node("s", "router"), Node("h", "host", "x", "client"), Node("i", "host", "y", "client")],
            [*wired(("s", "h"), ("s", "i")), Link("r", "s", Shape(), Shape(), "x")],
            "link r-s: uplink_of is 'x', but without it 'i' is still behind it",
        ),
        (
            [R, Node("s", "router"), Node("h", "host", "x", "client")],
            [*wired(("r", "s"), ("s", "h")), Link("r", "s", Shape(), Shape(), "x")],
            "uplink_of is 'x', but it does not leave the site",
        ),
    ],
)
def test_a_graph_that_is_no_network_is_refused_by_name(nodes: list[Node], links: list[Link], complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Topology.of("t", nodes, links)
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("topos = {'a': 3}", "TypeError"),
        ("topos = {'a': dict}", "made a dict; accepted: a RoutedTopo"),
        ("x = 1", "topos is missing"),
        ("topos = {'a': dict, 'b': dict}", "which topology? accepted: a, b"),
        ("import sys; sys.exit('no such data')", "SystemExit: no such data"),
        ("def (", "SyntaxError"),
        ("import nothing_like_it", "ModuleNotFoundError"),
    ],
)
def test_a_file_that_is_no_topology_is_refused_in_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "net.py"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_topology(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert complaint in str(refused.value)


def test_errors_within_a_file_name_it(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "from overlaycast.lab.routedtopo import RoutedTopo\n"
        "class N(RoutedTopo):\n"
        "    def build(self):\n"
        "        self.router('r'); self.host('h'); self.link('r', 'h', loss=7)\n"
        "topos = {'net': N}\n"
    )
    with pytest.raises(ConfigError, match=r"net\.py: link r-h: loss is 7; accepted: 0 to 1"):
        load_topology(file)
    with pytest.raises(ConfigError, match="no topology 'other'; accepted: net"):
        load_topology(file, "other")


def test_missing_files_and_unknown_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_topology(tmp_path / "none.py")
    with pytest.raises(ConfigError, match=r"cannot be read as a topology; accepted: files ending in \.py"):
        load_topology(tmp_path / "net.txt")


class Uneven(RoutedTopo):
    """A link whose way back differs."""

    def build(self) -> None:
        self.router("r")
        self.host("h")
        self.link("r", "h", rate_mbit=20, delay_ms=5, back={"rate_mbit": 2, "queue": 9000})


def test_a_link_may_differ_by_direction() -> None:
    (link,) = Uneven().topology("uneven").links
    assert link.ab == Shape(rate_mbit=20, delay_ms=5)
    assert link.ba == Shape(rate_mbit=2, delay_ms=5, queue_bytes=9000)
    assert draw.describe_link(link) == "20 Mbit/s, 5 ms there, 2 Mbit/s, 5 ms back"


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    topology = Uneven().topology("uneven")
    with pytest.raises(ConfigError, match="no node 'x'; accepted: r, h"):
        topology.node("x")
    with pytest.raises(ConfigError, match="no link 'x'; accepted: r-h"):
        topology.link("x")
    with pytest.raises(ConfigError, match="no link between 'r' and 'x'"):
        topology.links_between("r", "x")


def test_more_hosts_than_a_slash_24_get_a_wider_lan() -> None:
    hosts = [Node(f"h{n}", "host", role="client") for n in range(300)]
    topology = Topology.of("wide", [R, *hosts], wired(*(("r", host.name) for host in hosts)))
    (lan,) = topology.lans
    assert (lan.prefix, lan.bridged, len(lan.hosts)) == (23, True, 300)


def test_parallel_links_have_names_of_their_own() -> None:
    topology = Topology.of("twice", [R, Node("s", "router")], wired(("r", "s"), ("s", "r"), ("r", "s")))
    assert [link.name for link in topology.links] == ["r-s", "s-r#2", "r-s#3"]
    assert len(topology.links_between("s", "r")) == 3


def test_the_same_declaration_gives_the_same_plans() -> None:
    first, second = (node_plans(load_topology(FIGURE_2A)) for _ in range(2))
    assert first == second
    assert "route replace 10.0.2.0/24 via 10.128.0.10 dev core1-eth3" in ip_batch(first["core1"])


def test_the_drawing_names_everything() -> None:
    topology = load_topology(FIGURE_2A)
    console = Console(width=140, record=True, file=io.StringIO())
    draw.show(topology, console)
    text = console.export_text()
    assert all(node.name in text for node in topology.nodes)
    assert text.count("uplink of") == 4
    assert text.count("20 Mbit/s, 5 ms") == 8  # four in the tree, four in the table
    console.print(draw.listing([topology]))
    assert console.export_text().split("\n")[1].split() == ["figure_2a", "16", "13", "14", "29", "4"]


def home(**params: object) -> Topology:
    """Host ``in`` and its LAN behind the NAT router ``n``; ``out`` beyond the core."""
    nodes = [Node("core", "router"), Node("n", "router", nat=True), Node("leaf", "router")]
    nodes += [
        Node("out", "host", role="server"),
        Node("in", "host", "home", "client"),
        Node("in2", "host", "home", "client"),
    ]
    links = [
        Link("core", "n", Shape(), Shape(), "home"),
        *wired(("core", "out"), ("n", "leaf"), ("leaf", "in"), ("n", "in2")),
    ]
    return Topology.of("home", nodes, links, **params)  # type: ignore[arg-type]


def test_a_node_behind_a_nat_can_dial_and_cannot_be_dialled() -> None:
    topology = home()
    (nat,) = topology.nats
    assert (nat.router, nat.link, nat.inside) == ("n", "core-n", frozenset({"n", "leaf", "in", "in2"}))
    assert topology.reaches("in", "out")
    assert topology.reaches("in", "in2")
    assert topology.reaches("out", "n")
    assert not topology.reaches("out", "in")
    assert topology.behind("out") is topology.behind("n") is None
    assert node_of(topology, topology.address("n")) == "n"
    assert topology.address("n") == "10.128.0.2", "its outer address"
    plans = node_plans(topology)
    assert plans["n"].nat == "n-eth0"
    assert {plan.nat for plan in plans.values() if plan.node != "n"} == {None}
    known_outside = {route.network for route in plans["core"].routes}
    assert known_outside == set(), "nothing behind it has a route"
    assert forwarded(topology, plans, "in", topology.address("out")) == ["in", "leaf", "n", "core", "out"]


def test_ipv6_is_not_translated_so_it_has_routes() -> None:
    plans = node_plans(home(ip="both"))
    assert {route.network for route in plans["core"].routes} == {
        "fd6f:7665:a00:100::",
        "fd6f:7665:a00:200::",
        "fd6f:7665:a80:4::",
    }


def test_ipv6_can_be_read_from_ipv4() -> None:
    topology = home(ip="both")
    assert topology.address("in") == "10.0.2.2"
    assert topology.address("in", 6) == "fd6f:7665:a00:200::2"
    assert node_of(topology, "fd6f:7665:a00:200::2") == "in"
    alone = home(ip="6")
    assert alone.address("in") == "fd6f:7665:a00:200::2"
    assert node_of(alone, "10.0.2.2") is None
    assert {":" in a.address for plan in node_plans(alone).values() for a in plan.addresses} == {True}


@pytest.mark.parametrize(
    ("links", "complaint"),
    [
        (wired(("r", "n"), ("n", "h")), "router 'n': nat with 0 uplinks; accepted: one link with uplink_of"),
        (
            [*wired(("n", "h")), Link("r", "n", Shape(), Shape(), "s"), Link("r", "n", Shape(), Shape(), "s")],
            "router 'n': nat with 2 uplinks",
        ),
    ],
)
def test_a_nat_needs_one_way_out(links: list[Link], complaint: str) -> None:
    nodes = [R, Node("n", "router", nat=True), Node("h", "host", "s", "client")]
    with pytest.raises(ConfigError) as refused:
        Topology.of("t", nodes, links)
    assert complaint in str(refused.value)


def test_a_nat_that_can_be_walked_around_is_refused() -> None:
    nodes = [R, Node("n", "router", nat=True), Node("m", "router"), Node("h", "host", "s", "client")]
    links = [
        Link("r", "n", Shape(), Shape(), "s"),
        Link("r", "m", Shape(), Shape(), "s"),
        *wired(("m", "n"), ("n", "h")),
    ]
    with pytest.raises(ConfigError, match="router 'n': nat, but there is a way out beside link r-n"):
        Topology.of("t", nodes, links)


def test_the_ip_version_is_a_choice_of_whoever_loads() -> None:
    assert load_topology(FIGURE_2A).families == (4,)
    assert load_topology(FIGURE_2A, "figure_2a,ip=both").families == (4, 6)
    assert load_topology(FIGURE_2A, ",ip=6").address("source").startswith("fd6f:7665:")
    with pytest.raises(ConfigError, match=r"figure_2a\.py: topology figure_2a|ip is '5'; accepted: 4, 6, both"):
        load_topology(FIGURE_2A, "figure_2a,ip=5")
    with pytest.raises(ConfigError, match="name: 'six' after the topology's; accepted: KEY=VALUE"):
        load_topology(FIGURE_2A, "figure_2a,six")
    with pytest.raises(ConfigError, match="unexpected keyword argument 'speed'"):
        load_topology(FIGURE_2A, "figure_2a,speed=5")
