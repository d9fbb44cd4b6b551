"""Is a member where it says it is? It is called there, and answers with a hash that only its secret makes.

Owns: one short connection to each claimed address, and how many there are at a time. Refuses: which addresses are
claimed, and what follows (the overlay).

Invariants: no address is called that means something on this host or link only, unless ``allow_local``; a name is
resolved here, once, so that others are told the address that answered; each claim takes ``CALL_S`` at most, and each
group and address has its share of ``AT_ONCE``. Looking a name up cannot be broken off, so it keeps its share of
``LOOKUPS_AT_ONCE`` until it ends, also when nobody waits for it any more. Nothing but the nonce is sent.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final, TypeAlias

from overlaycast.coordinator.members.shares import Shares
from overlaycast.wire.frames import DIGEST_SIZE, HEADER_SIZE, NONCE_SIZE, Challenge, encode
from overlaycast.wire.hosts import is_literal, is_local, plain
from overlaycast.wire.proof import proof_by_hash

CALL_S: Final = 4.0
CONNECT_S: Final = 1.5
AT_ONCE: Final = 16
LOOKUPS_AT_ONCE: Final = 4
"""Names that are looked up at a time; asyncio has five threads or more for it."""
MOST_ADDRESSES: Final = 4
"""Addresses of one name that are tried."""

Answers: TypeAlias = dict[tuple[str, int], tuple[str, int] | None]
"""Each claimed host and port, and the address and port that answered."""


class Callbacks:
    """Calls members. ``allow_local``: also at loopback, link-local and multicast addresses."""

    def __init__(self, allow_local: bool) -> None:
        self._allow_local = allow_local
        self._shares = Shares(AT_ONCE)
        self._lookups = Shares(LOOKUPS_AT_ONCE)
        self._looking_up: set[asyncio.Task[list[str]]] = set()

    async def call(self, group: str, block: str, claims: Sequence[tuple[str, int]], secret_hash: bytes) -> Answers:
        """Return where a member has answered whose secret has this hash.

        Args:
            group: the member's.
            block: the address where we see it (``bounds.address``).
            claims: hosts and ports.
            secret_hash: what its answer is checked with.
        """
        async with self._shares.place(group, block):
            return {(host, port): await self._answering(group, block, host, port, secret_hash) for host, port in claims}

    async def _answering(
        self, group: str, block: str, host: str, port: int, secret_hash: bytes
    ) -> tuple[str, int] | None:
        with suppress(OSError, TimeoutError, ValueError):  # ValueError: no name that can be encoded
            async with asyncio.timeout(CALL_S):
                found = [plain(host)] if is_literal(host) else await self._look_up(group, block, host)
                for address in [one for one in found if self._allow_local or not is_local(one)][:MOST_ADDRESSES]:
                    if await _answers(address, port, secret_hash):
                        return address, port
        return None

    async def _look_up(self, group: str, block: str, host: str) -> list[str]:
        async with AsyncExitStack() as turn:
            await turn.enter_async_context(self._lookups.place(group, block))
            task = asyncio.create_task(_resolved(host, turn.pop_all()))
        self._looking_up.add(task)
        task.add_done_callback(self._looked_up)
        return await asyncio.shield(task)

    def _looked_up(self, task: asyncio.Task[list[str]]) -> None:
        self._looking_up.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it is told; if nobody does, nobody is


async def _resolved(host: str, turn: AsyncExitStack) -> list[str]:
    async with turn:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(plain(str(address[0])) for *_, address in found))


async def _answers(address: str, port: int, secret_hash: bytes) -> bool:
    challenge = Challenge(secrets.token_bytes(NONCE_SIZE))
    expected = encode(proof_by_hash(secret_hash, challenge))
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(address, port, limit=2 * (HEADER_SIZE + DIGEST_SIZE))
            try:
                writer.write(encode(challenge))
                return hmac.compare_digest(await reader.readexactly(len(expected)), expected)
            finally:
                writer.transport.abort()
    return False
