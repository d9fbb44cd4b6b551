"""What could be drawn with the whole map: the floor is below every other tree, and the depth limit is kept."""

from __future__ import annotations

import random

import networkx as nx
import pytest

from overlaycast.lab.simulate.baselines import Limits, Parents, at_random, by_round_trip, unicast
from overlaycast.lab.simulate.draw import Draw, on_map
from overlaycast.lab.simulate.full_map import FullMap
from overlaycast.lab.simulate.metrics import Metrics, of_multicast, of_tree
from overlaycast.lab.topology.graphml import RouterMap

DEPTH = 4


def drawn(seed: int) -> Draw:
    """Members on a sparse map by chance, which has a few ways round."""
    rng = random.Random(seed)
    graph: nx.Graph[int] = nx.Graph()
    for node in range(20):
        graph.add_node(node, name=str(node), label=f"city {node}", latitude=None, longitude=None)
    ends = [(rng.randrange(max(0, node - 4), node), node) for node in range(1, 20)]
    ends += [(rng.randrange(10), rng.randrange(10, 20)) for _ in range(3)]
    for a, b in ends:
        graph.add_edge(a, b, delay_ms=rng.uniform(1, 9), rate_mbit=None)
    return on_map(RouterMap("made up", graph, ()), rng.randint(1, 30), seed, None)


def measured(draw: Draw, parents: Parents) -> Metrics:
    """Measure a tree; fails if somebody is not fed."""
    assert [host for host, parent in enumerate(parents) if parent is None] == [0]
    return of_tree(draw, parents, of_multicast(draw, 8.0).cost, 8.0)


@pytest.mark.parametrize("seed", range(25))
def test_no_tree_puts_fewer_copies_on_links_than_the_floor(seed: int) -> None:
    draw = drawn(seed)
    full_map = FullMap(draw)
    floor = measured(draw, full_map.fewest_links())
    assert floor.inbound_per_site_max <= 1
    limits = Limits(50, 8, DEPTH)
    trees = [unicast(draw), by_round_trip(draw, limits), full_map.within_depth(DEPTH)]
    trees += [at_random(draw, limits, number) for number in range(5)]
    assert all(floor.cost <= measured(draw, parents).cost for parents in trees)


@pytest.mark.parametrize("seed", range(25))
def test_a_tree_within_the_depth_is_short_and_no_deeper(seed: int) -> None:
    draw = drawn(seed)
    full_map = FullMap(draw)
    found = measured(draw, full_map.within_depth(DEPTH))
    assert found.depth <= DEPTH
    assert found.cost <= measured(draw, unicast(draw)).cost
    deep = measured(draw, full_map.within_depth(len(draw.places)))
    assert deep.cost == measured(draw, full_map.fewest_links()).cost


def test_backup_servers_take_no_part() -> None:
    draw = drawn(3)
    spared = draw.seated(range(len(draw.places)), frozenset({1}))
    assert FullMap(spared).fewest_links()[1] is None
