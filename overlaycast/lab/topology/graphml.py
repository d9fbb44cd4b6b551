"""Maps of the Internet Topology Zoo, read as found: GraphML in, a checked map of routers and links out.

Owns: what a GraphML file may hold, what is mended in it, and how a link's delay follows from the distance. networkx
reads the file, once it is known to declare no entities. Every mend is listed in ``RouterMap.notes``, so that a reader
of a result knows what is not in the map itself. Refuses: files that are no GraphML, larger than ``MAX_BYTES``, or with
a value out of bounds: a ``ConfigError`` in one line with file and field.

What is mended: nodes outside of the network (``Internal`` 0) are left out; loops are dropped; parallel links become
one (their rates, where all are given, add up as in a bundle); only the largest connected part is kept; a router
without coordinates is put in the middle of its neighbours, and where a whole part has none, its links get
``DEFAULT_MS``.

The attribute names are those of the Zoo (Knight, Nguyen, Falkner, Bowden, Roughan: "The Internet Topology Zoo", IEEE
JSAC 29(9), 2011): ``Latitude``, ``Longitude``, ``Internal``, ``hyperedge``, ``label``, ``LinkSpeedRaw`` (bit/s). A link
with ``delay`` (``delay_ms``, ``latency``) has that delay instead of its distance's. Defaults of keys hold.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import networkx as nx

from overlaycast.errors import ConfigError
from overlaycast.named_files import read_bytes

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_NODES: Final = 100_000
EARTH_KM: Final = 6371.0
FIBRE_KM_PER_MS: Final = 299.792458 * 2 / 3  # light in glass: two thirds of its speed in a vacuum
FLOOR_MS: Final = 0.05  # two routers in one room still cost something
DEFAULT_MS: Final = 1.0  # a link of unknown length

_DELAYS: Final = ("delay_ms", "delay", "latency")
_UNITS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_NAMESPACE: Final = "{http://graphml.graphdrawing.org/xmlns}"


@dataclass(frozen=True, slots=True)
class RouterMap:
    """A connected map.

    ``graph`` has int nodes 0..n-1 in the order of the file's ids, each with ``name`` (the file's id), ``label``,
    ``latitude`` and ``longitude`` (degrees, or None); its edges have ``delay_ms`` and ``rate_mbit`` (None: not given).
    """

    name: str
    graph: nx.Graph[int]
    notes: tuple[str, ...]


def read_graphml(path: Path) -> RouterMap:
    """Read one file and mend it as said above.

    Raises:
        ConfigError: not readable, not GraphML, a value out of bounds, or no router left.
    """
    found = _parse(path)
    notes: list[str] = []
    graph = _joined(path, found, _internal(path, found, notes), notes)
    graph = _largest(graph, notes)
    if len(graph) == 0:
        raise ConfigError(f"{path}: node: accepted is at least one with Internal 1 (got none)")
    _locate_unknown(graph, notes)
    _set_delays(graph, notes)
    return RouterMap(path.stem, _numbered(graph), tuple(notes))


def _parse(path: Path) -> nx.MultiGraph[str]:
    """Return what the file holds: nodes by id, every value as its text."""
    root = _guarded(path)
    _check_elements(path, root)
    for key in root.iter(f"{_NAMESPACE}key"):
        key.set("attr.type", "string")  # so that a wrong number is refused below, where its node is known
    for edge in root.iter(f"{_NAMESPACE}edge"):
        edge.attrib.pop("id", None)  # two links with one id are two links still
    defaults = {domain: _defaults(root, domain) for domain in ("node", "edge")}
    try:
        graph = cast(
            "nx.MultiGraph[str]", nx.parse_graphml(ET.tostring(root, encoding="unicode"), force_multigraph=True)
        )
    except nx.NetworkXException as error:
        raise ConfigError(f"{path}: not GraphML: {error}") from None
    for _, values in graph.nodes(data=True):
        values |= defaults["node"] | values
    for *_, values in graph.edges(data=True):
        values |= defaults["edge"] | values
    return graph


def _defaults(root: ET.Element, domain: str) -> dict[str, str]:
    """Return the values that the keys of nodes or edges give to those that say nothing; networkx keeps but the last."""
    found: dict[str, str] = {}
    for key in root.iter(f"{_NAMESPACE}key"):
        default = key.find(f"{_NAMESPACE}default")
        if default is not None and key.get("for", "all") in (domain, "all"):
            found[str(key.get("attr.name") or key.get("id"))] = default.text or ""
    return found


def _guarded(path: Path) -> ET.Element:
    """Return the file's XML, all its elements in GraphML's namespace, if it is safe to look into."""
    try:
        text = read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise ConfigError(f"{path}: DOCTYPE: accepted is GraphML without entity declarations")
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError, LookupError) as error:
        raise ConfigError(f"{path}: not GraphML: {error}") from None
    if root.tag.removeprefix(_NAMESPACE) != "graphml":
        raise ConfigError(f"{path}: root element: accepted is graphml (got {root.tag!r:.60})")
    for element in root.iter():
        if not element.tag.startswith("{"):
            element.tag = _NAMESPACE + element.tag
    return root


def _check_elements(path: Path, root: ET.Element) -> None:
    """Refuse what networkx would let pass: several graphs, ids given twice or not at all, links to unknown nodes."""
    graphs = root.findall(f"{_NAMESPACE}graph")
    if len(graphs) != 1:
        raise ConfigError(f"{path}: graph: accepted is exactly one (got {len(graphs)})")
    nodes: set[str] = set()
    for node in graphs[0].iter(f"{_NAMESPACE}node"):
        ident = _required(path, node, "node", "id")
        if ident in nodes:
            raise ConfigError(f"{path}: node {ident}: id: accepted is each id once")
        nodes.add(ident)
    if len(nodes) > MAX_NODES:
        raise ConfigError(f"{path}: node: accepted up to {MAX_NODES} (got {len(nodes)})")
    for edge in graphs[0].iter(f"{_NAMESPACE}edge"):
        ends = {end: _required(path, edge, "edge", end) for end in ("source", "target")}
        for field, end in ends.items():
            if end not in nodes:
                where = f"{path}: edge {'-'.join(ends.values())}: {field}"
                raise ConfigError(f"{where}: accepted is the id of a node (got {end!r:.40})")


def _required(path: Path, element: ET.Element, tag: str, field: str) -> str:
    value = element.get(field)
    if not value:
        raise ConfigError(f"{path}: {tag}: {field}: required")
    return value


def _number(where: str, values: Mapping[str, str], field: str, low: float, high: float) -> float | None:
    """Return a numeric attribute of a node or an edge, None where it is missing.

    Raises:
        ConfigError: no number, or outside of low..high.
    """
    text = values.get(field, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ConfigError(f"{where}: {field}: accepted is a number from {low:g} to {high:g} (got {text!r:.40})")
    return value


def _flag(where: str, values: Mapping[str, str], field: str) -> bool | None:
    """Return a flag, None where it is missing: 0 or 1, or true or false, as GraphML writes them."""
    text = values.get(field, "").strip().lower()
    if text in ("true", "false"):
        return text == "true"
    try:
        value = _number(where, values, field, 0, 1)
    except ConfigError:
        got = values.get(field, "")
        raise ConfigError(f"{where}: {field}: accepted is 0, 1, true or false (got {got!r:.40})") from None
    return None if value is None else value != 0


def _delay_ms(where: str, values: Mapping[str, str]) -> float | None:
    """Return a link's own delay: ``delay`` or ``latency``, with a unit or in ms, or ``delay_ms``."""
    for field in _DELAYS:
        text = values.get(field, "").strip()
        if not text:
            continue
        number, unit = text, "ms"
        for one in ("ms", "us", "s"):
            if text.endswith(one):
                number, unit = text.removesuffix(one).strip(), one
                break
        try:
            value = float(number) * _UNITS[unit]
        except ValueError:
            value = math.nan
        if not 0 <= value <= 60_000:
            raise ConfigError(f"{where}: {field}: accepted is 0 to 60000 ms, as in 5 or 5ms (got {text!r:.40})")
        return value
    return None


