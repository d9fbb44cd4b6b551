"""Topology Zoo files, as found: what is mended is said, what is wrong is named."""

import re
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.errors import ConfigError
from overlaycast.lab.topology.graphml import DEFAULT_MS, FLOOR_MS, RouterMap, great_circle_km, read_graphml

KEYS = """<key attr.name="Latitude" attr.type="double" for="node" id="la"/>
<key attr.name="Longitude" attr.type="double" for="node" id="lo"/>
<key attr.name="Internal" attr.type="int" for="node" id="in"/>
<key attr.name="hyperedge" attr.type="int" for="node" id="hy"/>
<key attr.name="label" attr.type="string" for="node" id="lb"/>
<key attr.name="LinkSpeedRaw" attr.type="double" for="edge" id="sp"/>"""


def node(ident: object, **values: object) -> str:
    data = "".join(f'<data key="{key}">{value}</data>' for key, value in values.items())
    return f'<node id="{ident}">{data}</node>'


def edge(a: object, b: object, rate: object = None) -> str:
    data = "" if rate is None else f'<data key="sp">{rate}</data>'
    return f'<edge source="{a}" target="{b}">{data}</edge>'


def text(*elements: str) -> str:
    body = "".join(elements)
    head = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    return f'{head}{KEYS}<graph edgedefault="undirected">{body}</graph></graphml>'


def written(folder: Path, *elements: str) -> Path:
    path = folder / "map.graphml"
    path.write_text(text(*elements))
    return path


def read(folder: Path, *elements: str) -> RouterMap:
    return read_graphml(written(folder, *elements))


def said(found: RouterMap, words: str) -> bool:
    return any(words in note for note in found.notes)


def test_delay_is_the_distance_at_two_thirds_of_light(tmp_path: Path) -> None:
    # one degree of a meridian: 111.19 km on a sphere of 6371 km, at 199.86 km per ms
    found = read(tmp_path, node(0, la=10, lo=20), node(1, la=11, lo=20), edge(0, 1))
    assert found.graph.edges[0, 1]["delay_ms"] == pytest.approx(0.55635, abs=1e-4)
    assert found.notes == ()


def test_two_routers_in_one_place_still_cost_something(tmp_path: Path) -> None:
    found = read(tmp_path, node(0, la=1, lo=1), node(1, la=1, lo=1), edge(0, 1))
    assert found.graph.edges[0, 1]["delay_ms"] == FLOOR_MS


def test_missing_coordinates_come_from_neighbours_also_in_chains(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        node(0, la=0, lo=10),
        node(1),
        node(2, la=0, lo=20),
        node(3),
        edge(0, 1),
        edge(1, 2),
        edge(1, 3),
    )
    assert found.graph.nodes[1]["longitude"] == pytest.approx(15)
    assert found.graph.nodes[3]["longitude"] == pytest.approx(15)
    assert said(found, "2 routers without coordinates put amid their neighbours")


def test_the_date_line_is_no_detour(tmp_path: Path) -> None:
    found = read(tmp_path, node(0, la=0, lo=179), node(1), node(2, la=0, lo=-179), edge(0, 1), edge(1, 2))
    assert abs(found.graph.nodes[1]["longitude"]) == pytest.approx(180)


def test_without_any_coordinates_links_get_a_default(tmp_path: Path) -> None:
    found = read(tmp_path, node(0), node(1), edge(0, 1))
    assert not said(found, "amid their neighbours")
    assert found.graph.edges[0, 1]["delay_ms"] == DEFAULT_MS
    assert said(found, "1 links of unknown length given 1 ms")


def test_parallel_links_merge_and_rates_add_up_where_all_are_given(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        *(node(n, la=n, lo=0) for n in range(3)),
        edge(0, 1, 1e9),
        edge(1, 0, 2e9),
        edge(1, 2, 1e9),
        edge(1, 2),
    )
    assert found.graph.edges[0, 1]["rate_mbit"] == 3000
    assert found.graph.edges[1, 2]["rate_mbit"] is None
    assert said(found, "2 parallel links merged")


def test_two_links_with_one_id_are_still_two(tmp_path: Path) -> None:
    twice = edge(0, 1, 1e9).replace("<edge ", '<edge id="e0" ')
    found = read(tmp_path, node(0, la=0, lo=0), node(1, la=1, lo=0), twice, twice)
    assert found.graph.edges[0, 1]["rate_mbit"] == 2000


