"""IPv6 and NAT for real: which hosts reach which, and what the check says of it."""

from __future__ import annotations

import errno
import json
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from overlaycast.errors import LabError
from overlaycast.lab.fidelity import fidelity, reach
from overlaycast.lab.network.network import Network
from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.shape import Shape
from overlaycast.lab.topology.topology import Topology
from tests.discovery.emulated import ASK
from tests.lab.inside import inside
from tests.lab.stock import mn
from tests.lab.topology.addresses import node_of

pytestmark = pytest.mark.lab


def home(ip: str) -> Topology:
    """Hosts ``in`` and ``in2`` behind the NAT router ``n``; ``out`` and ``out2`` beyond the core."""
    nodes = [Node("core", "router"), Node("n", "router", nat=True), Node("leaf", "router")]
    nodes += [Node(name, "host", "home", "client") for name in ("in", "in2")]
    nodes += [Node(name, "host", role="client") for name in ("out", "out2")]
    bare = Shape()
    links = [Link("core", "n", Shape(rate_mbit=20, delay_ms=4), Shape(rate_mbit=5, delay_ms=2), "home")]
    pairs = (("n", "leaf"), ("leaf", "in"), ("n", "in2"), ("core", "out"), ("core", "out2"))
    links += [Link(a, b, bare, bare) for a, b in pairs]
    return Topology.of("home", nodes, links, ip=ip)


@inside
def test_all_addresses_take_what_is_sent_to_them_from_the_first_moment_on() -> None:
    """Of IPv6 the kernel says that an address is there before it has made the route to it."""
    for _ in range(6):
        with Network(home("both")) as network:
            ends = {(end.node, end.spoken(6)) for end in network.topology.interfaces}
            assert {
                spoken[0] for node, spoken in ends if spoken and spoken[0] not in network.namespace(node).local_six()
            } == set()
            network.link_down("n", "in2")
            network.link_up("n", "in2")
            for node in ("n", "in2"):
                spoken = network.topology.interface("n-in2", node).spoken(6)
                assert spoken is None or spoken[0] in network.namespace(node).local_six()


@pytest.mark.parametrize("ip", ["4", "6", "both"])
@inside
def test_a_network_with_a_nat_is_what_was_asked_in_each_family(ip: str) -> None:
    topology = home(ip)
    with Network(topology) as network:
        found = fidelity.check(network)
        assert found.multicast_blocked
        rows = {row.direction: row for row in found.links if row.link == "core-n"}
        assert rows["ab"].measured["rate_mbit"] == pytest.approx(20, rel=0.05)
        assert rows["ba"].measured["rate_mbit"] == pytest.approx(5, rel=0.05)
        assert rows["ab"].measured["delay_ms"] == pytest.approx(4, abs=1.1)  # the check allows 1
        assert rows["ba"].measured["delay_ms"] == pytest.approx(2, abs=1.1)
        for family in topology.families:
            assert reach.unicast(network, family, rounds=2) == reach.UnicastFinding((), (), ())


def exchange(network: Network, client: str, server: str, family: int) -> tuple[str, bytes]:
    """Dial from one host to another over TCP; return the client that the server saw, and what the client got."""
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    with network.in_namespace(server):
        listener = socket.create_server((network.topology.address(server, family), 0), family=kind)  # type: ignore[arg-type]
    with network.in_namespace(client):
        dialler = socket.socket(kind, socket.SOCK_STREAM)
    with listener, dialler:
        dialler.settimeout(10)
        dialler.connect(listener.getsockname()[:2])
        listener.settimeout(10)
        served, (seen, *_) = listener.accept()
        with served:
            served.sendall(b"hello")
            return seen, dialler.recv(5, socket.MSG_WAITALL)


@inside
def test_behind_a_nat_one_can_dial_out_and_is_seen_as_the_router() -> None:
    with Network(home("both")) as network:
        assert exchange(network, "in", "out", 4) == (network.topology.address("n"), b"hello")
        assert exchange(network, "in", "out", 6) == (network.topology.address("in", 6), b"hello"), "not translated"
        with network.in_namespace("out"):
            probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with probe:
            probe.settimeout(2)
            assert probe.connect_ex((network.topology.address("in"), 9)) in (errno.EAGAIN, errno.ENETUNREACH)


