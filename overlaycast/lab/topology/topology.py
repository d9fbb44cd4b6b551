"""A checked network: nodes, links, sites, addresses and paths, ready to be built. Pure but for
``load_topology``.

Owns: ``Topology``, the one value that the builder, the drawing, the runner and the report share; and how a
file becomes one. Refuses: whatever ``graph.check`` refuses, with the file's name in front. ``RoutedTopo``,
the class that topology files derive from, lives in ``routedtopo.py``.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from overlaycast.errors import ConfigError
from overlaycast.lab.topology import graph, routing
from overlaycast.lab.topology.addressing import Addressing, Family, Interface, Lan, assign
from overlaycast.lab.topology.graph import Link, Nat, Node, Uplink

if TYPE_CHECKING:
    from overlaycast.lab.topology.routedtopo import RoutedTopo


FAMILIES: Final[dict[str, tuple[Family, ...]]] = {"4": (4,), "6": (6,), "both": (4, 6)}


@dataclass(frozen=True, slots=True)
class Topology:
    """A network that can be built. Make it with ``Topology.of``.

    Attributes:
        name: how people call it.
        nodes: hosts and routers, in order of declaration.
        links: in order of declaration.
        uplinks: which links are whose uplinks.
        nats: which routers translate, and what is behind them.
        lans: one per router with hosts.
        interfaces: two per link.
        families: the IP versions that are spoken; the first is the one that addresses are told in.
        notes: what was mended in the file it came from, each in a line.
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
    next_links: dict[str, dict[str, str]] = field(repr=False, compare=False)
    _nodes: dict[str, Node] = field(repr=False, compare=False)
    _links: dict[str, Link] = field(repr=False, compare=False)
    _ends: dict[tuple[str, str], Interface] = field(repr=False, compare=False)

    @classmethod
    def of(
        cls,
        name: str,
        nodes: Sequence[Node],
        links: Sequence[Link],
        place: str | None = None,
        *,
        ip: str = "4",
        notes: Sequence[str] = (),
    ) -> Topology:
        """Check a graph and give it addresses and routes.

        Args:
            name: how people call it.
            nodes: hosts and routers.
            links: named or not; names are given anew.
            place: what an error names first; ``name`` unless told.
            ip: "4", "6" or "both".
            notes: what a reader should know of where it came from.

        Raises:
            ConfigError: names the node or link, and what is accepted.
        """
        where = place or f"topology {name}"
        if ip not in FAMILIES:
            raise ConfigError(f"{where}: ip is {ip!r}; accepted: {', '.join(FAMILIES)}")
        cables = graph.named(links)
        graph.check(where, nodes, cables)
        addresses: Addressing = assign(where, nodes, cables)
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

    def address(self, node: str, family: Family | None = None) -> str:
        """Return the address that others call a node by.

        Args:
            node: a host: its first; a router: its LAN's, but a NAT router's outer one; without either, its first.
            family: the topology's first unless told.
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

    def node_of(self, address: str) -> str | None:
        """Return the node that has an address (any of its interfaces'), or None; for reading traces."""
        for family in self.families:
            for end in self.interfaces:
                spoken = end.spoken(family)
                if spoken is not None and spoken[0] == address:
                    return end.node
            for lan in self.lans:
                if lan.router_address(family)[0] == address:
                    return lan.router
        return None

    def behind(self, node: str) -> Nat | None:
        """Return the NAT that a node is behind, or None."""
        return next((nat for nat in self.nats if node in nat.inside and node != nat.router), None)

    def reaches(self, source: str, target: str) -> bool:
        """Return whether one node can call another: not from outside of a NAT to who is behind it."""
        nat = self.behind(target)
        return nat is None or source in nat.inside

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
        name: which of several; may be left out where there is one, or one that is called like the file. Parameters of
            the class may follow, as after ``mn --topo``: ``figure_2a,ip=both``. For a map: where hosts go, in the
            words of ``zoo.py``.

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
    from overlaycast.lab.topology.routedtopo import RoutedTopo

    try:
        topos = runpy.run_path(str(file)).get("topos")
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{file}: {type(error).__name__}: {error}") from error
    if not isinstance(topos, dict) or not topos:
        raise ConfigError(f"{file}: topos is missing; accepted: topos = {{'name': a class derived from RoutedTopo}}")
    wanted, *params = (name or "").split(",")
    chosen = wanted or (file.stem if file.stem in topos else next(iter(topos)) if len(topos) == 1 else None)
    if chosen not in topos:
        raise ConfigError(f"{file}: no topology {chosen!r}; accepted: {', '.join(map(str, topos))}")
    return _from_class(file, str(chosen), topos[chosen], _params(file, params), RoutedTopo)


def _params(file: Path, words: Sequence[str]) -> dict[str, int | float | str]:
    """Read what follows a topology's name, in the words of ``mn --topo``."""
    found: dict[str, int | float | str] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier():
            raise ConfigError(f"{file}: name: {word!r:.60} after the topology's; accepted: KEY=VALUE, such as ip=6")
        for read in (int, float, str):
            with suppress(ValueError):
                found[key] = read(text)
                break
    return found


def _from_class(
    file: Path, name: str, make: Any, params: dict[str, int | float | str], base: type[RoutedTopo]
) -> Topology:
    try:
        made = make(**params)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    except Exception as error:
        raise ConfigError(f"{file}: topos[{name!r}]: {type(error).__name__}: {error}") from error
    if not isinstance(made, base):
        raise ConfigError(f"{file}: topos[{name!r}] made a {type(made).__name__}; accepted: a RoutedTopo")
    return made.topology(name)


def _load_map(file: Path, name: str | None) -> Topology:
    from overlaycast.lab.topology.zoo import load_zoo

    return load_zoo(file, name)


LOADERS[".py"] = _load_python
LOADERS[".graphml"] = _load_map
