"""A host's own view of its network: the first routers on its way to another, found without any privilege.

Owns: one UDP socket for each hop, whose errors the kernel keeps for us (IP_RECVERR, ip(7)), as tracepath does. Refuses:
which hop is asked when, and what an answer means (``survey.nearby``); routes beyond the first hops.

Invariant: no more than a few probes are sent, and it takes no longer than ``survey.nearby.LAST_S``, whatever the
network does.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import ExitStack, suppress
from typing import Final

from overlaycast.discovery.kept_errors import ERROR, FROM_ICMP, LEVEL, RECVERR
from overlaycast.discovery.probe import KINDS, PROBE_PORT
from overlaycast.discovery.survey.nearby import HOPS, Nearby, Verdict
from overlaycast.discovery.way_out import WayOut, way_out
from overlaycast.errors import ConfigError
from overlaycast.wire.messages import FirstHops

_TIME_TO_LIVE: Final = {4: socket.IP_TTL, 6: socket.IPV6_UNICAST_HOPS}
_OFFENDER: Final = {4: slice(4, 8), 6: slice(8, 24)}
"""Where a socket address has the address."""
_LOOK_S, _SELDOM_S = 0.005, 0.05
"""Seconds between two looks for answers: at first, and when they take long."""
_MOST_ERRORS: Final = 16
_PAYLOAD: Final = b"overlaycast: first hops"


async def first_hops(*towards: str) -> FirstHops | None:
    """Return the first routers on the way to the first of these addresses that there is a way to.

    None: there is no way to any, or no router before it.
    """
    for target in towards:
        with suppress(ConfigError, OSError):
            way = way_out(target)
            hops = await _ask(way)
            return FirstHops(gateway=way.gateway, hops=hops) if way.gateway or hops else None
    return None


async def _ask(way: WayOut) -> tuple[str | None, ...]:
    version = ipaddress.ip_address(way.target).version
    now = asyncio.get_running_loop().time
    nearby, pause_s = Nearby(now()), _LOOK_S
    with ExitStack() as stack:
        sockets = [stack.enter_context(_socket(version, way.target, hop)) for hop in range(1, HOPS + 1)]
        while not nearby.over(now()):
            for hop in nearby.probes(now()):
                _send(sockets[hop - 1])
            # not by the event loop: errors alone make a socket ready, which not every loop tells
            await asyncio.sleep(pause_s)
            pause_s = min(1.5 * pause_s, _SELDOM_S)
            for hop, sock in enumerate(sockets, start=1):
                for verdict, router in _errors(sock, version):
                    nearby.answer(hop, verdict, router)
    return nearby.found()


def _socket(version: int, target: str, hop: int) -> socket.socket:
    level = LEVEL[version]
    sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(level, RECVERR[version], 1)
        sock.setsockopt(level, _TIME_TO_LIVE[version], hop)
        sock.connect((target, PROBE_PORT))
    except OSError:
        sock.close()
        raise
    return sock


def _send(sock: socket.socket) -> None:
    for _ in range(2):  # the error of an earlier probe may be told here, once
        with suppress(OSError):
            sock.send(_PAYLOAD)
            return


def _errors(sock: socket.socket, version: int) -> list[tuple[Verdict, str]]:
    """Return what the kernel has kept: what became of the socket's probes, and who says so."""
    found: list[tuple[Verdict, str]] = []
    with suppress(OSError):  # there is no more
        for _ in range(_MOST_ERRORS):
            _, ancillary, _, _ = sock.recvmsg(64, 512, socket.MSG_ERRQUEUE)
            level, kind = LEVEL[version], RECVERR[version]
            told = (answer_in(data, version) for one, each, data in ancillary if (one, each) == (level, kind))
            found += [one for one in told if one is not None]
    return found


def answer_in(data: bytes, version: int) -> tuple[Verdict, str] | None:
    """Return what an error from the kernel's queue says of a probe; None: no router, nor the target, says anything."""
    where = _OFFENDER[version]
    if len(data) < ERROR.size + where.stop:
        return None
    _, origin, kind, code, *_ = ERROR.unpack_from(data)
    if origin != FROM_ICMP[version]:
        return None
    expired, unreachable, _ = KINDS[version]
    router = str(ipaddress.ip_address(data[ERROR.size :][where]))
    if kind == expired and code == 0:
        return "hop", router
    return ("end", router) if kind == unreachable else None
