"""The first two frames of a connection that we have dialled: our nonce, and that of the other end.

Owns: waiting for the answer, for a bounded time. Refuses: to prove anything, which is for whoever asked.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from typing import Final

from overlaycast.errors import RemoteProtocolError
from overlaycast.wire.frames import HEADER_SIZE, NONCE_SIZE, Challenge, Decoder, Knock, encode
from overlaycast.wire.grants import Nonces

KNOCK_S: Final = 1.5
"""Seconds that the other end has for its nonce."""


async def knock(sock: socket.socket, calls: bool) -> Nonces | None:
    """Say our nonce, and return both; None: what is there does not answer so. ``calls``: we are the parent.

    Not a byte of what follows is read.
    """
    ours = secrets.token_bytes(NONCE_SIZE)
    loop = asyncio.get_running_loop()
    decoder = Decoder()
    try:
        async with asyncio.timeout(KNOCK_S):
            await loop.sock_sendall(sock, encode(Knock(ours, calls=calls)))
            left = HEADER_SIZE + NONCE_SIZE
            while left:
                data = await loop.sock_recv(sock, left)
                left -= len(data)
                for frame in decoder.feed(data):
                    return Nonces(ours, frame.nonce, calls) if isinstance(frame, Challenge) else None
                if not data:
                    break
    except (OSError, TimeoutError, RemoteProtocolError):
        pass
    return None
