"""Draws, baselines and metrics: small nets by hand, any draw by property."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.errors import ConfigError
from overlaycast.lab.simulate.baselines import Limits, Parents, at_random, by_round_trip, unicast
from overlaycast.lab.simulate.draw import ACCESS_MS, LAN_MS, Draw, on_map, on_topology
from overlaycast.lab.simulate.metrics import of_multicast, of_tree, percentile
from overlaycast.lab.topology.graphml import RouterMap
from overlaycast.lab.topology.loading import load_topology

RATE = 8.0
TOPOLOGIES = Path(__file__).parents[3] / "topologies"


def router_map(links: dict[tuple[int, int], float], rate_mbit: float | None = None) -> RouterMap:
    graph: nx.Graph[int] = nx.Graph()
    for node in sorted({end for link in links for end in link}):
        graph.add_node(node, name=str(node), label=f"city {node}", latitude=None, longitude=None)
    for (a, b), delay in links.items():
        graph.add_edge(a, b, delay_ms=delay, rate_mbit=rate_mbit)
    return RouterMap("made up", graph, ())


def seated(links: dict[tuple[int, int], float], at: list[int], uplink_mbit: float | None = None) -> Draw:
    """A draw with host i at router at[i]; host 0 is the source."""
    size = 1 + max(max(link) for link in links)
    whole = on_map(router_map(links), 40 * size, 1, uplink_mbit)
    router_of = {host: whole.inbound[whole.sites[host]][0][0] for host in range(len(whole.places))}
    seats = [next(host for host, router in router_of.items() if router == wanted) for wanted in at]
    return whole.seated(seats, frozenset())


LINE = {(0, 1): 1.0, (1, 2): 1.0, (2, 3): 1.0}


def test_a_chain_along_a_line_costs_what_multicast_costs_but_its_doorsteps() -> None:
    draw = seated(LINE, [0, 1, 2, 3])
    ideal = of_multicast(draw, RATE)
    found = of_tree(draw, [None, 0, 1, 2], ideal.cost, RATE)
    # multicast: 3 links, the source's doorstep, 3 more doorsteps; the chain goes out again over two of them
    assert (ideal.cost, found.cost) == (7, 9)
    assert (found.stress_mean, found.stress_max, found.depth, found.out_degree_max) == (1.0, 1, 3, 1)
    assert (found.inbound_per_site_mean, found.inbound_per_site_max, found.outbound_per_site_max) == (1.0, 1, 1)
    direct = 3 + 2 * ACCESS_MS + 2 * LAN_MS
    assert found.stretch_p95 == pytest.approx((3 + 6 * ACCESS_MS + 6 * LAN_MS) / direct)


def test_a_star_along_a_line() -> None:
    draw = seated(LINE, [0, 1, 2, 3])
    found = of_tree(draw, [None, 0, 0, 0], 7, RATE)
    assert (found.stress_max, found.stress_mean) == (3, 2.0)
    assert (found.outbound_per_site_max, found.source_out_degree, found.stretch_p95) == (3, 3, 1.0)


def test_there_and_back_is_two_copies_on_a_link_and_one_each_way() -> None:
    draw = seated(LINE, [0, 3, 2])
    found = of_tree(draw, [None, 0, 1], 1, RATE)
    assert (found.stress_max, found.stress_directed_max) == (2, 1)


def test_copies_into_a_site_are_counted_and_the_sources_own_site_is_none() -> None:
    draw = seated(LINE, [0, 0, 3, 3, 3])
    found = of_tree(draw, [None, 0, 0, 0, 3], 1, RATE)
    assert (found.inbound_per_site_max, found.inbound_per_site_mean) == (2, 2.0)


def test_rates_are_shared_evenly_and_the_slowest_counts() -> None:
    draw = seated(LINE, [0, 1, 2, 3], uplink_mbit=20)
    star, chain = (of_tree(draw, parents, 1, RATE) for parents in ([None, 0, 0, 0], [None, 0, 1, 2]))
    assert star.planned_rate_mbit == pytest.approx(20 / 3)
    assert star.load_max == pytest.approx(3 * 8 / 20)
    assert chain.planned_rate_mbit == 20
    assert chain.load_max == pytest.approx(0.4)
    assert of_multicast(draw, RATE).planned_rate_mbit == 20


@pytest.mark.parametrize("parents", [[None, 2, 1, 0], [None, 1, 0, 0], [None, 0, 3, 2]])
def test_a_cycle_is_a_defect(parents: list[int | None]) -> None:
    with pytest.raises(ValueError, match="without a path to the source"):
        of_tree(seated(LINE, [0, 1, 2, 3]), parents, 1, RATE)


def test_percentile_is_the_nearest_rank() -> None:
    assert [percentile([1, 2, 3, 4], p) for p in (1, 25, 26, 50, 95, 100)] == [1, 1, 2, 2, 4, 4]
    assert percentile([], 50) == 0


@st.composite
def draws(choose: st.DrawFn) -> Draw:
    size = choose(st.integers(2, 8))
    spine = {(choose(st.integers(0, node - 1)), node): choose(st.floats(0.1, 9)) for node in range(1, size)}
    extra = choose(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=6))
    links = spine | {(min(a, b), max(a, b)): 2.5 for a, b in extra if a != b}
    uplink = choose(st.one_of(st.none(), st.floats(1, 100)))
    return on_map(router_map(links), choose(st.integers(1, 40)), choose(st.integers(0, 99)), uplink)


@given(draws())
def test_paths_are_shortest_and_walks_agree(draw: Draw) -> None:
    graph: nx.DiGraph[int] = nx.DiGraph()
    for (a, b), line in draw.net.lines.items():
        graph.add_edge(a, b, weight=line.delay_ms)
    best = nx.single_source_dijkstra_path_length(graph, draw.places[0])
    for place in set(draw.places):
        assert draw.routes.delay_ms(draw.places[0], place) == pytest.approx(best[place])
        hops = list(draw.routes.hops(draw.places[0], place))
        nodes = draw.routes.nodes(draw.places[0], place)
        assert hops[::-1] == list(pairwise(nodes))
        assert sum(draw.net.lines[hop].delay_ms for hop in hops) == pytest.approx(best[place])


@given(draws(), st.integers(1, 4), st.integers(2, 6), st.integers(0, 9))
def test_baselines_keep_their_limits(draw: Draw, member: int, depth: int, seed: int) -> None:
    limits = Limits(member + 1, member, depth)
    builds: list[Callable[[], Parents]] = [lambda: at_random(draw, limits, seed), lambda: by_round_trip(draw, limits)]
    for build in builds:
        try:
            parents = build()
        except ConfigError:
            room = sum((member + 1) * member**level for level in range(depth))
            assert member == 1 or len(draw.members) > room / 2  # only where it is really full
            continue
        found = of_tree(draw, parents, of_multicast(draw, RATE).cost, RATE)
        degrees = Counter(parents)
        assert degrees[0] <= member + 1
        assert all(degrees[host] <= member for host in draw.members)
        assert found.depth <= depth
        assert found.stretch_median >= 1 - 1e-9


@given(draws())
def test_nothing_beats_multicast_and_the_star_has_no_stretch(draw: Draw) -> None:
    ideal = of_multicast(draw, RATE)
    assert ideal.stress_max <= 1
    star = of_tree(draw, unicast(draw), ideal.cost, RATE)
    assert star.stretch_p95 == 1.0
    assert star.cost >= ideal.cost
    assert star.source_out_degree == len(draw.members)
    assert star.inbound_per_site_mean >= ideal.inbound_per_site_mean


@given(draws())
def test_the_round_trip_tree_takes_the_nearest(draw: Draw) -> None:
    """With room enough everybody is fed by somebody nearer to the source, at no more than the source's distance."""
    many = len(draw.places)
    parents = by_round_trip(draw, Limits(many, many, many))
    for member in draw.members:
        parent = parents[member]
        assert parent is not None
        assert draw.delay_ms(parent, member) <= draw.delay_ms(0, member) + 1e-9


