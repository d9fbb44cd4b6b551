"""The parent's half of a call: where only the child can be reached, its parent opens the connection (OFFER, CALL).

Owns: dialling announced children again and again until they have come, with growing jittered pauses. Refuses: who may
come; a called child answers on that connection like one that dials, and passes the same door as all others.

Invariants: at most one try per child at a time, ``AT_ONCE`` over all; after ``MOST_TRIES`` in vain a child is not
called until the coordinator announces it again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from overlaycast.agent.hops.door import Called
from overlaycast.agent.hops.knocking import knock
from overlaycast.agent.hops.mishap import mishap
from overlaycast.agent.hops.sockets import connect_any
from overlaycast.failover.admission import proves
from overlaycast.failover.redial import LONGEST_PAUSE, pause
from overlaycast.wire.frames import Call, Offer, encode
from overlaycast.wire.grants import Nonces
from overlaycast.wire.messages import Accept

AT_ONCE: Final = 16
MOST_TRIES: Final = 40
ANSWER_S: Final = 4.0
"""Seconds that a called child has for its answer: its own order may still be on the way."""


class Caller(Protocol):
    """Who has to do with those that were called."""

    def here(self, child: int) -> bool:
        """Has it come?"""

    def call_failed(self, child: int) -> None:
        """It was called and did not come."""

    def offer(self, order: Accept, nonces: Nonces) -> Offer:
        """What proves to this child, on a connection with these nonces, that we are its parent."""

    def called(self, sock: socket.socket, called: Called, seconds: float, done: Callable[[], None]) -> None:
        """This was said on a connection: let the child in if it answers with the same grant; then, or not, ``done``."""


@dataclass(slots=True, eq=False)
class _Call:
    order: Accept
    news: asyncio.Event = field(default_factory=asyncio.Event)
    tries: int = 0
    """In vain, since the last success."""
    ended: bool = False

    @property
    def child(self) -> int:
        return self.order.child

    def is_for(self, order: Accept) -> bool:
        """Whether this order says nothing new of how to call."""
        return all(getattr(order, name) == getattr(self.order, name) for name in ("addresses", "grant", "data_version"))


class Calls:
    """The children that have to be called.

    Args:
        spawn: starts a task in the agent's group.
        jitter: returns a number in [0, 1).
        permitted: whether we may connect to this address.
    """

    def __init__(
        self,
        caller: Caller,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        jitter: Callable[[], float],
        permitted: Callable[[str], bool],
    ) -> None:
        self._caller = caller
        self._spawn = spawn
        self._jitter = jitter
        self._permitted = permitted
        self._calls: dict[int, _Call] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    def __len__(self) -> int:
        return len(self._calls)

    def announced(self, order: Accept) -> None:
        """A child is expected: call it if it has addresses; the newest word on it counts."""
        before = self._calls.get(order.child)
        if before is not None and before.is_for(order):
            before.tries = 0
            before.news.set()
            return
        self.drop(order.child)
        if order.addresses:
            call = self._calls[order.child] = _Call(order)
            self._spawn(self._keep(call))

    def drop(self, child: int) -> None:
        """Call it no more; what stands is not touched."""
        call = self._calls.pop(child, None)
        if call is not None:
            call.ended = True
            call.news.set()

    def changed(self, child: int) -> None:
        """It came, or its link is gone."""
        if child in self._calls:
            self._calls[child].news.set()

    def close(self) -> None:
        """Stop calling."""
        for child in list(self._calls):
            self.drop(child)

    async def _keep(self, call: _Call) -> None:
        while not call.ended:
            if self._caller.here(call.child):
                call.tries = 0
                await self._news(call)
                continue
            if call.tries:
                await asyncio.sleep(pause(call.tries - 1, LONGEST_PAUSE, self._jitter))
            call.tries += 1
            if call.tries > MOST_TRIES:
                await self._news(call)  # until it is announced again
            elif not call.ended and not self._caller.here(call.child):
                try:
                    await self._try(call)
                except Exception as error:  # whatever it was: a try in vain
                    mishap(error)
                if not call.ended and not self._caller.here(call.child):
                    self._caller.call_failed(call.child)

    async def _try(self, call: _Call) -> None:
        async with self._turns:
            sock = await connect_any(call.order.addresses, self._permitted)
            if sock is None:
                return
            try:
                called = await self._call(sock, call.order)
            except BaseException:
                sock.close()
                raise
        if call.ended or called is None or not _said(sock, called):
            sock.close()
            return
        call.news.clear()
        self._caller.called(sock, called, ANSWER_S, call.news.set)
        await call.news.wait()

    async def _call(self, sock: socket.socket, order: Accept) -> Called | None:
        """Return what is to be said on a connection; None: nothing of ours is there."""
        if not proves(order.data_version):
            return Called(Call(bytes.fromhex(order.grant)))
        nonces = await knock(sock, calls=True)
        return None if nonces is None else Called(self._caller.offer(order, nonces), nonces)

    @staticmethod
    async def _news(call: _Call) -> None:
        call.news.clear()
        await call.news.wait()


def _said(sock: socket.socket, called: Called) -> bool:
    """Say it: 40 or 72 bytes, which a fresh connection takes at once."""
    try:
        return sock.send(encode(called.said)) > 0
    except OSError:
        return False
