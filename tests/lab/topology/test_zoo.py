"""Hosts on a map: counts, lists, seeds; and what becomes of them as a topology."""

from pathlib import Path

import networkx as nx
import pytest

from overlaycast.errors import ConfigError
from overlaycast.lab.topology.graphml import RouterMap
from overlaycast.lab.topology.loading import load_topology
from overlaycast.lab.topology.topology import Topology
from overlaycast.lab.topology.zoo import Attachments, attachments, zoo_topology


def ring(size: int) -> RouterMap:
    graph = nx.cycle_graph(size)
    for node in graph:
        graph.nodes[node].update(name=f"id{node}", label=f"city {node}", latitude=0.0, longitude=float(node))
    for a, b in graph.edges:
        graph.edges[a, b].update(delay_ms=1.0 + a, rate_mbit=None)
    graph.edges[0, 1]["rate_mbit"] = 55.0
    return RouterMap("ring", graph, ())


def test_a_list_names_the_server_and_every_client() -> None:
    assert attachments("x", "id0: id3 id3 id5", ring(6)) == Attachments(0, (3, 3, 5))


def test_a_seed_decides_and_nothing_else() -> None:
    one, two = (attachments("x", "9@4", ring(6)) for _ in range(2))
    assert one == two
    assert len(one.clients) == 9
    assert one != attachments("x", "9@5", ring(6))
    assert attachments("x", None, ring(6)) == attachments("x", "12@1", ring(6))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("many", "name: accepted is COUNT, COUNT@SEED or 'SERVER: ROUTER ROUTER …' (got 'many')"),
        ("0", "name: accepted is 1 to 10000 clients (got 0)"),
        ("id0: id9", "name: no router 'id9' in the map; accepted are the file's node ids"),
    ],
)
def test_other_words_are_refused(words: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        attachments("a.graphml", words, ring(6))
    assert str(raised.value) == f"a.graphml: {complaint}"


def built() -> Topology:
    return zoo_topology(ring(6), Attachments(0, (3, 3, 5)))


def test_clients_of_one_router_are_one_site_behind_one_uplink() -> None:
    topology = built()
    assert topology.sites == ("site3", "site5")
    assert [host.name for host in topology.hosts(site="site3")] == ["c3_1", "c3_2"]
    assert [uplink.link for uplink in topology.uplinks_of("site3")] == ["r3-e3"]
    assert {host.role for host in topology.hosts()} == {"server", "coordinator", "backup", "client"}


def test_delays_and_given_rates_are_the_maps() -> None:
    topology = built()
    # the ring's short way from 0 to 3: 1 + 2 + 3 ms, and an access link of 0.5 ms at both ends
    assert topology.delay_ms("source", "c3_1") == pytest.approx(7.0)
    assert topology.link("r0-r1").ab.rate_mbit == 55.0
    assert topology.link("r1-r2").ab.rate_mbit == 100.0


def test_a_graphml_file_loads_like_any_topology(tmp_path: Path) -> None:
    path = tmp_path / "pair.graphml"
    path.write_text(
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="undirected">'
        '<node id="a"/><node id="b"/><edge source="a" target="b"/></graph></graphml>'
    )
    topology = load_topology(path, "a: b b")
    assert topology.name == "pair"
    assert len(topology.hosts(role="client")) == 2
    with pytest.raises(ConfigError, match=r"pair\.graphml: name: no router 'c'"):
        load_topology(path, "a: c")
