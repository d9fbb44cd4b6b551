"""What a run needs to know of its network, taken from the checked topology. Pure.

Owns: the step from ``Topology`` (how to build it) to ``NetworkSeen`` (what a result and a report show of it).
"""

from __future__ import annotations

from collections.abc import Mapping

from overlaycast.lab.experiment.experiment import Cast
from overlaycast.lab.recording.located import way
from overlaycast.lab.recording.recording import LinkSeen, NetworkSeen, NodeSeen
from overlaycast.lab.topology.topology import Topology


def network_seen(topology: Topology, cast: Cast, means: Mapping[str, str]) -> NetworkSeen:
    """Return the network as results show it.

    Args:
        topology: what was built.
        cast: the hosts that take part; paths are noted between these only.
        means: link name -> what shapes it.
    """
    members = (cast.source, *cast.peers, *cast.backups)
    pairs = [(a, b) for a in members for b in members if a != b]
    return NetworkSeen(
        nodes=tuple(NodeSeen(node.name, node.kind, node.site, node.role) for node in topology.nodes),
        links=_links(topology, means),
        paths={(a, b): topology.path(a, b) for a, b in pairs},
        delays={(a, b): topology.delay_ms(a, b) for a, b in pairs},
        ways={host: way(topology, cast.coordinator, host) for host in cast.peers},
    )


def _links(topology: Topology, means: Mapping[str, str]) -> tuple[LinkSeen, ...]:
    uplinks = {uplink.link: uplink for uplink in topology.uplinks}
    found = []
    for link in topology.links:
        uplink = uplinks.get(link.name)
        found.append(
            LinkSeen(
                name=link.name,
                a=link.a,
                b=link.b,
                rate_mbit=link.ab.rate_mbit,
                delay_ms=link.ab.delay_ms,
                loss=link.ab.loss,
                site=uplink.site if uplink else None,
                into_site=uplink.inbound if uplink else None,
                shaping=means.get(link.name, "none"),
            )
        )
    return tuple(found)
