"""Is a member where it says it is? It is called there, and answers with a hash that only its secret makes.

Owns: one short connection to each claimed address, and how many there are at a time. Refuses: which addresses are
claimed, and what follows (the overlay).

Invariants: no address is called that means something on this host or link only, unless ``allow_local``; a name is
resolved here, once, so that others are told the address that answered; each claim takes ``CALL_S`` at most, and each
group and address has its share of ``AT_ONCE``. Nothing but the nonce is sent.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from overlaycast.coordinator.members.shares import Shares
from overlaycast.wire.frames import DIGEST_SIZE, HEADER_SIZE, NONCE_SIZE, Challenge, encode
from overlaycast.wire.hosts import is_local, plain
from overlaycast.wire.proof import proof_by_hash

CALL_S: Final = 4.0
CONNECT_S: Final = 1.5
AT_ONCE: Final = 16
MOST_ADDRESSES: Final = 4
"""Addresses of one name that are tried."""

Answers: TypeAlias = dict[tuple[str, int], tuple[str, int] | None]
"""Each claimed host and port, and the address and port that answered."""


class Callbacks:
    """Calls members. ``allow_local``: also at loopback, link-local and multicast addresses."""

    def __init__(self, allow_local: bool) -> None:
        self._allow_local = allow_local
        self._shares = Shares(AT_ONCE)

    async def call(self, group: str, seen: str, claims: Sequence[tuple[str, int]], secret_hash: bytes) -> Answers:
        """Return where the member that we see at ``seen``, and whose secret has this hash, has answered."""
        async with self._shares.place(group, seen):
            return {(host, port): await self._answering(host, port, secret_hash) for host, port in claims}

    async def _answering(self, host: str, port: int, secret_hash: bytes) -> tuple[str, int] | None:
        with suppress(OSError, TimeoutError, ValueError):  # ValueError: no name that can be encoded
            async with asyncio.timeout(CALL_S):
                for address in await self._resolved(host, port):
                    if await _answers(address, port, secret_hash):
                        return address, port
        return None

    async def _resolved(self, host: str, port: int) -> list[str]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = dict.fromkeys(plain(str(address[0])) for *_, address in found)
        return [one for one in addresses if self._allow_local or not is_local(one)][:MOST_ADDRESSES]


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
