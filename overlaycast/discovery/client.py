"""The coordinator's end of the tracing process: start it, ask it, start it again if it dies.

Owns: one child process, or one connection at which a service manager has started it; and the questions it has not
answered. Refuses: raw sockets and scapy.

Invariants: a question is answered within ``limit`` seconds, if only by ``None``; the process is started again no more
than once a second, and a child is gone after ``close``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from overlaycast.discovery.survey.route import Route
from overlaycast.errors import in_one_line

log = logging.getLogger(__name__)

_LINE_LIMIT: Final = 64 * 1024
_REST: Final = 1.0


class TraceClient:
    """Asks the tracing process for routes.

    Args:
        limit: seconds after which a question is given up.
        command: what to run instead of the real worker (tests).
        socket: Unix socket at which a service manager starts the worker; instead of a child.

    ``on_improved`` is called with a host and its route when a better one is found than was answered.
    """

    def __init__(self, limit: float = 10.0, command: tuple[str, ...] | None = None, socket: Path | None = None) -> None:
        self._limit = limit
        self._command = command or (sys.executable, "-m", "overlaycast.discovery.worker")
        self._socket = socket
        self._process: Process | None = None
        self._requests: StreamWriter | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._started_at = float("-inf")
        self._waiting: dict[int, asyncio.Future[Route | None]] = {}
        self._number = 0
        self.on_improved: Callable[[str, Route], None] | None = None

    @property
    def pid(self) -> int | None:
        """The tracing process, while there is one."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the process ahead of the first question: it takes a second to import scapy."""
        async with self._starting:
            try:
                await self._ensure_running()
            except OSError as error:
                log.error("no traceroute until the tracing process can be reached: %s", error)

    async def route(self, host: str) -> Route | None:
        """Return the route to a literal address, or None if it could not be found in time."""
        self._number += 1
        number = self._number
        answer: asyncio.Future[Route | None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._limit):
                await self._ask(number, host, answer)
                return await answer
        except (TimeoutError, OSError) as error:
            log.warning("no route to %s: %s", host, error or "the tracing process did not answer in time")
            return None
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        """End the process and wait for it."""
        process, requests, reader = self._process, self._requests, self._reader
        self._process = self._requests = self._reader = None
        if requests is not None:
            requests.close()
        if process is not None:
            try:
                async with asyncio.timeout(2):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if reader is not None:
            await reader

    async def _ask(self, number: int, host: str, answer: asyncio.Future[Route | None]) -> None:
        async with self._starting:
            requests = await self._ensure_running()
        self._waiting[number] = answer
        requests.write(json.dumps({"id": number, "host": host}).encode() + b"\n")
        await requests.drain()

    async def _ensure_running(self) -> StreamWriter:
        if self._requests is not None and self._runs():
            return self._requests
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._started_at + _REST - loop.time()))
        self._started_at = loop.time()
        if self._socket is not None:
            answers, requests = await asyncio.open_unix_connection(self._socket, limit=_LINE_LIMIT)
        else:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, limit=_LINE_LIMIT
            )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            answers, requests = self._process.stdout, self._process.stdin
        self._requests = requests
        self._reader = asyncio.create_task(self._read(answers, requests, self._process))
        return requests

    def _runs(self) -> bool:
        if self._process is not None:
            return self._process.returncode is None
        return self._reader is not None and not self._reader.done()

    async def _read(self, answers: StreamReader, requests: StreamWriter, process: Process | None) -> None:
        try:
            while line := await answers.readline():
                self._take(json.loads(line))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:  # or beyond the limit
            log.error("the tracing process wrote a line that is no answer, and is ended: %s", in_one_line(error))
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        except OSError as error:
            log.info("the connection to the tracing process broke: %s", error)
        if process is None:
            requests.close()  # which ends it
        else:
            await process.wait()
        if self._requests is requests:
            code = None if process is None else process.returncode
            if code not in (-signal.SIGINT, -signal.SIGTERM):  # else all of us were told to go, as it began
                log.warning("the tracing process ended%s", "" if code is None else f" with code {code}")
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_result(None)

    def _take(self, fields: dict[str, Any]) -> None:
        if "missing" in fields:
            log.error("%s", fields["missing"])
        if "improved" in fields:
            if self.on_improved is not None:
                self.on_improved(str(fields["improved"]), _route(fields))
            return
        answer = self._waiting.get(fields.get("id", 0))
        if answer is None or answer.done():
            return
        if "error" in fields:
            log.info("no route: %s", fields["error"])
            answer.set_result(None)
            return
        answer.set_result(_route(fields))


def _route(fields: dict[str, Any]) -> Route:
    # the target is what was asked; the worker does not repeat it. A worker of an earlier version says less
    routers, rtts, sources = (tuple(fields.get(name, ())) for name in ("routers", "rtt_ms", "sources"))
    return Route("", routers, fields["reached"], rtts, sources, fields.get("open", False))
