"""The network under the members: nodes, links, and the paths that packets take. Pure.

Owns: ``Net`` (what there is) and ``Routes`` (shortest paths by delay, computed once per place that is asked for).
Refuses: nothing; the maker of a ``Net`` has checked it.

Invariants: same net, same paths (ties go to fewer hops, then to the smaller node number); every node is reached from
every other.

networkx's Dijkstra is not used: it knows no ties by hops and number, and took 1.8 times as long on 754 nodes.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

Hop = tuple[int, int]
"""A link in one direction: from node, to node."""


@dataclass(frozen=True, slots=True)
class Line:
    """One direction of a link: delay in ms, rate in Mbit/s (None: unlimited)."""

    delay_ms: float
    rate_mbit: float | None = None


@dataclass(frozen=True, slots=True)
class Net:
    """Nodes 0..n-1 and what joins them.

    Attributes:
        names: one per node.
        routers: whether a node is a router; the others are LAN switches, which no trace shows.
        lines: both directions of every link.
    """

    names: tuple[str, ...]
    routers: tuple[bool, ...]
    lines: dict[Hop, Line]

    def between_routers(self, hop: Hop) -> bool:
        """Return whether a link joins two routers."""
        return self.routers[hop[0]] and self.routers[hop[1]]


@dataclass(frozen=True, slots=True)
class _Tree:
    """All shortest paths from one node: delay to each node, the node before it, and all nodes, nearer ones first."""

    delay: list[float]
    before: list[int]
    order: list[int]


class Routes:
    """Shortest paths over a net."""

    def __init__(self, net: Net) -> None:
        self._adjacent: list[list[tuple[int, float]]] = [[] for _ in net.names]
        for (a, b), line in sorted(net.lines.items()):
            self._adjacent[a].append((b, line.delay_ms))
        self._trees: dict[int, _Tree] = {}

    def delay_ms(self, a: int, b: int) -> float:
        """Return the delay of the path from node a to node b, one way."""
        return self._tree(a).delay[b]

    def delays_ms(self, a: int) -> list[float]:
        """Return the delay from node a to every node."""
        return self._tree(a).delay

    def links(self, a: int) -> list[int]:
        """Return how many links are on the path from node a to every node."""
        tree = self._tree(a)
        found = [0] * len(tree.before)
        for node in tree.order[1:]:
            found[node] = found[tree.before[node]] + 1
        return found

    def nodes(self, a: int, b: int) -> list[int]:
        """Return the nodes on the path, both ends included."""
        before = self._tree(a).before
        path = [b]
        while path[-1] != a:
            path.append(before[path[-1]])
        path.reverse()
        return path

    def hops(self, a: int, b: int) -> Iterator[Hop]:
        """Yield the links of the path from node a to node b, the last one first."""
        before = self._tree(a).before
        while b != a:
            yield before[b], b
            b = before[b]

    def _tree(self, root: int) -> _Tree:
        if root not in self._trees:
            self._trees[root] = self._grow(root)
        return self._trees[root]

    def _grow(self, root: int) -> _Tree:
        size = len(self._adjacent)
        delay, before, done = [0.0] * size, [-1] * size, [False] * size
        order: list[int] = []
        heap: list[tuple[float, int, int, int]] = [(0.0, 0, root, root)]
        while heap:
            cost, count, node, came_from = heapq.heappop(heap)
            if done[node]:
                continue
            done[node], delay[node], before[node] = True, cost, came_from
            order.append(node)
            for other, extra in self._adjacent[node]:
                if not done[other]:
                    heapq.heappush(heap, (cost + extra, count + 1, other, node))
        return _Tree(delay, before, order)
