"""A member's own first hops: errors that the kernel keeps, read without privilege, over routers of the kernel's."""

from __future__ import annotations

import json
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.discovery.first_hops import answer_in, first_hops
from tests.discovery.emulated import World, line_of_ipv6
from tests.discovery.test_tracing import line

LOOK = """
import asyncio, os, sys, time
from overlaycast.discovery.first_hops import first_hops
async def main():
    began = time.monotonic()
    found = await first_hops(*sys.argv[1:])
    print("none" if found is None else found.model_dump_json())
    print(time.monotonic() - began)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
asyncio.run(main())
"""


def kept(kind: int, code: int, router: str, origin: int | None = None) -> bytes:
    version = 6 if ":" in router else 4
    origin = {4: 2, 6: 3}[version] if origin is None else origin
    error = struct.pack("=IBBBBII", 113, origin, kind, code, 0, 0, 0)
    if version == 4:
        return error + struct.pack("=HH", socket.AF_INET, 0) + socket.inet_pton(socket.AF_INET, router) + bytes(8)
    return error + struct.pack("=HHI", socket.AF_INET6, 0, 0) + socket.inet_pton(socket.AF_INET6, router) + bytes(4)


def test_what_the_kernel_has_kept_of_a_probe() -> None:
    assert answer_in(kept(11, 0, "10.0.0.1"), 4) == ("hop", "10.0.0.1")
    assert answer_in(kept(3, 0, "2001:db8::1"), 6) == ("hop", "2001:db8::1")
    assert answer_in(kept(3, 3, "192.0.2.1"), 4) == ("end", "192.0.2.1")
    assert answer_in(kept(1, 4, "2001:db8::1"), 6) == ("end", "2001:db8::1")
    assert answer_in(kept(11, 1, "10.0.0.1"), 4) is None, "fragments that did not all come"
    assert answer_in(kept(2, 0, "2001:db8::1"), 6) is None, "too large"
    assert answer_in(kept(11, 0, "10.0.0.1", origin=1), 4) is None, "this machine's own word"


@given(st.binary(max_size=60), st.sampled_from([4, 6]))
def test_garbage_is_nothing_or_an_address(garbage: bytes, version: int) -> None:
    answer_in(garbage, version)


async def test_on_this_very_host_there_is_no_router() -> None:
    assert await first_hops("127.0.0.1") is None
    assert await first_hops("nowhere", "", "127.0.0.1") is None
    assert await first_hops() is None


def look(world: World, *towards: str) -> tuple[dict[str, object] | None, float]:
    found, took = world.run("host", ["-c", LOOK, *towards]).splitlines()
    return None if found == "none" else json.loads(found), float(took)


@pytest.mark.lab
def test_the_first_three_routers_as_this_host_sees_them() -> None:
    found, took = look(line(), "10.0.0.1")
    assert found == {"kind": "first-hops", "gateway": "10.0.3.1", "hops": ["10.0.3.1", "10.0.2.1", "10.0.1.1"]}
    assert took < 30


@pytest.mark.lab
def test_a_silent_router_and_a_target_that_is_near() -> None:
    found, _ = look(line(silent="r2"), "10.0.0.1")
    assert found == {"kind": "first-hops", "gateway": "10.0.3.1", "hops": ["10.0.3.1", None, "10.0.1.1"]}
    found, _ = look(line(), "nowhere", "10.0.1.2")
    assert found == {"kind": "first-hops", "gateway": "10.0.3.1", "hops": ["10.0.3.1"]}, "that is a router's address"


@pytest.mark.lab
def test_the_first_routers_by_ipv6() -> None:
    found, _ = look(line_of_ipv6(), "fd00::1")
    assert found == {"kind": "first-hops", "gateway": "fd00:2::1", "hops": ["fd00:2::1", "fd00:1::1"]}
