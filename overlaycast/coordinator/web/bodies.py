"""ASGI middleware: a request body that is too large or too slow reaches no parser."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT: Final = 64 * 1024
_TIME_LIMIT: Final = 10.0


class BoundedBodies:
    """Reads a body of up to ``BODY_LIMIT`` bytes, in up to ``_TIME_LIMIT`` seconds, and hands it on whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything but HTTP passes untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            refused = {"error": f"request body; accepted: up to {BODY_LIMIT} bytes within {_TIME_LIMIT:g} s"}
            await JSONResponse(refused, 413)(scope, receive, send)
            return
        first: Message | None = {"type": "http.request", "body": body, "more_body": False}

        async def replay() -> Message:
            nonlocal first
            message, first = first, None
            return message if message is not None else await receive()

        await self._app(scope, replay, send)


async def _body(receive: Receive) -> bytes | None:
    body = bytearray()
    try:
        async with asyncio.timeout(_TIME_LIMIT):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > BODY_LIMIT:
                    return None
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        return None
