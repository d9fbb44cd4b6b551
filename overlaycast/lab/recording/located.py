"""Where members truly are in the network that was built, and where the coordinator takes them to be. Pure values.

Owns: both ways to a member, in names of the topology's routers, and how they compare. Refuses: to ask anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from overlaycast.lab.topology.topology import Topology
from overlaycast.wire.views import MemberView

MOST_WAYS: Final = 16
"""Ways of equal cost to one member that are looked at."""


@dataclass(frozen=True, slots=True)
class Way:
    """The true way from the coordinator to a member.

    Attributes:
        routers: all ways of least cost, each from the coordinator on; None: a router that never answers. Routers that
            are no hop are left out.
        rate_mbit: of the thinnest link, there and back; None: no link has a limit.
    """

    routers: tuple[tuple[str | None, ...], ...]
    rate_mbit: float | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """What the coordinator knew of a member, the last time that it was asked.

    Attributes:
        routers: on its path, from the coordinator on; None: one that did not answer. An address that no router has is
            named as it is.
        rate_mbit: what its echo showed; None: nothing, or no limit.
    """

    routers: tuple[str | None, ...]
    rate_mbit: float | None = None


def way(topology: Topology, coordinator: str, host: str) -> Way:
    """Return the true way between two hosts."""
    routers = tuple(
        tuple(
            None if topology.node(name).manners.anonymous else name
            for name in one
            if not topology.node(name).manners.hides_ttl
        )
        for one in topology.ways(coordinator, host, MOST_WAYS)
    )
    rates = [*_rates(topology, coordinator, host), *_rates(topology, host, coordinator)]
    return Way(routers, min((rate for rate in rates if rate is not None), default=None))


def _rates(topology: Topology, a: str, b: str) -> list[float | None]:
    here, rates = a, []
    for name in topology.path(a, b):
        link = topology.link(name)
        rates.append(link.egress(here).rate_mbit)
        here = link.other(here)
    return rates


def located(members: Sequence[MemberView], names: Mapping[str, str]) -> dict[str, Located]:
    """Return what the coordinator knows of its members, by host.

    Args:
        members: as it tells, in order of id: of two with one name, the newer counts.
        names: address -> the node that has it. A member behind a translator is found behind it, as if it were a router.
    """
    found = {}
    for member in members:
        named = (name if name is None else names.get(name, name) for name in reversed(member.routers))
        routers = tuple(name for name in named if name != member.name)
        found[member.name] = Located(routers, member.performance.rate_mbit)
    return found


def addresses(topology: Topology) -> dict[str, str]:
    """Return which node has which address, in either family."""
    found: dict[str, str] = {}
    for family in topology.families:
        spoken = [(end.node, end.spoken(family)) for end in topology.interfaces]
        spoken += [(lan.router, lan.router_address(family)) for lan in topology.lans]
        found |= {address[0]: node for node, address in spoken if address is not None}
    return found