def test_a_file_needs_neither_the_namespace_nor_types_of_its_keys(tmp_path: Path) -> None:
    path = written(tmp_path, node(0, la=10, lo=20), node(1, la=11, lo=20), edge(0, 1))
    strict = read_graphml(path)
    path.write_text(re.sub(r' (xmlns|attr\.type)="[^"]*"', "", path.read_text()))
    loose = read_graphml(path)
    assert list(loose.graph.nodes(data=True)) == list(strict.graph.nodes(data=True))
    assert list(loose.graph.edges(data=True)) == list(strict.graph.edges(data=True))


def test_loops_outsiders_and_smaller_parts_are_left_out(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        *(node(n, la=n, lo=0) for n in range(5)),
        node(5, **{"in": 0}),
        node(6, hy=1),
        edge(0, 0),
        edge(0, 1),
        edge(1, 6),
        edge(2, 3),
        edge(1, 5),
    )
    assert [found.graph.nodes[n]["name"] for n in found.graph] == ["0", "1", "6"]
    for words in (
        "1 links from a router to itself dropped",
        "1 nodes outside of the network (Internal 0) left out",
        "1 nodes that stand for a shared medium (hyperedge 1) taken as routers",
        "3 parts without a link between them: the largest kept, 3 routers left out",
    ):
        assert said(found, words), words


def test_order_follows_the_ids_not_the_file(tmp_path: Path) -> None:
    nodes = [node(n, la=int(n), lo=0, lb=f"city {n}") for n in ("2", "10", "1")]
    one = read(tmp_path, *nodes, edge(10, 2), edge(1, 2))
    two = read(tmp_path, *reversed(nodes), edge(2, 1), edge(2, 10))
    assert [one.graph.nodes[n]["name"] for n in one.graph] == ["1", "2", "10"]
    assert list(one.graph.nodes(data=True)) == list(two.graph.nodes(data=True))
    assert list(one.graph.edges(data=True)) == list(two.graph.edges(data=True))


