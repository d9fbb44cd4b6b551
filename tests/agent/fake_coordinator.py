"""A scripted coordinator: a WebSocket server that speaks wire messages and does what a test tells it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from overlaycast.wire.frames import VERSION
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import (
    Accept,
    Address,
    Assign,
    Begin,
    Contents,
    CoordinatorMessage,
    Extent,
    Leaving,
    MemberMessage,
    NotReceiving,
    Peer,
    Ping,
    Refused,
    Released,
    Report,
    Revoke,
    Subscribe,
    Welcome,
)
from overlaycast.wire.text import LATER_HEADER, LATER_TEXT, decode_from_member, encode

_M = TypeVar("_M", bound=MemberMessage)


@dataclass(eq=False)
class Member:
    """What the coordinator knows of one member."""

    id: int
    subscribe: Subscribe
    link: ServerConnection
    rank: int = 0
    said: list[MemberMessage] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: CoordinatorMessage) -> None:
        await self.link.send(encode(message))


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    return sock


class FakeCoordinator:
    """Welcomes everybody; places nobody by itself."""

    def __init__(
        self,
        settings: GroupSettings | None = None,
        refuse: Refused | None = None,
        host: str = "127.0.0.1",
        namesakes: tuple[int, ...] | None = None,
    ) -> None:
        self.namesakes = namesakes
        self.settings = settings or GroupSettings()
        self.refuse = refuse
        self.members: dict[str, Member] = {}
        self.subscriptions: list[Subscribe] = []
        self.epoch = 0
        self.contents: Contents | None = None
        self.release = True
        self.extent: Extent | None = None
        self.fields: str | None = LATER_TEXT
        self._server: Server | None = None
        # bound for as long as we are, never listening: the port stays ours while the coordinator is away
        self._host = host
        self._place = _bound(host, 0)
        self._news = asyncio.Condition()

    async def __aenter__(self) -> FakeCoordinator:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.stop()
        self._place.close()

    async def start(self) -> None:
        self._server = await serve(
            self._serve, sock=_bound(self._host, self._port), compression=None, process_response=self._introduce
        )

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def _introduce(self, link: ServerConnection, request: Request, response: Response) -> None:
        if self.fields is not None:
            response.headers[LATER_HEADER] = self.fields

    @property
    def _port(self) -> int:
        port: int = self._place.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    async def _serve(self, link: ServerConnection) -> None:
        subscribe = decode_from_member(await link.recv())
        assert isinstance(subscribe, Subscribe)
        self.subscriptions.append(subscribe)
        if self.refuse:
            await link.send(encode(self.refuse))
            return
        member = self.members.get(subscribe.name)
        if member is None or subscribe.resume is None:
            member = Member(len(self.members) + 1, subscribe, link)
            self.members[subscribe.name] = member
        member.link = link
        member.gone.clear()
        greeting = Welcome(member=member.id, secret="s" * 16, settings=self.settings, namesakes=self.namesakes)
        await member.send(greeting)
        if self.contents and subscribe.role != "source":
            await member.send(self.contents)
        await self._notify()
        try:
            async for text in link:
                message = decode_from_member(text)
                member.said.append(message)
                await self._notify()
                await self._answer(member, message)
        except ConnectionClosed:
            pass
        finally:
            member.gone.set()
            await self._notify()

    async def _answer(self, member: Member, message: MemberMessage) -> None:
        if isinstance(message, Contents):
            self.contents = message
            for other in self.members.values():
                if other is not member and not other.gone.is_set():
                    await other.send(message)
        elif isinstance(message, Report) and message.asks and self.extent is not None:
            await member.send(Ping(nonce=1, extent=self.extent))
        elif isinstance(message, Leaving) and self.release:
            await member.send(Released())

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    # --- waiting -----------------------------------------------------------------------------------------------

    async def until(self, true: Callable[[], bool], seconds: float = 90) -> None:
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(true)

    async def joined(self, *names: str) -> list[Member]:
        await self.until(lambda: all(name in self.members for name in names))
        return [self.members[name] for name in names]

    async def said(self, name: str, kind: type[_M], check: Callable[[_M], bool] = lambda _: True) -> _M:
        """Wait until ``name`` has said a message of this kind that passes the check; return the newest."""

        def found() -> list[_M]:
            member = self.members.get(name)
            return [m for m in member.said if isinstance(m, kind) and check(m)] if member else []

        await self.until(lambda: bool(found()))
        return found()[-1]

    async def fed_by(self, child: str, parent: str) -> None:
        """Wait until ``child`` reports that ``parent`` feeds it."""
        wanted = self.members[parent].id

        def fed() -> bool:
            reports = [m for m in self.members[child].said if isinstance(m, Report)]
            return bool(reports) and reports[-1].parent == wanted

        await self.until(fed)

    # --- orders ------------------------------------------------------------------------------------------------

    def grant(self, parent: Member, child: Member) -> str:
        return f"{parent.id:016x}{child.id:016x}"

    @staticmethod
    def data_version(one: Member, other: Member) -> int | None:
        spoken = one.subscribe.data_version, other.subscribe.data_version
        return VERSION if spoken == (VERSION, VERSION) else None

    def peer(self, parent: Member, child: Member) -> Peer:
        return Peer(
            member=parent.id,
            name=parent.subscribe.name,
            addresses=self.addresses(parent) if parent.subscribe.reachable else (),
            grant=self.grant(parent, child),
            rank=parent.rank,
            data_version=self.data_version(parent, child),
        )

    @staticmethod
    def addresses(member: Member) -> tuple[Address, ...]:
        address = member.subscribe.addresses[0]
        return (Address(host=address.host or "127.0.0.1", port=address.port),)

    async def root(self, name: str) -> None:
        member = self.members[name]
        member.rank = 0
        self.epoch += 1
        await member.send(Assign(epoch=self.epoch, rank=0, depth=0, parent=None))

    async def place(
        self,
        child: str,
        parent: str,
        standbys: tuple[str, ...] = (),
        fallbacks: tuple[str, ...] = (),
        rank: int | None = None,
    ) -> None:
        """Accept at parent, standbys and fallbacks; Assign to the child. Who is not reachable has to call it."""
        self.epoch += 1
        me, above = self.members[child], self.members[parent]
        if rank is not None:
            me.rank = rank
        elif me.rank <= above.rank:
            # later ones rank higher, so that an earlier sibling may be the standby
            me.rank = max(member.rank for member in self.members.values()) + (1 << 20)
        for name in (parent, *standbys, *fallbacks):
            giver = self.members[name]
            await giver.send(
                Accept(
                    epoch=self.epoch,
                    child=me.id,
                    name=child,
                    grant=self.grant(giver, me),
                    standby=name != parent,
                    addresses=() if giver.subscribe.reachable else self.addresses(me),
                    data_version=self.data_version(giver, me),
                )
            )
        await me.send(
            Assign(
                epoch=self.epoch,
                rank=me.rank,
                depth=1,
                parent=self.peer(above, me),
                standbys=tuple(self.peer(self.members[name], me) for name in standbys),
                fallbacks=tuple(self.peer(self.members[name], me) for name in fallbacks),
            )
        )

    async def revoke(self, parent: str, child: str) -> None:
        """Tell the parent that this child has no place there any more."""
        await self.members[parent].send(Revoke(epoch=self.epoch, child=self.members[child].id))

    async def begin(self, name: str, next_seq: int = 0, incarnation: int = 0) -> None:
        self.epoch += 1
        await self.members[name].send(Begin(epoch=self.epoch, incarnation=incarnation, next_seq=next_seq))

    def complaints(self, name: str) -> list[NotReceiving]:
        return [m for m in self.members[name].said if isinstance(m, NotReceiving)]
