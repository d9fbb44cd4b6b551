"""Routers that are slow to answer, anonymous, hidden or elsewhere by name, for real; ways that are not one."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest

from overlaycast.lab.network.network import Network
from overlaycast.lab.topology.addressing import Family
from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.manners import Manners
from overlaycast.lab.topology.shape import Shape
from overlaycast.lab.topology.topology import Topology
from tests.lab.inside import inside
from tests.lab.topology.addresses import node_of

pytestmark = pytest.mark.lab
_RECVERR = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}
_HOPS = {4: (socket.IPPROTO_IP, socket.IP_TTL), 6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)}
_OFFENDER = {4: (11, slice(20, 24)), 6: (25, slice(24, 40))}
BARE = Shape()
LATE_S = 60.0  # a busy machine is late, and that is no failure


def row(ip: str = "both", icmp: object = "off", *, twice: bool = False, **manners: Manners) -> Topology:
    """here - r - s - t - there, and with ``twice`` another way beside s, through u; manners by the router's name."""
    names = [*"rst", *("u" if twice else "")]
    nodes = [Node(name, "router", manners=manners.get(name, Manners())) for name in names]
    nodes += [Node(name, "host", role="client") for name in ("here", "there")]
    pairs = [("r", "here"), ("r", "s"), ("s", "t"), ("t", "there"), *((("r", "u"), ("u", "t")) if twice else ())]
    return Topology.of("row", nodes, [Link(a, b, BARE, BARE) for a, b in pairs], ip=ip, icmp=icmp)


def asked(network: Network, family: Family, hops: int, wait: float = 0.2, port: int = 0) -> str | None:
    """Send a datagram from ``here`` that may travel so far; return the address that complains, None if none does."""
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    with network.in_namespace("here"):
        probe = socket.socket(kind, socket.SOCK_DGRAM)
    with probe:
        probe.setsockopt(*_RECVERR[family], 1)
        probe.setsockopt(*_HOPS[family], hops)
        probe.bind(("", port))
        probe.settimeout(wait)
        probe.sendto(b"x", (network.topology.address("there", family), 33434))
        with suppress(OSError):
            probe.recv(1)  # the error wakes us
        try:
            _, extra, _, _ = probe.recvmsg(100, 512, 0x2000)  # MSG_ERRQUEUE
        except OSError:
            return None
    number, where = _OFFENDER[family]
    name = socket.AF_INET6 if family == 6 else socket.AF_INET
    return next(socket.inet_ntop(name, data[where]) for _, what, data in extra if what == number)


def seen(network: Network, family: Family, furthest: int = 4, wait: float = LATE_S) -> list[str | None]:
    found = [asked(network, family, hops, wait) for hops in range(1, furthest + 1)]
    return [address and node_of(network.topology, address) for address in found]


@inside
def test_one_never_answers_one_cannot_be_seen_and_one_has_another_address() -> None:
    odd = row(r=Manners(answers_from="s"), s=Manners(anonymous=True))
    with Network(odd) as network:
        for family in odd.families:
            assert asked(network, family, 1, LATE_S) == odd.interface("r-s", "r").spoken(family)[0]  # type: ignore[index]
            assert asked(network, family, 2, 0.3) is None
            assert [asked(network, family, hops, LATE_S) is not None for hops in (3, 4)] == [True, True]
    with Network(row(s=Manners(hides_ttl=True))) as network:
        assert seen(network, 4, 3) == ["r", "t", "there"]
        assert seen(network, 6, 3) == ["r", "t", "there"]


@inside
def test_a_limit_is_kept_per_destination() -> None:
    with Network(row("4", "0.1/3")) as network:
        assert [asked(network, 4, 1) is not None for _ in range(5)] == [True] * 3 + [False] * 2
        others = [asked(network, 4, hops, LATE_S) for hops in (2, 3)]
        assert [node_of(network.topology, other or "") for other in others] == ["s", "t"], "each router has its own"
    with Network(row("4", "stock")) as network:
        assert network.namespace("s").read_sysctl("ipv4/icmp_ratelimit") == "1000"
        assert [asked(network, 4, 2, 0.02) is not None for _ in range(8)].count(True) in (6, 7)


@inside
def test_flows_are_balanced_over_ways_of_equal_cost() -> None:
    both = row(twice=True, r=Manners(ecmp=True), t=Manners(ecmp=True))
    with Network(both) as network:
        for family in both.families:
            found = {node_of(both, asked(network, family, 2, LATE_S) or "") for _ in range(40)}
            assert found == {"s", "u"}
        network.link_down("r", "s")
        network.link_down("u", "t")
        network.link_up("u", "t")
        assert {node_of(both, asked(network, 4, 2, LATE_S) or "") for _ in range(5)} == {"u"}
        network.link_up("r", "s")
        assert {node_of(both, asked(network, 4, 2, LATE_S) or "") for _ in range(40)} == {"s", "u"}


@inside
def test_the_way_back_is_another_where_it_costs_less() -> None:
    nodes = [Node(name, "router") for name in "rstu"] + [Node(x, "host", role="client") for x in ("here", "there")]
    links = [Link(a, b, BARE, BARE) for a, b in (("r", "here"), ("t", "there"), ("r", "s"), ("s", "t"))]
    links += [Link("r", "u", BARE, BARE, cost_ab=9, cost_ba=0), Link("u", "t", BARE, BARE, cost_ab=9, cost_ba=0)]
    links[3] = Link("s", "t", BARE, BARE, cost_ba=9)
    topology = Topology.of("apart", nodes, links)
    with Network(topology) as network:
        before = network.counters()
        assert seen(network, 4, 4) == ["r", "s", "t", "there"]
        after = network.counters()
        assert after["s-t"].ba.packets == before["s-t"].ba.packets, "nothing came back by s"
        assert after["u-t"].ba.packets > before["u-t"].ba.packets
