"""Which peers join and leave during a run, and when; drawn from the seed. Pure.

Owns: the draw. Invariants: the same arrival, peers and seed give the same plan; no peer joins twice without leaving in
between; with churn, at least one peer joins at the beginning and stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import ceil
from random import Random
from typing import Final, Literal

from overlaycast.lab.experiment.experiment import Arrival

QUIET_S: Final = 3.0
"""No peer joins or leaves in the last seconds of a stream: the effect could not be seen."""

Going = Literal["come", "leave", "kill"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A peer joins or leaves, ``at_s`` seconds after the source began."""

    at_s: float
    host: str
    what: Going


@dataclass(frozen=True, slots=True)
class Arrivals:
    """``first``: the peers that join before the stream begins, in order; ``later``: all changes after that, by time."""

    first: tuple[str, ...]
    later: tuple[Passage, ...] = ()


def plan(arrival: Arrival, peers: Sequence[str], seed: int, stream_s: float | None) -> Arrivals:
    """Return which peers join and leave, and when.

    Args:
        arrival: as the experiment says.
        peers: all that may join.
        seed: of the draw.
        stream_s: how long the stream lasts; churn needs it to be known, otherwise no peer joins or leaves.
    """
    draw = Random(f"arrivals {seed}")
    if arrival.kind == "at-once":
        return Arrivals(tuple(peers))
    order = list(peers)
    draw.shuffle(order)
    if arrival.kind == "spread":
        pause = arrival.over_s / max(1, len(order) - 1)
        later = (Passage(round(pause * number, 3), host, "come") for number, host in enumerate(order[1:], 1))
        return Arrivals(tuple(order[:1]), tuple(later))
    count = min(len(order), max(1, ceil(arrival.initial * len(order))))
    return Arrivals(tuple(order[:count]), _churn(arrival, order, count, draw, (stream_s or 0.0) - QUIET_S))


def _churn(arrival: Arrival, order: list[str], count: int, draw: Random, until_s: float) -> tuple[Passage, ...]:
    found: list[Passage] = []
    leaving: list[tuple[float, str]] = []
    away = order[count:]
    for host in order[1:count]:  # the first stays, so that one peer sees all of it
        heappush(leaving, (draw.expovariate(1 / arrival.lifetime_s), host))
    comes_s = draw.expovariate(arrival.per_minute / 60)
    while min(comes_s, leaving[0][0] if leaving else comes_s) < until_s:
        if leaving and leaving[0][0] <= comes_s:
            at_s, host = heappop(leaving)
            way: Going = "kill" if draw.random() < arrival.kill_share else "leave"
            found.append(Passage(round(at_s, 3), host, way))
            away.append(host)
            continue
        if away:
            host = away.pop(draw.randrange(len(away)))
            found.append(Passage(round(comes_s, 3), host, "come"))
            heappush(leaving, (comes_s + draw.expovariate(1 / arrival.lifetime_s), host))
        comes_s += draw.expovariate(arrival.per_minute / 60)
    return tuple(found)
