"""Routers that forward one multicast stream: the ideal that overlays are measured against.

Owns: the forwarding tree (pure: ``plan``) and its entries in the routers' kernels, by the same calls that smcroute
makes (MRT_ADD_VIF and MRT_ADD_MFC, see ip_mroute in the kernel and smcroute(8)), so that no daemon is needed. Refuses:
routers with more ways out than the kernel's 32 virtual interfaces. Invariant: entries live as long as the sockets that
made them; every link of the tree carries one copy. LANs speak IGMPv3: in version 2 a host keeps quiet for seconds if it
hears another one ask for the group, as it does while the bridge still floods, and the bridge never learns of it.
"""

from __future__ import annotations

import errno
import json
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from overlaycast.errors import LabError, MissingError
from overlaycast.lab.network.network import Network
from overlaycast.lab.topology.topology import Topology

GROUP: Final = "239.20.0.1"
"""Organisation-local scope (RFC 2365)."""
_MRT_INIT, _MRT_ADD_VIF, _MRT_ADD_MFC = 200, 202, 204
_BY_INDEX: Final = 0x8
_VIFS: Final = 32
_VIF: Final = struct.Struct("@HBBIi4s")
_MFC: Final = struct.Struct("@4s4sH32sIIIi")


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What one router does: packets that come in on ``into`` go out on ``out``; devices by name."""

    into: str
    out: tuple[str, ...]


def plan(topology: Topology, source: str, receivers: Iterable[str]) -> dict[str, Forwarding]:
    """Return what each router forwards, along the unicast paths from the source; a tree even where paths tie."""
    parents: dict[str, str] = {source: ""}
    out: dict[str, dict[str, None]] = {}
    for receiver in receivers:
        here = source
        for name in topology.path(source, receiver):
            there = topology.link(name).other(here)
            if there not in parents:
                parents[there] = name
            here = there
        while here != source:
            name = parents[here]
            here = topology.link(name).other(here)
            out.setdefault(here, {})[name] = None
    routers = {router.name for router in topology.routers}
    return {
        node: Forwarding(_device(topology, parents[node], node), _devices(topology, links, node))
        for node, links in out.items()
        if node in routers
    }


def _device(topology: Topology, link: str, node: str) -> str:
    """A port of a LAN's bridge has no addresses of its own: packets pass through the bridge."""
    end = topology.interface(link, node)
    return end.bridge or end.name


def _devices(topology: Topology, links: Iterable[str], node: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_device(topology, link, node) for link in links))


@contextmanager
def laid(network: Network, source: str, receivers: Iterable[str]) -> Iterator[int]:
    """Have the routers forward what the source sends to ``GROUP``; yields how many routers do.

    Raises:
        MissingError: the kernel has no multicast routing.
        LabError: it refused an entry.
    """
    entries = plan(network.topology, source, receivers)
    origin = network.topology.address(source)
    with ExitStack() as stack:
        for router, forwarding in entries.items():
            stack.enter_context(_router(network, router, forwarding, origin))
        for lan in network.topology.lans:
            if lan.bridged:
                _snoop(network, lan.router, lan.device)
        yield len(entries)


@contextmanager
def _router(network: Network, router: str, forwarding: Forwarding, origin: str) -> Iterator[None]:
    devices = tuple(dict.fromkeys((forwarding.into, *forwarding.out)))
    if len(devices) > _VIFS:
        raise LabError(f"{router}: multicast over {len(devices)} interfaces; the kernel's limit is {_VIFS}")
    with network.in_namespace(router):
        control = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
        indices = [socket.if_nametoindex(device) for device in devices]
    with control:
        try:
            control.setsockopt(socket.IPPROTO_IP, _MRT_INIT, 1)
            for number, index in enumerate(indices):
                control.setsockopt(socket.IPPROTO_IP, _MRT_ADD_VIF, _VIF.pack(number, _BY_INDEX, 1, 0, index, bytes(4)))
            entry = _entry(origin, devices, forwarding)
            control.setsockopt(socket.IPPROTO_IP, _MRT_ADD_MFC, entry)
        except OSError as error:
            if error.errno in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):
                raise MissingError("IP multicast needs a kernel with CONFIG_IP_MROUTE; this one has none") from None
            raise LabError(f"{router}: cannot forward multicast: {error.strerror}") from error
        yield


def _entry(origin: str, devices: tuple[str, ...], forwarding: Forwarding) -> bytes:
    ttls = bytearray(_VIFS)  # 0: never out of this one; 1: whatever may still travel
    for device in forwarding.out:
        ttls[devices.index(device)] = 1
    into = devices.index(forwarding.into)
    return _MFC.pack(socket.inet_aton(origin), socket.inet_aton(GROUP), into, bytes(ttls), 0, 0, 0, 0)


def unheard(network: Network, hosts: Iterable[str]) -> list[str]:
    """Return those of some receivers whose LAN does not know yet that they want ``GROUP``; nothing would reach them.

    A program has joined when its kernel knows; the report to the LAN goes out a moment later.

    Raises:
        LabError: a bridge does not say what it knows.
    """
    wanted, missing = set(hosts), []
    for lan in network.topology.lans:
        members = {network.topology.interface(one.link, lan.router).name: one.node for one in lan.hosts}
        if not lan.bridged or wanted.isdisjoint(members.values()):
            continue  # without a bridge there is nobody to tell: the router sends to its only host
        shown = json.loads(_run(network, lan.router, ["bridge", "-j", "mdb", "show", "dev", lan.device]))
        known = {entry["port"] for part in shown for entry in part.get("mdb", ()) if entry["grp"] == GROUP}
        missing += [host for port, host in members.items() if host in wanted and port not in known]
    return missing


def _snoop(network: Network, router: str, device: str) -> None:
    """Have a LAN's bridge send a group only to hosts that joined it, and what hosts send always to the router."""
    options = (("mcast_igmp_version", "3"), ("mcast_query_response_interval", "10"), ("mcast_router", "2"))
    for name, value in (*options, ("mcast_snooping", "1"), ("mcast_querier", "1")):
        _run(network, router, ["ip", "link", "set", "dev", device, "type", "bridge", name, value])


def _run(network: Network, router: str, words: list[str]) -> bytes:
    process = network.host(router).popen(words)
    said, complaint = process.communicate()
    if process.returncode != 0:
        raise LabError(f"{router}: {' '.join(words)}: {complaint.decode(errors='replace').strip()}")
    return bytes(said)
