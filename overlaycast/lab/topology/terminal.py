"""A topology drawn at a terminal: the routers as a tree, links with their shapes, sites, roles. It only draws."""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.shape import Shape
from overlaycast.lab.topology.topology import Topology

_ROLE_STYLE = {"client": "green", "server": "bold red", "backup": "bold magenta", "coordinator": "bold blue"}


def describe(wish: Shape) -> str:
    """Return a shape in a few words: ``20 Mbit/s, 5 ms ± 1, 2 % lost``."""
    words = []
    if wish.rate_mbit is not None:
        words.append(f"{wish.rate_mbit:g} Mbit/s")
    if wish.delay_ms:
        words.append(f"{round(wish.delay_ms, 2):g} ms" + (f" ± {wish.jitter_ms:g}" if wish.jitter_ms else ""))
    if wish.loss:
        words.append(f"{wish.loss * 100:g} % lost")
    if wish.duplicate:
        words.append(f"{wish.duplicate * 100:g} % doubled")
    return ", ".join(words) or "unlimited"


def describe_link(link: Link) -> str:
    """Return both directions in a few words."""
    if link.ab == link.ba:
        return describe(link.ab)
    return f"{describe(link.ab)} there, {describe(link.ba)} back"


def network_tree(topology: Topology) -> Tree:
    """Return the network as a tree from the server's router; a link that closes a circle is named at both ends."""
    servers = topology.hosts("server")
    root = topology.links_of(servers[0].name)[0].other(servers[0].name) if servers else topology.nodes[0].name
    tree = Tree(_node_label(topology, topology.node(root), None), guide_style="dim")
    cables: nx.MultiGraph[str] = nx.MultiGraph()
    cables.add_node(root)  # it may have no links
    for link in topology.links:
        cables.add_edge(link.a, link.b, link.name)
    branches = {root: tree}
    # breadth first, so that a node is drawn where the path from the server reaches it first
    for here, there, name in nx.edge_bfs(cables, root):
        link = topology.link(name)
        if there in branches:
            branches[here].add(Text(f"↔ {there}  {describe_link(link)}", style="dim"))
        else:
            branches[there] = branches[here].add(_node_label(topology, topology.node(there), link))
    return tree


def _node_label(topology: Topology, node: Node, link: Link | None) -> Text:
    label = Text(node.name, style="bold" if node.kind == "router" else _ROLE_STYLE.get(node.role or "", ""))
    if node.nat:
        label.append(" NAT", style="bold yellow")
    for words in _manners(node):
        label.append(f" {words}", style="yellow")
    if node.kind == "host":
        label.append(f" {topology.address(node.name)}", style="dim")
        if node.role != "client":
            label.append(f" {node.role}", style=_ROLE_STYLE.get(node.role or "", ""))
    if link is not None:
        label.append(f"  {describe_link(link)}", style="cyan" if link.uplink_of else "dim")
        if link.uplink_of:
            label.append(f"  uplink of {link.uplink_of}", style="bold cyan")
    return label


def _manners(node: Node) -> list[str]:
    manners = node.manners
    asked = {
        "never answers": manners.anonymous,
        "hides": manners.hides_ttl,
        f"answers from its side of {manners.answers_from}": manners.answers_from is not None,
        "balances": manners.ecmp,
    }
    return [words for words, so in asked.items() if so]


def site_table(topology: Topology) -> Table:
    """Return the sites with their uplinks and hosts."""
    table = Table("site", "uplink", "rate and delay", "hosts", box=None, header_style="bold", pad_edge=False)
    for site in topology.sites:
        hosts = ", ".join(node.name for node in topology.hosts(site=site))
        links = [topology.link(uplink.link) for uplink in topology.uplinks_of(site)]
        names = "\n".join(link.name for link in links) or "-"
        table.add_row(site, names, "\n".join(map(describe_link, links)) or "-", hosts)
    return table


def drawing(topology: Topology) -> Group:
    """Return all that ``lab show TOPOLOGY`` prints."""
    hosts, routers, links = len(topology.hosts()), len(topology.routers), len(topology.links)
    head = Text(f"{topology.name}: {hosts} hosts, {routers} routers, {links} links\n", style="bold")
    parts: list[Text | Tree | Table] = [head, network_tree(topology)]
    if topology.sites:
        parts += [Text(""), site_table(topology)]
    if topology.notes:
        parts.append(Text(""))
    parts += [Text(f"map: {note}", style="dim") for note in topology.notes]
    return Group(*parts)


def show(topology: Topology, console: Console | None = None) -> None:
    """Print a topology."""
    (console or Console()).print(drawing(topology))


def listing(topologies: Iterable[Topology]) -> Table:
    """Return a line per topology, for ``lab list``."""
    table = Table(
        "topology", "hosts", "clients", "routers", "links", "sites", box=None, header_style="bold", pad_edge=False
    )
    for each in topologies:
        counts = (len(each.hosts()), len(each.hosts("client")), len(each.routers), len(each.links), len(each.sites))
        table.add_row(each.name, *map(str, counts))
    return table
