"""Connecting to a host by TCP, for the control link and for hops.

Owns: trying the addresses that a name has, one after the other. Refuses: socket options, time limits, second tries.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable


def _any_address(address: str) -> bool:
    return True


async def dial(
    host: str,
    port: int,
    prepare: Callable[[socket.socket], None],
    permitted: Callable[[str], bool] = _any_address,
) -> socket.socket:
    """Return a connected socket, its protocol named so that asyncio switches Nagle's algorithm off.

    Args:
        prepare: sets options before the socket connects.
        permitted: whether we may connect to this address, which a name has or the host is; default: to all.

    Raises:
        OSError: no such host, or none of its addresses answers or is permitted; the last one's complaint.
    """
    loop = asyncio.get_running_loop()
    complaint: OSError | None = None
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except ValueError:  # a name that cannot be encoded, a NUL in it
        raise OSError(f"{host} is no host name") from None
    for family, kind, protocol, _, address in found:
        if not permitted(str(address[0])):
            complaint = OSError(f"{address[0]} is not permitted")
            continue
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
