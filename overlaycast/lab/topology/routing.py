"""Shortest paths between routers. Pure.

Owns: the next hop of every router towards every other. Invariants: least cost first, then fewest hops, then
a fixed choice by the links' names; a link costs its round trip in both directions, so paths are symmetric unless the
topology gives a direction a cost of its own; hosts never forward.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import cast

import networkx as nx

from overlaycast.lab.topology.graph import Link, Node

_HOP = 1 << 48
_DELAY_US = 1 << 64


def cost(link: Link, sender: str) -> int:
    """Return the weight of a link when ``sender`` sends; sums compare by cost, hops, then names (by a checksum)."""
    return round(link.cost(sender) * 1000) * _DELAY_US + _HOP + zlib.crc32(link.name.encode())


def next_links(nodes: Sequence[Node], links: Sequence[Link]) -> dict[str, dict[str, str]]:
    """Return ``{target router: {router: name of the link to take}}`` for every pair that is connected."""
    ways = _ways(nodes, links)
    return {target: _towards(target, ways) for target in sorted(ways)}


def equal_links(nodes: Sequence[Node], links: Sequence[Link]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return ``{target router: {router: links}}``: of routers that balance, all links of ways of equal cost."""
    balancing = [node.name for node in nodes if node.manners.ecmp]
    if not balancing:
        return {}
    ways = _ways(nodes, links)
    cables = {name: [link for link in links if name in (link.a, link.b)] for name in balancing}
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for target in sorted(ways):
        far = cast(dict[str, int], nx.single_source_dijkstra_path_length(ways, target, weight="cost"))
        for name in balancing:
            equal = tuple(
                link.name
                for link in cables[name]
                if (end := link.other(name)) in far and name in far and _same(far[end] + cost(link, name), far[name])
            )
            if len(equal) > 1:
                found.setdefault(target, {})[name] = equal
    return found


def _same(one: int, other: int) -> bool:
    return one // _HOP == other // _HOP  # the names make no difference


def _ways(nodes: Sequence[Node], links: Sequence[Link]) -> nx.DiGraph[str]:
    """Return the routers with an edge from b to a, at its cost, for each link from a to b: ways lead from targets."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(sorted(node.name for node in nodes if node.kind == "router"))
    directed = [(cost(link, here), here, link) for link in links for here in (link.a, link.b)]
    for weight, here, link in sorted(directed, key=lambda one: one[0], reverse=True):
        there = link.other(here)
        if here in graph and there in graph:  # of parallel links the cheapest stays
            graph.add_edge(there, here, cost=weight, link=link.name)
    return graph


def _towards(target: str, ways: nx.DiGraph[str]) -> dict[str, str]:
    before, _ = nx.dijkstra_predecessor_and_distance(ways, target, weight="cost")
    return {router: ways.edges[nearer[0], router]["link"] for router, nearer in before.items() if nearer}
