"""HTTP at the real coordinator, from its own OpenAPI: each route, its parameters and body, and what is no request."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from tests.fuzz import hops
from tests.fuzz.campaign import Campaign, FoundError
from tests.fuzz.deck import Deck
from tests.fuzz.honest import GROUP, PORT, Honest
from tests.fuzz.values import Heard, Schema, Values, damaged_text

SIDE: Final = "http"
BODY_LIMIT: Final = 64 * 1024
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3})")
_MOST_OPEN: Final = 10
_GROUPS: Final = 12


@dataclass(frozen=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    parameters: tuple[Schema, ...]
    body: Schema | None


def routes_of(document: dict[str, Any]) -> Iterator[Route]:
    """Yield the routes that an OpenAPI document declares."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            yield Route(method.upper(), path, tuple(operation.get("parameters", ())), content.get("schema"))


class Requests:
    """All requests."""

    def __init__(self, campaign: Campaign, honest: Honest, document: dict[str, Any]) -> None:
        self.routes = tuple(routes_of(document))
        self._definitions = document["components"]["schemas"]
        self._campaign = campaign
        self._honest = honest
        self._deck = Deck(self.routes, campaign.chance("routes"))

    async def session(self, name: str, chance: random.Random) -> None:
        """One connection with some requests, one after the other without waiting."""
        heard = Heard()
        heard.note({"name": [*self._honest.tokens, "new-1", "new-2"]})
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT, local_addr=hops.anywhere(chance))
        asked: list[tuple[Route, bytes]] = []
        for _ in range(chance.randrange(1, 6)):
            route = self._deck.deal()
            request = self._request(route, chance, heard)
            asked.append((route, request))
            self._campaign.step(SIDE, name, f"http {route.method} {route.path}", request)
            await hops.pour(writer, request, chance)
        try:
            self.judge(await _answers(reader, len(asked)), asked)
        finally:
            hops.hang_up(writer, chance)

    def _request(self, route: Route, chance: random.Random, heard: Heard) -> bytes:
        values = Values(self._definitions, chance, heard, {})
        wrong = chance.random()
        path, query = route.path, []
        for parameter in route.parameters:
            value = values.accepted(parameter["schema"], parameter["name"])
            if wrong < 0.3:
                value = values.damaged(value, {"properties": {"0": parameter["schema"]}})
            if route.method in ("DELETE", "PATCH") and value in (GROUP, *self._honest.tokens):
                value = "new-1"  # what an administrator is told to end, ends, and other settings are other promises
            text = quote(str(value).encode(errors="replace")[:3000], safe="" if wrong < 0.9 else "/%?#")
            if parameter["in"] == "path":
                path = path.replace("{" + parameter["name"] + "}", text)
            elif chance.random() < 0.7:
                query.append(f"{parameter['name']}={text}")
        body = self._body(route, values, wrong, chance)
        token = chance.choice((self._honest.admin_token,) * 30 + ("wrong", "", "\xff", "x" * 5000))
        lines = [
            f"{route.method if wrong < 0.95 else 'BREW'} {path}{'?' if query else ''}{'&'.join(query)} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: {'Bearer' if chance.random() < 0.9 else 'Basic'} {token}",
            f"Content-Type: {'application/json' if chance.random() < 0.9 else 'text/plain'}",
            f"Content-Length: {len(body) if wrong < 0.97 else chance.choice((-1, 1 << 64, len(body) + 5, 'x'))}",
        ]
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body

    def _body(self, route: Route, values: Values, wrong: float, chance: random.Random) -> bytes:
        if route.body is None:
            return b"" if wrong < 0.9 else b"{}"
        body = values.accepted(route.body)
        if isinstance(body, dict) and "name" in body and wrong < 0.9:
            body["name"] = f"new-{chance.randrange(_GROUPS)}"
        if wrong < 0.4:
            return json.dumps(body).encode()
        if wrong < 0.8:
            return json.dumps(values.damaged(body, route.body)).encode()
        text = damaged_text(json.dumps(body), BODY_LIMIT, chance)
        return text if isinstance(text, bytes) else text.encode(errors="surrogatepass")

    def judge(self, answers: bytes, asked: list[tuple[Route, bytes]]) -> None:
        """Look at the status codes of answers.

        Raises:
            FoundError: one says that the coordinator failed; 503 says that it cannot now, and why.
        """
        for number, code in enumerate(_STATUS.findall(answers)):
            self._campaign.heard[f"http answers {code.decode()}"] += 1
            if code.startswith(b"5") and code != b"503":
                route, request = asked[min(number, len(asked) - 1)]
                raise FoundError(f"{route.method} {route.path} was answered with {code.decode()}: {request[:2000]!r}")


async def _answers(reader: asyncio.StreamReader, asked: int) -> bytes:
    """Return what is answered, as long as it takes."""
    answers = b""
    try:
        async with asyncio.timeout(1.0):
            while len(_STATUS.findall(answers)) < asked and (data := await reader.read(65_536)):
                answers += data
    except TimeoutError:
        pass  # it waits for the rest of a body that does not come
    return answers
