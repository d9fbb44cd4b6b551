"""Interface names, MAC and IP addresses, given out in order of declaration. Pure.

Owns: which subnet belongs to what. Every router with hosts has one LAN, a /24 of 10.0.0.0/9 (wider if it must
be), with the router as ``.1`` and the hosts from ``.2``; two or more host links are joined by a bridge in the
router's namespace. Every link between routers has a /30 of 10.128.0.0/9.

Addresses need not say where a host is, so there are two other plans. ``spread``: no two hosts share a /24, since a LAN
is as wide as that needs. ``one24``: LANs and links have subnets as small as they can be, one after the other, so that
a small network fits into one /24, and a larger one runs on into the next, through its sites.

IPv6 follows from IPv4, so that one can be read from the other: the subnet 10.0.1.0 is fd6f:7665:a00:100::/64, and
the last part of an address counts the subnet's addresses as IPv4's does.

Invariants: no address twice; no two subnets overlap; the same declaration gives the same addresses; interface
names are Mininet's (``<node>-eth<n>``, counted per node from 0 in order of the links).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Final, Literal, get_args

from overlaycast.errors import ConfigError
from overlaycast.lab.topology.graph import Link, Node

LANS: Final = IPv4Network("10.0.0.0/9")
TRANSFERS: Final = IPv4Network("10.128.0.0/9")
_SIX: Final = int(IPv6Address("fd6f:7665::"))  # unique local (RFC 4193)
_LARGEST_LAN: Final = 16  # prefix length: 65 thousand hosts behind one router are enough


Family = Literal[4, 6]
AddressPlan = Literal["lans", "spread", "one24"]
PLANS: Final[tuple[AddressPlan, ...]] = get_args(AddressPlan)
_BLOCK: Final = 256  # addresses of a /24


def in_family(family: Family, address: str, prefix: int) -> tuple[str, int]:
    """Return the address in a family that stands for an IPv4 address of a subnet, with the length of its prefix."""
    if family == 4:
        return address, prefix
    number = int(IPv4Address(address))
    subnet = number >> (32 - prefix) << (32 - prefix)
    return str(IPv6Address(_SIX | subnet << 64 | number - subnet)), 64


@dataclass(frozen=True, slots=True)
class Interface:
    """One end of a link.

    Attributes:
        node: the node that has it.
        name: as the kernel knows it.
        mac: locally administered, unique in the topology.
        link: the name of its link.
        address: IPv4, or None for the port of a bridge. In a network of IPv6 alone, its IPv6 address follows from it.
        prefix: length of the IPv4 subnet's prefix.
        bridge: the bridge it is a port of, or None.
    """

    node: str
    name: str
    mac: str
    link: str
    address: str | None
    prefix: int
    bridge: str | None = None

    def spoken(self, family: Family) -> tuple[str, int] | None:
        """Return address and length of prefix in a family; None for the port of a bridge."""
        return None if self.address is None else in_family(family, self.address, self.prefix)


@dataclass(frozen=True, slots=True)
class Lan:
    """A router and the hosts linked to it, in one subnet.

    Attributes:
        router: its name.
        network: the subnet, ``10.0.0.0``.
        prefix: its length.
        gateway: the router's address in it.
        device: the router's interface that has the gateway's address: a bridge, or the one link.
        mac: that interface's.
        bridged: True if ``device`` is a bridge.
        hosts: the hosts' interfaces.
    """

    router: str
    network: str
    prefix: int
    gateway: str
    device: str
    mac: str
    bridged: bool
    hosts: tuple[Interface, ...]

    def subnet(self, family: Family) -> tuple[str, int]:
        """Return the network and the length of its prefix in a family."""
        return in_family(family, self.network, self.prefix)

    def router_address(self, family: Family) -> tuple[str, int]:
        """Return the gateway's address and the length of its prefix in a family."""
        return in_family(family, self.gateway, self.prefix)


@dataclass(frozen=True, slots=True)
class Addressing:
    """All addresses of a network. ``interfaces`` has two per link, end a first, in order of the links."""

    interfaces: tuple[Interface, ...]
    lans: tuple[Lan, ...]


