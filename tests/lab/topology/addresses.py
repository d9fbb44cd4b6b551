"""Whose address is it? For reading traces."""

from __future__ import annotations

from overlaycast.lab.topology.topology import Topology


def node_of(topology: Topology, address: str) -> str | None:
    """Return the node that has an address (any of its interfaces'), or None."""
    for family in topology.families:
        for end in topology.interfaces:
            spoken = end.spoken(family)
            if spoken is not None and spoken[0] == address:
                return end.node
        for lan in topology.lans:
            if lan.router_address(family)[0] == address:
                return lan.router
    return None
