"""Whatever strangers send, and whatever we do wrong: one line, and not many of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest
from websockets.frames import Frame, Opcode

from overlaycast.coordinator.members.link import MemberLink
from overlaycast.coordinator.web.defects import AT_ONCE
from overlaycast.wire.messages import Welcome
from tests.coordinator.conftest import Running, Start, member_link, subscription
from tests.coordinator.fake_overlay import FakeOverlay
from tests.coordinator.web.test_one_address import UPGRADE

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/groups HTTP/1.1\r\nHost: x\r\n"
REQUESTS = (
    b"\r\n\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET  / \r\n\r\n",
    b"G\xc3\xa9T / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%ff%fe%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/groups/%0d%0a%1b[2J HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /docs?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    GET + b"X: a\r\n" * 5000 + b"\r\n",
    GET + b"X\x00: \xff\r\n\r\n",
    GET + b"Host: y\r\nHost: z\r\n\r\n",
    GET + b"Authorization: Bearer \xff\xfe\r\n\r\n",
    GET + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    GET + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    GET + b"Overlaycast-Fields: \xff\xfe,,,\r\n\r\n",
    POST + b"Content-Length: -1\r\n\r\n",
    POST + b"Content-Length: 10\r\nContent-Length: 20\r\n\r\n0123456789",
    POST + b"Content-Length: 99999999999999999999\r\n\r\nx",
    POST + b"Content-Length: 100000\r\n\r\n" + b"[" * 100_000,
    POST + b"Content-Length: 100000\r\nConnection: close\r\n\r\nhalf",
    POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    UPGRADE.replace(b"13", b"99"),
    UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"x"),
    UPGRADE.replace(b"/v1/member", b"/nowhere"),
    UPGRADE.replace(b"/v1/member", b"/v1/member%00?\xc3\xa9"),
    UPGRADE.replace(b"GET", b"POST"),
    UPGRADE.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: \xff, ,a\r\n\r\n"),
    UPGRADE.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate; x=\xff\r\n\r\n"),
    UPGRADE.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello"),
)
LINKS = (
    b"",
    b"\xff" * 64,
    Frame(Opcode.TEXT, b"{}").serialize(mask=False),
    Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=True),
    Frame(Opcode.TEXT, b"[" * 20_000).serialize(mask=True),
    Frame(Opcode.TEXT, b'{"kind":"subscribe","version":' + b"9" * 5000 + b"}").serialize(mask=True),
    Frame(Opcode.TEXT, b'{"kind":"subscribe","version":2,"\\ud800":1}').serialize(mask=True),
    Frame(Opcode.TEXT, b'{"kind":"subscribe","version":2,"' + b"\xe7\x95\x8c" * 300 + b'":1}').serialize(mask=True),
    Frame(Opcode.BINARY, b"\x00\x00\x00{").serialize(mask=True),
    Frame(Opcode.CONT, b"x").serialize(mask=True),
    Frame(Opcode.TEXT, b"x", fin=False).serialize(mask=True) * 3,
    b"\xc1\x81\x00\x00\x00\x00x",  # a reserved bit
    b"\x83\x81\x00\x00\x00\x00x",  # a reserved kind
    Frame(Opcode.CLOSE, b"\x00").serialize(mask=True),
    Frame(Opcode.CLOSE, b"\x00\x01").serialize(mask=True),
    Frame(Opcode.CLOSE, b"\x03\xe8\xff\xff").serialize(mask=True),
    Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True) * 3,
    b"\x89\xfe\x01\x00" + bytes(300),  # a PING that is too long
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
)


async def send(running: Running, *parts: bytes, reset: bool) -> None:
    """Send this, and end the connection when it is answered: in order, or without a word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
        async with asyncio.timeout(0.3):
            for part in parts:
                writer.write(part)
                await reader.readuntil(b"\r\n")
            await reader.read()
    if reset:
        writer.transport.abort()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_no_stranger_makes_more_than_a_few_lines(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    async with start() as running, running.http() as http:
        for reset in (False, True):
            await asyncio.gather(*(send(running, request, reset=reset) for request in REQUESTS))
            await asyncio.gather(*(send(running, UPGRADE, frames, reset=reset) for frames in LINKS))
        assert (await http.get("/healthz")).status_code == 200
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            assert isinstance(await anna.hear(), Welcome)
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in said if record.exc_info] == []
    assert len(said) <= 3, [record.getMessage() for record in said]
    assert [record for record in said if record.name.endswith("defects")] == []


async def test_a_request_that_we_fail_over_is_one_line_and_not_many(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: FakeOverlay) -> None:
        raise KeyError("two\nlines")

    async with start() as running, running.http() as http:
        await running.create()
        monkeypatch.setattr(FakeOverlay, "members", fail)
        for _ in range(3 * AT_ONCE):
            answer = await http.get("/v1/groups/demo/members")
            assert answer.status_code == 500
            assert "KeyError" in answer.json()["error"]
        monkeypatch.undo()
        assert (await http.get("/v1/groups/demo/members")).status_code == 200
    said = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == AT_ONCE
    assert {record.exc_info for record in said} == {None}
    assert said[0].getMessage().startswith("a request failed: KeyError")
    assert "\n" not in said[0].getMessage()


async def test_a_link_that_we_fail_over_ends_in_one_line(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: MemberLink) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(MemberLink, "subscription", fail)
    async with start() as running, member_link(running) as anna:
        await asyncio.wait_for(anna.socket.wait_closed(), 60)
        asyncio.get_running_loop().call_soon(int, "a callback of ours")
        await asyncio.sleep(0.05)
    said = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.exc_info for record in said] == [None, None]
    assert said[0].getMessage().startswith("a link failed: ZeroDivisionError (web/test_defects.py:")
    assert "ValueError" in said[1].getMessage()


async def test_a_reason_in_any_letters_reaches_the_member(start: Start) -> None:
    async with start() as running, member_link(running) as anna:
        await anna.socket.send('{"kind":"subscribe","version":2,"' + "\u754c" * 200 + '":1}')
        await asyncio.wait_for(anna.socket.wait_closed(), 60)
        assert anna.socket.close_code == 1008
        assert anna.socket.close_reason
