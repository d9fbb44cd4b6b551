"""Which hosts reach which over a built network, by unicast and by multicast. Sends and receives; judges nothing.

Owns: the probes that show that unicast arrives where it shall, that no host behind a NAT is reached from outside, that
the NAT translates, and that multicast stays in its LAN. A control proves that the probe could have seen multicast.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from overlaycast.lab.fidelity.probes import MARK, Received, bound, family_of, listen, send
from overlaycast.lab.network.network import Network
from overlaycast.lab.topology.addressing import Family, Lan
from overlaycast.lab.topology.topology import Topology

GROUP: Final[dict[Family, str]] = {4: "239.255.77.7", 6: "ff1e::77:7"}
_HOPS: Final = 32


@dataclass(frozen=True, slots=True)
class UnicastFinding:
    """What unicast did between the hosts, as ordered pairs.

    Attributes:
        missing: should have reached each other and did not.
        trespassing: reached a host behind a NAT, from outside.
        untranslated: left a NAT under the sender's own address (IPv4).
    """

    missing: tuple[tuple[str, str], ...]
    trespassing: tuple[tuple[str, str], ...]
    untranslated: tuple[tuple[str, str], ...]


def unicast(network: Network, family: Family, rounds: int = 4) -> UnicastFinding:
    """Send between all pairs of hosts: up to ``rounds`` datagrams, a round at a time, where the last did not arrive."""
    topology = network.topology
    hosts = [node.name for node in topology.hosts() if topology.links_of(node.name)]
    patience = 0.25 + 2 * max((topology.delay_ms(hosts[0], other) for other in hosts), default=0.0) / 1000
    pairs = {(a, b) for a in range(len(hosts)) for b in range(len(hosts)) if a != b}
    wanted = {(a, b) for a, b in pairs if topology.reaches(hosts[a], hosts[b])}
    with bound(network, [(name, topology.address(name, family)) for name in hosts]) as sockets:
        arrivals = {one: Received() for one in sockets}
        targets = [one.getsockname() for one in sockets]

        def heard() -> set[tuple[int, int]]:
            return {mark[:2] for each in arrivals.values() for mark in each.marks}

        if wanted != pairs:  # what shall not arrive gets its time, too
            for a, b in sorted(pairs - wanted):
                send(sockets[a], MARK.pack(a, b, 0), targets[b])
            listen(arrivals, time.monotonic() + patience)
        for _ in range(rounds):
            for a, b in sorted(wanted - heard()):
                send(sockets[a], MARK.pack(a, b, 0), targets[b])
            listen(arrivals, time.monotonic() + patience, lambda: wanted <= heard())
            patience *= 2
        found = heard()
    seen = {
        mark[:2]: sender for each in arrivals.values() for mark, sender in zip(each.marks, each.senders, strict=True)
    }
    named = [[(hosts[a], hosts[b]) for a, b in sorted(some)] for some in (wanted - found, found - wanted)]
    bare = [
        (hosts[a], hosts[b])
        for (a, b), sender in sorted(seen.items())
        if family == 4 and _bare(topology, hosts[a], hosts[b], sender)
    ]
    return UnicastFinding(tuple(named[0]), tuple(named[1]), tuple(bare))


def _bare(topology: Topology, source: str, target: str, sender: str) -> bool:
    """Return whether a datagram crossed a NAT and still had its sender's own address."""
    nat = topology.behind(source)
    return nat is not None and target not in nat.inside and sender != topology.address(nat.router, 4)


@dataclass(frozen=True, slots=True)
class MulticastFinding:
    """What multicast did.

    Attributes:
        deaf: routers on whose LAN even the control (sent within the LAN) was not heard: the probe proves nothing there.
        leaks: (LAN of the sender, LAN of the listener) where a datagram crossed a router.
    """

    deaf: tuple[str, ...]
    leaks: tuple[tuple[str, str], ...]


def multicast(network: Network, family: Family = 4) -> MulticastFinding:
    """Join a group on one host of every LAN, send to it from every LAN with a TTL that would suffice, and listen.

    The control: the LAN's router sends to the group within the LAN, and the listener must hear that.
    """
    topology = network.topology
    lans = topology.lans
    members = [(lan.hosts[0].node, (lan.hosts[0].spoken(family) or ("", 0))[0], lan.hosts[0].name) for lan in lans]
    routers = [(lan.router, lan.router_address(family)[0], lan.device) for lan in lans]
    listeners = [_joined(network, *member, family) for member in members]
    heard = {one: Received() for one in listeners}
    try:
        with bound(network, [end[:2] for end in (*members, *routers)]) as senders:
            for one, (node, address, device) in zip(senders, (*members, *routers), strict=True):
                _aim(network, one, node, address, device)
            ports = sorted({one.getsockname()[1] for one in listeners})
            for _ in range(3):
                for number, one in enumerate(senders):
                    for port in ports:
                        send(one, MARK.pack(number, 0, 0), (GROUP[family], port))
                listen(heard, time.monotonic() + 0.1)
            nodes = [node for node, _, _ in (*members, *routers)]
            longest = max((topology.delay_ms(a, b) for a in nodes for b in nodes), default=0.0)
            listen(heard, time.monotonic() + 0.05 + 2 * longest / 1000)
    finally:
        for one in listeners:
            one.close()
    return _finding(lans, [{mark[0] for mark in heard[one].marks} for one in listeners])


def _finding(lans: Sequence[Lan], heard: Sequence[set[int]]) -> MulticastFinding:
    """Senders are numbered: first one host per LAN, then the LANs' routers."""
    deaf, leaks = [], set()
    for number, senders in enumerate(heard):
        if number + len(lans) not in senders:
            deaf.append(lans[number].router)
        leaks |= {(lans[n % len(lans)].router, lans[number].router) for n in senders if n % len(lans) != number}
    return MulticastFinding(tuple(deaf), tuple(sorted(leaks)))


def _aim(network: Network, one: socket.socket, node: str, address: str, device: str) -> None:
    """Have a socket send its multicast out of a device, far enough, and not to itself."""
    if family_of(address) == socket.AF_INET:
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _HOPS)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        return
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, network.index(node, device))
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)


def _joined(network: Network, node: str, address: str, device: str, family: Family) -> socket.socket:
    with network.in_namespace(node):
        one = socket.socket(family_of(address), socket.SOCK_DGRAM)
    one.setblocking(False)
    one.bind((GROUP[family], 0))
    if family == 4:
        group = socket.inet_aton(GROUP[family]) + socket.inet_aton(address)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    else:
        raw = socket.inet_pton(socket.AF_INET6, GROUP[family])
        one.setsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, raw + struct.pack("=I", network.index(node, device))
        )
    return one
