"""What many traced paths together say of the routers between: for each router, which one is above it. Pure.

Owns: the inference. Refuses: members, prefixes, and what silence at the end of a path means (``locality``).

A router that is silent in one path often answers in another: hops before the same router at the same distance are the
same as long as all paths that name them agree (Doubletree's prefixes, Donnet et al., SIGMETRICS 2005). So is the first
hop, for all paths begin at one host, whose gateway is silent when it has to answer for many at once. Hops that stay
silent are one hop where both neighbours are the same (Gunes and Sarac, "Resolving anonymous routers in Internet
topology measurement studies", INFOCOM 2008). Load-balanced paths contradict one another: there the shortest known gap
decides, then the number of members, then the name.

Invariant: the result depends on which paths there are and how many members each has, not on their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

Hops = tuple[str | None, ...]
"""The routers of a path, the first one first; None: one that did not answer."""

ROOT: Final = ""
"""Stands for the place from which paths were traced."""


@dataclass(frozen=True, slots=True)
class Above:
    """What is above a router: the next one that is known, and how many silent ones are between."""

    router: str
    silent: int = 0


Skeleton = dict[str, Above]
"""What is above each router that any path names."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """What is above each router; ``contested``: paths contradict one another, so that one more may change it."""

    above: Skeleton
    contested: bool


def usable(hops: Hops) -> Hops:
    """Return a path without what cannot be: a router that comes twice is believed where it comes first."""
    if len(set(hops)) == len(hops):
        return hops
    seen: set[str] = set()
    kept: list[str | None] = []
    for hop in hops:
        kept.append(None if hop in seen else hop)
        if hop is not None:
            seen.add(hop)
    return tuple(kept)


def infer(paths: Mapping[Hops, int]) -> Inferred:
    """Return what is above each router.

    Args:
        paths: how many members have each path; all are ``usable``.
    """
    votes: dict[str, Counter[Above]] = {}
    distances: dict[str, Counter[int]] = {}
    for hops, members in _filled(paths).items():
        above, silent = ROOT, 0
        for distance, hop in enumerate(hops):
            if hop is None:
                silent += 1
                continue
            votes.setdefault(hop, Counter())[Above(above, silent)] += members
            distances.setdefault(hop, Counter())[distance] += members
            above, silent = hop, 0
    places = {router: min(seen, key=lambda one: (-seen[one], one)) for router, seen in distances.items()}
    contested = any(len(heard) > 1 for heard in votes.values()) or any(len(seen) > 1 for seen in distances.values())
    return Inferred({router: _elected(router, heard, places) for router, heard in votes.items()}, contested)


def _elected(router: str, heard: Counter[Above], distance: Mapping[str, int]) -> Above:
    """Return the best supported of those that are nearer to the root than the router is, so that no circle arises."""
    own = distance[router]
    able = [one for one in heard if one.router == ROOT or distance[one.router] < own]
    return min(able, key=lambda one: (one.silent, -heard[one], one.router), default=Above(ROOT, own))


def through(gateway: str | None, hops: Hops) -> Hops:
    """Return a path whose silent first hop is the gateway that all paths leave by, if there is one."""
    if gateway is None or not hops or hops[0] is not None or gateway in hops:
        return hops
    return (gateway, *hops[1:])


def _filled(paths: Mapping[Hops, int]) -> Counter[Hops]:
    """Return the paths with the silent hops named that other paths name, as far as all of them agree."""
    first = {hops[0] for hops in paths if hops and hops[0] is not None}
    gateway = next(iter(first)) if len(first) == 1 else None
    present: Counter[Hops] = Counter()
    for hops, members in paths.items():
        present[through(gateway, hops)] += members
    while True:
        agreed = _agreed(present)
        after: Counter[Hops] = Counter()
        for hops, members in present.items():
            after[_fill(hops, agreed)] += members
        if after == present:
            return present
        present = after


def _agreed(paths: Iterable[Hops]) -> dict[tuple[int, str], list[str | None]]:
    """Return for each router at a distance which routers are before it, None where that is unknown or in dispute."""
    disputed: set[tuple[int, str, int]] = set()
    agreed: dict[tuple[int, str], list[str | None]] = {}
    for hops in paths:
        for distance, router in enumerate(hops):
            if router is None:
                continue
            before = agreed.setdefault((distance, router), [None] * distance)
            for index in range(distance):
                hop = hops[index]
                if hop is None or hop == before[index]:
                    continue
                if before[index] is not None:
                    disputed.add((distance, router, index))
                before[index] = hop
    for distance, router, index in disputed:
        agreed[distance, router][index] = None
    return agreed


def _fill(hops: Hops, agreed: Mapping[tuple[int, str], list[str | None]]) -> Hops:
    """Return a path with what is agreed on before the last router that it names."""
    if None not in hops:
        return hops
    filled = list(hops)
    for distance in range(len(hops) - 1, -1, -1):
        router = filled[distance]
        if router is None:
            continue
        for index, hop in enumerate(agreed.get((distance, router), ())):
            if filled[index] is None and hop is not None and hop not in filled:
                filled[index] = hop
    return tuple(filled)
