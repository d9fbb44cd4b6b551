"""What each node's namespace must hold: interfaces, addresses, routes, neighbours, kernel settings. Pure.

Owns: ``NodePlan``, written once, read by two: the fast builder (netlink) and the stock Mininet (``ip -batch``
lines). Invariants: every LAN and every transfer subnet has a route at every router; a host has a default
route; whoever can be an Ethernet neighbour has its permanent entry, so that no first packet waits for ARP.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from overlaycast.lab.addressing import Interface, Lan
from overlaycast.lab.topology import Topology

_MESH: Final = 64
"""Up to this many hosts of a LAN know each other's MAC beforehand; beyond, only the router's."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address on a device of the node."""

    device: str
    address: str
    prefix: int


@dataclass(frozen=True, slots=True)
class Route:
    """A route; ``network`` 0.0.0.0/0 is the default. The device says which interface's loss removes it."""

    network: str
    prefix: int
    via: str
    device: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent neighbour entry."""

    device: str
    address: str
    mac: str


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node's namespace.

    Attributes:
        node: its name.
        router: it forwards.
        interfaces: its ends of links, in order.
        lan: its LAN if it is a router with hosts.
        addresses: on interfaces and the bridge.
        routes: beyond those that come with the addresses.
        neighbours: permanent entries.
    """

    node: str
    router: bool
    interfaces: tuple[Interface, ...]
    lan: Lan | None
    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class KernelSettings:
    """Settings of the namespaces' network stacks.

    Attributes:
        icmp_ratelimit: routers' ICMP errors towards one target, milliseconds apart; Linux has 1000, 0 is unlimited.
        rp_filter: reverse path filter of all nodes; 0 off, 1 strict, 2 loose.
    """

    icmp_ratelimit: int = 0
    rp_filter: int = 0

    def sysctls(self, router: bool) -> dict[str, str]:
        """Return paths below /proc/sys/net and what to write, in order."""
        values = {
            "ipv4/ip_forward": "1" if router else "0",
            "ipv4/conf/all/rp_filter": str(self.rp_filter),
            "ipv4/conf/default/rp_filter": str(self.rp_filter),
            "ipv4/conf/all/send_redirects": "0",  # hosts of one LAN need no advice about it
            "ipv4/conf/default/send_redirects": "0",
            "ipv6/conf/all/disable_ipv6": "1",  # router solicitations would count on idle links
            "ipv6/conf/default/disable_ipv6": "1",
        }
        if router:
            values["ipv4/icmp_ratelimit"] = str(self.icmp_ratelimit)
        return values


def node_plans(topology: Topology) -> dict[str, NodePlan]:
    """Return every node's plan, in the topology's order."""
    own: dict[str, list[Interface]] = defaultdict(list)
    for end in topology.interfaces:
        own[end.node].append(end)
    lans = {lan.router: lan for lan in topology.lans}
    neighbours = _neighbours(topology)
    routes = _router_routes(topology) | _host_routes(topology)
    plans = {}
    for node in topology.nodes:
        lan = lans.get(node.name)
        addresses = [Address(e.name, e.address, e.prefix) for e in own[node.name] if e.address is not None]
        if lan is not None and lan.bridged:
            addresses.append(Address(lan.device, lan.gateway, lan.prefix))
        plans[node.name] = NodePlan(
            node=node.name,
            router=node.kind == "router",
            interfaces=tuple(own[node.name]),
            lan=lan,
            addresses=tuple(addresses),
            routes=tuple(routes.get(node.name, ())),
            neighbours=tuple(neighbours[node.name]),
        )
    return plans


def _neighbours(topology: Topology) -> dict[str, list[Neighbour]]:
    entries: dict[str, list[Neighbour]] = defaultdict(list)
    for lan in topology.lans:
        for host in lan.hosts:
            assert host.address is not None
            entries[lan.router].append(Neighbour(lan.device, host.address, host.mac))
            entries[host.node].append(Neighbour(host.name, lan.gateway, lan.mac))
            for other in lan.hosts if len(lan.hosts) <= _MESH else ():
                if other is not host and other.address is not None:
                    entries[host.node].append(Neighbour(host.name, other.address, other.mac))
    for link in topology.links:
        a, b = topology.interface(link.name, link.a), topology.interface(link.name, link.b)
        if a.prefix == b.prefix == 30 and a.address and b.address:
            entries[a.node].append(Neighbour(a.name, b.address, b.mac))
            entries[b.node].append(Neighbour(b.name, a.address, a.mac))
    return entries


def _host_routes(topology: Topology) -> dict[str, list[Route]]:
    routes: dict[str, list[Route]] = {}
    for lan in topology.lans:
        for host in lan.hosts:
            # a host with several links leaves by the first one
            routes.setdefault(host.node, [Route("0.0.0.0", 0, lan.gateway, host.name)])
    return routes


def _router_routes(topology: Topology) -> dict[str, list[Route]]:
    routes: dict[str, list[Route]] = defaultdict(list)
    subnets: dict[str, list[tuple[str, int]]] = defaultdict(list)
    near: dict[tuple[str, int], set[str]] = defaultdict(set)
    for lan in topology.lans:
        subnets[lan.router].append((lan.network, lan.prefix))
    for end in topology.interfaces:
        if end.address is not None and end.prefix == 30:
            network = (str(IPv4Network((end.address, 30), strict=False).network_address), 30)
            if not near[network]:
                subnets[end.node].append(network)  # a transfer subnet is reached through its end a
            near[network].add(end.node)
    for target, steps in topology.next_links.items():
        for router, name in steps.items():
            out = topology.interface(name, router)
            via = topology.interface(name, topology.link(name).other(router)).address
            assert via is not None
            routes[router] += [
                Route(*subnet, via, out.name) for subnet in subnets[target] if router not in near[subnet]
            ]
    return routes


def ip_batch(plan: NodePlan) -> list[str]:
    """Return the plan as lines for ``ip -batch``, for interfaces that exist already."""
    lines = ["link set lo up"]
    if plan.lan is not None and plan.lan.bridged:
        lines.append(f"link add {plan.lan.device} address {plan.lan.mac} type bridge mcast_snooping 0")
    for end in plan.interfaces:
        master = f" master {end.bridge}" if end.bridge else ""
        # not down and up again: the kernel may tell the bridge of that only a second later
        lines.append(f"link set {end.name} address {end.mac}{master} up")
    if plan.lan is not None and plan.lan.bridged:
        lines.append(f"link set {plan.lan.device} up")
    lines += [f"address replace {a.address}/{a.prefix} dev {a.device}" for a in plan.addresses]
    lines += [f"route replace {r.network}/{r.prefix} via {r.via} dev {r.device}" for r in plan.routes]
    lines += [f"neighbour replace {n.address} lladdr {n.mac} dev {n.device} nud permanent" for n in plan.neighbours]
    return lines
