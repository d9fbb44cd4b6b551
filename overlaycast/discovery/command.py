"""``overlaycast trace HOST``: the router path to a host, as the coordinator would see it.

Owns: its options, resolving the name, and the lines it prints. Refuses: everything else; ``tracer`` traces. With ``-``
for the host it is the coordinator's tracing process (``worker``).
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from dataclasses import asdict
from typing import Final

from pydantic import Field
from pydantic_settings import CliPositionalArg

from overlaycast.discovery import worker
from overlaycast.discovery.survey.route import Route, Source
from overlaycast.discovery.tracer import Tracer
from overlaycast.errors import ConfigError
from overlaycast.settings import Settings, load
from overlaycast.tokens import shown

_PATIENCE_S: Final = 12.0
_WORDS: Final[dict[Source, str]] = {
    "answered": "",
    "table": "by the routing table",
    "guessed": "guessed: other routes have it there",
    "anonymous": "anonymous: it answers nothing",
    "silent": "no answer so far",
}


class TraceSettings(Settings):
    """Print the router path to a host, as the coordinator would find it."""

    host: CliPositionalArg[str] = Field(
        description="an address or a host name; -: answer a coordinator's questions on standard input"
    )
    json_output: bool = Field(False, alias="json", description="print the path as one JSON object")


def main(argv: list[str]) -> int:
    """Run ``overlaycast trace`` and return 0 if the host was reached, 1 if the path ends before it.

    With ``-``, return 0 when standard input has ended, and 3 if raw sockets are not allowed.

    Raises:
        ConfigError: no such host, or no way there.
        MissingError: raw sockets are not allowed.
    """
    settings = load(TraceSettings, argv, "overlaycast trace")
    if settings.host == "-":
        return worker.main()
    address = _resolve(settings.host)
    route = asyncio.run(_trace(address))
    if settings.json_output:
        print(json.dumps({"host": settings.host, **asdict(route)}))
    else:
        print(_table(settings.host, route))
    return 0 if route.reached else 1


def _resolve(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:  # a name that DNS could never hold is a UnicodeError
        why = getattr(error, "strerror", None) or "not a host name"
        raise ConfigError(f"overlaycast trace: host: {shown(host)}: {why}") from None
    return str(found[0][4][0])


async def _trace(address: str) -> Route:
    """Return the route when no router of it is asked any more, or what is known of it after a while."""
    found: list[Route] = []
    done = asyncio.Event()

    def tell(route: Route) -> None:
        found.append(route)
        if not route.open:
            done.set()

    tracer = Tracer(tell)
    try:
        tracer.seek(address)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(tracer.run())
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    await done.wait()
            running.cancel()
    finally:
        tracer.close()
    return found[-1] if found else Route(address, (), False, open=True)


def _table(host: str, route: Route) -> str:
    rows = [f"route to {host} ({route.target})"]
    hops = [router or "*" for router in route.routers] + ([route.target] if route.reached else [])
    sources = [_WORDS[source] for source in route.sources] + ([""] if route.reached else [])
    for number, (hop, rtt, source) in enumerate(zip(hops, route.rtt_ms, sources, strict=True), start=1):
        time = " " * 11 if rtt is None else f"{rtt:8.2f} ms"
        rows.append(f"{number:3}  {hop:<15}  {time}  {source}".rstrip())
    if not route.reached:
        rows.append("     the host itself does not answer")
    return "\n".join(rows)
