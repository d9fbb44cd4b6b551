"""Where the nodes of a network are drawn: a tidy tree from the source, left to right. Pure.

Owns: coordinates. Invariants: no two leaves share a row; clients stand in one column, so that their names line up; the
same network gives the same picture. A network that is no tree is drawn along its shortest hops, its other links across.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from overlaycast.lab.recording.recording import NetworkSeen

ROW: Final = 30.0
MARGIN: Final = 34.0
WIDTH: Final = 1000.0
NAMES: Final = 150.0
"""Room to the right of the last column, for the clients' names."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the drawing."""

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
    """All places of one network."""

    width: float
    height: float
    points: dict[str, Point]
    boxes: tuple[Box, ...]


def lay_out(network: NetworkSeen, root: str) -> Layout:
    """Return the places of all nodes, ``root`` at the left."""
    below, depth = _spanning_tree(network, root)
    rows: dict[str, float] = {}
    _rows(root, below, rows, [0])
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


def _spanning_tree(network: NetworkSeen, root: str) -> tuple[dict[str, list[str]], dict[str, int]]:
    neighbours: dict[str, list[str]] = defaultdict(list)
    for link in network.links:
        neighbours[link.a].append(link.b)
        neighbours[link.b].append(link.a)
    below: dict[str, list[str]] = defaultdict(list)
    depth, todo = {root: 0}, [root]
    while todo:
        here = todo.pop(0)
        for other in neighbours[here]:
            if other not in depth:
                depth[other] = depth[here] + 1
                below[here].append(other)
                todo.append(other)
    hosts = {node.name for node in network.nodes if node.kind == "host"}
    for children in below.values():  # hosts that stand by a router of the core come before the sites below it
        children.sort(key=lambda name: (name not in hosts, bool(below.get(name))))
    return below, depth


def _rows(root: str, below: dict[str, list[str]], rows: dict[str, float], used: list[int]) -> None:
    """Give each leaf the next row, and each other node the middle of its children; without recursion's depth limit."""
    order, todo = [], [root]
    while todo:
        here = todo.pop()
        order.append(here)
        todo += reversed(below.get(here, []))
    for name in order:
        if not below.get(name):
            rows[name] = float(used[0])
            used[0] += 1
    for name in reversed(order):
        children = below.get(name)
        if children:
            rows[name] = (rows[children[0]] + rows[children[-1]]) / 2


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
