"""The best tree that somebody with the full map could draw, by trying them all: up to eight members.

Owns: the search. Order: copies over site uplinks first, then mean delay from the source, under degree and depth limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Map:
    """A small network: host 0 is the source; sites by number; one-way delays in ms between any two."""

    sites: Sequence[int]
    delay: Sequence[Sequence[float]]
    degree: Sequence[int]
    depth: int

    @property
    def hosts(self) -> range:
        return range(1, len(self.sites))


def cost(network: Map, parent: Sequence[int]) -> tuple[int, float]:
    """Return copies that enter sites, and mean delay, of a tree given as each host's parent (host 0's is ignored)."""
    copies = sum(network.sites[parent[h]] != network.sites[h] for h in network.hosts)
    total = 0.0
    for host in network.hosts:
        one = host
        while one:
            total += network.delay[parent[one]][one]
            one = parent[one]
    return copies, total / len(network.hosts)


def best(network: Map) -> tuple[int, float]:
    """Return the least copies that any tree needs, and the least mean delay among those trees.

    Hosts are attached one after another, in every order that matters: each tree is reached by attaching hosts in order
    of (depth, number), so a host only ever chooses among those attached before it.
    """
    size = len(network.sites)
    found: list[tuple[int, float]] = [(size + 1, float("inf"))]
    nearest = [min(network.delay[other][host] for other in range(size) if other != host) for host in range(size)]
    depth = [0] * size
    reach = [0.0] * size
    used = [0] * size

    def attach(left: frozenset[int], copies: int, total: float, last: tuple[int, int]) -> None:
        bound = (copies, (total + sum(min(network.delay[0][h], nearest[h]) for h in left)) / (size - 1))
        if bound >= found[0]:
            return
        if not left:
            found[0] = (copies, total / (size - 1))
            return
        for host in left:
            for parent in range(size):
                if parent == host or parent in left or used[parent] >= network.degree[parent]:
                    continue
                here = (depth[parent] + 1, host)
                if here[0] > network.depth or here < last:
                    continue
                depth[host], reach[host] = here[0], reach[parent] + network.delay[parent][host]
                used[parent] += 1
                more = network.sites[parent] != network.sites[host]
                attach(left - {host}, copies + more, total + reach[host], here)
                used[parent] -= 1

    attach(frozenset(network.hosts), 0, 0.0, (0, 0))
    return found[0]
