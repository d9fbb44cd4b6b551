"""The coordinator's end of the tracing process, with made-up workers that die, babble or say nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from overlaycast.discovery.client import TraceClient
from overlaycast.discovery.survey.route import Route

# whoever runs the tests in the background of a script has SIGINT ignored, and so have their children
ANSWERS = """
import json, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    known = {"id": request["id"], "routers": ["r1", None], "reached": True, "rtt_ms": [1.0, None, 2.0]}
    known |= {"sources": ["table", "silent"], "open": True, "shared": False}
    answer = {"id": request["id"], "error": "no"} if request["host"] == "nowhere" else known
    if request["host"] == "silence":
        continue
    if request["host"] == "death":
        os._exit(7)
    print(json.dumps(answer), flush=True)
    if request["host"] == "better":
        better = {"improved": "better", "routers": ["r1", "r2"], "reached": True, "rtt_ms": [1.0, 1.5, 2.0]}
        print(json.dumps(better | {"sources": ["table", "answered"], "open": False}), flush=True)
"""
BABBLES = "print('x' * 200_000, flush=True); import time; time.sleep(60)"
NO_ANSWERS = [
    f"print({line!r}, flush=True); import time; time.sleep(60)" for line in ("5", "[" * 9000, '{"id": []}', '{"id": 1}')
]
MISSES = 'print(\'{"missing": "no raw sockets"}\', flush=True); raise SystemExit(3)'
NO_SOCKET = "no traceroute until the tracing process can be reached: "
FOUND = Route("", ("r1", None), True, (1.0, None, 2.0), ("table", "silent"), True)


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


async def test_a_better_route_is_told_when_it_comes() -> None:
    told: asyncio.Queue[tuple[str, Route]] = asyncio.Queue()
    async with client(ANSWERS) as asking:
        asking.on_improved = lambda host, route: told.put_nowait((host, route))
        assert await asking.route("better") == FOUND
        assert await told.get() == ("better", Route("", ("r1", "r2"), True, (1.0, 1.5, 2.0), ("table", "answered")))


async def test_a_better_route_that_nobody_wants_is_no_harm() -> None:
    async with client(ANSWERS) as asking:
        assert await asking.route("better") == FOUND
        assert await asking.route("192.0.2.1") == FOUND


async def test_a_worker_of_an_earlier_version_says_less() -> None:
    program = ANSWERS.replace('known |= {"sources": ["table", "silent"], "open": True, "shared": False}', "pass")
    async with client(program) as asking:
        assert await asking.route("192.0.2.1") == Route("", ("r1", None), True, (1.0, None, 2.0))


@asynccontextmanager
async def service(path: Path) -> AsyncIterator[list[int]]:
    """A service manager that starts a worker for each connection, with the connection as both its streams."""
    pids = []

    async def accept(sock: socket.socket) -> None:
        sock.setblocking(True)  # as systemd's are: a worker's own read must not find nothing there
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ANSWERS, stdin=sock.fileno(), stdout=sock.fileno()
        )
        sock.close()
        pids.append(process.pid)
        await process.wait()

    async def listen(listening: socket.socket, tasks: asyncio.TaskGroup) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listening)
            tasks.create_task(accept(sock))

    with socket.socket(socket.AF_UNIX) as listening:
        listening.setblocking(False)
        listening.bind(str(path))
        listening.listen()
        async with asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(listen(listening, tasks))
            yield pids
            accepting.cancel()


async def test_a_service_manager_may_start_the_worker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with service(tmp_path / "sock") as pids:
        asking = TraceClient(60.0, socket=tmp_path / "sock")
        await asking.start()
        assert await asyncio.gather(*(asking.route(f"192.0.2.{n}") for n in range(20))) == [FOUND] * 20
        assert asking.pid is None, "it has no child"
        failed = [asyncio.create_task(asking.route(host)) for host in ("silence", "death")]
        assert [await task for task in failed] == [None, None]
        assert await asking.route("192.0.2.1") == FOUND
        assert len(pids) == 2
        await asking.close()
        # each worker ends with its connection, or the group of tasks would not
    assert [record.getMessage() for record in caplog.records] == ["the tracing process ended"]


async def test_nobody_at_the_socket_means_no_routes_until_there_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asking = TraceClient(60.0, socket=tmp_path / "sock")
    await asking.start()
    assert caplog.records[0].getMessage().startswith(NO_SOCKET)
    assert await asking.route("192.0.2.1") is None
    async with service(tmp_path / "sock"):
        assert await asking.route("192.0.2.1") == FOUND
        await asking.close()


async def test_a_service_that_babbles_is_left(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 200_000)
        with suppress(ConnectionError):
            await reader.read()
            writer.close()
            await writer.wait_closed()
        left.set()

    async with await asyncio.start_unix_server(babble, tmp_path / "sock"):
        asking = TraceClient(1.5, socket=tmp_path / "sock")
        assert await asking.route("192.0.2.1") is None
        assert asking._reader is not None
        await asking._reader
        await asking.close()
        await left.wait()


async def test_the_real_worker_talks_over_one_socket() -> None:
    """As systemd starts it: ``overlaycast trace -`` with the connection as both its streams."""
    ours, its = socket.socketpair()
    words = (sys.executable, "-m", "overlaycast.cli", "trace", "-")
    process = await asyncio.create_subprocess_exec(*words, stdin=its.fileno(), stdout=its.fileno())
    its.close()
    reader, writer = await asyncio.open_connection(sock=ours)
    first = json.loads(await reader.readline())
    if os.geteuid() != 0 and "missing" in first:
        assert await process.wait() == 3
    else:
        assert first == {"ready": True}
        writer.write(b'{"id": 1, "host": "127.0.0.1"}\n')
        assert json.loads(await reader.readline())["reached"]
        writer.close()
        assert await process.wait() == 0
    writer.close()


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
    for program in (MISSES, BABBLES, *NO_ANSWERS):
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
