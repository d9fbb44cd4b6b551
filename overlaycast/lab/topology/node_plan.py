"""What each node's namespace must hold: interfaces, addresses, routes, neighbours, kernel settings. Pure.

Owns: ``NodePlan``, which has two readers: our own builder (netlink) and the stock Mininet (``ip -batch`` lines).
Invariants: every router has a route to every LAN and every subnet between routers, but none outside of a NAT to IPv4
subnets behind it; a host has a default route; all possible Ethernet neighbours have permanent entries, so that no first
packet waits for ARP or neighbour discovery.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from overlaycast.lab.topology import manners, nat
from overlaycast.lab.topology.addressing import Family, Interface, Lan, in_family
from overlaycast.lab.topology.graph import Node
from overlaycast.lab.topology.manners import Icmp
from overlaycast.lab.topology.topology import Topology

_MESH: Final = 64
"""Up to this many hosts of a LAN know each other's MAC beforehand; beyond, only the router's."""
_ANYWHERE: Final[dict[Family, str]] = {4: "0.0.0.0", 6: "::"}


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """An address on a device of the node."""

    device: str
    address: str
    prefix: int


@dataclass(frozen=True, slots=True)
class KernelRoute:
    """A route; ``network`` 0.0.0.0/0 or ::/0 is the default. The device says which interface's loss removes it.

    ``others``: gateways and devices of further ways, over which a router that balances spreads its flows.
    """

    network: str
    prefix: int
    via: str
    device: str
    others: tuple[tuple[str, str], ...] = ()


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
        families: the IP versions it speaks.
        nat: the interface of its uplink, if it translates.
        rules: what it tells nft, a text per table.
        icmp: how many ICMP errors it sends, if it is a router.
    """

    node: str
    router: bool
    interfaces: tuple[Interface, ...]
    lan: Lan | None
    addresses: tuple[DeviceAddress, ...]
    routes: tuple[KernelRoute, ...]
    neighbours: tuple[Neighbour, ...]
    families: tuple[Family, ...]
    nat: str | None
    rules: tuple[str, ...] = ()
    icmp: Icmp = "off"


@dataclass(frozen=True, slots=True)
class KernelSettings:
    """Settings of the namespaces' network stacks.

    Attributes:
        icmp_ratelimit: routers' ICMP errors towards one target, milliseconds apart; 0 is unlimited, None is what the
            kernel has: 1000 for IPv4, after a burst of six.
        rp_filter: reverse path filter of all nodes; 0 off, 1 strict, 2 loose.
    """

    icmp_ratelimit: int | None = 0
    rp_filter: int = 0

    @classmethod
    def of(cls, icmp: Icmp) -> KernelSettings:
        """Return the settings for a limit of ICMP errors; one of our own is kept by nft, not by the kernel."""
        return cls(icmp_ratelimit=None if icmp == "stock" else 0)

    def sysctls(self, router: bool, families: tuple[Family, ...] = (4,)) -> dict[str, str]:
        """Return paths below /proc/sys/net and what to write, in order."""
        values = {
            "ipv4/ip_forward": "1" if router else "0",
            "ipv4/conf/all/rp_filter": str(self.rp_filter),
            "ipv4/conf/default/rp_filter": str(self.rp_filter),
            "ipv4/conf/all/send_redirects": "0",  # hosts of one LAN need no advice about it
            "ipv4/conf/default/send_redirects": "0",
        }
        if router:
            values["ipv4/fib_multipath_hash_policy"] = "1"  # those that balance do so by flow, not by addresses alone
        if router and self.icmp_ratelimit is not None:
            values["ipv4/icmp_ratelimit"] = str(self.icmp_ratelimit)
        if router and self.icmp_ratelimit == 0:
            values |= _NO_SUM
        return values | (self._six(router) if 6 in families else _NO_SIX)

    def _six(self, router: bool) -> dict[str, str]:
        values = {"ipv6/conf/all/disable_ipv6": "0", "ipv6/conf/default/disable_ipv6": "0"}
        for name, value in _SIX_SILENT.items():
            # the first acts on what exists already (lo), the second on every later interface
            values |= {f"ipv6/conf/all/{name}": value, f"ipv6/conf/default/{name}": value}
        if router:
            values |= {"ipv6/conf/all/forwarding": "1", "ipv6/fib_multipath_hash_policy": "1"}
        if router and self.icmp_ratelimit is not None:
            values["ipv6/icmp/ratelimit"] = str(self.icmp_ratelimit)
        return values


