"""A file's link is left alone for a while after a small read, and nothing that comes meanwhile is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from overlaycast.agent.intake import Arrival, Intake
from overlaycast.agent.parent_link import ParentLink
from overlaycast.agent.ring import Ring
from overlaycast.wire.frames import Heartbeat, encode
from overlaycast.wire.messages import Peer

BEAT = encode(Heartbeat(0))
LONG_S = 3600.0


class Above:
    """Hears what a parent link hears, and has it rest for so long after each read."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.beats: asyncio.Queue[int] = asyncio.Queue()

    def arrived(self, link: ParentLink, arrival: Arrival) -> None:
        self.beats.put_nowait(len(arrival.said))

    def lost(self, link: ParentLink, why: str, damaged: bool = False) -> None:
        raise AssertionError(why)

    def intake(self, link: ParentLink) -> Intake:
        return Intake(Ring(2), lambda _, __: True)

    def rest_s(self, size: int) -> float:
        return self.seconds


@contextmanager
def linked(above: Above) -> Iterator[tuple[ParentLink, socket.socket]]:
    """Yield a link and its parent's end."""
    here, there = socket.socketpair()
    with there:
        here.setblocking(False)
        link = ParentLink(1, Peer(member=1, name="p", addresses=(), grant="00" * 16, rank=1), above, lambda: 0)
        link.adopt(here, 2)
        yield link, there
        link.close()


async def turns() -> None:
    """Let the loop look at its sockets often."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_comes_during_a_rest_is_read_at_once_after_it() -> None:
    above = Above(0.001)
    with linked(above) as (_, there):
        there.send(BEAT)
        beats = await above.beats.get()
        there.send(2 * BEAT)
        while beats < 3:
            beats += await above.beats.get()


async def test_a_resting_link_is_read_when_asked_and_not_before() -> None:
    above = Above(LONG_S)
    with linked(above) as (link, there):
        there.send(BEAT)
        assert await above.beats.get() == 1
        there.send(BEAT)
        await turns()
        assert above.beats.empty()
        link.read_what_is_there()
        assert above.beats.get_nowait() == 1


async def test_who_goes_on_after_a_pause_does_not_rest_first() -> None:
    above = Above(LONG_S)
    with linked(above) as (link, there):
        there.send(BEAT)
        assert await above.beats.get() == 1
        link.pause()
        there.send(BEAT)
        link.go_on()
        assert await above.beats.get() == 1
