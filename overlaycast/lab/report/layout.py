"""Where the nodes of a network are drawn: a tidy tree from the source, left to right. Pure.

Owns: coordinates. Invariants: no two leaves share a row; clients stand in one column, so that their names line up; the
same network gives the same picture. A network that is no tree is drawn along its shortest hops, its other links across.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from typing import Final

import networkx as nx

from overlaycast.lab.recording.recording import NetworkSeen

ROW: Final = 30.0
MARGIN: Final = 34.0
WIDTH: Final = 1000.0
NAMES: Final = 150.0
"""Room to the right of the last column, for the clients' names."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point in the drawing."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Box:
    """What surrounds a site."""

    site: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The points of all nodes of one network."""

    width: float
    height: float
    points: dict[str, Point]
    boxes: tuple[Box, ...]


def lay_out(network: NetworkSeen, root: str) -> Layout:
    """Return the points of all nodes, ``root`` at the left."""
    tree = _spanning_tree(network, root)
    depth = nx.shortest_path_length(tree, root)
    rows = _rows(tree, root)
    clients = {node.name for node in network.nodes if node.kind == "host" and node.site}
    columns = max(depth.values(), default=1) or 1
    step = (WIDTH - 2 * MARGIN - NAMES) / columns
    points = {
        name: Point(
            MARGIN + step * (columns if name in clients else depth[name]),
            MARGIN + ROW * rows[name],
        )
        for name in rows
    }
    height = 2 * MARGIN + ROW * max(rows.values(), default=0)
    return Layout(WIDTH, height, points, _boxes(network, points))


def _spanning_tree(network: NetworkSeen, root: str) -> nx.DiGraph[str]:
    """Return the shortest paths from the root, children in the order in which they are drawn."""
    cables: nx.Graph[str] = nx.Graph()
    cables.add_node(root)  # it may have no links
    cables.add_edges_from((link.a, link.b) for link in network.links)
    below = dict(nx.bfs_successors(cables, root))
    hosts = {node.name for node in network.nodes if node.kind == "host"}
    tree: nx.DiGraph[str] = nx.DiGraph()
    tree.add_node(root)
    for node, children in below.items():  # hosts that stand by a router of the core come before the sites below it
        ordered = sorted(children, key=lambda name: (name not in hosts, name in below))
        tree.add_edges_from((node, child) for child in ordered)
    return tree


def _rows(tree: nx.DiGraph[str], root: str) -> dict[str, float]:
    """Return the row of each node: each leaf has the next one, each other node the middle of its children."""
    rows: dict[str, float] = {}
    leaves = count()
    for node in nx.dfs_postorder_nodes(tree, root):
        children = list(tree[node])
        rows[node] = (rows[children[0]] + rows[children[-1]]) / 2 if children else float(next(leaves))
    return rows


def _boxes(network: NetworkSeen, points: dict[str, Point]) -> tuple[Box, ...]:
    """A site is its hosts and the routers that only lead to them."""
    inside: dict[str, set[str]] = defaultdict(set)
    for node in network.nodes:
        if node.site and node.name in points:
            inside[node.site].add(node.name)
    for link in network.links:
        if link.site and link.into_site in ("ab", "ba"):
            top = link.b if link.into_site == "ab" else link.a
            inside[link.site] |= {top} if top in points else set()
    boxes = []
    for site, names in inside.items():
        xs, ys = [points[name].x for name in names], [points[name].y for name in names]
        left, upper = min(xs) - 24, min(ys) - ROW / 2 + 1
        boxes.append(Box(site, left, upper, WIDTH - MARGIN / 2 - left, max(ys) - upper + ROW / 2 - 1))
    return tuple(boxes)
