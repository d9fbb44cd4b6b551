"""Which addresses a member connects to because its coordinator says so."""

from __future__ import annotations

import socket

import pytest

from overlaycast.agent.hops.dial import dial
from overlaycast.agent.hops.permission import MOST_TOLD, Permission
from overlaycast.agent.hops.sockets import connect_any
from overlaycast.wire.messages import Address

LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
LOCAL = ["169.254.1.1", "fe80::1%eth0", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255"]
OTHERS = ["192.0.2.1", "10.0.0.1", "2001:db8::1"]


def permission(allow_local: bool = False, local: str = "192.0.2.7") -> tuple[Permission, list[str]]:
    said: list[str] = []
    asked = Permission(allow_local, said.append)
    asked.coordinator_at(local)
    return asked, said


@pytest.mark.parametrize("address", LOOPBACK + LOCAL)
def test_not_to_our_own_host_or_link(address: str) -> None:
    asked, said = permission()
    assert not asked(address)
    assert not asked(address)
    assert len(said) == 1
    assert "--allow-local" in said[0]


@pytest.mark.parametrize("address", OTHERS)
def test_to_all_others(address: str) -> None:
    asked, said = permission()
    assert asked(address)
    assert said == []


@pytest.mark.parametrize("address", LOOPBACK + LOCAL + OTHERS)
def test_to_all_if_told_so(address: str) -> None:
    assert permission(allow_local=True)[0](address)


@pytest.mark.parametrize("local", LOOPBACK)
def test_a_coordinator_on_our_host_may_name_loopback_and_nothing_else(local: str) -> None:
    asked, _ = permission(local=local)
    assert all(asked(address) for address in LOOPBACK + OTHERS)
    assert not any(asked(address) for address in LOCAL)
    asked.coordinator_at("192.0.2.7")  # it was reached another way since
    assert not asked("127.0.0.1")


def test_people_are_not_flooded() -> None:
    asked, said = permission()
    for number in range(1000):
        assert not asked(f"127.0.{number >> 8}.{number & 255}")
    assert len(said) == MOST_TOLD


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"])
async def test_what_counts_is_the_address_that_a_name_has(host: str) -> None:
    asked, _ = permission()
    with socket.create_server(("127.0.0.1", 0)) as victim:
        victim.setblocking(False)
        port = victim.getsockname()[1]
        with pytest.raises(OSError, match="not permitted"):
            await dial(host, port, lambda _: None, asked)
        assert await connect_any([Address(host=host, port=port)], asked) is None
        with pytest.raises(BlockingIOError):
            victim.accept()


async def test_another_address_of_the_list_is_tried() -> None:
    asked, _ = permission(local="127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as parent:
        port = parent.getsockname()[1]
        found = await connect_any([Address(host="0.0.0.0", port=port), Address(host="127.0.0.1", port=port)], asked)
        assert found is not None
        found.close()
