"""The values a topology is made of, and what makes a set of them a network. Pure.

Owns: nodes, links, sites and uplinks. Refuses: a graph that cannot be built or has no meaning, by
``ConfigError`` that names the node or the link.

Invariants of a checked graph: names are unique and short enough for interface names; a link joins a router
with a router or with a host; everything is connected; cutting a site's uplinks separates the site's hosts
from all others; cutting the one uplink of a NAT router separates what is behind it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import networkx as nx

from overlaycast.errors import ConfigError
from overlaycast.lab.topology.manners import PLAIN, Manners
from overlaycast.lab.topology.shape import Shape

Kind = Literal["host", "router"]
ROLES: Final = ("client", "server", "backup", "coordinator")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,8}")
"""At most 9 characters: ``<name>-eth99`` must fit into the kernel's 15."""
_OUTSIDE: Final = ""  # no node has this name; from here all starts of a search can be reached


@dataclass(frozen=True, slots=True)
class Node:
    """A host (may run programs, never forwards) or a router (forwards, carries no site or role of its own).

    Attributes:
        name: unique.
        kind: ``host`` or ``router``.
        site: the site whose uplink it sits behind, or None.
        role: one of ``ROLES`` for a host, None for a router.
        nat: a router that translates addresses: hosts behind it can open connections, and none can be opened to them.
        manners: how a router treats those who trace routes through it.
    """

    name: str
    kind: Kind
    site: str | None = None
    role: str | None = None
    nat: bool = False
    manners: Manners = PLAIN


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two nodes.

    Attributes:
        a: one end.
        b: the other.
        ab: how it treats a frame from a to b.
        ba: how it treats a frame from b to a.
        uplink_of: the site whose uplink this is, or None.
        name: ``a-b``, with ``#2`` and so on for further links of the same pair.
        cost_ab: what routing counts for it from a to b, in ms; None: its delays there and back.
        cost_ba: likewise from b to a.
    """

    a: str
    b: str
    ab: Shape
    ba: Shape
    uplink_of: str | None = None
    name: str = ""
    cost_ab: float | None = None
    cost_ba: float | None = None

    def other(self, node: str) -> str:
        """Return the far end, seen from ``node``."""
        return self.b if node == self.a else self.a

    def egress(self, node: str) -> Shape:
        """Return how the link treats a frame that ``node`` sends."""
        return self.ab if node == self.a else self.ba

    def cost(self, node: str) -> float:
        """Return what routing counts for it when ``node`` sends, in ms."""
        asked = self.cost_ab if node == self.a else self.cost_ba
        return self.ab.delay_ms + self.ba.delay_ms if asked is None else asked


@dataclass(frozen=True, slots=True)
class Uplink:
    """A site's link to the rest.

    Attributes:
        site: its name.
        link: the link's name.
        inside: the end that belongs to the site.
        inbound: which direction of the link enters the site.
    """

    site: str
    link: str
    inside: str
    inbound: Literal["ab", "ba"]


@dataclass(frozen=True, slots=True)
class Nat:
    """A router that translates addresses.

    Attributes:
        router: its name.
        link: its uplink; packets that leave there have the router's address as their source.
        inside: the nodes behind it, itself included.
    """

    router: str
    link: str
    inside: frozenset[str]


def named(links: Iterable[Link]) -> tuple[Link, ...]:
    """Return the links, each with its unique name."""
    seen: dict[frozenset[str], int] = defaultdict(int)
    result = []
    for link in links:
        pair = frozenset((link.a, link.b))
        seen[pair] += 1
        suffix = f"#{seen[pair]}" if seen[pair] > 1 else ""
        result.append(replace(link, name=f"{link.a}-{link.b}{suffix}"))
    return tuple(result)


def check(where: str, nodes: Sequence[Node], links: Sequence[Link]) -> None:
    """Raise ``ConfigError``, naming ``where`` and the culprit, unless this is a network that can be built."""
    if not nodes:
        raise ConfigError(f"{where}: the topology has no nodes")
    known: dict[str, Node] = {}
    for node in nodes:
        _check_node(where, node)
        if node.name in known:
            raise ConfigError(f"{where}: node {node.name!r} is there twice; names must be unique")
        known[node.name] = node
    for link in links:
        _check_link(where, known, link)
    _check_manners(where, nodes, links)
    start = next((node for node in nodes if node.kind == "router"), nodes[0])
    reached = reachable([start.name], nodes, links)
    for node in nodes:
        if node.name not in reached:
            raise ConfigError(f"{where}: node {node.name!r} is not connected with {start.name!r}")


def _check_node(where: str, node: Node) -> None:
    if not NAME.fullmatch(node.name):
        raise ConfigError(
            f"{where}: node name {node.name!r}; accepted: 1 to 9 letters, digits or underscores"
            " (interfaces are called after it)"
        )
    if node.kind == "host" and node.role not in ROLES:
        raise ConfigError(f"{where}: host {node.name!r}: role is {node.role!r}; accepted: {', '.join(ROLES)}")


def _check_manners(where: str, nodes: Iterable[Node], links: Sequence[Link]) -> None:
    for node in nodes:
        name = node.manners.answers_from
        near = sorted({link.other(node.name) for link in links if node.name in (link.a, link.b)})
        if name is not None and name not in near:
            raise ConfigError(
                f"{where}: router {node.name!r}: answers_from is {name!r}; accepted: a neighbour ({', '.join(near)})"
            )


def _check_link(where: str, known: Mapping[str, Node], link: Link) -> None:
    for end in (link.a, link.b):
        if end not in known:
            raise ConfigError(f"{where}: link {link.a}-{link.b}: no node {end!r}; declare it before its links")
    if link.a == link.b:
        raise ConfigError(f"{where}: link {link.a}-{link.b} joins a node with itself")
    if known[link.a].kind == known[link.b].kind == "host":
        raise ConfigError(f"{where}: link {link.a}-{link.b} joins two hosts; one end must be a router")


def reachable(starts: Iterable[str], nodes: Sequence[Node], links: Iterable[Link]) -> frozenset[str]:
    """Return the names that can be reached from any of ``starts``, these included; other hosts do not forward."""
    senders = {node.name for node in nodes if node.kind == "router"} | set(starts)
    ways: nx.DiGraph[str] = nx.DiGraph((a, b) for link in links for a, b in _both_ways(link) if a in senders)
    ways.add_edges_from((_OUTSIDE, start) for start in starts)
    return frozenset(nx.descendants(ways, _OUTSIDE))


def _both_ways(link: Link) -> tuple[tuple[str, str], tuple[str, str]]:
    return (link.a, link.b), (link.b, link.a)


def uplinks(where: str, nodes: Sequence[Node], links: Sequence[Link]) -> tuple[Uplink, ...]:
    """Return every site's uplinks.

    Raises:
        ConfigError: an uplink of a site without hosts, or a site that its uplinks do not separate from the rest.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        if node.kind == "host" and node.site is not None:
            members[node.site].append(node.name)
    result = []
    for site in dict.fromkeys(link.uplink_of for link in links if link.uplink_of is not None):
        own = [link for link in links if link.uplink_of == site]
        if not members[site]:
            raise ConfigError(f"{where}: link {own[0].name}: uplink_of is {site!r}, but no host has that site")
        result += _site_uplinks(where, site, own, members[site], nodes, links)
    return tuple(result)


