"""The addresses that the coordinator listens on."""

from __future__ import annotations

import socket

import pytest

from overlaycast.coordinator.web.listeners import listen_tcp
from overlaycast.settings import Endpoint
from overlaycast.wire.hosts import plain


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_all_addresses_are_those_of_both_families() -> None:
    with listen_tcp(Endpoint("::", 0)) as sock:
        port = sock.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port), 10):
                caller, (seen, *_) = sock.accept()
                caller.close()
                assert plain(seen) == host
