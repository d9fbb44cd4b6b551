"""TCP as a hop of ours wants it, and the data port.

Owns: socket options, the listening socket, and which of a peer's addresses is used. Refuses: what is said over them.

Send and receive buffers are left to the kernel's autotuning on purpose: a fixed SO_SNDBUF is silently cut to
``net.core.wmem_max`` (208 KiB by default), which would cap a fast hop with a long round trip. The bytes that wait
unsent are bounded (``TCP_NOTSENT_LOWAT``), so that a heartbeat or a newer record never queues behind much.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from overlaycast.agent.hops.dial import dial
from overlaycast.errors import ConfigError
from overlaycast.settings import parse_endpoint
from overlaycast.wire.messages import Address

FIRST_PORT: Final = 8471
LAST_PORT: Final = 8570
BACKLOG: Final = 128
NOTSENT_LOWAT: Final = 512 * 1024
USER_TIMEOUT_MS: Final = 8000
KEEPALIVE_IDLE_S: Final = 4
KEEPALIVE_EVERY_S: Final = 1
KEEPALIVE_PROBES: Final = 4
CONNECT_S: Final = 1.5
"""Seconds that one address has to accept the connection."""

SO_MAX_PACING_RATE: Final = 47
"""<asm-generic/socket.h>; Python has no name for it."""


def pace(sock: socket.socket, bytes_per_s: int) -> None:
    """Send no faster than so, and spread evenly: TCP's own pacing, which needs no queueing discipline."""
    sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, struct.pack("=Q", bytes_per_s))


def tune(sock: socket.socket) -> None:
    """Set a hop's options: no Nagle, little unsent, half-open connections ended."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_LOWAT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_EVERY_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)


def set_congestion(sock: socket.socket, name: str) -> None:
    """Choose the congestion control; connections accepted from a listening socket inherit it.

    Raises:
        ConfigError: the kernel does not have it.
    """
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
    except OSError:
        with open("/proc/sys/net/ipv4/tcp_available_congestion_control") as file:
            raise ConfigError(f"congestion: no {name!r} here; accepted: {', '.join(file.read().split())}") from None


def open_data_port(listen: str | None) -> socket.socket:
    """Return the listening socket: what ``listen`` says, else the first free port of the usual range.

    Raises:
        ConfigError: the port is taken or the address is not one of this host.
    """
    if listen is not None:
        try:
            endpoint = parse_endpoint(listen)
            return _bound(endpoint.host, endpoint.port)
        except OSError as error:
            raise ConfigError(f"listen: {listen}: {error.strerror or error}") from None
        except TypeError:  # a name that is no text
            raise ConfigError(f"listen: {listen}: not a host name") from None
    for port in range(FIRST_PORT, LAST_PORT + 1):
        try:
            return _bound("", port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigError(f"listen: port {port}: {error.strerror}") from None
    raise ConfigError(f"listen: all ports from {FIRST_PORT} to {LAST_PORT} are taken; give --listen HOST:PORT")


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET
    if host in ("", "::") and socket.has_dualstack_ipv6():
        family, host = socket.AF_INET6, "::"
    elif ":" in host:
        family = socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except (OSError, TypeError):
        sock.close()
        raise
    return sock


async def connect_any(addresses: Iterable[Address], permitted: Callable[[str], bool]) -> socket.socket | None:
    """Return a connection to the first address that is permitted and accepts one, None if none does."""
    for address in addresses:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                return await dial(address.host, address.port, tune, permitted)
    return None
