"""A checked network: nodes, links, sites, addresses and paths, ready to be built. Pure.

Owns: ``Topology``, the one value that the builder, the drawing, the runner and the report share. Refuses: whatever
``graph.check`` refuses. ``RoutedTopo``, the class that topology files derive from, lives in ``routedtopo.py``; how a
file becomes a topology, in ``loading.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from overlaycast.errors import ConfigError
from overlaycast.lab.topology import graph, routing
from overlaycast.lab.topology.addressing import PLANS, Addressing, AddressPlan, Family, Interface, Lan, assign
from overlaycast.lab.topology.graph import Link, Nat, Node, Uplink
from overlaycast.lab.topology.manners import Icmp, read_icmp

FAMILIES: Final[dict[str, tuple[Family, ...]]] = {"4": (4,), "6": (6,), "both": (4, 6)}


@dataclass(frozen=True, slots=True)
class Topology:
    """A network that can be built. Make it with ``Topology.of``.

    Attributes:
        name: as users call it.
        nodes: hosts and routers, in order of declaration.
        links: in order of declaration.
        uplinks: the sites' links to the rest.
        nats: which routers translate, and what is behind them.
        lans: one per router with hosts.
        interfaces: two per link.
        families: the IP versions that are spoken; the first is the one that addresses are given in.
        notes: what was mended in the file it came from, each in a line.
        icmp: how many ICMP errors its routers send.
        addressing: the plan of its addresses.
        next_links: target router -> router -> the link to take.
        equal_links: likewise, of routers that balance: all links of ways of equal cost.
    """

    name: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    uplinks: tuple[Uplink, ...]
    nats: tuple[Nat, ...]
    lans: tuple[Lan, ...]
    interfaces: tuple[Interface, ...]
    families: tuple[Family, ...]
    notes: tuple[str, ...]
    icmp: Icmp
    addressing: AddressPlan
    next_links: dict[str, dict[str, str]] = field(repr=False, compare=False)
    equal_links: dict[str, dict[str, tuple[str, ...]]] = field(repr=False, compare=False)
    _nodes: dict[str, Node] = field(repr=False, compare=False)
    _links: dict[str, Link] = field(repr=False, compare=False)
    _ends: dict[tuple[str, str], Interface] = field(repr=False, compare=False)

    @classmethod
    def of(
        cls,
        name: str,
        nodes: Sequence[Node],
        links: Sequence[Link],
        where: str | None = None,
        *,
        ip: str = "4",
        notes: Sequence[str] = (),
        icmp: Any = "off",
        addressing: str = "lans",
    ) -> Topology:
        """Check a graph and give it addresses and routes.

        Args:
            name: as users call it.
            nodes: hosts and routers.
            links: named or not; names are given anew.
            where: what an error names first; ``name`` by default.
            ip: "4", "6" or "both".
            notes: what a reader should know of where it came from.
            icmp: how many ICMP errors routers send, in the words of ``manners.read_icmp``.
            addressing: one of ``addressing.PLANS``.

        Raises:
            ConfigError: names the node or link, and what is accepted.
        """
        where = where or f"topology {name}"
        if ip not in FAMILIES:
            raise ConfigError(f"{where}: ip is {ip!r}; accepted: {', '.join(FAMILIES)}")
        if addressing not in PLANS:
            raise ConfigError(f"{where}: addressing is {addressing!r}; accepted: {', '.join(PLANS)}")
        plan = next(known for known in PLANS if known == addressing)
        cables = graph.named(links)
        graph.check(where, nodes, cables)
        addresses: Addressing = assign(where, nodes, cables, plan)
        sites = graph.uplinks(where, nodes, cables)
        return cls(
            name=name,
            nodes=tuple(nodes),
            links=cables,
            uplinks=sites,
            nats=graph.nats(where, nodes, cables, sites),
            lans=addresses.lans,
            interfaces=addresses.interfaces,
            families=FAMILIES[ip],
            notes=tuple(notes),
            icmp=read_icmp(where, icmp),
            addressing=plan,
            next_links=routing.next_links(nodes, cables),
            equal_links=routing.equal_links(nodes, cables),
            _nodes={node.name: node for node in nodes},
            _links={link.name: link for link in cables},
            _ends={(end.link, end.node): end for end in addresses.interfaces},
        )

    def node(self, name: str) -> Node:
        """Return a node. Raises ``ConfigError`` if there is none."""
        if name not in self._nodes:
            raise ConfigError(f"topology {self.name}: no node {name!r}; accepted: {', '.join(self._nodes)}")
        return self._nodes[name]

    def link(self, name: str) -> Link:
        """Return the link called ``a-b`` (or ``a-b#2``). Raises ``ConfigError`` if there is none."""
        if name not in self._links:
            raise ConfigError(f"topology {self.name}: no link {name!r}; accepted: {', '.join(self._links)}")
        return self._links[name]

    def site_of(self, node: str) -> str | None:
        """Return the site of a node; None if it has none or does not exist."""
        return self._nodes[node].site if node in self._nodes else None

    def links_between(self, a: str, b: str) -> tuple[Link, ...]:
        """Return the links of a pair, in either order of names. Raises ``ConfigError`` if there is none."""
        found = tuple(link for link in self.links if {link.a, link.b} == {a, b})
        if not found:
            raise ConfigError(f"topology {self.name}: no link between {a!r} and {b!r}")
        return found

    def links_of(self, node: str) -> tuple[Link, ...]:
        """Return the links that end at a node."""
        return tuple(link for link in self.links if node in (link.a, link.b))

    def hosts(self, role: str | None = None, site: str | None = None) -> tuple[Node, ...]:
        """Return the hosts, of one role or one site where asked."""
        return tuple(
            node
            for node in self.nodes
            if node.kind == "host" and role in (None, node.role) and site in (None, node.site)
        )

    @property
    def routers(self) -> tuple[Node, ...]:
        """The routers."""
        return tuple(node for node in self.nodes if node.kind == "router")

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites' names, in order of declaration."""
        return tuple(dict.fromkeys(node.site for node in self.nodes if node.site is not None))

    def uplinks_of(self, site: str) -> tuple[Uplink, ...]:
        """Return a site's uplinks; empty for a site without."""
        return tuple(uplink for uplink in self.uplinks if uplink.site == site)

    def interface(self, link: str, node: str) -> Interface:
        """Return a link's end at a node."""
        return self._ends[link, node]

    def address(self, node: str, family: Family | None = None) -> str:
        """Return the address that other nodes use for a node.

        Args:
            node: a host: its first; a router: its LAN's, but a NAT router's outer one; without either, its first.
            family: the topology's first by default.
        """
        spoken = family or self.families[0]
        outer = next((self.interface(nat.link, node) for nat in self.nats if nat.router == node), None)
        if outer is None:
            for lan in self.lans:
                if lan.router == node:
                    return lan.router_address(spoken)[0]
        for end in self.interfaces if outer is None else (outer,):
            found = end.spoken(spoken)
            if end.node == node and found is not None:
                return found[0]
        raise ConfigError(f"topology {self.name}: node {node!r} has no links, hence no address")

    def behind(self, node: str) -> Nat | None:
        """Return the NAT that a node is behind, or None."""
        return next((nat for nat in self.nats if node in nat.inside and node != nat.router), None)

    def reaches(self, source: str, target: str) -> bool:
        """Return whether a node can open a connection to another: not from outside of a NAT to a node behind it."""
        nat = self.behind(target)
        return nat is None or source in nat.inside

    def path(self, source: str, target: str) -> tuple[str, ...]:
        """Return the links a packet crosses from one node to another, in order; empty for the node itself.

        Where routers balance, it is one of several ways of equal cost.
        """
        if source == target:
            return ()
        first, start = self._doorstep(source)
        last, end = self._doorstep(target)
        crossed = [*first]
        while start != end:
            name = self.next_links[end][start]
            crossed.append(name)
            start = self._links[name].other(start)
        return (*crossed, *last)

    def ways(self, source: str, target: str, most: int) -> tuple[tuple[str, ...], ...]:
        """Return the routers on the ways of least cost between two nodes, ends left out; no more than ``most`` ways."""
        if source == target:
            return ((),)
        (_, start), (_, end) = self._doorstep(source), self._doorstep(target)
        found: list[tuple[str, ...]] = []
        open_ways: list[tuple[str, ...]] = [(start,)]
        while open_ways and len(found) < most:
            way = open_ways.pop()
            if way[-1] == end:
                found.append(way)
                continue
            equal = self.equal_links.get(end, {}).get(way[-1]) or (self.next_links[end][way[-1]],)
            open_ways += [(*way, self._links[name].other(way[-1])) for name in equal]
        return tuple(tuple(name for name in way if name not in (source, target)) for way in found)

    def delay_ms(self, source: str, target: str) -> float:
        """Return the sum of the asked delays on the path, one way."""
        here, total = source, 0.0
        for name in self.path(source, target):
            link = self._links[name]
            total += link.egress(here).delay_ms
            here = link.other(here)
        return total

    def _doorstep(self, node: str) -> tuple[tuple[str, ...], str]:
        """Return the links to the router that a node starts from, and that router."""
        if self.node(node).kind == "router":
            return (), node
        own = self.links_of(node)[0]
        return (own.name,), own.other(node)
