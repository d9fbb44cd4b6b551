"""Connecting to a host by TCP, for the control link and for hops.

Owns: trying the addresses that a name has, one after the other. Refuses: socket options, time limits, second tries.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable


async def dial(host: str, port: int, prepare: Callable[[socket.socket], None]) -> socket.socket:
    """Return a connected socket, its protocol named so that asyncio switches Nagle's algorithm off.

    Args:
        prepare: sets options before the socket connects.

    Raises:
        OSError: no such host, or none of its addresses answers; the last one's complaint.
    """
    loop = asyncio.get_running_loop()
    complaint: OSError | None = None
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except ValueError:  # a name that cannot be encoded, a NUL in it
        raise OSError(f"{host} is no host name") from None
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            prepare(sock)
            await loop.sock_connect(sock, address)
            return sock
        except OSError as error:
            sock.close()
            complaint = error
        except BaseException:
            sock.close()
            raise
    raise complaint or OSError(f"{host} has no address")