_NO_SUM: Final = {"ipv4/icmp_msgs_per_sec": "1000000", "ipv4/icmp_msgs_burst": "1000000"}
"""A second limit, of a router's errors to all destinations, in both families: 1000 a second after 50 or less."""
SINCE_2024: Final = frozenset(_NO_SUM)
"""Settings that older kernels have once per machine and not in every namespace."""
_NO_SIX: Final = {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}
_SIX_SILENT: Final = {
    "accept_ra": "0",
    "accept_dad": "0",  # addresses are unique by construction, and can be used at once
    "router_solicitations": "0",  # no router answers them, and they would count on idle links
    "addr_gen_mode": "1",  # no link-local addresses: traceroute shall see those of the plan
    "keep_addr_on_down": "1",  # as IPv4 does
}


def node_plans(topology: Topology) -> dict[str, NodePlan]:
    """Return every node's plan, in the topology's order."""
    own: dict[str, list[Interface]] = defaultdict(list)
    for end in topology.interfaces:
        own[end.node].append(end)
    lans = {lan.router: lan for lan in topology.lans}
    nats = {nat.router: topology.interface(nat.link, nat.router).name for nat in topology.nats}
    neighbours: dict[str, list[Neighbour]] = defaultdict(list)
    routes: dict[str, list[KernelRoute]] = defaultdict(list)
    for family in topology.families:
        _add_neighbours(topology, family, neighbours)
        _add_host_routes(topology, family, routes)
        _add_router_routes(topology, family, routes)
    return {
        node.name: NodePlan(
            node=node.name,
            router=node.kind == "router",
            interfaces=tuple(own[node.name]),
            lan=lans.get(node.name),
            addresses=_addresses(own[node.name], lans.get(node.name), topology.families),
            routes=tuple(routes[node.name]),
            neighbours=tuple(neighbours[node.name]),
            families=topology.families,
            nat=nats.get(node.name),
            rules=_rules(topology, node, nats.get(node.name)),
            icmp=topology.icmp,
        )
        for node in topology.nodes
    }


def _rules(topology: Topology, node: Node, uplink: str | None) -> tuple[str, ...]:
    if node.kind != "router":
        return ()
    texts = [nat.rules(uplink)] if uplink is not None else []
    texts.append(manners.rules(node.manners, topology.icmp, _speaks_from(topology, node)))
    return tuple(text for text in texts if text)


def _speaks_from(topology: Topology, node: Node) -> tuple[str, ...]:
    """Return the addresses that a router's ICMP errors come from, where that is not the kernel's choice."""
    near = node.manners.answers_from
    if near is None:
        return ()
    end = topology.interface(topology.links_between(node.name, near)[0].name, node.name)
    lan = next((lan for lan in topology.lans if lan.router == node.name), None)
    spoken = [
        end.spoken(family) or (lan.router_address(family) if lan is not None else None) for family in topology.families
    ]
    return tuple(address[0] for address in spoken if address is not None)


def _addresses(own: list[Interface], lan: Lan | None, families: tuple[Family, ...]) -> tuple[DeviceAddress, ...]:
    found = []
    for family in families:
        spoken = [(end.name, end.spoken(family)) for end in own]
        found += [DeviceAddress(device, *address) for device, address in spoken if address is not None]
        if lan is not None and lan.bridged:
            found.append(DeviceAddress(lan.device, *lan.router_address(family)))
    return tuple(found)


def _is_transfer(end: Interface) -> bool:
    return end.prefix == 30  # LANs are larger


