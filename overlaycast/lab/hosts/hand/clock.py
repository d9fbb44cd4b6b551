"""How far this host's clock is from another host's: the Network Time Protocol's exchange, over one TCP connection.

Owns: the server that says its time, and the client that asks it often. Refuses: to set a clock. The exchange with the
shortest round trip counts; its offset is wrong by at most half of that trip (RFC 5905, section 8).
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from typing import Any, Final

from .units import HandError

TIMES: Final = 40
PATIENCE_S: Final = 5.0
_STAMP: Final = struct.Struct("!d")


def serve(port: int) -> None:
    """Say the time to whoever asks, until this process is ended. One asks after the other."""
    with _listening(port) as server:
        while True:
            client, _ = server.accept()
            answer(client)


def answer(client: socket.socket) -> None:
    """Say the time as often as one asks."""
    with client, suppress(OSError):
        client.settimeout(PATIENCE_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while client.recv(1):
            client.sendall(_STAMP.pack(time.time()))


def _listening(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def ask(address: str, port: int) -> dict[str, Any]:
    """Return by how much this host's clock is ahead of the other's: ``offset_ms``, ``uncertainty_ms``, ``rtt_ms``."""
    trips = []
    try:
        with socket.create_connection((address, port), timeout=PATIENCE_S) as other:
            other.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(TIMES):
                sent, began = time.time(), time.perf_counter()
                other.sendall(b"?")
                answer = _exactly(other, _STAMP.size)
                took = time.perf_counter() - began
                trips.append((took, sent + took / 2 - _STAMP.unpack(answer)[0]))
    except OSError as error:
        raise HandError(f"does not reach {address}, TCP port {port}: {error.strerror or error}") from None
    rtt, offset = min(trips)
    return {"offset_ms": offset * 1000, "uncertainty_ms": rtt * 500, "rtt_ms": rtt * 1000, "at": time.time()}


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            raise OSError("the connection ended")
        found += part
    return found
