"""A child (or a stranger) that speaks frames at a real data port, and misbehaves when a test wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from overlaycast.wire.frames import Decoder, Frame, Hello, encode
from tests.agent.fake_coordinator import FakeCoordinator, Member


class RawChild:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.decoder = Decoder()
        self.frames: list[Frame] = []

    @classmethod
    async def knock(cls, parent: Member) -> RawChild:
        reader, writer = await asyncio.open_connection("127.0.0.1", parent.subscribe.addresses[0].port)
        return cls(reader, writer)

    async def say(self, frame: Frame) -> None:
        self.writer.write(encode(frame))
        await self.writer.drain()

    async def until(self, true: Callable[[list[Frame]], bool], seconds: float = 60) -> list[Frame]:
        """Read until what has come passes the check, or the other side closes."""
        async with asyncio.timeout(seconds):
            while not true(self.frames):
                try:
                    data = await self.reader.read(65536)
                except ConnectionResetError:  # closed while something of ours was unread
                    break
                if not data:
                    break
                self.frames += self.decoder.feed(data)
        return self.frames

    async def closed(self, seconds: float = 60) -> list[Frame]:
        """Read until the other side closes; return what came."""
        return await self.until(lambda _: False, seconds)

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


def hello(coordinator: FakeCoordinator, parent: str, child: int, resume_from: int, rank: int = 1 << 40) -> Hello:
    """Greet ``parent`` as member ``child``, with the grant that the fake coordinator gives for this pair."""
    return Hello(bytes.fromhex(f"{coordinator.members[parent].id:016x}{child:016x}"), rank, resume_from)
