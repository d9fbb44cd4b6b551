"""Lines that reach the tracing process and are no requests: they are answered, and it goes on."""

from __future__ import annotations

import asyncio

import pytest

from overlaycast.discovery.worker import _LINE_LIMIT, _line, _request


@pytest.mark.parametrize(
    "line",
    [
        b"x",
        b"",
        b"5",
        b"[]",
        b"null",
        b"{}",
        b"[" * 4000,
        b'{"id": 1}',
        b'{"id": "1", "host": "192.0.2.1"}',
        b'{"id": true, "host": "192.0.2.1"}',
        b'{"id": 1.5, "host": "192.0.2.1"}',
        b'{"id": 1, "host": 7}',
        b'{"id": ' + b"9" * 4000 + b', "host": null}',
        b"\xff\xfe",
    ],
)
def test_a_line_that_is_no_request(line: bytes) -> None:
    assert _request(line) is None


def test_a_request() -> None:
    assert _request(b'{"id": 7, "host": "192.0.2.1"}\n') == (7, "192.0.2.1")


async def test_a_line_beyond_the_limit_is_passed_over() -> None:
    lines = asyncio.StreamReader(limit=_LINE_LIMIT)
    lines.feed_data(b"x" * (3 * _LINE_LIMIT) + b"\nnext\n")
    lines.feed_eof()
    assert await _line(lines) == b"\n"
    assert await _line(lines) == b"next\n"
    assert await _line(lines) == b""
