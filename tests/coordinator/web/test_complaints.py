"""Nobody fills the coordinator's log from outside."""

from __future__ import annotations

import asyncio
import logging

import pytest
from websockets.frames import Frame, Opcode

from overlaycast.coordinator.web.complaints import LOGGER, Complaints
from tests.coordinator.conftest import Running, Start

UPGRADE = (
    b"GET /v1/member HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def _send(running: Running, *pieces: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for piece in pieces:
        writer.write(piece)
        await reader.read(1)
    await reader.read()
    writer.close()


async def test_requests_and_texts_that_are_none_are_one_line_without_a_traceback(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as running, asyncio.timeout(60):
        for _ in range(5):
            await _send(running, b"\0\1\2\r\n\r\n")
            await _send(running, UPGRADE, Frame(Opcode.TEXT, b"{\xb3").serialize(mask=True))
        async with running.http() as http:
            assert (await http.get("/healthz")).status_code == 200
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in said] == ["Invalid HTTP request received."]


def test_later_lines_say_how_many_were_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("overlaycast.coordinator.web.complaints.time.monotonic", lambda: now[0])
    complaints = Complaints()

    def said(level: int, text: str, error: BaseException | None = None) -> str | None:
        info = None if error is None else (type(error), error, None)
        record = logging.LogRecord(LOGGER, level, "", 1, text, (), info)
        return f"{record.getMessage()} {record.exc_info is not None}" if complaints.filter(record) else None

    text = "Invalid UTF-8 sequence received from client."
    assert said(logging.ERROR, text, UnicodeDecodeError("utf-8", b"", 0, 1, "")) == f"{text} False"
    assert said(logging.WARNING, "Invalid HTTP request received.") is None
    assert said(logging.WARNING, "Unsupported upgrade request.") is None
    assert said(logging.ERROR, "Exception in ASGI application", ValueError()) == "Exception in ASGI application True"
    now[0] += 61
    assert said(logging.WARNING, "Again.") == "Again. (2 more in the last minutes) False"
