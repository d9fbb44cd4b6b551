"""Connections from nobody in particular: to the honest ones' data ports, and to the coordinator's port."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import Final

from overlaycast.wire.grants import Bond
from tests.fuzz import hops
from tests.fuzz.campaign import Campaign
from tests.fuzz.honest import DATA_PORTS, PORT
from tests.fuzz.values import Heard

SIDE: Final = "strangers"
_UPGRADE: Final = (
    b"GET /v1/member HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Strangers:
    """All of them."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign

    async def session(self, name: str, chance: random.Random) -> None:
        """One connection."""
        step = partial(self._campaign.step, SIDE, name)
        if chance.random() < 0.8:
            heard = Heard(self._campaign.heard)
            heard.note({"seq": chance.randrange(10_000)})
            bond = Bond("g", chance.randrange(1, 9), chance.randrange(1, 9))
            pair = hops.Pair(chance.randbytes(16), bond, chance.random() < 0.5) if chance.random() < 0.5 else None
            await hops.child(chance.choice(list(DATA_PORTS.values())), chance, heard, step, pair)
        else:
            await self._at_coordinator(step, chance)

    @staticmethod
    async def _at_coordinator(step: hops.Step, chance: random.Random) -> None:
        async with hops.dialled(PORT, chance) as (_, writer):
            said = chance.choice((_UPGRADE, _UPGRADE, chance.randbytes(200), b"\0" * 5000, b"GET / HTTP/1.1\r\nA: "))
            if chance.random() < 0.2:
                said = said[: chance.randrange(len(said))]
            step("raw coordinator", said)
            await hops.pour(writer, said, chance)
            for _ in range(chance.randrange(4)):
                opcode, flags = chance.randrange(16), chance.choice((0x80, 0x80, 0x00, 0xF0))
                length = chance.choice((0, 1, 125, 126, 127))
                frame = bytes((flags | opcode, length | chance.choice((0x80, 0)))) + chance.randbytes(
                    chance.choice((4, 4 + length, 12, 300))
                )
                step("raw websocket", frame)
                await hops.pour(writer, frame, chance)
            await asyncio.sleep(chance.choice((0, 0.01, 0.1)))
