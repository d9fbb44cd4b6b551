"""A checked network: nodes, links, sites, addresses and paths, ready to be built. Pure but for
``load_topology``.

Owns: ``Topology``, the one value that the builder, the drawing, the runner and the report share; and how a
file becomes one. Refuses: whatever ``graph.check`` refuses, with the file's name in front. ``RoutedTopo``,
the class that topology files derive from, lives in ``routedtopo.py``.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from overlaycast.errors import ConfigError
from overlaycast.lab import graph, routing
from overlaycast.lab.addressing import Addressing, Interface, Lan, assign
from overlaycast.lab.graph import Link, Node, Uplink

if TYPE_CHECKING:
    from overlaycast.lab.routedtopo import RoutedTopo


@dataclass(frozen=True, slots=True)
class Topology:
    """A network that can be built. Make it with ``Topology.of``.

    Attributes:
        name: how people call it.
        nodes: hosts and routers, in order of declaration.
        links: in order of declaration.
        uplinks: which links are whose uplinks.
        lans: one per router with hosts.
        interfaces: two per link.
    """

    name: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    uplinks: tuple[Uplink, ...]
    lans: tuple[Lan, ...]
    interfaces: tuple[Interface, ...]
    next_links: dict[str, dict[str, str]] = field(repr=False, compare=False)
    _nodes: dict[str, Node] = field(repr=False, compare=False)
    _links: dict[str, Link] = field(repr=False, compare=False)
    _ends: dict[tuple[str, str], Interface] = field(repr=False, compare=False)

    @classmethod
    def of(cls, name: str, nodes: Sequence[Node], links: Sequence[Link], place: str | None = None) -> Topology:
        """Check a graph and give it addresses and routes.

        Args:
            name: how people call it.
            nodes: hosts and routers.
            links: named or not; names are given anew.
            place: what an error names first; ``name`` unless told.

        Raises:
            ConfigError: names the node or link, and what is accepted.
        """
        where = place or f"topology {name}"
        cables = graph.named(links)
        graph.check(where, nodes, cables)
        addresses: Addressing = assign(where, nodes, cables)
        return cls(
            name=name,
            nodes=tuple(nodes),
            links=cables,
            uplinks=graph.uplinks(where, nodes, cables),
            lans=addresses.lans,
            interfaces=addresses.interfaces,
            next_links=routing.next_links(nodes, cables),
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

    def address(self, node: str) -> str:
        """Return the address that others call a node by: a host's first, a router's LAN or else its first."""
        for lan in self.lans:
            if lan.router == node:
                return lan.gateway
        for end in self.interfaces:
            if end.node == node and end.address is not None:
                return end.address
        raise ConfigError(f"topology {self.name}: node {node!r} has no links, hence no address")

    def node_of(self, address: str) -> str | None:
        """Return the node that has an address (any of its interfaces'), or None; for reading traces."""
        for end in self.interfaces:
            if end.address == address:
                return end.node
        for lan in self.lans:
            if lan.gateway == address:
                return lan.router
        return None

    def path(self, source: str, target: str) -> tuple[str, ...]:
        """Return the links a packet crosses from one node to another, in order; empty for the node itself."""
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


LOADERS: Final[dict[str, Callable[[Path, str | None], Topology]]] = {}
"""Suffix of a file's name -> how it becomes a topology. ``.py`` is below; further formats add themselves here."""


def load_topology(path: str | Path, name: str | None = None) -> Topology:
    """Return the topology in a file.

    Args:
        path: a ``.py`` in Mininet's custom format (``topos = {name: class}``), its class derived from ``RoutedTopo``;
            or a ``.graphml`` map.
        name: which of several; may be left out where there is one, or one that is called like the file. For a map:
            where hosts go, in the words of ``zoo.py``.

    Raises:
        ConfigError: no such file, not of a known kind, or not a network that can be built.
    """
    file = Path(path)
    if file.suffix not in LOADERS:
        raise ConfigError(f"{file}: cannot be read as a topology; accepted: files ending in {', '.join(LOADERS)}")
    if not file.is_file():
        raise ConfigError(f"{file}: no such file")
    return LOADERS[file.suffix](file, name)


def _load_python(file: Path, name: str | None) -> Topology:
    from overlaycast.lab.routedtopo import RoutedTopo

    try:
        topos = runpy.run_path(str(file)).get("topos")
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{file}: {type(error).__name__}: {error}") from error
    if not isinstance(topos, dict) or not topos:
        raise ConfigError(f"{file}: topos is missing; accepted: topos = {{'name': a class derived from RoutedTopo}}")
    chosen = name or (file.stem if file.stem in topos else next(iter(topos)) if len(topos) == 1 else None)
    if chosen not in topos:
        raise ConfigError(f"{file}: no topology {chosen!r}; accepted: {', '.join(map(str, topos))}")
    return _from_class(file, str(chosen), topos[chosen], RoutedTopo)


def _from_class(file: Path, name: str, make: Any, base: type[RoutedTopo]) -> Topology:
    try:
        made = make()
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    except Exception as error:
        raise ConfigError(f"{file}: topos[{name!r}]: {type(error).__name__}: {error}") from error
    if not isinstance(made, base):
        raise ConfigError(f"{file}: topos[{name!r}] made a {type(made).__name__}; accepted: a RoutedTopo")
    return made.topology(name)


def _load_map(file: Path, name: str | None) -> Topology:
    from overlaycast.lab.zoo import load_zoo

    return load_zoo(file, name)


LOADERS[".py"] = _load_python
LOADERS[".graphml"] = _load_map
