"""The end of a stream at ten members in a row: each has it as soon as the one before. On real sockets."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from overlaycast.agent.hops.downstream import Downstream
from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.credible import HOLD_S
from overlaycast.wire.frames import End
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Accept, Address, Peer
from tests.agent.hops.child import Child, until

HOPS: Final = 10
HEARTBEAT_S: Final = 10.0
"""Nobody is helped by what a standby says from time to time: it has to speak when the end comes."""


class Hop(Child):
    """A member with children of its own, in place ``number`` of the row; 0 is the source."""

    def __init__(self, number: int) -> None:
        super().__init__(GroupSettings(heartbeat_ms=round(HEARTBEAT_S * 1000), silence_ms=60_000))
        self.number = number
        port = socket.create_server(("127.0.0.1", 0))
        port.setblocking(False)
        host, at = port.getsockname()
        self.address = Address(host=host, port=at)
        self.down = Downstream(
            port,
            self.ring,
            HEARTBEAT_S,
            16,
            lambda: False,
            lambda: None,
            lambda _: None,
            lambda _said, _nonces, sock: sock.close(),
            self.spawn,
            lambda: 0.0,
            lambda _: True,
        )
        self.down.set_rank(number)
        self.spawn(self._beat())

    async def _beat(self) -> None:
        while True:  # noqa: ASYNC110 - heartbeats are due by time
            await asyncio.sleep(self.down.beat())

    def received(self, arrival: Arrival) -> float | None:
        self.down.pump()
        if self.ring.end is not None:
            self.down.tell_state()  # as ``Departure`` does
        return super().received(arrival)

    def lets_in(self, child: int, standby: bool) -> Peer:
        """Announce a child; return what it is told of us."""
        grant = f"{self.number + 1:016x}{child:016x}"
        self.down.accept(Accept(epoch=1, child=child, name=f"m{child}", grant=grant, standby=standby))
        return Peer(
            member=self.number + 1, name=f"m{self.number}", addresses=(self.address,), grant=grant, rank=self.number
        )

    async def close(self) -> None:
        self.uplink.close()
        self.down.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_the_end_waits_at_no_hop() -> None:
    row = [Hop(number) for number in range(HOPS + 1)]
    source, last = row[0], row[-1]
    source.ring.anchor(0)
    for hop in row[1:]:
        parent = row[hop.number - 1].lets_in(hop.number + 1, standby=False)
        standbys = [row[hop.number - 2].lets_in(hop.number + 1, standby=True)] if hop.number > 1 else []
        hop.order(1, parent, *standbys, depth=hop.number)
    await until(lambda: all(hop.uplink.standbys_ready for hop in row[2:]))
    source.ring.append(b"x", 1)
    source.down.pump()
    await last.reaches(1)
    begin = asyncio.get_running_loop().time()
    source.ring.append_end(End(1, 0, 0, b"d" * 32))
    source.received(Arrival())
    await until(lambda: last.ring.end is not None)
    took_s = asyncio.get_running_loop().time() - begin
    print(f"END over {HOPS} hops: {took_s * 1000:.1f} ms")
    assert took_s < HOPS * HOLD_S / 2  # nobody waited until the end counts unconfirmed; the coordinator is mute
    for hop in row:
        await hop.close()
