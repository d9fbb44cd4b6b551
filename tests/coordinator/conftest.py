"""A real coordinator in this process: uvicorn on a loopback port that the kernel chose, and an overlay to look into."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.coordinator.groups.groups import Groups
from overlaycast.coordinator.state.folder import open_folder
from overlaycast.coordinator.web.app import create_app
from overlaycast.coordinator.web.listeners import listen_local, listen_tcp
from overlaycast.coordinator.web.serving import make_server
from overlaycast.settings import Endpoint
from overlaycast.wire.messages import CoordinatorMessage, EchoReply, EchoRequest, MemberMessage, Subscribe
from overlaycast.wire.text import decode_from_coordinator, encode
from tests.coordinator.fake_overlay import FakeMaker, FakeOverlay


@dataclass
class Running:
    """A running coordinator and how to reach it."""

    port: int
    admin_token: str
    state: Path
    groups: Groups
    maker: FakeMaker
    failures: list[BaseException] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def member_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/member"

    def http(self, token: str | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.admin_token if token is None else token}"}
        # a busy machine is late, and that is no failure
        return httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=60)

    async def create(self, name: str = "demo", **body: Any) -> str:
        async with self.http() as http:
            answer = await http.post("/v1/groups", json={"name": name, **body})
            assert answer.status_code == 201, answer.text
            return str(answer.json()["token"])

    def overlay(self, index: int = -1) -> FakeOverlay:
        return self.maker.made[index]


class Member:
    """A scripted member: says what it is told to, returns echoes."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.echoes = 0

    async def say(self, message: MemberMessage) -> None:
        await self.socket.send(encode(message))

    async def hear(self) -> CoordinatorMessage:
        """Return the next message that is no echo."""
        async with asyncio.timeout(60):
            while True:
                message = decode_from_coordinator(await self.socket.recv())
                if not isinstance(message, EchoRequest):
                    return message
                self.echoes += 1
                await self.say(EchoReply(nonce=message.nonce, payload=message.payload))


@contextlib.asynccontextmanager
async def member_link(running: Running, headers: dict[str, str] | None = None) -> AsyncIterator[Member]:
    async with connect(running.member_url, proxy=None, compression=None, additional_headers=headers) as socket:
        yield Member(socket)


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until the coordinator, which runs in this very loop, has come so far; fail after a minute."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the code under test has no event for it, and needs none
            await asyncio.sleep(0.005)


def subscription(token: str, **changes: Any) -> Subscribe:
    fields: dict[str, Any] = {
        "version": 2,
        "group": "demo",
        "token": token,
        "name": "anna",
        "addresses": ({"host": "", "port": 8471},),
    }
    return Subscribe.model_validate({**fields, **changes})


Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start a coordinator on the test's state folder; may be called again after the first has ended."""

    @contextlib.asynccontextmanager
    async def starting(**options: Any) -> AsyncIterator[Running]:
        settings = CoordinatorSettings.model_construct(
            **{**{name: f.default for name, f in CoordinatorSettings.model_fields.items()}, "trace": False, **options}
        )
        folder = open_folder(tmp_path / "state")
        sockets = [listen_tcp(Endpoint("127.0.0.1", 0)), listen_local(folder.socket)]
        maker = FakeMaker()
        failures: list[BaseException] = []
        app = create_app(settings, folder, maker, failures.append)
        server = make_server(app, settings, app.state.groups.stop_listening)
        port = sockets[0].getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=sockets))
        running = Running(port, folder.admin_token, folder.path, app.state.groups, maker, failures)
        try:
            async with running.http() as http:
                assert (await http.get("/healthz")).status_code == 200
            yield running
        finally:
            server.should_exit = True
            await serving
            folder.close()

    return starting
