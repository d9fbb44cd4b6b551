"""Maps with many ways round, whose paths part early: members that count how far they are find one another there."""

from __future__ import annotations

import math
import random
from typing import Any

import networkx as nx
import pytest

from overlaycast.lab.simulate import study
from overlaycast.lab.simulate.draw import Draw, on_map
from overlaycast.lab.simulate.study import Wishes
from overlaycast.lab.topology.graphml import RouterMap
from overlaycast.wire.group import GroupSettings

ROUTERS = 120
MEMBERS = 60
SETTLE_S = 60.0


def drawn(seed: int) -> Draw:
    """Routers at random places, each linked to its nearest and some further ones, as backbones are (Waxman, 1988)."""
    rng = random.Random(seed)
    at = [(rng.random(), rng.random()) for _ in range(ROUTERS)]

    def ms(a: int, b: int) -> float:
        return 0.1 + 25 * math.dist(at[a], at[b])

    whole: nx.Graph[int] = nx.Graph()
    whole.add_weighted_edges_from((a, b, ms(a, b)) for a in range(ROUTERS) for b in range(a))
    graph: nx.Graph[int] = nx.Graph()
    for node in range(ROUTERS):
        graph.add_node(node, name=str(node), label=f"city {node}", latitude=None, longitude=None)
    ends = list(nx.minimum_spanning_edges(whole, data=False))
    while len(ends) < 2.5 * ROUTERS:
        a, b = rng.sample(range(ROUTERS), 2)
        if rng.random() < 2.7 ** (-ms(a, b) / 4):
            ends.append((a, b))
    for a, b in ends:
        graph.add_edge(a, b, delay_ms=ms(a, b), rate_mbit=None)
    return on_map(RouterMap("made up", graph, ()), MEMBERS, seed, None)


def simulated(seed: int, **settings: Any) -> dict[str, Any]:
    wishes = Wishes(GroupSettings(**settings), seed, settle_s=SETTLE_S)
    return study.run(drawn(seed), wishes, lambda line: None)


@pytest.mark.parametrize("seed", range(4))
def test_a_tree_is_no_worse_than_by_exact_round_trips(seed: int) -> None:
    found = simulated(seed)
    systems = found["systems"]
    print(systems["overlay"]["stress_mean"], systems["rtt"]["stress_mean"])
    assert systems["overlay"]["stress_mean"] <= 1.02 * systems["rtt"]["stress_mean"]
    assert systems["overlay"]["stress_mean"] <= 1.25
    assert systems["overlay"]["inbound_per_site_max"] == 1


@pytest.mark.parametrize("seed", range(2))
def test_counting_is_what_makes_the_difference(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with_counts = simulated(seed)["systems"]["overlay"]
    monkeypatch.setattr("overlaycast.overlay.watching.distances.MOST", 0)
    without = simulated(seed)["systems"]["overlay"]
    print(with_counts["cost"], without["cost"])
    assert with_counts["cost"] < 0.97 * without["cost"]
