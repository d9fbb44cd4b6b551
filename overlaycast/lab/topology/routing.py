"""Shortest paths between routers. Pure.

Owns: the next hop of every router towards every other. Invariants: least delay first, then fewest hops, then
a fixed choice by the links' names; the cost of a link is the same both ways (its round trip), so paths are
symmetric, as a traceroute from one end assumes; hosts never carry what is not theirs.
"""

from __future__ import annotations

import heapq
import zlib
from collections import defaultdict
from collections.abc import Sequence

from overlaycast.lab.topology.graph import Link, Node

_HOP = 1 << 48
_DELAY_US = 1 << 64
Adjacency = dict[str, list[tuple[str, int, str]]]


def cost(link: Link) -> int:
    """Return the weight of a link; sums compare by delay, then hops, then names (the last by a checksum)."""
    delay_us = round((link.ab.delay_ms + link.ba.delay_ms) * 1000)
    return delay_us * _DELAY_US + _HOP + zlib.crc32(link.name.encode())


def next_links(nodes: Sequence[Node], links: Sequence[Link]) -> dict[str, dict[str, str]]:
    """Return ``{target router: {router: name of the link to take}}`` for every pair that is connected."""
    routers = {node.name for node in nodes if node.kind == "router"}
    adjacent: Adjacency = defaultdict(list)
    for link in links:
        if link.a in routers and link.b in routers:
            adjacent[link.a].append((link.b, cost(link), link.name))
            adjacent[link.b].append((link.a, cost(link), link.name))
    return {target: _towards(target, adjacent) for target in sorted(routers)}


def _towards(target: str, adjacent: Adjacency) -> dict[str, str]:
    best: dict[str, int] = {target: 0}
    link_from: dict[str, str] = {}
    heap: list[tuple[int, str]] = [(0, target)]
    while heap:
        so_far, here = heapq.heappop(heap)
        if so_far > best[here]:
            continue
        for there, weight, name in adjacent[here]:
            total = so_far + weight
            if there not in best or total < best[there]:
                best[there] = total
                link_from[there] = name
                heapq.heappush(heap, (total, there))
    return link_from
