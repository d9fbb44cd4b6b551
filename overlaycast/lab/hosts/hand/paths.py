"""The routers on the way to a host, and whether multicast passes any of them. Sends a few datagrams.

Owns: a traceroute that needs no raw socket (the kernel hands its ICMP answers over, ``IP_RECVERR``), and both ends of a
multicast probe.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from typing import Any, Final

HOPS: Final = 16
TRIES: Final = 2
WAIT_S: Final = 0.4
PORT: Final = 33434
GROUP: Final = "239.255.77.7"
MULTICAST_PORT: Final = 47777
IP_RECVERR: Final = 11
MSG_ERRQUEUE: Final = 0x2000
IPV6_RECVERR: Final = 25
TIME_EXCEEDED: Final = {socket.AF_INET: 11, socket.AF_INET6: 3}
SILENT: Final = 3
"""After so many hops in a row that do not answer, no further one is asked."""


def routers(address: str) -> list[str | None]:
    """Return the routers on the way, nearest first; None for one that does not answer. The host itself is left out."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found: list[str | None] = []
    for hop in range(1, HOPS + 1):
        seen, arrived = _hop(family, address, hop)
        if arrived:
            return found
        found.append(seen)
        if found[-SILENT:] == [None] * SILENT:
            return found[:-SILENT]
    return found


def _hop(family: int, address: str, hop: int) -> tuple[str | None, bool]:
    """Return who answered for a hop, and whether that was the host itself."""
    for _ in range(TRIES):
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            if family == socket.AF_INET:
                one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
                one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hop)
            else:
                one.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hop)
            with suppress(OSError):
                one.sendto(b"overlaycast", (address, PORT))
            until = time.monotonic() + WAIT_S
            while time.monotonic() < until:
                answer = _answer(one, family)
                if answer is not None:
                    return answer
                time.sleep(0.005)
    return None, False


def _answer(one: socket.socket, family: int) -> tuple[str, bool] | None:
    try:
        _, ancillary, _, _ = one.recvmsg(512, 512, MSG_ERRQUEUE | socket.MSG_DONTWAIT)
    except OSError:
        return None
    for _, _, data in ancillary:
        if len(data) < 16 + 8:
            continue
        _, _, kind, _, _, _, _ = struct.unpack_from("=IBBBBII", data)
        offender = data[16:]
        address = offender[4:8] if family == socket.AF_INET else offender[8:24]
        return socket.inet_ntop(family, address), kind != TIME_EXCEEDED[socket.AddressFamily(family)]
    return None


def own_address(towards: str) -> str:
    """Return the address of this host that packets to another one carry."""
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.connect((towards, PORT))
        return str(one.getsockname()[0])


def send_multicast(towards: str, seconds: float) -> None:
    """Send to a group again and again, far enough to pass any router that would forward it."""
    mine = own_address(towards)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(mine))
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 32)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with suppress(OSError):
                one.sendto(b"overlaycast", (GROUP, MULTICAST_PORT))
            time.sleep(0.05)


def hear_multicast(towards: str, seconds: float) -> dict[str, Any]:
    """Return how many of these datagrams this host heard."""
    mine, heard = own_address(towards), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((GROUP, MULTICAST_PORT))
        joined = socket.inet_aton(GROUP) + socket.inet_aton(mine)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            one.settimeout(left)
            with suppress(TimeoutError):
                one.recv(64)
                heard += 1
    return {"heard": heard}