def _add_neighbours(topology: Topology, family: Family, entries: dict[str, list[Neighbour]]) -> None:
    for lan in topology.lans:
        hosts = [(host, spoken[0]) for host in lan.hosts if (spoken := host.spoken(family))]
        for host, address in hosts:
            entries[lan.router].append(Neighbour(lan.device, address, host.mac))
            entries[host.node].append(Neighbour(host.name, lan.router_address(family)[0], lan.mac))
            for other, others in hosts if len(hosts) <= _MESH else ():
                if other is not host:
                    entries[host.node].append(Neighbour(host.name, others, other.mac))
    for link in topology.links:
        a, b = topology.interface(link.name, link.a), topology.interface(link.name, link.b)
        at_a, at_b = a.spoken(family), b.spoken(family)
        if at_a and at_b and _is_transfer(a):
            entries[a.node].append(Neighbour(a.name, at_b[0], b.mac))
            entries[b.node].append(Neighbour(b.name, at_a[0], a.mac))


def _add_host_routes(topology: Topology, family: Family, routes: dict[str, list[KernelRoute]]) -> None:
    done = set()
    for lan in topology.lans:
        for host in lan.hosts:
            if host.node not in done:  # a host with several links leaves by the first one
                done.add(host.node)
                routes[host.node].append(KernelRoute(_ANYWHERE[family], 0, lan.router_address(family)[0], host.name))


@dataclass(frozen=True, slots=True)
class _Subnet:
    """A subnet, the routers that are on it, and the only nodes that may have a route to it (None: all)."""

    network: str
    prefix: int
    near: frozenset[str]
    known_in: frozenset[str] | None


def _subnets(topology: Topology, family: Family) -> dict[str, list[_Subnet]]:
    """Return the subnets by the router that the others reach them through: a LAN's, or a link's end a."""
    found: dict[str, list[_Subnet]] = defaultdict(list)
    private = {} if family == 6 else {name: nat for nat in topology.nats for name in nat.inside}
    for lan in topology.lans:
        nat = private.get(lan.router)
        known_in = nat.inside if nat else None
        found[lan.router].append(_Subnet(*lan.subnet(family), frozenset((lan.router,)), known_in))
    for link in topology.links:
        end = topology.interface(link.name, link.a)
        if end.address is None or not _is_transfer(end):
            continue
        nat = private.get(link.a) or private.get(link.b)
        known_in = nat.inside if nat is not None and nat.link != link.name else None
        head, _, last = end.address.rpartition(".")
        network = in_family(family, f"{head}.{int(last) & 0xFC}", end.prefix)
        found[link.a].append(_Subnet(*network, frozenset((link.a, link.b)), known_in))
    return found


def _add_router_routes(topology: Topology, family: Family, routes: dict[str, list[KernelRoute]]) -> None:
    subnets = _subnets(topology, family)
    hops: dict[tuple[str, str], tuple[str, str]] = {}
    for link in topology.links:
        for here, there in ((link.a, link.b), (link.b, link.a)):
            via = topology.interface(link.name, there).spoken(family)
            if via is not None:
                hops[link.name, here] = via[0], topology.interface(link.name, here).name
    for target, steps in topology.next_links.items():
        for subnet in subnets[target]:
            for router, name in steps.items():
                if router not in subnet.near and (subnet.known_in is None or router in subnet.known_in):
                    equal = topology.equal_links.get(target, {}).get(router, ())
                    others = tuple(hops[other, router] for other in equal if other != name)
                    routes[router].append(KernelRoute(subnet.network, subnet.prefix, *hops[name, router], others))


def _ways(route: KernelRoute) -> str:
    if not route.others:
        return f"via {route.via} dev {route.device}"
    ways = [(route.via, route.device), *route.others]
    return " ".join(f"nexthop via {via} dev {device}" for via, device in ways)


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
    for a in plan.addresses:
        lines.append(f"address replace {a.address}/{a.prefix} dev {a.device}" + (" nodad" if ":" in a.address else ""))
    lines += [f"route replace {r.network}/{r.prefix} {_ways(r)}" for r in plan.routes]
    lines += [f"neighbour replace {n.address} lladdr {n.mac} dev {n.device} nud permanent" for n in plan.neighbours]
    return lines
