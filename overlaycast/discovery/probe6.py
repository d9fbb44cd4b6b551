"""The same bytes as ``probe``'s, for IPv6: UDP probes of one flow, and what ICMPv6 errors say about them.

Owns: crafting and parsing for IPv6. Refuses: sockets; anything that is not an error about a UDP datagram (``None``,
never an exception).

IPv6 has no identification: what tells probes apart is the number in the payload, which errors quote (RFC 4443, 2.4 (c):
as much of the packet as fits), or the UDP checksum, should a router quote less. The flow label is 0 for all, because
routers may balance by it (RFC 6438).
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv6Address
from typing import Final

from overlaycast.discovery.probe import PROBE_PORT, IcmpError, payload, scapy_layer, tells

_HEADER: Final = 40
_ICMP_SIZE: Final = 8
_UDP_SIZE: Final = 8


def craft6(source: str, target: str, source_port: int, hop: int, number: int) -> tuple[bytes, int]:
    """Return one probe as an IPv6 datagram, and its UDP checksum; arguments as of ``probe.craft``."""
    inet6 = scapy_layer("inet6")
    packet = (
        inet6.IPv6(src=source, dst=target, hlim=hop, fl=0)
        / inet6.UDP(sport=source_port, dport=PROBE_PORT)
        / payload(number)
    )
    raw = bytes(packet)
    return raw, struct.unpack_from("!H", raw, _HEADER + 6)[0]


def parse_icmp6(packet: bytes, router: str) -> IcmpError | None:
    """Return what an ICMPv6 message (as a raw socket gives it, without IPv6 header) from ``router`` says, or None."""
    if len(packet) < _ICMP_SIZE + _HEADER + _UDP_SIZE:
        return None
    kind, code = packet[0], packet[1]
    if not tells(6, kind, code):
        return None
    quoted = packet[_ICMP_SIZE:]
    if quoted[0] >> 4 != 6 or quoted[6] != socket.IPPROTO_UDP:
        return None
    source_port, target_port, _, checksum = struct.unpack_from("!HHHH", quoted, _HEADER)
    number = quoted[_HEADER + _UDP_SIZE : _HEADER + _UDP_SIZE + 2]
    return IcmpError(
        router=router.partition("%")[0],
        kind=kind,
        code=code,
        target=str(IPv6Address(quoted[24:40])),  # spelled as every other address here; inet_ntop has ways of its own
        source_port=source_port,
        target_port=target_port,
        identification=int.from_bytes(number, "big"),
        checksum=checksum,
        left=quoted[7],
        version=6,
    )