def assign(where: str, nodes: Sequence[Node], links: Sequence[Link], plan: AddressPlan = "lans") -> Addressing:
    """Return the addresses of a checked graph, by one of the plans.

    Raises:
        ConfigError: more hosts or links than there are addresses; names ``where``.
    """
    routers = {node.name for node in nodes if node.kind == "router"}
    names = _interface_names(links)
    pool = _Subnets(where, plan)
    transfers = pool.pairs() if plan == "one24" else TRANSFERS.subnets(new_prefix=30)
    made: dict[tuple[str, str], Interface] = {}
    behind: dict[str, list[tuple[Link, str]]] = defaultdict(list)
    for number, link in enumerate(links):
        for end, mac in ((link.a, 2 * number), (link.b, 2 * number + 1)):
            made[link.name, end] = Interface(end, names[link.name, end], _mac(mac), link.name, None, 30)
        if link.a in routers and link.b in routers:
            _address_transfer(where, link, transfers, made)
        else:
            router = link.a if link.a in routers else link.b
            behind[router].append((link, link.other(router)))
    lans = tuple(_lan(pool, n.name, behind[n.name], made) for n in nodes if n.name in behind)
    ends = [made[link.name, end] for link in links for end in (link.a, link.b)]
    return Addressing(tuple(ends), lans)


def _interface_names(links: Sequence[Link]) -> dict[tuple[str, str], str]:
    ports: dict[str, int] = defaultdict(int)
    names = {}
    for link in links:
        for end in (link.a, link.b):
            names[link.name, end] = f"{end}-eth{ports[end]}"
            ports[end] += 1
    return names


def _mac(number: int) -> str:
    raw = (0x026F << 32 | number).to_bytes(6, "big")
    return ":".join(f"{octet:02x}" for octet in raw)


def _address_transfer(
    where: str, link: Link, transfers: Iterator[IPv4Network], made: dict[tuple[str, str], Interface]
) -> None:
    network = next(transfers, None)
    if network is None:
        raise ConfigError(
            f"{where}: link {link.name}: no subnets left in {TRANSFERS}; accepted: at most 2 million links"
        )
    for end, offset in ((link.a, 1), (link.b, 2)):
        bare = made[link.name, end]
        made[link.name, end] = Interface(end, bare.name, bare.mac, link.name, str(network[offset]), 30)


def _lan(
    pool: _Subnets, router: str, cables: Sequence[tuple[Link, str]], made: dict[tuple[str, str], Interface]
) -> Lan:
    network = pool.take(router, len(cables))
    bridge = f"{router}-lan" if len(cables) > 1 else None
    hosts = []
    for count, (link, host) in enumerate(cables):
        bare = made[link.name, host]
        own = Interface(host, bare.name, bare.mac, link.name, str(network[pool.offset(count)]), network.prefixlen)
        made[link.name, host] = own
        hosts.append(own)
        port = made[link.name, router]
        address = None if bridge else str(network[1])
        made[link.name, router] = Interface(router, port.name, port.mac, link.name, address, network.prefixlen, bridge)
    first = made[cables[0][0].name, router]
    mac = "06" + first.mac[2:] if bridge else first.mac
    device = bridge or first.name
    return Lan(
        router, str(network[0]), network.prefixlen, str(network[1]), device, mac, bridge is not None, tuple(hosts)
    )


class _Subnets:
    """Hands out aligned subnets of ``LANS`` in order."""

    def __init__(self, where: str, plan: AddressPlan) -> None:
        self._where = where
        self._plan = plan
        self._next = int(LANS.network_address)

    def pairs(self) -> Iterator[IPv4Network]:
        """Yield subnets of two addresses while there are any."""
        while self._next + 4 <= int(LANS.broadcast_address):
            yield self._cut(30)

    def take(self, router: str, hosts: int) -> IPv4Network:
        """Return the subnet of a router's LAN."""
        addresses = hosts * _BLOCK if self._plan == "spread" else hosts + 3
        # never a /30: that is a link between routers
        prefix = min(29 if self._plan == "one24" else 24, 32 - (addresses - 1).bit_length())
        size = 1 << (32 - prefix)
        if prefix < _LARGEST_LAN or -(-self._next // size) * size + size > int(LANS.broadcast_address) + 1:
            why = f" with addressing {self._plan}" if self._plan != "lans" else ""
            raise ConfigError(
                f"{self._where}: router {router!r}: its LAN of {addresses} addresses does not fit in {LANS}{why}"
            )
        return self._cut(prefix)

    def offset(self, count: int) -> int:
        """Return which address of its LAN the host with this number, counted from 0, has."""
        return count * _BLOCK + 2 if self._plan == "spread" else count + 2

    def _cut(self, prefix: int) -> IPv4Network:
        size = 1 << (32 - prefix)
        start = -(-self._next // size) * size
        self._next = start + size
        return IPv4Network((int(IPv4Address(start)), prefix))
