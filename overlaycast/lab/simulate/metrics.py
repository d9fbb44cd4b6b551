"""What a tree costs and how it serves: copies per link and per site, stretch, depth, planned rates. Pure.

Owns: the definitions below, one for all systems. Refuses: a tree with a cycle, or a member without a path to the
source: those are defects of the tree's maker, and raise ``ValueError``.

Definitions. *Stress* of a link between routers: how many copies of each record it carries, both directions together,
over the links that carry any; ``stress_directed`` counts each direction by itself. *Inbound per site*: how many
copies enter a site, over all sites but the source's own. *Stretch* of a member: its delay from the source along the
tree over that of the unicast path. *Depth*: hops from the source to the furthest member. *Cost*: the sum of copies
over all links. *Planned rate*: what the slowest member gets if the copies that share a direction of a link share its
rate evenly.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from overlaycast.lab.simulate.draw import Draw
from overlaycast.lab.simulate.routes import Hop


@dataclass(frozen=True, slots=True)
class Metrics:
    """One system on one draw. Delays in ms; The last two are None where no link has a rate."""

    stress_mean: float
    stress_max: int
    stress_directed_mean: float
    stress_directed_max: int
    cost: int
    cost_ratio: float
    inbound_per_site_mean: float
    inbound_per_site_max: int
    outbound_per_site_max: int
    stretch_mean: float
    stretch_median: float
    stretch_p95: float
    delay_median_ms: float
    delay_max_ms: float
    depth: int
    out_degree_max: int
    source_out_degree: int
    planned_rate_mbit: float | None
    load_max: float | None

    def document(self) -> dict[str, float | int | None]:
        """Return it for JSON, rounded to what a reader can use."""
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}


def of_tree(draw: Draw, parent: Sequence[int | None], multicast_cost: int, rate_mbit: float) -> Metrics:
    """Measure a tree of unicast connections.

    Args:
        draw: the network and its hosts.
        parent: each host's parent; None for the source and for hosts that take no part.
        multicast_cost: the cost of IP multicast's tree on the same draw, for the ratio.
        rate_mbit: the stream's rate, for the load.

    Raises:
        ValueError: a cycle, or a member whose chain of parents does not end at the source.
    """
    order = _top_down(parent)
    edges = Counter((draw.places[p], draw.places[c]) for c in order if (p := parent[c]) is not None)
    load: Counter[Hop] = Counter()
    for (a, b), count in edges.items():
        for hop in draw.routes.hops(a, b):
            load[hop] += count
    delay, depth = [0.0] * len(parent), [0] * len(parent)
    for child in order:
        above = parent[child]
        assert above is not None
        delay[child] = delay[above] + draw.delay_ms(above, child)
        depth[child] = depth[above] + 1
    degrees = Counter(parent[child] for child in order)
    entering = Counter(draw.sites[c] for c in order if draw.sites[c] != draw.sites[parent[c] or 0])
    leaving = Counter(draw.sites[parent[c] or 0] for c in order if draw.sites[c] != draw.sites[parent[c] or 0])
    return _measured(
        draw,
        load,
        delays={member: delay[member] for member in order},
        inbound=_per_site(draw, order, entering),
        outbound_max=max(leaving.values(), default=0),
        depth=max((depth[c] for c in order), default=0),
        degrees=(max(degrees.values(), default=0), degrees[0]),
        rates=(_planned_rate(draw, parent, order, load), _load_max(draw, load, rate_mbit)),
        multicast_cost=multicast_cost,
    )


def of_multicast(draw: Draw, rate_mbit: float) -> Metrics:
    """Measure IP multicast's shortest-path tree: one copy on each link that leads to a member."""
    order = [member for member in draw.members if member not in draw.backups]
    load: Counter[Hop] = Counter()
    for place in sorted({draw.places[member] for member in order}):
        for hop in draw.routes.hops(draw.places[0], place):
            load[hop] = 1
    entered = Counter(dict.fromkeys((draw.sites[m] for m in order if draw.sites[m] != draw.sites[0]), 1))
    rates = [rate for hop in load if (rate := draw.net.lines[hop].rate_mbit) is not None]
    return _measured(
        draw,
        load,
        delays={member: draw.delay_ms(0, member) for member in order},
        inbound=_per_site(draw, order, entered),
        outbound_max=int(bool(entered)),
        depth=1,
        degrees=(1, 1),
        rates=(min(rates, default=None), _load_max(draw, load, rate_mbit)),
        multicast_cost=load.total(),
    )