@inside
def test_the_check_sees_a_nat_that_does_not_do_its_work() -> None:
    with Network(home("both")) as network:
        network.host("n").pexec(["nft", "delete", "table", "ip", "overlaycast_nat"])
        network.host("core").pexec(["ip", "route", "add", "10.0.0.0/9", "via", network.topology.address("n")])
        with pytest.raises(LabError, match=r"4 pairs of hosts see each other's own address although a NAT is between"):
            fidelity.check(network)
        network.host("n").pexec(["nft", "delete", "table", "inet", "overlaycast_nat_filter"])
        with pytest.raises(LabError, match=r"4 pairs of hosts reach each other although a NAT .* \('out', 'in'\)"):
            fidelity.check(network)


@inside
def test_ipv6_says_nothing_on_idle_links_and_comes_back_after_a_cut() -> None:
    with Network(home("6")) as network:
        ping = ["ping", "-c", "2", "-i", "0.1", "-W", "2", network.topology.address("out")]
        assert " 0% packet loss" in network.host("in").pexec(ping)[0]
        for ends in (("core", "n"), ("n", "leaf"), ("leaf", "in"), ("core", "out")):
            shown = _shown(network)
            network.link_down(*ends)
            assert "100% packet loss" in network.host("in").pexec([*ping, "-w", "1"])[0] or not network.link_is_up(
                *ends
            )
            network.link_up(*ends)
            assert " 0% packet loss" in network.host("in").pexec(ping)[0]
            assert _shown(network) == shown
        assert "inet6 fe80" not in network.host("in").pexec(["ip", "addr"])[0]


def _shown(network: Network) -> dict[str, list[str]]:
    """Addresses, routes and permanent neighbours of every node."""
    found = {}
    for node in network.topology.nodes:
        parts = [["-6", "route"], ["-6", "-br", "addr"], ["-6", "neighbour", "show", "nud", "permanent"]]
        texts = [network.host(node.name).pexec(["ip", *words])[0] for words in parts]
        found[node.name] = sorted(line.strip() for text in texts for line in text.split("\n"))
    return found


@inside
def test_a_traceroute_over_ipv6_sees_every_router_by_its_own_address() -> None:
    topology = home("6")
    with Network(topology) as network:
        with network.in_namespace("in"):
            probe = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with probe:
            probe.setsockopt(socket.IPPROTO_IPV6, 25, 1)  # IPV6_RECVERR
            probe.settimeout(10)
            seen = []
            for hops in (1, 2, 3):
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
                probe.sendto(b"x", (topology.address("out"), 33434))
                with suppress(OSError):
                    probe.recv(1)  # the error wakes us
                _, extra, _, _ = probe.recvmsg(100, 512, 0x2000)  # MSG_ERRQUEUE
                offender = next(data[24:40] for _, kind, data in extra if kind == 25)
                seen.append(node_of(topology, socket.inet_ntop(socket.AF_INET6, offender)))
        assert seen == ["leaf", "n", "core"]


@inside
def test_overlaycast_trace_finds_the_routers_in_each_family() -> None:
    """By scapy's probes, as the coordinator finds them; two hosts of one subnet share a route."""
    topology = home("both")
    with Network(topology) as network:
        for family in topology.families:
            words = [sys.executable, "-m", "overlaycast.cli", "trace", topology.address("out", family), "--json"]
            out, complaint, code = network.host("in").pexec(words)
            assert code == 0, complaint
            route = json.loads(out)
            assert [node_of(topology, router) for router in route["routers"]] == ["leaf", "n", "core"]
            assert route["target"] == topology.address("out", family)
        asked = [topology.address(name, family) for name in ("out", "out2") for family in (4, 6)]
        out, complaint, code = network.host("in").pexec([sys.executable, "-c", ASK, *asked])
        assert code == 0, complaint
        found = json.loads(out.splitlines()[-1])
        for answer in found:
            assert [node_of(topology, router) for router in answer["routers"]] == ["leaf", "n", "core"]
        assert [answer["shared"] for answer in found].count(True) == 2


@inside
def test_stock_mininet_sets_up_nat_and_ipv6_too() -> None:
    file = Path(__file__).parents[1] / "programs" / "home.py"
    script = "in ping -c 1 -W 2 out\nin ping -c 1 -W 2 fd6f:7665:a00::2\nout ping -c 1 -W 1 10.0.1.2\n"
    done = mn(file, "home,ip=both", script)
    outcome = re.findall(r"(\d) received", done.stdout + done.stderr)
    assert outcome == ["1", "1", "0"]
