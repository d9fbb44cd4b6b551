"""A link on which a file flows is left alone between reads, and nothing that comes meanwhile is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from overlaycast.agent.hops import parent_link
from overlaycast.agent.hops.parent_link import ParentLink
from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.live_intake import LiveIntake
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.frames import Heartbeat, data_header, encode
from overlaycast.wire.messages import Peer

BEAT = encode(Heartbeat(0))
RECORD = encode(Heartbeat(0, seek=True)) + data_header(0, 1, 3) + b"one"
LONG_S = 3600.0


class Chunked(LiveIntake):
    """A way on which more than the next byte is waited for."""

    def due(self, least: float) -> int:
        return 1


class Above:
    """Hears what a parent link hears."""

    forwards = True

    def __init__(self) -> None:
        self.beats: asyncio.Queue[int] = asyncio.Queue()

    def arrived(self, link: ParentLink, arrival: Arrival) -> None:
        self.beats.put_nowait(len(arrival.said))

    def lost(self, link: ParentLink, why: str, damaged: bool = False, untrue: str | None = None) -> None:
        raise AssertionError(why)

    def intake(self, link: ParentLink) -> LiveIntake:
        return Chunked(Ring(2), lambda _, __: True)


class Fixed:
    """Has a link rest for so long after each read."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.kept: list[int] = []

    def rest_s(self, size: int, now: float, forwards: bool, due: Callable[[float], int], kept: int) -> float:
        self.kept.append(kept)
        return self.seconds


@contextmanager
def linked(
    above: Above, seconds: float | Fixed, receive_buffer: int | None = None
) -> Iterator[tuple[ParentLink, socket.socket]]:
    """Yield a link and its parent's end."""
    polling = seconds if isinstance(seconds, Fixed) else Fixed(seconds)
    here, there = socket.socketpair()
    with there, pytest.MonkeyPatch.context() as patch:
        patch.setattr(parent_link, "Polling", lambda: polling)
        here.setblocking(False)
        if receive_buffer is not None:
            here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        link = ParentLink(1, Peer(member=1, name="p", addresses=(), grant="00" * 16, rank=1), above, lambda: 0)
        link.adopt(here, (1, 2), None)
        link.start(0)
        yield link, there
        link.close()


async def turns() -> None:
    """Let the loop look at its sockets often."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_comes_during_a_rest_is_read_at_once_after_it() -> None:
    above = Above()
    with linked(above, 0.001) as (_, there):
        there.send(RECORD)
        beats = await above.beats.get()
        there.send(2 * BEAT)
        while beats < 3:
            beats += await above.beats.get()
        await turns()
        there.send(BEAT)  # a rest that brought nothing: we listen again
        assert await above.beats.get() == 1


async def test_a_resting_link_is_read_when_asked_and_not_before() -> None:
    above = Above()
    with linked(above, LONG_S) as (link, there):
        there.send(RECORD)
        assert await above.beats.get() == 1
        there.send(BEAT)
        await turns()
        assert above.beats.empty()
        link.read_what_is_there()
        assert above.beats.get_nowait() == 1


async def test_who_goes_on_after_a_pause_does_not_rest_first() -> None:
    above = Above()
    with linked(above, LONG_S) as (link, there):
        there.send(RECORD)
        assert await above.beats.get() == 1
        link.pause()
        there.send(BEAT)
        link.go_on()
        assert await above.beats.get() == 1


async def test_nothing_rests_before_the_first_record() -> None:
    """The list of digests comes first, and every hop below waits for it."""
    above = Above()
    with linked(above, LONG_S) as (_, there):
        for _ in range(2):
            there.send(BEAT)
            assert await above.beats.get() == 1


async def test_a_rest_goes_by_the_receive_buffer() -> None:
    above, polling = Above(), Fixed(0.0)
    with linked(above, polling, receive_buffer=30_000) as (_, there):
        there.send(RECORD)
        await above.beats.get()
    assert polling.kept == [60_000]  # Linux takes twice what it is asked for
