"""Children on one upload, over real sockets: shares of it, and turns while one of them catches up."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from overlaycast.agent.hops.child_link import TURN
from overlaycast.agent.hops.downstream import Downstream
from overlaycast.agent.hops.sockets import SO_MAX_PACING_RATE
from overlaycast.agent.rates.upload import share_of
from overlaycast.agent.records.ring import Ring
from overlaycast.failover.admission import Admission
from overlaycast.wire.frames import EDGE, IDLE, OLDEST, Decoder, Digests, Frame, Heartbeat, Start, Stop, encode

UPLOAD_MBIT = 20.0


class Kept(socket.socket):
    """A socket that takes everything and remembers when it was given what: the order over all children."""

    log: list[tuple[int, int]]
    child: int

    def send(self, data: object, flags: int = 0) -> int:
        size = len(data)  # type: ignore[arg-type]
        self.log.append((self.child, size))
        return size


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = socket.create_connection(listener.getsockname())
        here, _ = listener.accept()
    here.setblocking(False)
    return here, there


@asynccontextmanager
async def forwarder(
    upload_mbit: float | None, changed: asyncio.Event, ring: Ring | None = None
) -> AsyncIterator[Downstream]:
    port = socket.create_server(("127.0.0.1", 0))
    port.setblocking(False)
    idle, here = (lambda: False), asyncio.get_running_loop().create_task
    down = Downstream(
        port,
        ring or Ring(8),
        1.0,
        16,
        idle,
        changed.set,
        lambda _: None,
        lambda _said, _nonces, sock: sock.close(),
        here,
        lambda: 0.0,
        lambda _: True,
        upload_mbit,
    )
    down.admissions.rank = 1
    try:
        yield down
    finally:
        down.close()


def pace_of(sock: socket.socket) -> int:
    rate: int = struct.unpack("=Q", sock.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 8))[0]
    return rate


def admit(down: Downstream, sock: socket.socket, child: int, resume_from: int) -> None:
    down.admitted(sock, Decoder(), Admission(child, f"k{child}", 1, standby=False), 1, Start(resume_from))


async def fed(down: Downstream, changed: asyncio.Event, children: int) -> None:
    """Wait until so many children are fed."""
    async with asyncio.timeout(30):
        while down.feeding != children:
            changed.clear()
            await changed.wait()


async def test_fed_children_share_the_upload() -> None:
    changed = asyncio.Event()
    async with forwarder(UPLOAD_MBIT, changed) as down:
        ends = [connected() for _ in range(3)]
        admit(down, ends[0][0], 1, EDGE)
        assert pace_of(ends[0][0]) == share_of(UPLOAD_MBIT, 1)
        admit(down, ends[1][0], 2, EDGE)
        admit(down, ends[2][0], 3, IDLE)
        # a warm standby's child costs nobody anything, and has its own part set before the first byte
        assert [pace_of(here) for here, _ in ends] == [share_of(UPLOAD_MBIT, n) for n in (2, 2, 3)]
        ends[2][1].sendall(encode(Start(EDGE)))
        await fed(down, changed, 3)
        assert [pace_of(here) for here, _ in ends] == [share_of(UPLOAD_MBIT, 3)] * 3
        ends[0][1].sendall(encode(Stop()))
        await fed(down, changed, 2)
        ends[1][1].close()
        await fed(down, changed, 1)
        assert pace_of(ends[2][0]) == share_of(UPLOAD_MBIT, 1)
        for _, there in ends:
            there.close()


async def test_without_a_stated_upload_nothing_is_held_back() -> None:
    async with forwarder(None, asyncio.Event()) as down:
        here, there = connected()
        admit(down, here, 1, EDGE)
        assert pace_of(here) in ((1 << 64) - 1, (1 << 32) - 1)
        there.close()


async def test_catching_up_does_not_starve_siblings() -> None:
    """One child begins 6 MiB behind, first in line; its siblings get each new record after one turn of it at most."""
    ring = Ring(8)
    ring.anchor(0)
    async with forwarder(None, asyncio.Event(), ring) as down:
        while ring.lag_bytes(ring.cursor(0)) < 6 << 20:
            ring.append(bytes(60_000), 0)
        Kept.log = []
        ends = []
        for child, resume in ((1, OLDEST), (2, EDGE), (3, EDGE)):
            here, there = connected()
            kept = Kept(fileno=here.detach())
            kept.child = child
            ends.append(there)
            admit(down, kept, child, resume)
        for _ in range(3):
            Kept.log.clear()
            ring.append(bytes(1000), 0)
            down.pump()
            before = 0
            for child, size in Kept.log:
                before += size if child == 1 else 0
                if child != 1:
                    assert before <= TURN
            assert {2, 3} <= {child for child, _ in Kept.log}
            await asyncio.sleep(0)  # the next turn of the one behind
        for there in ends:
            there.close()


class Stuck(socket.socket):
    """A socket whose other end never reads."""

    def send(self, data: object, flags: int = 0) -> int:
        raise BlockingIOError


class Listed:
    """An archive that has only a list of digests."""

    def read(self, seq: int, into: memoryview) -> None:
        return None

    def digests(self, start: int) -> tuple[bytes, int]:
        return (b"" if start else encode(Digests(0, bytes(64)))), 64


async def test_the_list_of_digests_goes_once_over_a_link() -> None:
    """It has up to 2 MiB: who asks for it with every question would have us hold it as often."""
    async with forwarder(None, asyncio.Event()) as down:
        down.archive = Listed()
        here, there = connected()
        there.setblocking(False)
        down.admitted(here, Decoder(), Admission(1, "k1", 1, standby=False), 1, Start(IDLE, digests=True))
        child = down.children[1]
        for _ in range(3):
            child.begin(IDLE, digests=True)
        decoder, loop = Decoder(), asyncio.get_running_loop()
        frames: list[Frame] = []
        async with asyncio.timeout(30):
            while sum(isinstance(frame, Heartbeat) for frame in frames) < 4:  # one answers each question
                frames += decoder.feed(await loop.sock_recv(there, 65536))
        assert sum(isinstance(frame, Digests) for frame in frames) == 1
        there.close()


async def test_who_asks_and_never_reads_is_not_answered_for_ever() -> None:
    """Each question has an answer of ours in memory until it is taken: they are bounded in number."""
    changed = asyncio.Event()
    async with forwarder(None, changed) as down:
        here, there = connected()
        admit(down, Stuck(fileno=here.detach()), 1, EDGE)
        with suppress(OSError):
            for _ in range(10):
                there.sendall(encode(Start(EDGE)) * 100)
        async with asyncio.timeout(30):
            while down.children:
                changed.clear()
                await changed.wait()
        there.close()
