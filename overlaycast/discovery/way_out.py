"""How probes to an address leave this machine, by its own routing table.

Owns: what the kernel is asked, and how it answers (rtnetlink(7)). Refuses: routes beyond the first router.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from overlaycast.discovery.probe import PROBE_PORT
from overlaycast.errors import ConfigError

_ROUTE: Final = 0  # linux/netlink.h: NETLINK_ROUTE
_NEW_ROUTE, _GET_ROUTE, _REQUEST = 24, 26, 1  # linux/rtnetlink.h, linux/netlink.h
_DESTINATION, _GATEWAY = 1, 5  # RTA_DST, RTA_GATEWAY
_HEADER: Final = struct.Struct("=IHHII")
_MESSAGE: Final = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_LONGEST: Final = 8192
_PATIENCE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class WayOut:
    """How probes leave.

    Args:
        target: the address, as ICMP errors will name it.
        source: this machine's address towards it.
        gateway: the first router; None: there is none, or it is not known by an address that others see.
    """

    target: str
    source: str
    gateway: str | None


def way_out(target: str) -> WayOut:
    """Return how probes to an address leave.

    Raises:
        ConfigError: not an address, or this machine has no way there.
    """
    try:
        address = ipaddress.ip_address(target)
    except ValueError:
        raise ConfigError(f"{target}: routes are traced to IPv4 or IPv6 addresses only") from None
    if address.version == 6 and address.is_link_local:
        raise ConfigError(f"{target}: no router is on the way to a link-local address")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((str(address), PROBE_PORT))
            source = str(sock.getsockname()[0])
    except OSError as error:
        reason = errno.errorcode.get(error.errno or 0, "?")
        raise ConfigError(f"{target}: no route from this machine ({reason}: {error.strerror})") from None
    with suppress(OSError):  # then the first router is asked, as all others
        return WayOut(str(address), source, _gateway(family, address.packed))
    return WayOut(str(address), source, None)


def _gateway(family: socket.AddressFamily, destination: bytes) -> str | None:
    """Ask the kernel."""
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(destination), _DESTINATION) + destination
    body = _MESSAGE.pack(family, 8 * len(destination), 0, 0, 0, 0, 0, 0, 0) + attribute
    request = _HEADER.pack(_HEADER.size + len(body), _GET_ROUTE, _REQUEST, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _ROUTE) as sock:
        sock.settimeout(_PATIENCE_S)
        sock.bind((0, 0))
        sock.send(request)
        return gateway_in(sock.recv(_LONGEST), family)


def gateway_in(answer: bytes, family: socket.AddressFamily) -> str | None:
    """Return the router that the kernel's answer names, if probes' answers will name it too.

    A router is known by its link-local address to its neighbours only.
    """
    if len(answer) < _HEADER.size or _HEADER.unpack_from(answer)[1] != _NEW_ROUTE:
        return None
    for kind, value in _attributes(answer[_HEADER.size + _MESSAGE.size :]):
        if kind == _GATEWAY and len(value) == (4 if family == socket.AF_INET else 16):
            gateway = ipaddress.ip_address(value)
            return None if gateway.is_link_local else str(gateway)
    return None


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= size <= len(data):
            return
        yield kind, data[_ATTRIBUTE.size : size]
        data = data[(size + 3) & ~3 :]
