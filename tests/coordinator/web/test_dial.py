"""What the members' connections are like from the moment they are accepted."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from overlaycast.agent.hops.dial import dial
from overlaycast.coordinator.web.listeners import listen_tcp
from overlaycast.discovery.unpaced import unpaced
from overlaycast.settings import Endpoint

CONTROLS = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
HAS_RENO = CONTROLS.exists() and "reno" in CONTROLS.read_text().split()


async def test_small_messages_wait_for_nobody_and_bursts_are_not_spaced() -> None:
    """With Nagle's algorithm the second of two orders would wait for the first one's acknowledgement."""
    seen: asyncio.Queue[socket.socket] = asyncio.Queue()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.put_nowait(writer.get_extra_info("socket"))
        await reader.read()
        writer.close()

    listener = listen_tcp(Endpoint("127.0.0.1", 0))
    server = await asyncio.start_server(accepted, sock=listener)
    async with server, asyncio.timeout(60):
        ours = await dial("127.0.0.1", listener.getsockname()[1], unpaced)
        _, writer = await asyncio.open_connection(sock=ours)
        for end in (await seen.get(), ours):
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            if HAS_RENO:
                assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 4) == b"reno"
        writer.close()
        await writer.wait_closed()


async def test_a_name_without_a_listener_is_an_os_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        with pytest.raises(OSError):  # noqa: PT011
            await dial("127.0.0.1", taken.getsockname()[1], unpaced)


async def test_a_host_that_dns_could_not_hold_is_an_os_error() -> None:
    """A member says under which host others reach it; whatever it says must not end those that dial it."""
    with pytest.raises(OSError, match="no host name"):
        await dial("a..b", 1, unpaced)
