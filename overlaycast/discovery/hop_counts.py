"""Over how many routers other hosts' answers come to this one, found without any privilege.

Owns: one UDP datagram to each host, to a port where nobody listens, and what the kernel keeps of the ICMP error that
comes back: when it came, and what was left of its time to live (``IP_RECVERR``, as ``tracepath`` reads it). Refuses:
routers on the way: their errors say nothing of the host.

A host begins its answers with a time to live of 64, 128 or 255, so what is missing are the routers that they passed, on
the way *here*. A host that is silent, or behind a filter, has no count.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Final, NamedTuple

from overlaycast.discovery.kept_errors import ERROR, FROM_ICMP, IP_RECVTTL, LEVEL, RECVERR

BEGINNINGS: Final = (64, 128, 255)
"""With which time to live hosts begin: Unix and macOS, Windows, network equipment."""
MOST_HOPS: Final = 32
"""An answer that seems to have passed more routers began with a number of its own."""

_UNREACHABLE_PORT: Final = {FROM_ICMP[4]: (3, 3), FROM_ICMP[6]: (1, 4)}
"""By origin of an error: the type and code of "port unreachable"."""
_LEFT: Final = ((LEVEL[4], socket.IP_TTL), (LEVEL[6], socket.IPV6_HOPLIMIT))
"""What of a packet's time to live was left comes as."""
_KEPT: Final = tuple((LEVEL[version], RECVERR[version]) for version in LEVEL)
_INT: Final = struct.Struct("=i")

Target = tuple[str, int]
"""An IP address and a UDP port."""


class HopCount(NamedTuple):
    """How far a host is: routers that its answer passed, and the round trip in ms."""

    hops: int
    rtt_ms: float


def count_hops(targets: Sequence[Target], patience_s: float) -> list[HopCount | None]:
    """Return how far each host is; None: it was not heard within so many seconds. Blocks for no longer.

    Whatever is wrong with one target, be it no address or one that cannot be reached, the others are counted.
    """
    found: list[HopCount | None] = [None] * len(targets)
    waiting: dict[int, tuple[int, socket.socket, float]] = {}
    poll = select.poll()
    with ExitStack() as exits:
        for number, target in enumerate(targets):
            with suppress(OSError, ValueError):
                asked = exits.enter_context(_asking(target))
                since = time.monotonic()
                asked.send(b"")
                poll.register(asked, 0)  # errors are told of without being asked for
                waiting[asked.fileno()] = number, asked, since
        deadline = time.monotonic() + patience_s
        while waiting and (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                number, asked, since = waiting.pop(descriptor)
                poll.unregister(descriptor)
                with suppress(OSError):
                    found[number] = _answer(asked, time.monotonic() - since)
    return found


def hops_of(ttl: int) -> int | None:
    """Return how many routers a packet has passed that comes with this time to live; None: it cannot be told."""
    hops = next((begun - ttl for begun in BEGINNINGS if ttl <= begun), None)
    return hops if hops is not None and hops <= MOST_HOPS else None


def _asking(target: Target) -> socket.socket:
    """Return a socket that tells of errors.

    Raises:
        ValueError: not an IP address.
        OSError: no such socket, or no way there.
    """
    host, port = target
    version = ipaddress.ip_address(host.partition("%")[0]).version
    asking = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        asking.setblocking(False)
        asking.setsockopt(LEVEL[version], RECVERR[version], 1)
        asking.setsockopt(LEVEL[version], IP_RECVTTL if version == 4 else socket.IPV6_RECVHOPLIMIT, 1)
        asking.connect((host, port))
    except BaseException:
        asking.close()
        raise
    return asking


def _answer(asked: socket.socket, passed_s: float) -> HopCount | None:
    """Return what the error says of the host, if it is the host's."""
    _, parts, _, _ = asked.recvmsg(64, 512, socket.MSG_ERRQUEUE)
    ttl, is_hosts = None, False
    for level, kind, data in parts:
        if (level, kind) in _LEFT:
            (ttl,) = _INT.unpack_from(data)
        elif (level, kind) in _KEPT:
            _, origin, error_type, code, *_ = ERROR.unpack_from(data)
            is_hosts = _UNREACHABLE_PORT.get(origin) == (error_type, code)
    hops = hops_of(ttl) if ttl is not None and is_hosts else None
    return None if hops is None else HopCount(hops, passed_s * 1000)
