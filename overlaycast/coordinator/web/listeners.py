"""The sockets that the coordinator listens on, bound before anything else, so that bad input is reported at once.

Owns: their options and their errors. Refuses: serving.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

from overlaycast.coordinator.web.reserve import ReservedSocket
from overlaycast.discovery.unpaced import unpaced
from overlaycast.errors import ConfigError
from overlaycast.settings import Endpoint

BACKLOG: Final = 1024
_USER_TIMEOUT_MS: Final = 20_000


def listen_tcp(endpoint: Endpoint) -> socket.socket:
    """Return a listening TCP socket.

    Raises:
        ConfigError: the address is taken, not ours, or not an address.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # with its protocol named: only then asyncio takes accepted ones for TCP, and switches Nagle's algorithm off
        sock = ReservedSocket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:  # a name that DNS could never hold is a UnicodeError
        raise ConfigError(f"listen: {endpoint}: {getattr(error, 'strerror', None) or 'not a host name'}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # inherited by every connection: a member that vanished is not held for the kernel's quarter of an hour
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
        if endpoint.host == "::":  # all addresses there are, whatever net.ipv6.bindv6only says
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        unpaced(sock)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(f"listen: {endpoint}: {error.strerror}; accepted: a free HOST:PORT of this host") from None
    return sock


def listen_local(path: Path) -> socket.socket:
    """Return a listening Unix socket that only its owner may open. What is left of an earlier one is replaced.

    Raises:
        ConfigError: it cannot be made there.
    """
    sock = ReservedSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    old_mask = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(f"state: {path}: {error.strerror or error}") from None
    finally:
        os.umask(old_mask)
    return sock
