"""The process that traces routes for the coordinator: targets come by stdin, routes go by stdout, as JSON lines.

Owns: raw sockets, in a process of its own, so that neither that privilege nor scapy is in the coordinator. Refuses:
anything but literal addresses from its parent. It ends when its stdin does, however its parent ended. It is a child of
the coordinator, or ``overlaycast trace -``, for which a service manager has made both streams one socket.

In:  ``{"id": 7, "host": "192.0.2.1"}``
Out: ``{"ready": true}`` once, or ``{"missing": "why"}`` and the end; then, in the order in which they are found,
``{"id": 7, "routers": ["192.0.2.254", null], "reached": true, "rtt_ms": [...], "sources": ["table", "silent"], "open":
true, "shared": false}`` or ``{"id": 7, "error": "why not"}``, without a number where a line is no request. A better
route to a host, found later, is the same with ``"improved": "192.0.2.1"`` instead of the id.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import OrderedDict
from dataclasses import asdict
from typing import Any, Final

from overlaycast.discovery.probe import warm_up
from overlaycast.discovery.survey.route import Route
from overlaycast.discovery.survey.survey import MOST_TARGETS
from overlaycast.discovery.tracer import Tracer
from overlaycast.errors import ConfigError, MissingError

_NOBODY: Final = 65534
_LINE_LIMIT: Final = 4096
WANTED: Final = 'accepted is {"id": NUMBER, "host": "ADDRESS"}'


def _say(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def _drop_privileges() -> None:
    # the sockets are open; from here on nothing needs root. In a user namespace with one user there is no other user.
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)


class _Answers:
    """Who has asked for which route."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[int]] = {}
        self._names: OrderedDict[str, str] = OrderedDict()

    def ask(self, tracer: Tracer, number: int, host: str) -> None:
        """Take a request."""
        try:
            target = tracer.seek(host)
        except ConfigError as error:
            _say(id=number, error=str(error))
            return
        self._waiting.setdefault(target, []).append(number)
        self._names[target] = host
        self._names.move_to_end(target)
        if len(self._names) > MOST_TARGETS:
            self._names.popitem(last=False)

    def tell(self, route: Route) -> None:
        """Answer all who have asked for a route, or tell that it is better now."""
        fields = asdict(route) | {"shared": route.shared}
        target = fields.pop("target")
        numbers = self._waiting.pop(target, None)
        if numbers is None and target in self._names:
            _say(improved=self._names[target], **fields)
        for number in numbers or ():
            _say(id=number, **fields)


async def _line(requests: asyncio.StreamReader) -> bytes:
    try:
        return await requests.readline()
    except ValueError:  # longer than any request; what was read of it is gone
        return b"\n"


def _request(line: bytes) -> tuple[int, str] | None:
    """Return a request's number and host; None: it is none."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(request, dict):
        return None
    number, host = request.get("id"), request.get("host")
    return (number, host) if type(number) is int and isinstance(host, str) else None


async def serve() -> int:
    """Answer requests until stdin ends; return the exit code."""
    answers = _Answers()
    try:
        tracer = Tracer(answers.tell)
    except MissingError as error:
        _say(missing=str(error))
        return error.exit_code
    warm_up()
    _drop_privileges()
    requests = asyncio.StreamReader(limit=_LINE_LIMIT)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    _say(ready=True)
    async with asyncio.TaskGroup() as tasks:
        tracing = tasks.create_task(tracer.run())
        while line := await _line(requests):
            request = _request(line)
            if request is None:
                _say(error=WANTED)
            else:
                answers.ask(tracer, *request)
        tracing.cancel()  # nothing reads our answers any more
    tracer.close()
    return 0


def main() -> int:
    """Run the worker."""
    # Ctrl-C at the coordinator's terminal, or a service manager's stop, is for the coordinator: it closes our stdin
    # when it goes
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        return asyncio.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
