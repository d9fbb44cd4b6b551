"""How much a run asks of the wire, before it runs: whether one process can carry it at all. Pure.

Owns: the rule, and the line that says so. Refuses: to stop a run: the wire's own account decides afterwards whether it
was valid; this only saves waiting for a result that can be foreseen.

The rule: every direction of a link that the wire carries counts with what the stream puts on it at least. For the
overlay and for multicast that is one copy, on the way from the source to the receivers; for the star it is one copy per
receiver behind the link. No link counts with more than its rate. A stream without a rate (a file, as fast as it
goes) is as fast as the thinnest link on the way to a receiver; a link without a limit counts as ``UNLIMITED_MBIT``.
The sum is held against ``CEILING_MBIT``, which is what the wire was seen to hold (docs/benchmarks.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Final

from overlaycast.lab.experiment.experiment import Cast, Experiment, FileStream
from overlaycast.lab.experiment.system import System
from overlaycast.lab.faults.aim import Ground, Pair, changeable
from overlaycast.lab.topology.topology import Topology

CEILING_MBIT: Final = 700.0
"""Of full frames, in sum over all links and both directions."""
UNLIMITED_MBIT: Final = 1000.0
MOST_SHOWN: Final = 5


def wired(topology: Topology, changed: Collection[Pair]) -> frozenset[str]:
    """Return the links that the wire carries where the kernel has no netem."""
    pairs = {frozenset(pair) for pair in changed}
    return frozenset(
        link.name
        for link in topology.links
        if link.ab.impaired or link.ba.impaired or frozenset((link.a, link.b)) in pairs
    )


def foreseen_mbit(topology: Topology, experiment: Experiment, cast: Cast, system: System) -> float:
    """Return what a run asks of the wire at least, on a machine without netem, before its network is built."""
    faults = tuple(fault for _, fault in experiment.faults)
    changed = changeable(faults, Ground(topology, cast.members, cast.source))
    return asked_mbit(topology, experiment, cast, system, wired(topology, changed))


def asked_mbit(
    topology: Topology, experiment: Experiment, cast: Cast, system: System, carried: Collection[str]
) -> float:
    """Return what the stream puts on these links at least, in sum."""
    copies: dict[tuple[str, str], list[float]] = defaultdict(list)
    for peer in cast.peers:
        way = _way(topology, cast.source, peer)
        rate = _rate(experiment, [limit for *_, limit in way])
        for link, start, _ in way:
            copies[link, start].append(rate)
    total = 0.0
    for (link, start), rates in copies.items():
        if link in carried:
            limit = topology.link(link).egress(start).rate_mbit or UNLIMITED_MBIT
            total += min(limit, sum(rates) if system == "unicast" else max(rates))
    return total


def too_fast(topology: Topology, carried: Collection[str]) -> str:
    """Return the line that says which of these links ask for a rate that the wire never has; empty if none does."""
    fast = [
        f"{link.name} ({rate:g} Mbit/s)"
        for link in topology.links
        if link.name in carried and (rate := max(link.ab.rate_mbit or 0.0, link.ba.rate_mbit or 0.0)) > CEILING_MBIT
    ]
    if not fast:
        return ""
    shown = ", ".join(fast[:MOST_SHOWN]) + (f" and {len(fast) - MOST_SHOWN} more" if len(fast) > MOST_SHOWN else "")
    return (
        f"links with delay or loss that are faster than one process carries without netem, {CEILING_MBIT:.0f} Mbit/s:"
        f" {shown}; accepted: a lower rate, or no delay and no loss"
    )


def warning(mbit: float) -> str:
    """Return the line that says that this is too much; empty if it is not."""
    if mbit <= CEILING_MBIT:
        return ""
    return (
        f"the links with delay or loss would carry {mbit:.0f} Mbit/s in sum, and without netem one process carries"
        f" {CEILING_MBIT:.0f}: expect the verdict invalid; accepted: a lower rate, fewer receivers or fewer such links"
    )


def _way(topology: Topology, source: str, peer: str) -> list[tuple[str, str, float]]:
    """Return (link, the node that it is entered at, its limit in that direction) from source to peer."""
    here, found = source, []
    for name in topology.path(source, peer):
        link = topology.link(name)
        found.append((name, here, link.egress(here).rate_mbit or UNLIMITED_MBIT))
        here = link.other(here)
    return found


def _rate(experiment: Experiment, limits: list[float]) -> float:
    stream = experiment.stream
    own = stream.rate_mbit
    if isinstance(stream, FileStream) and own is None:
        return min(limits, default=UNLIMITED_MBIT)
    assert own is not None
    return own
