"""Shortest paths between routers. Pure.

Owns: the next hop of every router towards every other. Invariants: least delay first, then fewest hops, then
a fixed choice by the links' names; the cost of a link is the same both ways (its round trip), so paths are
symmetric, as a traceroute from one end assumes; hosts never forward.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import networkx as nx

from overlaycast.lab.topology.graph import Link, Node

_HOP = 1 << 48
_DELAY_US = 1 << 64


def cost(link: Link) -> int:
    """Return the weight of a link; sums compare by delay, then hops, then names (the last by a checksum)."""
    delay_us = round((link.ab.delay_ms + link.ba.delay_ms) * 1000)
    return delay_us * _DELAY_US + _HOP + zlib.crc32(link.name.encode())


def next_links(nodes: Sequence[Node], links: Sequence[Link]) -> dict[str, dict[str, str]]:
    """Return ``{target router: {router: name of the link to take}}`` for every pair that is connected."""
    routers = sorted(node.name for node in nodes if node.kind == "router")
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(routers)
    for link in sorted(links, key=cost, reverse=True):  # of parallel links the cheapest stays
        if link.a in graph and link.b in graph:
            graph.add_edge(link.a, link.b, cost=cost(link), link=link.name)
    return {target: _towards(target, graph) for target in routers}


def _towards(target: str, graph: nx.Graph[str]) -> dict[str, str]:
    before, _ = nx.dijkstra_predecessor_and_distance(graph, target, weight="cost")
    return {router: graph.edges[router, nearer[0]]["link"] for router, nearer in before.items() if nearer}
