"""The sockets of one IP version: probes go out with a header of our making, ICMP errors come in.

Owns: the three sockets, their options, the source port that all probes of this version share. Refuses: which probe to
send, and what an answer means for a trace; ``tracer`` knows.

Invariants: no other program on this machine gets the source port while the sockets are open; only ICMP errors wake us.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final

from overlaycast.discovery.probe import IcmpError, craft, parse_icmp
from overlaycast.discovery.probe6 import craft6, parse_icmp6

_SOL_RAW: Final = 255  # linux/socket.h
_ICMP_FILTER: Final = 1  # linux/icmp.h; a bit set means: do not deliver this type
_ERRORS_ONLY: Final = struct.pack("=I", 0xFFFFFFFF & ~(1 << 3) & ~(1 << 11))
_ICMP6_FILTER: Final = 1  # linux/icmpv6.h; likewise, 256 bits
_ERRORS_ONLY_6: Final = struct.pack("=8I", 0xFFFFFFFF & ~(1 << 1) & ~(1 << 3), *[0xFFFFFFFF] * 7)
_RECEIVE_BUFFER: Final = 1 << 20
_LONGEST: Final = 2048


class Flow:
    """Raw sockets of one IP version.

    Raises:
        OSError: this machine does not have it, or raw sockets are not allowed.
    """

    def __init__(self, version: int) -> None:
        self.version = version
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        self._sockets: list[socket.socket] = []
        try:
            self._sender = self._raw(family, socket.IPPROTO_RAW)
            if version == 6:
                self.receiver = self._raw(family, socket.IPPROTO_ICMPV6)
                self.receiver.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, _ERRORS_ONLY_6)
            else:
                self.receiver = self._raw(family, socket.IPPROTO_ICMP)
                self.receiver.setsockopt(_SOL_RAW, _ICMP_FILTER, _ERRORS_ONLY)
            self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            # held so that no other program gets this port; nothing is ever read from it
            holder = self._kept(socket.socket(family, socket.SOCK_DGRAM))
            holder.bind(("", 0))
        except OSError:
            self.close()
            raise
        self.source_port: int = holder.getsockname()[1]

    def close(self) -> None:
        """Close the sockets."""
        for sock in self._sockets:
            sock.close()

    def craft(self, source: str, target: str, hop: int, number: int) -> tuple[bytes, int]:
        """Return one probe and its UDP checksum, as ``probe.craft`` has it."""
        return (craft6 if self.version == 6 else craft)(source, target, self.source_port, hop, number)

    def send(self, probe: bytes, target: str) -> None:
        """Send a probe. Raises ``OSError`` where the kernel does not take it."""
        self._sender.sendto(probe, (target, 0))

    def answers(self) -> Iterator[IcmpError]:
        """Yield what has come since, as far as it is an error about a UDP datagram."""
        while True:
            try:
                packet, address = self.receiver.recvfrom(_LONGEST)
            except OSError:  # nothing left for now
                return
            answer = parse_icmp6(packet, str(address[0])) if self.version == 6 else parse_icmp(packet)
            if answer is not None:
                yield answer

    def _raw(self, family: socket.AddressFamily, protocol: int) -> socket.socket:
        sock = self._kept(socket.socket(family, socket.SOCK_RAW, protocol))
        sock.setblocking(False)
        return sock

    def _kept(self, sock: socket.socket) -> socket.socket:
        self._sockets.append(sock)
        return sock