def test_a_topology_is_taken_as_it_stands() -> None:
    draw = on_topology(load_topology(TOPOLOGIES / "six_sites.py"), 1)
    assert len(draw.members) == 48
    assert len({draw.sites[member] for member in draw.members}) == 6
    hops, delays = zip(*draw.trace(1), strict=True)
    assert hops == ("core", "R1")
    assert delays == pytest.approx((2 * LAN_MS, 10 + 2 * LAN_MS))
    assert draw.bottleneck_mbit(1) == 20
    star = of_tree(draw, unicast(draw), of_multicast(draw, RATE).cost, RATE)
    assert star.inbound_per_site_max == 8
    assert star.planned_rate_mbit == pytest.approx(20 / 48)


def test_backup_servers_take_part_in_no_baseline() -> None:
    draw = on_topology(load_topology(TOPOLOGIES / "figure_2a.py"), 1)
    (backup,) = draw.backups
    for parents in (unicast(draw), at_random(draw, Limits(16, 8, 10), 1), by_round_trip(draw, Limits(16, 8, 10))):
        assert parents[backup] is None
        assert backup not in parents


def test_same_seed_same_draw() -> None:
    one, two, other = (on_map(router_map(LINE), 30, seed, None) for seed in (5, 5, 6))
    assert one == two
    assert one.places != other.places
