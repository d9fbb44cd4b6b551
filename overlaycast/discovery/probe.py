"""The bytes of a traceroute: UDP probes of one flow, and what the ICMP errors that come back say about them.

Owns: what tells one probe from another, and the parsing of untrusted ICMP. Refuses: sockets, and anything that is not
an ICMP error about one of our probes (``None``, never an exception). What is special about IPv6 is in ``probe6``.

All probes of a route share addresses, protocol and ports, so that a router that balances by flow sends them all the
same way (Augustin et al., "Avoiding traceroute anomalies with Paris traceroute", IMC 2006). What tells them apart is
the IP identification, and, where a box on the way rewrites that, the UDP checksum: the payload carries the probe's
number, which makes the checksum differ. Neither belongs to the flow.

Probes are crafted by scapy. Answers are read by hand: they come from anybody, in any shape, up to thousands a second.
"""

from __future__ import annotations

import logging
import socket
import struct
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

PROBE_PORT: Final = 33434
"""The port that traceroute has always used, where no program listens."""
_PAYLOAD: Final = struct.Struct("!H30s")
_FILL: Final = b"overlaycast route discovery".ljust(30, b".")

KINDS: Final = {4: (11, 3, 3), 6: (3, 1, 4)}
"""By IP version: time exceeded, destination unreachable, and the code of the latter for a port (RFC 792, RFC 4443)."""
_IP_MIN: Final = 20
_ICMP_SIZE: Final = 8


@dataclass(frozen=True, slots=True)
class IcmpError:
    """An ICMP error about a UDP datagram: its sender, its kind, and the quoted datagram's marks.

    ``left``: what was left of its time to live.
    """

    router: str
    kind: int
    code: int
    target: str
    source_port: int
    target_port: int
    identification: int
    checksum: int
    left: int
    version: int = 4

    @property
    def expired(self) -> bool:
        """The datagram's time to live ended at ``router``."""
        return self.kind == KINDS[self.version][0]

    @property
    def from_target(self) -> bool:
        """The datagram arrived: its target says that no program listens, or refuses it in its own name."""
        _, unreachable, port = KINDS[self.version]
        return self.kind == unreachable and (self.code == port or self.router == self.target)


def tells(version: int, kind: int, code: int) -> bool:
    """Return whether an ICMP error of this kind says how far a probe got: its time ended, or it was not accepted."""
    expired, unreachable, _ = KINDS[version]
    return kind == unreachable or (kind == expired and code == 0)


@cache
def scapy_layer(name: str) -> Any:
    """Return scapy's module for a layer; not imported with ours: it takes a second, and answers do not need it."""
    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    return import_module(f"scapy.layers.{name}")


def warm_up() -> None:
    """Import what ``craft`` needs, ahead of the first probe."""
    scapy_layer("inet")


def payload(number: int) -> bytes:
    """Return what a probe carries: its number, and words for people who see it in a capture."""
    return _PAYLOAD.pack(number, _FILL)


def craft(source: str, target: str, source_port: int, hop: int, number: int) -> tuple[bytes, int]:
    """Return one probe as an IPv4 datagram, and its UDP checksum.

    Args:
        source: our address towards the target.
        target: the address to find the way to.
        source_port: 1 to 65535, the same for all probes of a route.
        hop: the time to live, 1 to 255.
        number: 1 to 65535, tells this probe from all others under way.
    """
    inet = scapy_layer("inet")
    packet = (
        inet.IP(src=source, dst=target, ttl=hop, id=number)
        / inet.UDP(sport=source_port, dport=PROBE_PORT)
        / payload(number)
    )
    raw = bytes(packet)
    return raw, struct.unpack_from("!H", raw, _IP_MIN + 6)[0]


def parse_icmp(packet: bytes) -> IcmpError | None:
    """Return what an IPv4 packet from a raw ICMP socket says about a UDP datagram, or None if it says nothing."""
    outer = _ip_header_size(packet, 0)
    if outer is None or packet[9] != socket.IPPROTO_ICMP or len(packet) < outer + _ICMP_SIZE:
        return None
    kind, code = packet[outer], packet[outer + 1]
    if not tells(4, kind, code):
        return None
    quoted = outer + _ICMP_SIZE
    inner = _ip_header_size(packet, quoted)
    if inner is None or packet[quoted + 9] != socket.IPPROTO_UDP or len(packet) < quoted + inner + 8:
        return None
    source_port, target_port, _, checksum = struct.unpack_from("!HHHH", packet, quoted + inner)
    return IcmpError(
        router=socket.inet_ntoa(packet[12:16]),
        kind=kind,
        code=code,
        target=socket.inet_ntoa(packet[quoted + 16 : quoted + 20]),
        source_port=source_port,
        target_port=target_port,
        identification=struct.unpack_from("!H", packet, quoted + 4)[0],
        checksum=checksum,
        left=packet[quoted + 8],
    )


def _ip_header_size(packet: bytes, start: int) -> int | None:
    if len(packet) < start + _IP_MIN or packet[start] >> 4 != 4:
        return None
    size = (packet[start] & 0x0F) * 4
    return size if size >= _IP_MIN and len(packet) >= start + size else None
