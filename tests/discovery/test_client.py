"""The coordinator's end of the tracing process, with made-up workers that die, babble or say nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from overlaycast.discovery.client import TraceClient
from overlaycast.discovery.route import Route

# whoever runs the tests in the background of a script has SIGINT ignored, and so have their children
ANSWERS = """
import json, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    known = {"id": request["id"], "routers": ["r1", None], "reached": True, "shared": False, "rtt_ms": [1.0, None, 2.0]}
    answer = {"id": request["id"], "error": "no"} if request["host"] == "nowhere" else known
    if request["host"] == "silence":
        continue
    if request["host"] == "death":
        os._exit(7)
    print(json.dumps(answer), flush=True)
"""
BABBLES = "print('x' * 200_000, flush=True); import time; time.sleep(60)"
MISSES = 'print(\'{"missing": "no raw sockets"}\', flush=True); raise SystemExit(3)'
FOUND = Route("", ("r1", None), True, (1.0, None, 2.0), False)


@asynccontextmanager
async def client(program: str, limit: float = 60.0) -> AsyncIterator[TraceClient]:
    asking = TraceClient(limit, (sys.executable, "-c", program))
    try:
        yield asking
    finally:
        await asking.close()
        assert asking.pid is None


async def test_questions_are_answered_whatever_their_order() -> None:
    async with client(ANSWERS) as asking:
        assert await asyncio.gather(*(asking.route(f"192.0.2.{n}") for n in range(20))) == [FOUND] * 20
        assert await asking.route("nowhere") is None


async def test_a_question_without_an_answer_is_given_up() -> None:
    async with client(ANSWERS, limit=0.3) as asking:
        await asking.start()
        assert await asking.route("silence") is None
        assert asking._waiting == {}


async def test_a_worker_that_dies_fails_its_questions_and_is_started_again() -> None:
    async with client(ANSWERS) as asking:
        assert await asking.route("192.0.2.1") == FOUND
        first = asking.pid
        assert first is not None
        failed = [asyncio.create_task(asking.route(host)) for host in ("silence", "death")]
        assert [await task for task in failed] == [None, None]
        assert await asking.route("192.0.2.1") == FOUND
        assert asking.pid not in (None, first)


async def test_a_worker_killed_between_two_questions_is_not_noticed() -> None:
    async with client(ANSWERS) as asking:
        assert await asking.route("192.0.2.1") == FOUND
        assert asking.pid is not None
        os.kill(asking.pid, signal.SIGKILL)
        assert asking._process is not None
        await asking._process.wait()
        assert await asking.route("192.0.2.1") == FOUND


@pytest.mark.parametrize(("number", "told"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, 1)])
async def test_only_an_end_that_nobody_asked_for_is_told(
    number: signal.Signals, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A service manager says SIGTERM to all of a service's processes at once."""
    async with client(ANSWERS) as asking:
        assert await asking.route("192.0.2.1") == FOUND
        assert asking.pid is not None
        assert asking._reader is not None
        os.kill(asking.pid, number)
        await asking._reader
    assert len(caplog.records) == told


async def test_the_real_worker_goes_when_its_coordinator_does() -> None:
    """Not at SIGTERM: the coordinator may still want routes until it goes, and a restart warns of nothing."""
    asking = TraceClient()
    await asking.start()
    process = asking._process
    assert process is not None
    await asking.route("127.0.0.1")  # it runs, or has said why it cannot
    if process.returncode is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
        assert await asking.route("127.0.0.1") is not None or os.geteuid() != 0
        assert asking._process is process
        assert process.returncode is None
    await asking.close()
    assert process.returncode != -signal.SIGKILL


async def test_a_worker_that_lacks_privileges_or_babbles_means_no_routes() -> None:
    for program in (MISSES, BABBLES):
        async with client(program, limit=1.5) as asking:
            assert await asking.route("192.0.2.1") is None


async def test_a_tracing_process_that_does_not_end_by_itself_is_killed() -> None:
    async with client("import time; time.sleep(600)", limit=0.1) as asking:
        assert await asking.route("192.0.2.1") is None
        pid = asking.pid
        assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_the_real_worker_finds_this_very_host() -> None:
    asking = TraceClient()
    await asking.start()
    try:
        route = await asking.route("127.0.0.1")
    finally:
        await asking.close()
    if os.geteuid() == 0:
        assert route is not None
        assert (route.routers, route.reached) == ((), True)