def _internal(path: Path, found: nx.MultiGraph[str], notes: list[str]) -> list[str]:
    """Return the ids of the network's own nodes."""

    def flag(node: str, field: str) -> bool | None:
        return _flag(f"{path}: node {node}", found.nodes[node], field)

    routers = [node for node in found if flag(node, "Internal") is not False]
    if len(routers) < len(found):
        notes.append(f"{len(found) - len(routers)} nodes outside of the network (Internal 0) left out")
    joints = sum(flag(node, "hyperedge") is True for node in routers)
    if joints:
        notes.append(f"{joints} nodes that stand for a shared medium (hyperedge 1) taken as routers")
    return routers


def _joined(path: Path, found: nx.MultiGraph[str], routers: list[str], notes: list[str]) -> nx.Graph[str]:
    """Return the routers, ordered by their ids, with their locations, and at most one link between two of them."""
    graph: nx.Graph[str] = nx.Graph()
    for ident in sorted(routers, key=_by_number):
        values, where = found.nodes[ident], f"{path}: node {ident}"
        spot = _number(where, values, "Latitude", -90, 90), _number(where, values, "Longitude", -180, 180)
        graph.add_node(ident, name=ident, label=values.get("label") or ident, spot=None if None in spot else spot)
    loops = parallel = 0
    for a, b, values in found.edges(data=True):
        rate = _number(f"{path}: edge {a}-{b}", values, "LinkSpeedRaw", 0, 1e15)
        mbit = rate / 1e6 if rate else None
        delay = _delay_ms(f"{path}: edge {a}-{b}", values)
        if a not in graph or b not in graph:
            continue
        if a == b:
            loops += 1
        elif graph.has_edge(a, b):
            parallel += 1
            first = graph.edges[a, b]
            first["rate_mbit"] = _bundle(first["rate_mbit"], mbit)
            first["own_ms"] = first["own_ms"] if delay is None else min(delay, first["own_ms"] or delay)
        else:
            graph.add_edge(a, b, rate_mbit=mbit, own_ms=delay)
    if loops:
        notes.append(f"{loops} links from a router to itself dropped")
    if parallel:
        notes.append(f"{parallel} parallel links merged with their first (rates add up where all are given)")
    return graph


