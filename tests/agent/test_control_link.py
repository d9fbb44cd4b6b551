"""What a member says of its coordinator: not there, or there and not willing for now."""

from __future__ import annotations

import asyncio
import random

import pytest
from websockets.asyncio.server import ServerConnection, serve

from overlaycast.agent.control import ControlLink
from overlaycast.wire.messages import VERSION, Address, Subscribe

REQUEST = Subscribe(version=VERSION, group="g", token="t", name="a", addresses=(Address(host="", port=1),))


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("its state folder is full", "ended the link, trying again: its state folder is full"),
        ("bad \x1b[2J", "ended the link, trying again: bad ?[2J"),
        ("", "not reachable, waiting: received 1008"),
    ],
)
async def test_why_a_link_was_ended_is_told_in_the_coordinators_words(reason: str, told: str) -> None:
    async def refuse(link: ServerConnection) -> None:
        await link.recv()
        await link.close(1008, reason)

    said: asyncio.Queue[str] = asyncio.Queue()
    async with serve(refuse, "127.0.0.1", 0) as server, asyncio.timeout(60):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        link = ControlLink(url, lambda _: REQUEST, lambda _: None, said.put_nowait, random.Random(1))
        running = asyncio.create_task(link.run())
        line = await said.get()
        running.cancel()
        await asyncio.wait({running})
    assert line.startswith(f"coordinator {url} {told}")
    assert "\x1b" not in line
