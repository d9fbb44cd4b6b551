"""The trees that others would build on the same draw: unicast star, random, and by round-trip time alone. Pure.

Owns: three ways to choose parents. Each returns each host's parent (None for the source and for backup servers,
which only the overlay uses). The star knows no limits; the others keep the same degrees and depth as the overlay.
Refuses: a group that does not fit into its limits, by ``ConfigError``.

The round-trip tree is the greedy one that measures everything: members come in order of their delay from the source,
and each takes the nearest member that has room (ties: the first to come). It is given exact delays between all
pairs, which no real system has; it is a strong opponent, not a straw man.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from overlaycast.errors import ConfigError
from overlaycast.lab.simulate.draw import Draw

Parents = list[int | None]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many children a host may have (the source, any other), and how many hops may lead to a member."""

    source: int
    member: int
    depth: int


def unicast(draw: Draw) -> Parents:
    """Every member attaches to the source."""
    return [None if host == 0 or host in draw.backups else 0 for host in range(len(draw.places))]


def at_random(draw: Draw, limits: Limits, seed: int) -> Parents:
    """In random order, each member takes any earlier one that has room, all with the same probability.

    Raises:
        ConfigError: no free place is left.
    """
    rng = random.Random(f"random tree {seed}")
    order = [member for member in draw.members if member not in draw.backups]
    rng.shuffle(order)
    places = _Places(draw, limits)
    candidates = [0]
    for member in order:
        if not candidates:
            raise _too_many(limits)
        index = rng.randrange(len(candidates))
        parent = candidates[index]
        places.take(parent, member)
        if places.left[parent] == 0:
            candidates[index] = candidates[-1]
            candidates.pop()
        if places.left[member]:
            candidates.append(member)
    return places.parents


def by_round_trip(draw: Draw, limits: Limits) -> Parents:
    """In order of delay from the source, each member takes the nearest one that has room.

    Raises:
        ConfigError: no free place is left.
    """
    members = (member for member in draw.members if member not in draw.backups)
    places = _Places(draw, limits)
    waiting: dict[int, deque[int]] = {draw.places[0]: deque([0])}  # node -> hosts there with a place, first come first
    near: dict[int, list[int]] = {}
    nodes = sorted(set(draw.places))
    for member in sorted(members, key=lambda m: (draw.delay_ms(0, m), m)):
        here = draw.places[member]
        if here not in near:
            delays = draw.routes.delays_ms(here)
            near[here] = sorted(nodes, key=lambda node, delays=delays: (delays[node], node))  # type: ignore[misc]
        node = next((node for node in near[here] if waiting.get(node)), None)
        if node is None:
            raise _too_many(limits)
        parent = waiting[node][0]
        places.take(parent, member)
        if places.left[parent] == 0:
            waiting[node].popleft()
        if places.left[member]:
            waiting.setdefault(here, deque()).append(member)
    return places.parents


class _Places:
    """The tree so far, and how many children each host may still take."""

    def __init__(self, draw: Draw, limits: Limits) -> None:
        self.parents: Parents = [None] * len(draw.places)
        self.left = {0: limits.source if limits.depth else 0}
        self._depth = {0: 0}
        self._limits = limits

    def take(self, parent: int, child: int) -> None:
        self.parents[child] = parent
        self.left[parent] -= 1
        self._depth[child] = self._depth[parent] + 1
        self.left[child] = self._limits.member if self._depth[child] < self._limits.depth else 0


def _too_many(limits: Limits) -> ConfigError:
    return ConfigError(
        f"out-degree: members do not fit; accepted is more than {limits.member} (source {limits.source})"
        f" or a deeper limit than {limits.depth}"
    )
