"""Both ends of a data link on which grants are proven, for tests: a parent with a real port, and a child by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from overlaycast.agent.hops.downstream import Downstream
from overlaycast.agent.records.ring import Ring
from overlaycast.wire import grants
from overlaycast.wire.frames import OLDEST, VERSION, Call, Challenge, Enter, Frame, Knock, Offer, encode
from overlaycast.wire.grants import Bond, Identity, Nonces
from overlaycast.wire.messages import Accept, Address, Peer
from tests.agent.raw_child import RawChild

GROUP: Final = "g"
PARENT: Final = 1
NONCE: Final = b"n" * 16


def grant(child: int) -> bytes:
    """Return the grant of this child."""
    return b"secret!!" + child.to_bytes(8, "big")


def accept(child: int, epoch: int = 1, addresses: tuple[Address, ...] = ()) -> Accept:
    """Announce a child that proves its grant."""
    return Accept(
        epoch=epoch, child=child, name=f"k{child}", grant=grant(child).hex(), addresses=addresses, data_version=VERSION
    )


def peer(child: int, address: Address | None, rank: int = 1) -> Peer:
    """Return what the child is told of its parent."""
    addresses = () if address is None else (address,)
    return Peer(member=PARENT, name="p", addresses=addresses, grant=grant(child).hex(), rank=rank, data_version=VERSION)


class Parent:
    """The forwarding half of a member, with a real port and a live stream of short records."""

    def __init__(self, member: int = PARENT) -> None:
        self.ring = Ring(4)
        self.ring.anchor(0)
        self.answered: list[tuple[Call | Offer, Nonces | None, socket.socket]] = []
        port = socket.create_server(("127.0.0.1", 0))
        port.setblocking(False)
        host, at = port.getsockname()
        self.address = Address(host=host, port=at)
        self.tasks: set[asyncio.Task[None]] = set()
        self.down = Downstream(
            port,
            self.ring,
            0.02,
            16,
            lambda: False,
            lambda: None,
            lambda _: None,
            lambda said, nonces, sock: self.answered.append((said, nonces, sock)),
            self.spawn,
            lambda: 0.0,
            lambda _: True,
            identity=lambda: Identity(GROUP, member),
        )
        self.down.set_rank(1)
        self.spawn(self._run())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self) -> None:
        while True:
            self.ring.append(b"record", 1)
            self.down.pump()
            await asyncio.sleep(min(0.005, self.down.beat()))

    async def close(self) -> None:
        self.down.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for _, _, sock in self.answered:
            sock.close()


@asynccontextmanager
async def parent() -> AsyncIterator[Parent]:
    """Such a parent, until the test is over."""
    one = Parent()
    try:
        yield one
    finally:
        await one.close()


class ProvingChild(RawChild):
    """A child by hand. ``said``: all bytes of its own."""

    said = b""

    async def say(self, frame: Frame) -> None:
        self.said += encode(frame)
        await super().say(frame)

    async def until(self, true: Callable[[list[Frame]], bool], seconds: float = 20) -> list[Frame]:
        return await super().until(true, seconds)

    @classmethod
    async def at(cls, address: Address) -> ProvingChild:
        """Connect."""
        return cls(*await asyncio.open_connection(address.host, address.port))

    async def nonces(self, calls: bool = False) -> Nonces:
        """Knock, and return both nonces."""
        await self.say(Knock(NONCE, calls=calls))
        await self.until(lambda frames: len(frames) > 0)
        assert isinstance(self.frames[0], Challenge), self.frames
        return Nonces(NONCE, self.frames[0].nonce, calls)

    async def enter(self, child: int, nonces: Nonces, key: bytes | None = None, rank: int = 9) -> Bond:
        """Prove a grant, the right one if no other key is given, and ask for all records."""
        bond = Bond(GROUP, PARENT, child)
        await self.say(
            grants.enter(grant(child) if key is None else key, bond, nonces, Enter(child, 1, rank, OLDEST, b""))
        )
        return bond
