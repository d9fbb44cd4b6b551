"""Out of descriptors: whoever comes is told so, in one line a minute the operator as well, and it ends by itself."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket

import pytest

from tests.coordinator.conftest import Start, eventually


def complaints(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_without_descriptors_newcomers_are_refused_with_a_reason_and_later_let_in(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as running, running.http() as http:
        assert (await http.get("/healthz")).status_code == 200
        used = os.dup(0)
        os.close(used)
        monkeypatch.setattr(resource, "getrlimit", lambda _: (used + 16, used + 16))
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"no descriptors left" in answer
            writer.close()
        assert (await http.get("/healthz")).status_code == 200  # who is in stays in
        monkeypatch.undo()
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()
    said = complaints(caplog)
    assert ["no descriptors left" in record.getMessage() for record in said] == [True]


async def test_when_the_system_has_none_left_it_is_no_traceback(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_: socket.socket) -> tuple[socket.socket, object]:
        raise OSError(24, "Too many open files")

    async with start() as running:
        monkeypatch.setattr(socket.socket, "accept", none_left)
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        await eventually(lambda: complaints(caplog))
        await asyncio.sleep(0.2)  # and not again
        monkeypatch.undo()
        writer.close()
        async with running.http() as http:
            assert (await http.get("/healthz")).status_code == 200
    said = complaints(caplog)
    assert len(said) == 1
    assert said[0].exc_info is None
