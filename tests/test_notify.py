"""What systemd hears of a program, on a real datagram socket in its place."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from overlaycast.notify import EXTEND_BY_S, EXTEND_EVERY_S, MOST_STATUS, Notices, Service, Standing
from tests.service_manager import ServiceManager

WAITS, FED = Standing(False, "waits"), Standing(True, "fed by a (1)")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceManager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@overlaycast-{secrets.token_hex(8)}"
    with ServiceManager(address) as listening:
        yield listening


async def ended(following: asyncio.Task[None]) -> None:
    following.cancel()
    await asyncio.wait([following])


async def test_readiness_and_status_come_as_lines_of_one_datagram(manager: ServiceManager) -> None:
    service, at = Service(manager.environ), [WAITS]
    following = asyncio.create_task(service.follow(lambda: at[0]))
    assert await manager.heard() == {"EXTEND_TIMEOUT_USEC": "30000000", "STATUS": "waits"}
    at[0] = FED
    assert await manager.heard("READY") == {"READY": "1", "STATUS": "fed by a (1)"}
    service.stopping("told\nto go")
    assert await manager.heard("STOPPING") == {"STOPPING": "1", "STATUS": "told to go"}
    service.stopping("again")
    await ended(following)
    service.stopping("after the end")
    assert manager.nothing_more()


async def test_a_loop_that_hangs_falls_silent(manager: ServiceManager) -> None:
    """Everything is said from the loop itself: no thread says that all is well while the loop stands still."""
    service = Service(manager.environ | {"WATCHDOG_USEC": "200000", "WATCHDOG_PID": str(os.getpid())})
    following = asyncio.create_task(service.follow(lambda: FED))
    for _ in range(3):
        await manager.heard("WATCHDOG")
    manager.forget()
    manager.wait_without_the_loop(0.5)  # more than twice as long as systemd waits
    assert manager.nothing_more()
    await manager.heard("WATCHDOG")  # it goes on
    await ended(following)


async def test_the_watchdog_of_another_process_is_not_ours(manager: ServiceManager) -> None:
    environ = manager.environ | {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    service = Service(environ)
    following = asyncio.create_task(service.follow(lambda: FED))
    assert "WATCHDOG" not in await manager.heard("READY")
    await ended(following)
    assert environ == {}, "the programs that we start must not speak for us"


@pytest.mark.parametrize("address", ["", "/no/such/socket", "vsock:2:1234", "@" + "x" * 200])
async def test_without_a_service_manager_nothing_happens(address: str) -> None:
    service = Service({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
    await service.follow(lambda: FED)  # it returns
    service.stopping("ends")


async def test_what_systemd_did_not_take_is_said_again(tmp_path: Path) -> None:
    """Its queue is full, and nothing of ours waits for it."""
    with ServiceManager(str(tmp_path / "notify")) as manager:
        manager.fill()
        service = Service(manager.environ)
        following = asyncio.create_task(service.follow(lambda: FED))
        await asyncio.sleep(0)
        assert await manager.heard("READY")
        await ended(following)


def said(notices: Notices, standing: Standing, now: float) -> set[str]:
    """Return the names of what is due, taken by systemd."""
    lines = notices.due(standing, now)
    notices.said(lines, now)
    return set(lines)


def test_a_start_that_waits_is_prolonged_until_it_is_ready() -> None:
    notices = Notices(None)
    assert said(notices, WAITS, 0) == {"EXTEND_TIMEOUT_USEC", "STATUS"}
    assert said(notices, WAITS, EXTEND_EVERY_S - 0.1) == set()
    assert said(notices, WAITS, EXTEND_EVERY_S) == {"EXTEND_TIMEOUT_USEC"}
    assert EXTEND_EVERY_S < EXTEND_BY_S / 2, "one that is late must not end the start"
    assert said(notices, FED, EXTEND_EVERY_S + 0.1) == {"READY", "STATUS"}
    assert said(notices, WAITS, 100) == {"STATUS"}, "ready once is ready for good"
    assert said(notices, FED, 101) == {"STATUS"}


def test_status_is_said_when_it_changes_and_once_a_second_at_most() -> None:
    notices = Notices(None)
    assert said(notices, FED, 10) == {"READY", "STATUS"}
    assert said(notices, Standing(True, "fed by b (2)"), 10.5) == set()
    assert said(notices, Standing(True, "fed by c (3)"), 11) == {"STATUS"}
    assert said(notices, Standing(True, "fed by c (3)"), 30) == set()


def test_the_watchdog_hears_twice_as_often_as_it_must() -> None:
    notices = Notices(30)
    said(notices, FED, 0)
    assert said(notices, FED, 14.9) == set()
    assert said(notices, FED, 15) == {"WATCHDOG"}
    assert notices.pause_s <= 1


async def test_a_long_status_is_cut(tmp_path: Path) -> None:
    with ServiceManager(str(tmp_path / "notify")) as manager:
        service = Service(manager.environ)
        following = asyncio.create_task(service.follow(lambda: Standing(True, "x " * 1000)))
        assert len((await manager.heard("STATUS"))["STATUS"]) == MOST_STATUS
        await ended(following)