def _measured(
    draw: Draw,
    load: Counter[Hop],
    delays: dict[int, float],
    inbound: list[int],
    outbound_max: int,
    depth: int,
    degrees: tuple[int, int],
    rates: tuple[float | None, float | None],
    multicast_cost: int,
) -> Metrics:
    stretch = sorted(delay / draw.delay_ms(0, member) for member, delay in delays.items())
    directed = [count for hop, count in load.items() if draw.net.between_routers(hop)]
    both: Counter[frozenset[int]] = Counter()
    for hop, count in load.items():
        if draw.net.between_routers(hop):
            both[frozenset(hop)] += count
    ordered = sorted(delays.values())
    return Metrics(
        stress_mean=_mean(list(both.values())),
        stress_max=max(both.values(), default=0),
        stress_directed_mean=_mean(directed),
        stress_directed_max=max(directed, default=0),
        cost=load.total(),
        cost_ratio=load.total() / multicast_cost if multicast_cost else 1.0,
        inbound_per_site_mean=_mean(inbound),
        inbound_per_site_max=max(inbound, default=0),
        outbound_per_site_max=outbound_max,
        stretch_mean=_mean(stretch),
        stretch_median=percentile(stretch, 50),
        stretch_p95=percentile(stretch, 95),
        delay_median_ms=percentile(ordered, 50),
        delay_max_ms=ordered[-1] if ordered else 0.0,
        depth=depth,
        out_degree_max=degrees[0],
        source_out_degree=degrees[1],
        planned_rate_mbit=rates[0],
        load_max=rates[1],
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` of an ordered sequence do not exceed; 0 for an empty one."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _per_site(draw: Draw, order: Sequence[int], entering: Counter[int]) -> list[int]:
    sites = sorted({draw.sites[member] for member in order} - {draw.sites[0]})
    return [entering[site] for site in sites]


def _top_down(parent: Sequence[int | None]) -> list[int]:
    """Return all hosts that have a parent, each after its parent.

    Raises:
        ValueError: as told in ``of_tree``.
    """
    children: dict[int, list[int]] = {}
    for child, above in enumerate(parent):
        if above is not None:
            children.setdefault(above, []).append(child)
    order = list(children.get(0, ()))
    for member in order:  # grows while it is read
        order += children.get(member, ())
    if len(order) != sum(above is not None for above in parent):
        lost = sorted({c for c, above in enumerate(parent) if above is not None} - set(order))
        raise ValueError(f"members without a path to the source: {lost[:10]}")
    return order


def _planned_rate(draw: Draw, parent: Sequence[int | None], order: Sequence[int], load: Counter[Hop]) -> float | None:
    lines = draw.net.lines
    shares = {hop: rate / count for hop, count in load.items() if (rate := lines[hop].rate_mbit) is not None}
    crossed = (
        shares[hop]
        for child in order
        for hop in draw.routes.hops(draw.places[parent[child] or 0], draw.places[child])
        if hop in shares
    )
    return min(crossed, default=None)


def _load_max(draw: Draw, load: Counter[Hop], rate_mbit: float) -> float | None:
    lines = draw.net.lines
    shares = (count * rate_mbit / rate for hop, count in load.items() if (rate := lines[hop].rate_mbit) is not None)
    return max(shares, default=None)
