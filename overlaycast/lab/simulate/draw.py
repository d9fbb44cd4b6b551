"""Who sits where: one draw of members over a map, the same for all systems that are compared on it. Pure.

Owns: ``Draw``, and how it is made from a map by a seed or from a topology as it stands. Refuses: more than
``MAX_MEMBERS`` members, or none, by ``ConfigError``.

A *site* is a set of hosts behind one uplink. On a map the members at one router are one site: they share a LAN
switch, and the link between the switch and the router is the site's uplink (in: towards the switch). Hosts are attached
to their switch by links of ``LAN_MS``. In a topology file the sites and uplinks are those that the file declares.

Host 0 is the source, 1..n the members. The coordinator is at the source's router, but not on its LAN (so that a
trace to the source shows that router), unless a topology says otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from overlaycast.errors import ConfigError
from overlaycast.lab.simulate.routes import Hop, Line, Net, Routes
from overlaycast.lab.topology.graphml import RouterMap
from overlaycast.lab.topology.topology import Topology

MAX_MEMBERS: Final = 1_000_000
LAN_MS: Final = 0.05  # a host's cable, switch and network stack, one way
ACCESS_MS: Final = 0.05  # a site's switch to its router, in the same house
LAN_MBIT: Final = 1000.0


@dataclass(frozen=True, slots=True)
class Draw:
    """One draw. Hosts are numbered from 0, the source.

    Attributes:
        name: the map's or topology's.
        seed: what chose the places.
        net: the network.
        places: per host, the node that it is attached to.
        sites: per host, the number of its site.
        inbound: per site, its uplinks in the direction into the site; empty for a site without.
        backups: hosts that are backup servers; they are members, but not among those that count.
        control: the node that the coordinator is attached to.
        notes: what was mended or assumed.
        routes: the paths over ``net``.
    """

    name: str
    seed: int
    net: Net
    places: tuple[int, ...]
    sites: tuple[int, ...]
    inbound: tuple[tuple[Hop, ...], ...]
    backups: frozenset[int]
    control: int
    notes: tuple[str, ...]
    routes: Routes = field(repr=False, compare=False)

    def delay_ms(self, a: int, b: int) -> float:
        """Return the delay from host a to host b, one way."""
        return self.routes.delay_ms(self.places[a], self.places[b]) + 2 * LAN_MS

    def routers_between(self, a: int, b: int) -> int:
        """Return how many routers are on the way from host a to host b."""
        return sum(self.net.routers[node] for node in self.routes.nodes(self.places[a], self.places[b]))

    def control_ms(self, host: int) -> float:
        """Return the delay between the coordinator and a host, one way."""
        return self.routes.delay_ms(self.control, self.places[host]) + 2 * LAN_MS

    def trace(self, host: int) -> list[tuple[str, float]]:
        """Return what a traceroute from the coordinator shows: routers, each with its round-trip time in ms."""
        routes = self.routes
        nodes = routes.nodes(self.control, self.places[host])
        return [
            (self.net.names[node], 2 * (LAN_MS + routes.delay_ms(self.control, node)))
            for node in nodes
            if self.net.routers[node]
        ]

    def bottleneck_mbit(self, host: int) -> float:
        """Return the lowest rate on the path from the coordinator to a host."""
        hops = self.routes.hops(self.control, self.places[host])
        rates = (self.net.lines[hop].rate_mbit for hop in hops)
        return min((rate for rate in rates if rate is not None), default=LAN_MBIT)

    @property
    def is_map(self) -> bool:
        """Whether sites are LAN switches at a map's routers (else: the routers of a topology file)."""
        return not all(self.net.routers)

    @property
    def members(self) -> range:
        """The hosts that are members (backups too); the source is not."""
        return range(1, len(self.places))

    def seated(self, seats: Sequence[int], backups: frozenset[int]) -> Draw:
        """Return the same network with other hosts: the first is the source; each sits where host ``seats[i]`` does."""
        places = tuple(self.places[seat] for seat in seats)
        return replace(self, places=places, sites=tuple(self.sites[seat] for seat in seats), backups=backups)


