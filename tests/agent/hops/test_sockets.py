"""A hop's options as the kernel has them, on both ends of a real connection."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from overlaycast.agent.hops.dial import dial
from overlaycast.agent.hops.sockets import (
    KEEPALIVE_EVERY_S,
    KEEPALIVE_IDLE_S,
    KEEPALIVE_PROBES,
    NOTSENT_LOWAT,
    USER_TIMEOUT_MS,
    open_data_port,
    set_congestion,
    tune,
)
from overlaycast.errors import ConfigError

OPTIONS = {
    socket.TCP_NODELAY: 1,
    socket.TCP_NOTSENT_LOWAT: NOTSENT_LOWAT,
    socket.TCP_USER_TIMEOUT: USER_TIMEOUT_MS,
    socket.TCP_KEEPIDLE: KEEPALIVE_IDLE_S,
    socket.TCP_KEEPINTVL: KEEPALIVE_EVERY_S,
    socket.TCP_KEEPCNT: KEEPALIVE_PROBES,
}


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", ":0"])
def test_options_of_a_hop(listen: str) -> None:
    try:
        port = open_data_port(listen)
    except ConfigError:
        pytest.skip("this machine has no ::1")
    with port:
        port.setblocking(True)
        host = "::1" if "[" in listen else "127.0.0.1"
        with socket.create_connection((host, port.getsockname()[1])) as child, port.accept()[0] as parent:
            for sock in (child, parent):
                tune(sock)
                assert {name: sock.getsockopt(socket.IPPROTO_TCP, name) for name in OPTIONS} == OPTIONS
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert sock.gettimeout() == 0


def congestion_of(sock: socket.socket) -> str:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


def test_congestion_control_reaches_the_children() -> None:
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    with open_data_port("127.0.0.1:0") as port:
        port.setblocking(True)
        usual = congestion_of(port)
        wanted = next((name for name in ("reno", *available) if name in available and name != usual), usual)
        set_congestion(port, wanted)
        with socket.create_connection(port.getsockname()) as child, port.accept()[0] as parent:
            assert (congestion_of(child), congestion_of(parent)) == (usual, wanted)


def test_an_unknown_congestion_control_names_the_known_ones() -> None:
    with (
        open_data_port("127.0.0.1:0") as port,
        pytest.raises(ConfigError, match=r"congestion: no 'no-such'.*accepted: "),
    ):
        set_congestion(port, "no-such")


@pytest.mark.parametrize("host", ["a\0b", "a..b", "a" * 64])
async def test_what_is_no_host_name_is_a_failed_dial(host: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011  its words are the resolver's
        await dial(host, 9, lambda _: None)
