"""A map of routers with hosts attached to it: how a GraphML file becomes a topology that can be built.

Owns: the names of nodes, where hosts attach, and the notation for it. Each router with clients gets an access router
behind one link, the site's uplink, so that the clients of one map router are one site. The server, the coordinator and
a backup server share an access router of their own, at a map router that the seed (or the list's first entry) names.

The notation, given where a topology's name is (``lab run``: ``topology: {file: Abilene.graphml, name: "24@7"}``): how
many clients, and optionally a seed; or a list of map routers by the file's ids, the server's first: ``"0: 3 3 5"``.

Refuses: text that is neither, unknown ids, more than ``MAX_CLIENTS`` clients: ``ConfigError``.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from overlaycast.errors import ConfigError
from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.graphml import RouterMap, read_graphml
from overlaycast.lab.topology.shape import Shape
from overlaycast.lab.topology.topology import Topology

MAX_CLIENTS: Final = 10_000
DEFAULT_CLIENTS: Final = 12
ACCESS_MS: Final = 0.5
UPLINK_MBIT: Final = 20.0
CORE_MBIT: Final = 100.0  # where the map gives no rate
LAN_MBIT: Final = 1000.0

_COUNT: Final = re.compile(r"(\d{1,6})(?:@(\d{1,9}))?")
_LIST: Final = re.compile(r"([^\s:]+):((?:\s*[^\s:]+)+)\s*")


@dataclass(frozen=True, slots=True)
class Attachments:
    """The map routers (node numbers) that hosts attach to: the server's, and one entry per client."""

    server: int
    clients: tuple[int, ...]


def attachments(where: str, notation: str | None, router_map: RouterMap) -> Attachments:
    """Return what the text says; without a text, ``DEFAULT_CLIENTS`` clients by seed 1.

    Raises:
        ConfigError: see the module text.
    """
    text = (notation or str(DEFAULT_CLIENTS)).strip()
    size = len(router_map.graph)
    if count := _COUNT.fullmatch(text):
        rng = random.Random(f"placement {int(count[2] or 1)}")
        clients = int(count[1])
        if not 1 <= clients <= MAX_CLIENTS:
            raise ConfigError(f"{where}: name: accepted is 1 to {MAX_CLIENTS} clients (got {clients})")
        return Attachments(rng.randrange(size), tuple(rng.randrange(size) for _ in range(clients)))
    listed = _LIST.fullmatch(text)
    if listed is None:
        raise ConfigError(
            f"{where}: name: accepted is COUNT, COUNT@SEED or 'SERVER: ROUTER ROUTER …' (got {text!r:.60})"
        )
    number = {str(data["name"]): node for node, data in router_map.graph.nodes(data=True)}
    wanted = [listed[1], *listed[2].split()]
    unknown = [name for name in wanted if name not in number]
    if unknown:
        raise ConfigError(f"{where}: name: no router {unknown[0]!r:.40} in the map; accepted are the file's node ids")
    return Attachments(number[wanted[0]], tuple(number[name] for name in wanted[1 : MAX_CLIENTS + 1]))


def zoo_topology(router_map: RouterMap, attached: Attachments, where: str | None = None, **wishes: Any) -> Topology:
    """Return a topology that can be built.

    Args:
        router_map: routers and links.
        attached: where the hosts attach.
        where: what an error names first.
        wishes: ``icmp`` and ``addressing``, as ``Topology.of`` takes them.

    Raises:
        ConfigError: the network cannot be built (more routers than there are addresses).
    """
    graph = router_map.graph
    nodes = [Node(f"r{n}", "router") for n in graph]
    links = []
    core = Shape(rate_mbit=CORE_MBIT, delay_ms=ACCESS_MS)
    for a, b, data in graph.edges(data=True):
        both = Shape(rate_mbit=data["rate_mbit"] or CORE_MBIT, delay_ms=data["delay_ms"])
        links.append(Link(f"r{a}", f"r{b}", both, both))
    access = Shape(rate_mbit=UPLINK_MBIT, delay_ms=ACCESS_MS)
    lan = Shape(rate_mbit=LAN_MBIT)
    nodes.append(Node("hub", "router"))
    links.append(Link(f"r{attached.server}", "hub", core, core))
    for name, role in (("source", "server"), ("control", "coordinator"), ("backup", "backup")):
        nodes.append(Node(name, "host", role=role))
        links.append(Link("hub", name, lan, lan))
    for router, count in sorted(Counter(attached.clients).items()):
        site = f"site{router}"
        nodes.append(Node(f"e{router}", "router"))
        links.append(Link(f"r{router}", f"e{router}", access, access, uplink_of=site))
        for index in range(1, count + 1):
            nodes.append(Node(_client(router, index), "host", site, "client"))
            links.append(Link(f"e{router}", _client(router, index), lan, lan))
    return Topology.of(router_map.name, nodes, links, where, notes=router_map.notes, **wishes)


def _client(router: int, index: int) -> str:
    return f"c{router}_{index}"


def load_zoo(file: Path, notation: str | None, wishes: Mapping[str, Any]) -> Topology:
    """Read a GraphML file and attach hosts to it as the text says.

    Raises:
        ConfigError: see ``read_graphml`` and ``attachments``.
    """
    router_map = read_graphml(file)
    return zoo_topology(router_map, attachments(str(file), notation, router_map), str(file), **wishes)
