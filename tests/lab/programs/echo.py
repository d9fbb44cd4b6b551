"""One end of a real control link for the echo probe: ``probe`` serves and measures, ``return URL`` is a member.

Both ends are the programs' own: the coordinator's measurer over its link, the agent's control link.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys

from websockets.asyncio.server import ServerConnection, serve

from overlaycast.agent.control import ControlLink
from overlaycast.coordinator.members.measure import EchoInbox, Measurer
from overlaycast.coordinator.web.listeners import listen_tcp
from overlaycast.settings import Endpoint
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import VERSION, EchoReply, EchoRequest, Subscribe, Welcome
from overlaycast.wire.text import decode_from_member, encode


class Link:
    """The coordinator's end."""

    host = block = "0.0.0.0"

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.queue: asyncio.Queue[EchoRequest] = asyncio.Queue()

    def send(self, message: EchoRequest) -> None:
        self.queue.put_nowait(message)

    async def pump(self) -> None:
        while True:
            await self.socket.send(encode(await self.queue.get()))


async def probe() -> None:
    async def seat(socket: ServerConnection) -> None:
        assert isinstance(decode_from_member(await socket.recv()), Subscribe)
        await socket.send(encode(Welcome.model_validate(WELCOME)))
        link, inbox = Link(socket), EchoInbox()
        async with asyncio.TaskGroup() as side:
            side.create_task(link.pump())
            side.create_task(measure(link, inbox))
            async for text in socket:
                message = decode_from_member(text)
                if isinstance(message, EchoReply):
                    inbox.put(message)

    async def measure(link: Link, inbox: EchoInbox) -> None:
        while True:
            measurer = Measurer(None, 1)  # one that remembers what a site has shown would not ask again and again
            found = (await measurer.measure("g", link, inbox)).performance
            print(json.dumps({"rtt_ms": found.rtt_ms, "rate_mbit": found.rate_mbit or 0.0}), flush=True)

    listener = listen_tcp(Endpoint(host="0.0.0.0", port=0))
    async with serve(seat, sock=listener, compression=None, max_size=1 << 20):
        print(f"http://HOST:{listener.getsockname()[1]}", flush=True)
        await asyncio.Future()


async def member(url: str) -> None:
    link = ControlLink(url, lambda _: SUBSCRIBE, lambda message: None, print, random.Random(1))
    await link.run()


SUBSCRIBE = Subscribe(version=VERSION, group="echo", token="x" * 16, name="far", addresses=())
WELCOME = {"member": 1, "secret": "x" * 32, "settings": GroupSettings().model_dump()}

if __name__ == "__main__":
    asyncio.run(probe() if sys.argv[1] == "probe" else member(sys.argv[2]))
