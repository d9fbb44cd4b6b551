"""The control link's way to the coordinator: a TCP connection whose bursts are not spaced.

Owns: trying the addresses that a name has, one after the other. Refuses: WebSockets, and dialling again.
"""

from __future__ import annotations

import asyncio
import socket

from overlaycast.discovery.unpaced import unpaced


async def dial(host: str, port: int) -> socket.socket:
    """Return a connected socket, its protocol named so that asyncio switches Nagle's algorithm off.

    Raises:
        OSError: no such host, or none of its addresses answers; the last one's complaint.
    """
    loop = asyncio.get_running_loop()
    complaint: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            unpaced(sock)  # before it connects: pacing that has once begun does not end with another algorithm
            await loop.sock_connect(sock, address)
            return sock
        except OSError as error:
            sock.close()
            complaint = error
        except BaseException:
            sock.close()
            raise
    raise complaint or OSError(f"{host} has no address")