@pytest.mark.parametrize(
    ("elements", "complaint"),
    [
        ([node(0, la="north", lo=1)], "node 0: Latitude: accepted is a number from -90 to 90 (got 'north')"),
        ([node(0, la=91, lo=1)], "node 0: Latitude: accepted is a number from -90 to 90 (got '91')"),
        ([node(0, la=1, lo="nan")], "node 0: Longitude: accepted is a number from -180 to 180 (got 'nan')"),
        ([node(0, **{"in": 7})], "node 0: Internal: accepted is 0, 1, true or false (got '7')"),
        ([node(0), node(0)], "node 0: id: accepted is each id once"),
        ([node(0), edge(0, 9)], "edge 0-9: target: accepted is the id of a node (got '9')"),
        ([node(0), node(1), edge(0, 1, -5)], "edge 0-1: LinkSpeedRaw: accepted is a number from 0 to 1e+15 (got '-5')"),
        ([node("")], "node: id: required"),
        ([], "node: accepted is at least one with Internal 1 (got none)"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(tmp_path: Path, elements: list[str], complaint: str) -> None:
    path = written(tmp_path, *elements)
    with pytest.raises(ConfigError) as raised:
        read_graphml(path)
    assert str(raised.value) == f"{path}: {complaint}"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("<graphml", "not GraphML"),
        ("<svg/>", "root element: accepted is graphml (got 'svg')"),
        ("<graphml/>", "graph: accepted is exactly one (got 0)"),
        ('<!DOCTYPE graphml [<!ENTITY a "b">]><graphml/>', "DOCTYPE: accepted is GraphML without entity declarations"),
        ("\x00\x01", "not GraphML"),
    ],
)
def test_what_is_no_graphml_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "map.graphml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"map\.graphml: ") as raised:
        read_graphml(path)
    assert complaint in str(raised.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_graphml(tmp_path / "none.graphml")


@given(st.binary(max_size=400))
def test_garbage_raises_nothing_else(tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage.graphml"
    path.write_bytes(garbage)
    with pytest.raises(ConfigError):
        read_graphml(path)


@given(
    st.integers(1, 12).flatmap(
        lambda size: st.tuples(
            st.lists(
                st.one_of(st.none(), st.tuples(st.floats(-90, 90), st.floats(-180, 180))), min_size=size, max_size=size
            ),
            st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=30),
        )
    )
)
def test_any_map_becomes_connected_with_delays(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: tuple[list[tuple[float, float] | None], list[tuple[int, int]]],
) -> None:
    spots, links = drawn
    nodes = [node(n, la=spot[0], lo=spot[1]) if spot else node(n) for n, spot in enumerate(spots)]
    path = tmp_path_factory.getbasetemp() / "any.graphml"
    path.write_text(text(*nodes, *(edge(a, b) for a, b in links)))
    graph = read_graphml(path).graph
    assert nx.is_connected(graph)
    assert list(graph) == list(range(len(graph)))
    whole: nx.Graph[int] = nx.Graph()
    whole.add_nodes_from(range(len(spots)))
    whole.add_edges_from(links)
    assert len(graph) == max(map(len, nx.connected_components(whole)))
    assert all(FLOOR_MS <= data["delay_ms"] <= 101 for *_, data in graph.edges(data=True))


@given(*(st.tuples(st.floats(-90, 90), st.floats(-180, 180)) for _ in range(2)))
def test_distance_is_a_distance(a: tuple[float, float], b: tuple[float, float]) -> None:
    assert great_circle_km(a, b) == pytest.approx(great_circle_km(b, a), abs=1e-6)
    assert 0 <= great_circle_km(a, b) <= 20_016


MORE_KEYS = """<key attr.name="delay" attr.type="string" for="edge" id="de"><default>7ms</default></key>
<key attr.name="LinkSpeedRaw" attr.type="double" for="edge" id="ra"><default>5000000</default></key>
<key attr.name="Internal" attr.type="boolean" for="node" id="bo"><default>true</default></key>
<key attr.name="Latitude" attr.type="double" for="all" id="al"><default>3</default></key>
<key attr.name="Longitude" attr.type="double" id="ol"><default>4</default></key>"""


def with_defaults(folder: Path, *elements: str) -> RouterMap:
    path = folder / "map.graphml"
    path.write_text(text(*elements).replace(KEYS, MORE_KEYS))
    return read_graphml(path)


def test_each_key_has_its_default(tmp_path: Path) -> None:
    own = '<edge source="1" target="2"><data key="ra">9000000</data><data key="de">2</data></edge>'
    found = with_defaults(tmp_path, node(0), node(1, al=5), node(2), node(3, bo="false"), edge(0, 1), own)
    assert len(found.graph) == 3
    assert said(found, "1 nodes outside of the network")
    assert found.graph.edges[0, 1] == {"delay_ms": 7.0, "rate_mbit": 5.0}
    assert found.graph.edges[1, 2] == {"delay_ms": 2.0, "rate_mbit": 9.0}
    assert (found.graph.nodes[0]["latitude"], found.graph.nodes[1]["latitude"]) == (3, 5)


@pytest.mark.parametrize(("flag", "kept"), [("true", 2), ("True", 2), ("1", 2), ("false", 1), ("0", 1), ("", 2)])
def test_flags_are_as_graphml_and_the_zoo_write_them(tmp_path: Path, flag: str, kept: int) -> None:
    found = with_defaults(tmp_path, node(0), node(1, bo=flag), edge(0, 1))
    assert len(found.graph) == kept


@pytest.mark.parametrize(
    ("delay", "ms"), [("5", 5), ("5ms", 5), ("5 ms", 5), ("0.02s", 20), ("300us", 0.3), ("0", FLOOR_MS), ("1e1", 10)]
)
def test_a_links_own_delay_counts(tmp_path: Path, delay: str, ms: float) -> None:
    own = f'<edge source="0" target="1"><data key="de">{delay}</data></edge>'
    found = with_defaults(tmp_path, node(0), node(1, al=50), own)
    assert found.graph.edges[0, 1]["delay_ms"] == pytest.approx(ms)


def test_of_parallel_links_the_shorter_delay_counts(tmp_path: Path) -> None:
    both = "".join(f'<edge source="0" target="1"><data key="de">{ms}</data></edge>' for ms in (9, 4, 6))
    assert with_defaults(tmp_path, node(0), node(1), both).graph.edges[0, 1]["delay_ms"] == 4


@pytest.mark.parametrize("delay", ["-1", "nan", "soon", "70s", "5 min"])
def test_a_delay_that_is_none_is_refused(tmp_path: Path, delay: str) -> None:
    own = f'<edge source="0" target="1"><data key="de">{delay}</data></edge>'
    with pytest.raises(ConfigError, match=r"edge 0-1: delay: accepted is 0 to 60000 ms"):
        with_defaults(tmp_path, node(0), node(1), own)


@pytest.mark.parametrize("flag", ["yes", "2", "0.5.1"])
def test_a_flag_that_is_none_is_refused(tmp_path: Path, flag: str) -> None:
    with pytest.raises(ConfigError, match=r"node 1: Internal: accepted is 0, 1, true or false"):
        with_defaults(tmp_path, node(0), node(1, bo=flag), edge(0, 1))