def _bundle(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second


def _by_number(ident: str) -> tuple[int, int, str]:
    return (0, int(ident), ident) if ident.isdecimal() and len(ident) < 19 else (1, 0, ident)


def _largest(graph: nx.Graph[str], notes: list[str]) -> nx.Graph[str]:
    parts = sorted(nx.connected_components(graph), key=lambda part: (-len(part), min(map(_by_number, part))))
    if len(parts) <= 1:
        return graph
    left_out = sum(len(part) for part in parts[1:])
    notes.append(f"{len(parts)} parts without a link between them: the largest kept, {left_out} routers left out")
    graph.remove_nodes_from([node for node in graph if node not in parts[0]])
    return graph


def _locate_unknown(graph: nx.Graph[str], notes: list[str]) -> None:
    """Put routers without coordinates in the middle of their placed neighbours, from the known ones outwards."""
    missing = [node for node in graph if graph.nodes[node]["spot"] is None]
    waiting = missing
    while waiting:
        found = {}
        for node in waiting:
            spots = [graph.nodes[n]["spot"] for n in graph.adj[node] if graph.nodes[n]["spot"] is not None]
            if spots:
                found[node] = _middle(spots)
        if not found:
            break
        for node, spot in found.items():
            graph.nodes[node]["spot"] = spot
        waiting = [node for node in waiting if node not in found]
    if len(missing) > len(waiting):
        notes.append(f"{len(missing) - len(waiting)} routers without coordinates put amid their neighbours")
    if waiting:
        notes.append(f"{len(waiting)} routers stay without coordinates")


def _middle(spots: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the mean of points on the globe (as vectors, so that the date line needs no special case)."""
    x = y = z = 0.0
    for latitude, longitude in spots:
        phi, lam = math.radians(latitude), math.radians(longitude)
        x += math.cos(phi) * math.cos(lam)
        y += math.cos(phi) * math.sin(lam)
        z += math.sin(phi)
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def great_circle_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the distance in km between two (latitude, longitude) in degrees (haversine on a sphere)."""
    phi_a, phi_b = math.radians(a[0]), math.radians(b[0])
    half = math.sin((phi_b - phi_a) / 2) ** 2
    half += math.cos(phi_a) * math.cos(phi_b) * math.sin(math.radians(b[1] - a[1]) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(half)))


def _set_delays(graph: nx.Graph[str], notes: list[str]) -> None:
    unknown = 0
    for a, b, data in graph.edges(data=True):
        ends = graph.nodes[a]["spot"], graph.nodes[b]["spot"]
        if data["own_ms"] is not None:
            data["delay_ms"] = max(FLOOR_MS, data["own_ms"])
        elif None in ends:
            unknown += 1
            data["delay_ms"] = DEFAULT_MS
        else:
            data["delay_ms"] = max(FLOOR_MS, great_circle_km(*ends) / FIBRE_KM_PER_MS)
    if unknown:
        notes.append(f"{unknown} links of unknown length given {DEFAULT_MS:g} ms")


def _numbered(graph: nx.Graph[str]) -> nx.Graph[int]:
    number = {node: index for index, node in enumerate(graph)}
    result: nx.Graph[int] = nx.Graph()
    for node, data in graph.nodes(data=True):
        latitude, longitude = data["spot"] or (None, None)
        attributes: dict[str, Any] = {"name": data["name"], "label": data["label"]}
        result.add_node(number[node], **attributes, latitude=latitude, longitude=longitude)
    links = [(min(number[a], number[b]), max(number[a], number[b]), data) for a, b, data in graph.edges(data=True)]
    for a, b, data in sorted(links, key=lambda link: link[:2]):
        result.add_edge(a, b, delay_ms=data["delay_ms"], rate_mbit=data["rate_mbit"])
    return result
