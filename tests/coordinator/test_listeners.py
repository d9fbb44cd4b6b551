"""Who calls, and where one listens."""

from __future__ import annotations

import socket

import pytest

from overlaycast.coordinator.listeners import listen_tcp, plain_host
from overlaycast.settings import Endpoint


@pytest.mark.parametrize(
    ("shown", "called"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("a name", "a name"),
    ],
)
def test_an_address_is_told_as_others_can_call_it(shown: str, called: str) -> None:
    assert plain_host(shown) == called


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_all_addresses_are_those_of_both_families() -> None:
    with listen_tcp(Endpoint("::", 0)) as sock:
        port = sock.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port), 10):
                caller, (seen, *_) = sock.accept()
                caller.close()
                assert plain_host(seen) == host
