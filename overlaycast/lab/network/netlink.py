"""A small rtnetlink client: one socket per namespace, many requests per system call.

Owns: the encoding of the few requests the lab needs (links, addresses, routes, neighbours, counters;
rtnetlink(7)) and the reading of the answers. Refuses: nothing on its own account; what the kernel refuses is
a ``LabError`` that names the request. A socket stays in the namespace it was made in, so it can be used from
any thread later.

Why not pyroute2: with it, a network of 100 nodes took 6 to 13 times as long to come up, one of 300 nodes 14 to 17
times (docs/benchmarks.md). A large map needs a route per subnet in every router, and pyroute2 takes some hundred times
as long to encode one.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from overlaycast.errors import LabError

_HEADER: Final = struct.Struct("=IHHII")
_IFINFO: Final = struct.Struct("=BxHiII")
_IFADDR: Final = struct.Struct("=BBBBI")
_RTMSG: Final = struct.Struct("=BBBBBBBBI")
_NEXTHOP: Final = struct.Struct("=HBBi")
_NDMSG: Final = struct.Struct("=BxxxiHBB")
_ATTR: Final = struct.Struct("=HH")
_STATS: Final = struct.Struct("=8Q")

_NEWLINK, _GETLINK, _NEWADDR, _NEWROUTE, _NEWNEIGH = 16, 18, 20, 24, 28
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_REPLACE, _EXCL, _CREATE = 0x100, 0x200, 0x400
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_IFF_UP: Final = 1
_IF_OPER_UP: Final = 6
_NUD_PERMANENT: Final = 0x80
_IFA_F_NODAD: Final = 0x02
_BATCH_BYTES: Final = 32 * 1024
_TIMEOUT_S: Final = 10.0


class Request(NamedTuple):
    """One message to the kernel; ``what`` is how an error calls it. A large map needs a million of them."""

    kind: int
    flags: int
    body: bytes
    what: str


@dataclass(frozen=True, slots=True)
class Device:
    """A network interface as the kernel tells it.

    Attributes:
        index: its number in this namespace.
        name: its name.
        up: administratively up.
        carrier: the other end is there.
        operational: the kernel has noticed the carrier, and sends (IF_OPER_UP); a TAP need not be, to do so.
        rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped: the kernel's counters since it was made.
    """

    index: int
    name: str
    up: bool
    carrier: bool
    operational: bool
    rx_packets: int = 0
    tx_packets: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_dropped: int = 0
    tx_dropped: int = 0


def _attr(kind: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return _ATTR.pack(length, kind) + data + bytes(-length % 4)


def _text(kind: int, value: str) -> bytes:
    return _attr(kind, value.encode() + b"\0")


def _u32(kind: int, value: int) -> bytes:
    return _attr(kind, value.to_bytes(4, "little"))


def _mac(value: str) -> bytes:
    return bytes.fromhex(value.replace(":", ""))


def _address(text: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return family, socket.inet_pton(family, text)


def _new_end(name: str, mac: str, namespace: int, segments: int | None) -> bytes:
    parts = _text(3, name) + _attr(1, _mac(mac)) + _u32(28, namespace)  # IFLA_IFNAME, _ADDRESS, _NET_NS_FD
    return parts + (_u32(40, segments) if segments else b"")  # IFLA_GSO_MAX_SEGS


def new_veth(
    ends: tuple[tuple[str, str, int], tuple[str, str, int]], segments: tuple[int | None, int | None] = (None, None)
) -> Request:
    """Make a veth pair, each end born in its namespace.

    Args:
        ends: name, MAC and namespace descriptor of both.
        segments: packets that one hand-over may carry at most (1 turns segmentation offload off), or None.
    """
    peer = _IFINFO.pack(0, 0, 0, 0, 0) + _new_end(*ends[1], segments[1])
    info = _text(1, "veth") + _attr(2, _attr(1, peer))  # IFLA_INFO_KIND, _DATA { VETH_INFO_PEER }
    body = _IFINFO.pack(0, 0, 0, 0, 0) + _new_end(*ends[0], segments[0]) + _attr(18, info)
    return Request(_NEWLINK, _CREATE | _EXCL, body, f"make veth {ends[0][0]} - {ends[1][0]}")


def new_bridge(name: str, mac: str) -> Request:
    """Make a bridge that floods multicast within its LAN (no snooping, no spanning tree)."""
    info = _text(1, "bridge") + _attr(2, _attr(23, b"\0"))  # IFLA_BR_MCAST_SNOOPING = 0
    body = _IFINFO.pack(0, 0, 0, 0, 0) + _text(3, name) + _attr(1, _mac(mac)) + _attr(18, info)
    return Request(_NEWLINK, _CREATE | _EXCL, body, f"make bridge {name}")


def set_device(index: int, *, up: bool | None = None, mac: str | None = None, master: int | None = None) -> Request:
    """Change an interface: its state, its MAC, the bridge it belongs to."""
    flags, mask = (_IFF_UP if up else 0), (0 if up is None else _IFF_UP)
    body = _IFINFO.pack(0, 0, index, flags, mask)
    body += _attr(1, _mac(mac)) if mac is not None else b""
    body += _u32(10, master) if master is not None else b""  # IFLA_MASTER
    return Request(_NEWLINK, 0, body, f"change interface {index}")


def look_at(index: int) -> Request:
    """Ask for one interface. A recent kernel then notices its carrier at once; others do so within a second."""
    return Request(_GETLINK, 0, _IFINFO.pack(0, 0, index, 0, 0), f"look at interface {index}")


def add_address(index: int, address: str, prefix: int) -> Request:
    """Give an interface an address; one of IPv6 is usable at once (no duplicate address detection)."""
    family, raw = _address(address)
    flags = _IFA_F_NODAD if family == socket.AF_INET6 else 0
    body = _IFADDR.pack(family, prefix, flags, 0, index) + _attr(2, raw) + _attr(1, raw)  # IFA_LOCAL, IFA_ADDRESS
    return Request(_NEWADDR, _CREATE | _REPLACE, body, f"address {address}/{prefix}")


def add_route(network: str, prefix: int, ways: Sequence[tuple[str, int]]) -> Request:
    """Add a unicast route to the main table; of several ways, each a gateway and an interface, the kernel balances."""
    body = _destination(network, prefix) + (_hop(*ways[0]) if len(ways) == 1 else _hops(tuple(ways)))
    return Request(_NEWROUTE, _CREATE | _REPLACE, body, f"route {network}/{prefix} via {ways[0][0]}")


@lru_cache(maxsize=65536)
def _destination(network: str, prefix: int) -> bytes:
    family, raw = _address(network)
    body = _RTMSG.pack(family, prefix, 0, 0, 254, 4, 0, 1, 0)  # table main, protocol static, scope universe
    return body + (_attr(1, raw) if prefix else b"")  # RTA_DST


@lru_cache(maxsize=64)
def _hop(via: str, index: int) -> bytes:
    return _attr(5, _address(via)[1]) + _u32(4, index)  # RTA_GATEWAY, RTA_OIF


@lru_cache(maxsize=64)
def _hops(ways: tuple[tuple[str, int], ...]) -> bytes:
    parts = []
    for via, index in ways:
        gateway = _attr(5, _address(via)[1])
        parts.append(_NEXTHOP.pack(_NEXTHOP.size + len(gateway), 0, 0, index) + gateway)
    return _attr(9, b"".join(parts))  # RTA_MULTIPATH


def add_neighbour(index: int, address: str, mac: str) -> Request:
    """Add a permanent neighbour entry."""
    family, raw = _address(address)
    body = _NDMSG.pack(family, index, _NUD_PERMANENT, 0, 0)
    body += _attr(1, raw) + _attr(2, _mac(mac))  # NDA_DST, NDA_LLADDR
    return Request(_NEWNEIGH, _CREATE | _REPLACE, body, f"neighbour {address}")


class Netlink:
    """A connection to the kernel for the namespace that the calling thread is in now."""

    def __init__(self, name: str) -> None:
        """Open it; ``name`` is what errors call the namespace."""
        self._name = name
        self._lock = threading.Lock()
        self._sequence = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.setsockopt(270, 10, 1)  # SOL_NETLINK, NETLINK_CAP_ACK: answers without the request
        self._socket.settimeout(_TIMEOUT_S)
        self._socket.bind((0, 0))

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def run(self, requests: Sequence[Request]) -> None:
        """Have the kernel carry out requests, in order.

        Raises:
            LabError: the first refusal, naming the request; those after it were still tried.
        """
        with self._lock:
            start = 0
            while start < len(requests):
                start = self._send_some(requests, start)

    def _send_some(self, requests: Sequence[Request], start: int) -> int:
        """Send as many as fit into one call, wait for the answer to the last, return the number of the next."""
        parts: list[bytes] = []
        size, number, first = 0, start, self._sequence + 1
        while number < len(requests) and size < _BATCH_BYTES:
            self._sequence += 1
            request = requests[number]
            parts.append(_message(request, _REQUEST, self._sequence))
            size += len(parts[-1])
            number += 1
        parts[-1] = _message(requests[number - 1], _REQUEST | _ACK, self._sequence)
        self._socket.send(b"".join(parts))
        refused = {sequence: code for sequence, code in self._answers(self._sequence) if code}
        if refused:
            sequence = min(refused)
            what = requests[start + sequence - first].what
            raise LabError(f"{self._name}: {what}: {os.strerror(refused[sequence])}")
        return number

    def _answers(self, last: int) -> Iterator[tuple[int, int]]:
        """Yield sequence number and errno of each answer, up to the one numbered ``last``."""
        while True:
            for kind, sequence, body in _messages(self._receive()):
                if kind == _NLMSG_ERROR:
                    yield sequence, -struct.unpack_from("=i", body)[0]
                    if sequence == last:
                        return

    def devices(self) -> dict[str, Device]:
        """Return the namespace's interfaces by name, with their counters."""
        with self._lock:
            self._sequence += 1
            body = _IFINFO.pack(0, 0, 0, 0, 0)
            self._socket.send(_message(Request(_GETLINK, 0, body, "list"), _REQUEST | _DUMP, self._sequence))
            found: dict[str, Device] = {}
            while True:
                for kind, sequence, data in _messages(self._receive()):
                    if sequence != self._sequence:
                        continue
                    if kind == _NLMSG_DONE:
                        return found
                    if kind == _NEWLINK:
                        device = _device(data)
                        found[device.name] = device

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(1 << 18)
        except TimeoutError:
            raise LabError(f"{self._name}: the kernel did not answer within {_TIMEOUT_S:g} s") from None
        except OSError as error:
            raise LabError(f"{self._name}: netlink: {errno.errorcode.get(error.errno or 0, error)}") from error


def _message(request: Request, flags: int, sequence: int) -> bytes:
    length = _HEADER.size + len(request.body)
    return _HEADER.pack(length, request.kind, request.flags | flags, sequence, 0) + request.body + bytes(-length % 4)


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        yield kind, sequence, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _device(data: bytes) -> Device:
    _, _, index, flags, _ = _IFINFO.unpack_from(data)
    attributes: dict[int, bytes] = {}
    offset = _IFINFO.size
    while offset + 4 <= len(data):
        length, kind = _ATTR.unpack_from(data, offset)
        attributes[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    rx, tx, rx_bytes, tx_bytes, _, _, rx_lost, tx_lost = _STATS.unpack_from(attributes[23])  # IFLA_STATS64
    name = attributes[3].rstrip(b"\0").decode()
    carrier = bool(attributes.get(33, b"\1")[0])  # IFLA_CARRIER
    operational = attributes.get(16, b"\0")[0] == _IF_OPER_UP  # IFLA_OPERSTATE
    up = bool(flags & _IFF_UP)
    return Device(index, name, up, carrier, operational, rx, tx, rx_bytes, tx_bytes, rx_lost, tx_lost)