def on_map(router_map: RouterMap, members: int, seed: int, uplink_mbit: float | None) -> Draw:
    """Draw every member's router, and the source's, uniformly.

    Args:
        router_map: routers and links.
        members: how many.
        seed: chooses the routers.
        uplink_mbit: each site's uplink, both ways; None: unlimited.

    Raises:
        ConfigError: members out of bounds.
    """
    if not 1 <= members <= MAX_MEMBERS:
        raise ConfigError(f"members: accepted is 1 to {MAX_MEMBERS} (got {members})")
    graph = router_map.graph
    rng = random.Random(f"draw {seed}")
    size = len(graph)
    at = [rng.randrange(size) for _ in range(members + 1)]
    lines: dict[Hop, Line] = {}
    for a, b, data in graph.edges(data=True):
        lines[a, b] = lines[b, a] = Line(data["delay_ms"], data["rate_mbit"])
    switch = {router: size + index for index, router in enumerate(sorted(set(at)))}
    for router, node in switch.items():
        lines[router, node] = lines[node, router] = Line(ACCESS_MS, uplink_mbit)
    names = [f"{graph.nodes[n]['name']}:{graph.nodes[n]['label']}" for n in graph] + [f"site{r}" for r in switch]
    net = Net(tuple(names), (True,) * size + (False,) * len(switch), lines)
    places = tuple(switch[router] for router in at)
    inbound = tuple(((router, node),) for router, node in switch.items())
    notes = (*router_map.notes, f"{len(set(at[1:]))} sites: the members at one router share its LAN and uplink")
    sites = tuple(place - size for place in places)
    return Draw(router_map.name, seed, net, places, sites, inbound, frozenset(), at[0], notes, Routes(net))


def on_topology(topology: Topology, seed: int) -> Draw:
    """Take a topology as it stands: its server is the source, its clients and backup servers are the members.

    Raises:
        ConfigError: not exactly one server, or no client.
    """
    servers, clients = topology.hosts(role="server"), topology.hosts(role="client")
    if len(servers) != 1 or not clients:
        got = f"{len(servers)} and {len(clients)}"
        raise ConfigError(f"topology {topology.name}: accepted is one server and at least one client (got {got})")
    backups = topology.hosts(role="backup")
    hosts = (*servers, *clients, *backups)
    number = {router.name: index for index, router in enumerate(topology.routers)}
    lines: dict[Hop, Line] = {}
    for link in topology.links:
        if link.a in number and link.b in number:
            a, b = number[link.a], number[link.b]
            lines[a, b], lines[b, a] = (Line(shape.delay_ms, shape.rate_mbit) for shape in (link.ab, link.ba))
    doorstep = {
        end: number[link.other(end)] for link in topology.links for end in (link.a, link.b) if end not in number
    }
    site_names = list(dict.fromkeys(host.site or f"@{doorstep[host.name]}" for host in hosts))
    inbound = []
    for site in site_names:
        ups = [(topology.link(up.link).other(up.inside), up.inside) for up in topology.uplinks_of(site)]
        inbound.append(tuple((number[outer], number[inner]) for outer, inner in ups if {outer, inner} <= number.keys()))
    net = Net(tuple(number), (True,) * len(number), lines)
    control = (*topology.hosts(role="coordinator"), *servers)[0]
    return Draw(
        name=topology.name,
        seed=seed,
        net=net,
        places=tuple(doorstep[host.name] for host in hosts),
        sites=tuple(site_names.index(host.site or f"@{doorstep[host.name]}") for host in hosts),
        inbound=tuple(inbound),
        backups=frozenset(index for index, host in enumerate(hosts) if host.role == "backup"),
        control=doorstep[control.name],
        notes=("hosts are where the file has them; the seed does not move them",),
        routes=Routes(net),
    )
