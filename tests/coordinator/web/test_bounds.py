"""Connections that are only there to cost something."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from overlaycast.coordinator.groups import groups
from overlaycast.coordinator.members.measure import BetterRoute
from overlaycast.coordinator.web import bodies, connections
from overlaycast.discovery.survey.route import Route
from overlaycast.wire.messages import Assign, Refused, Welcome
from tests.coordinator.conftest import Member, Running, Start, eventually, member_link, subscription


async def test_a_connection_that_asks_nothing_is_closed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_LIMIT", 0.2)
    async with start() as running, asyncio.timeout(60):
        for first in (b"", b"GET /healthz HTTP/1.1\r\nX-"):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(first)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()


async def test_a_second_request_that_never_ends_is_not_waited_for(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_LIMIT", 1.5)
    async with start() as running, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await reader.readline()
        writer.write(b"GET /healthz HTTP/1.1\r\nX-")
        rest = asyncio.create_task(reader.read())
        while not rest.done():  # a byte now and then does not help
            await asyncio.wait({rest}, timeout=0.1)
            writer.write(b"x")
        with contextlib.suppress(ConnectionError):  # a reset, where it was closed before our last byte was read
            assert b"GET" not in rest.result()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_members_link_outlives_the_patience_with_silence(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_LIMIT", 1.5)
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            assert isinstance(await anna.hear(), Welcome)
            assert isinstance(await anna.hear(), Assign)
            await asyncio.sleep(1.8)  # the very time that must not matter
            pong = await anna.socket.ping()
            await pong
            assert running.groups.get("demo").connected == 1


async def test_a_body_that_never_ends_is_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_TIME_LIMIT", 0.2)
    async with start() as running, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"POST /v1/groups HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert b" 413 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


class _Routes:
    """Finds the same route for everybody, and counts how many it is asked at once; the first wait for each other."""

    def __init__(self, together: int) -> None:
        self.on_improved: BetterRoute | None = None
        self._together = together
        self._complete = asyncio.Event()
        self.under_way = 0
        self.most = 0
        self.asked: list[str] = []

    async def route(self, host: str) -> Route | None:
        self.asked.append(host)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.under_way == self._together:
            self._complete.set()
        await self._complete.wait()
        await asyncio.sleep(0.01)  # one more would come now
        self.under_way -= 1
        return Route(host, ("r1", None, "r3"), True, (1.0, None, 3.0, 4.0))


async def _join(running: Running, token: str, name: str) -> None:
    async with member_link(running) as member:
        await member.say(subscription(token, name=name))
        assert isinstance(await member.hear(), Welcome)
        assert isinstance(await member.hear(), Assign)


async def test_many_are_measured_at_once_but_not_too_many(start: Start) -> None:
    async with start(measure_at_once=12) as running:  # of which one address has a quarter
        routes = _Routes(3)
        running.groups._measurer._routes = routes
        token = await running.create()
        await asyncio.gather(*(_join(running, token, f"m{number}") for number in range(12)))
        assert routes.most == 3
        assert routes.asked == ["127.0.0.1"] * 12
        for record in running.overlay().records.values():
            assert record["path"] == ("r1", None, "r3")
            assert record["rtt_ms"] is not None


async def test_who_returns_no_echo_is_measured_as_unknown(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlaycast.coordinator.members.measure._LIMIT", 0.2)
    async with start() as running:
        token = await running.create()
        async with member_link(running) as mute:
            await mute.say(subscription(token))
            await eventually(lambda: "rtt_ms" in running.overlay().records.get(1, {}))
            assert running.overlay().records[1]["rtt_ms"] is None


async def test_a_member_that_comes_back_while_it_is_measured_is_measured_again(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as old, member_link(running) as new:
            await old.say(subscription(token))
            greeting = json.loads(await old.socket.recv())
            back = {"member": 1, "secret": greeting["secret"], "epoch": 0, "rank": 0, "parent": None, "next_seq": 0}
            await new.say(subscription(token, resume=back))  # the old link never returned an echo
            assert isinstance(await new.hear(), Welcome)
            assert isinstance(await _until_placed(new), Assign)
            assert running.overlay().records[1]["rtt_ms"] is not None


async def _until_placed(member: Member) -> object:
    return await member.hear()


async def test_strangers_do_not_push_out_what_members_did(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_REFUSALS_PER_S", 1e-9)
    async with start() as running:
        await running.create()
        driver = running.groups.get("demo")
        for _ in range(60):
            async with member_link(running) as stranger:
                await stranger.say(subscription("wrong"))
                assert isinstance(await stranger.hear(), Refused)
        refused = [event for event in driver.log.since(0, 1000) if event.kind == "refused"]
        assert len(refused) == 50
        assert driver.log.since(0, 1)[0].kind == "created"


async def test_a_member_that_comes_back_to_a_full_group_is_let_in(start: Start) -> None:
    async with start(members_limit=1) as running:
        token = await running.create()
        async with member_link(running) as anna, member_link(running) as again, member_link(running) as other:
            await anna.say(subscription(token))
            welcome = await anna.hear()
            assert isinstance(welcome, Welcome)
            place = {"member": welcome.member, "secret": welcome.secret, "epoch": 0, "rank": 0, "next_seq": 0}
            await other.say(subscription(token, name="other"))
            refused = await other.hear()
            assert isinstance(refused, Refused)
            assert refused.code == "full"
            await again.say(subscription(token, resume=place))  # its old link is still taken for alive
            assert isinstance(await again.hear(), Welcome)


@pytest.mark.parametrize(
    ("first", "headers"),
    [
        ("GET /g HTTP/1.1", ["Content-Length: 100"]),
        ("GET /g HTTP/1.1", ["Content-Length: 0"]),
        ("GET /g HTTP/1.1", ["Transfer-Encoding: chunked"]),
        ("POST /g HTTP/1.1", ["Content-Length: 100"]),
        ("POST /g HTTP/1.1", []),
        ("GET /g HTTP/1.0", []),
        ("GET /g HTTP/1.1", ["Sec-WebSocket-Version: 99"]),
        ("GET /g HTTP/1.1", ["Sec-WebSocket-Key: short"]),
        ("GET /g HTTP/1.1", ["X: \xe9"]),
        ("GET /g HTTP/1.1", ["X: " + "x" * 9000]),
        ("GET /g HTTP/1.1", [f"X{number}: x" for number in range(200)]),
        ("GET /" + "g" * 9000 + " HTTP/1.1", []),
    ],
)
async def test_an_upgrade_that_cannot_be_is_answered_and_closed(start: Start, first: str, headers: list[str]) -> None:
    own = {one.partition(":")[0] for one in headers}
    usual = {
        "Host": "x",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    lines = [first, *(f"{name}: {value}" for name, value in usual.items() if name not in own), *headers, "", ""]
    async with start() as running, asyncio.timeout(connections.REQUEST_LIMIT - 1):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write("\r\n".join(lines).encode("latin-1"))
        status = await reader.readline()
        assert status.split()[:2] >= [b"HTTP/1.1", b"400"], status
        await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_the_end_is_not_disturbed_by_an_upgrade_that_could_not_be(start: Start) -> None:
    async with start() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        head = ["GET /g HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 9", "", ""]
        writer.write("\r\n".join(head).encode())
    await reader.read()
    writer.close()
    await writer.wait_closed()