def _site_uplinks(
    where: str, site: str, own: Sequence[Link], members: Sequence[str], nodes: Sequence[Node], links: Sequence[Link]
) -> list[Uplink]:
    rest = [link for link in links if link.uplink_of != site]
    inside = reachable(members, nodes, rest)
    strangers = sorted(n.name for n in nodes if n.name in inside and n.kind == "host" and n.site != site)
    if strangers:
        raise ConfigError(
            f"{where}: link {own[0].name}: uplink_of is {site!r}, but without it {strangers[0]!r} is still behind it"
        )
    for link in own:
        if (link.a in inside) == (link.b in inside):
            raise ConfigError(f"{where}: link {link.name}: uplink_of is {site!r}, but it does not leave the site")
    return [
        Uplink(site, link.name, link.b if link.b in inside else link.a, "ab" if link.b in inside else "ba")
        for link in own
    ]


def nats(where: str, nodes: Sequence[Node], links: Sequence[Link], sites: Sequence[Uplink]) -> tuple[Nat, ...]:
    """Return the routers that translate, with what is behind each.

    Args:
        where: what an error names first.
        nodes: of a checked graph.
        links: likewise.
        sites: its uplinks.

    Raises:
        ConfigError: a NAT router that no uplink enters, or that can be walked around.
    """
    result = []
    for node in nodes:
        if not node.nat:
            continue
        own = [uplink for uplink in sites if uplink.inside == node.name]
        if len(own) != 1:
            raise ConfigError(
                f"{where}: router {node.name!r}: nat with {len(own)} uplinks; accepted: one link with uplink_of,"
                " and the router at its inner end"
            )
        inside = reachable([node.name], nodes, [link for link in links if link.name != own[0].link])
        (uplink,) = (link for link in links if link.name == own[0].link)
        if uplink.other(node.name) in inside:
            raise ConfigError(f"{where}: router {node.name!r}: nat, but there is a way out beside link {uplink.name}")
        result.append(Nat(node.name, uplink.name, inside))
    return tuple(result)
