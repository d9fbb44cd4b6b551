"""The first router, as the kernel's routing table has it; answers of the kernel that say less."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.discovery.way_out import WayOut, gateway_in, way_out
from overlaycast.errors import ConfigError


def answer(*attributes: tuple[int, bytes], kind: int = 24) -> bytes:
    parts = (
        struct.pack("=HH", 4 + len(value), number) + value + bytes(-len(value) % 4) for number, value in attributes
    )
    body = bytes(12) + b"".join(parts)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


def test_the_gateway_is_read() -> None:
    four, six = socket.inet_pton(socket.AF_INET, "192.0.2.1"), socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    assert gateway_in(answer((1, b"\x01"), (5, four)), socket.AF_INET) == "192.0.2.1"
    assert gateway_in(answer((4, b"\2\0\0\0"), (5, six)), socket.AF_INET6) == "2001:db8::1"


def test_where_there_is_none_or_others_know_it_by_another_name() -> None:
    local = socket.inet_pton(socket.AF_INET6, "fe80::1")
    assert gateway_in(answer((1, bytes(4))), socket.AF_INET) is None
    assert gateway_in(answer((5, local)), socket.AF_INET6) is None
    assert gateway_in(answer((5, local)), socket.AF_INET) is None, "an IPv4 route through an IPv6 router"
    assert gateway_in(answer((5, bytes(4)), kind=2), socket.AF_INET) is None, "an error"


@given(st.binary(max_size=80))
def test_garbage_names_nothing(garbage: bytes) -> None:
    assert gateway_in(garbage, socket.AF_INET) is None or len(garbage) > 32
    gateway_in(answer()[:28] + garbage, socket.AF_INET)


def test_to_this_very_host_there_is_no_router() -> None:
    assert way_out("127.0.0.1") == WayOut("127.0.0.1", "127.0.0.1", None)


@pytest.mark.parametrize("target", ["nowhere", "fe80::1", "192.0.2.1.5"])
def test_what_is_no_address_to_trace_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match=target):
        way_out(target)
