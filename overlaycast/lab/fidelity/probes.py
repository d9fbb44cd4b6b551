"""Short bursts of real datagrams that measure the links of a built network. They send and receive, and judge nothing.

Owns: the probe sockets, each made in the namespace it speaks for, closed at the end. One thread and one
selector serve them all, so a check of many links costs one process no more. Arrival times are the receiving
kernel's (SO_TIMESTAMPNS), so they do not depend on when our process runs.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from overlaycast.lab.network.network import Network
from overlaycast.lab.network.wireclient import Direction
from overlaycast.lab.topology.graph import Link
from overlaycast.lab.topology.shape import FRAME_BYTES

HEADERS: Final = {4: 42, 6: 62}
"""Ethernet, IP and UDP headers of a probe, by IP version."""

_SO_TIMESTAMPNS: Final = 35
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_SOL_UDP, _UDP_SEGMENT, _UDP_GRO = 17, 103, 104
_BUFFER: Final = 1 << 23
_CHUNK: Final = 44
"""Frames handed over at once: as many as fit into 64 KiB."""
_TIMESPEC: Final = struct.Struct("=qq")
MARK: Final = struct.Struct("=IIq")


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of a link, with the nodes and addresses that speak over exactly this link."""

    link: str
    direction: Direction
    source: str
    target: str
    source_address: str
    target_address: str

    @property
    def headers(self) -> int:
        """Bytes of a probe that are not payload."""
        return HEADERS[6 if ":" in self.source_address else 4]

    @property
    def payload(self) -> int:
        """UDP payload of a full frame."""
        return FRAME_BYTES - self.headers


@dataclass(slots=True)
class Received:
    """The datagrams that one socket received: kernel time, bytes, the mark that each carried, and its sender."""

    times_ns: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    marks: list[tuple[int, int, int]] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)


def way(network: Network, link: Link, direction: Direction) -> Way:
    """Return a direction of a link as something that can be probed."""
    source, target = (link.a, link.b) if direction == "ab" else (link.b, link.a)
    return Way(link.name, direction, source, target, _address(network, link, source), _address(network, link, target))


def _address(network: Network, link: Link, node: str) -> str:
    spoken = network.topology.interface(link.name, node).spoken(network.topology.families[0])
    if spoken is not None:
        return spoken[0]
    # a bridge's port: the LAN's gateway
    return next(
        lan.router_address(network.topology.families[0])[0] for lan in network.topology.lans if lan.router == node
    )


def family_of(address: str) -> socket.AddressFamily:
    """Return the socket family of an address in text."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextmanager
def bound(network: Network, ends: Sequence[tuple[str, str]]) -> Iterator[list[socket.socket]]:
    """One UDP socket per (node, address), non-blocking, with kernel timestamps and roomy buffers."""
    made: list[socket.socket] = []
    try:
        for node, address in ends:
            with network.in_namespace(node):
                one = socket.socket(family_of(address), socket.SOCK_DGRAM)
            made.append(one)
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            _make_room(one)
            one.bind((address, 0))
        yield made
    finally:
        for one in made:
            one.close()


def _make_room(one: socket.socket) -> None:
    """Ask for roomy buffers; without root the machine's limits (rmem_max, wmem_max) hold."""
    for force, option in ((_SO_SNDBUFFORCE, socket.SO_SNDBUF), (_SO_RCVBUFFORCE, socket.SO_RCVBUF)):
        try:
            one.setsockopt(socket.SOL_SOCKET, force, _BUFFER)
        except PermissionError:
            one.setsockopt(socket.SOL_SOCKET, option, _BUFFER)


def _read(one: socket.socket, into: Received) -> None:
    """Read all datagrams that wait."""
    while True:
        try:
            data, extra, _, sender = one.recvmsg(1 << 16, 64)
        except BlockingIOError:
            return
        arrived = time.time_ns()
        for level, kind, body in extra:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(body) >= _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack_from(body)
                arrived = seconds * 1_000_000_000 + nanoseconds
        into.times_ns.append(arrived)
        into.sizes.append(len(data))
        into.senders.append(sender[0])
        into.marks.append(MARK.unpack_from(data) if len(data) >= MARK.size else (0, 0, 0))


def listen(
    receivers: Mapping[socket.socket, Received], until: float, enough: Callable[[], bool] = lambda: False
) -> None:
    """Collect until the monotonic time ``until`` or until there is enough; once in any case."""
    with selectors.DefaultSelector() as selector:
        for one, arrivals in receivers.items():
            selector.register(one, selectors.EVENT_READ, arrivals)
        while not enough():
            left = until - time.monotonic()
            for key, _ in selector.select(max(0.0, left)):
                _read(key.fileobj, key.data)  # type: ignore[arg-type]
            if left <= 0:
                return


def send(one: socket.socket, data: bytes, target: tuple[str | int, ...] | None = None) -> bool:
    """Send a datagram if the socket takes it now."""
    try:
        if target is None:
            one.send(data)
        else:
            one.sendto(data, target)
    except OSError:
        return False  # no route, interface down, buffer full: as if it were lost
    return True


@contextmanager
def _promptly() -> Iterator[None]:
    """Give the calling thread priority where allowed: a sender that waits for CPU would measure that wait."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))  # below the wire's
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


@contextmanager
def _pairs(network: Network, ways: Sequence[Way]) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """A connected sender and its receiver for every way."""
    ends = [(each.source, each.source_address) for each in ways]
    ends += [(each.target, each.target_address) for each in ways]
    with bound(network, ends) as sockets, _promptly():
        pairs = list(zip(sockets[: len(ways)], sockets[len(ways) :], strict=True))
        for sender, receiver in pairs:
            sender.connect(receiver.getsockname())
        yield pairs


def delays_ms(network: Network, ways: Sequence[Way], probes: int = 9, gap_s: float = 0.01) -> list[list[float]]:
    """Return the one-way delays that small datagrams met on each way, in order of arrival; lost ones are not there."""
    with _pairs(network, ways) as pairs:
        heard = {receiver: Received() for _, receiver in pairs}
        for _ in range(probes):
            for sender, _ in pairs:
                send(sender, MARK.pack(0, 0, time.time_ns()))
            listen(heard, time.monotonic() + gap_s)
        longest = max((network.shaper.asked(w.link, w.direction).delay_ms for w in ways), default=0.0)
        wanted = probes * len(pairs)
        listen(
            heard,
            time.monotonic() + 0.1 + 2 * longest / 1000,
            lambda: sum(len(each.marks) for each in heard.values()) >= wanted,
        )
        return [
            [(t - mark[2]) / 1e6 for t, mark in zip(heard[r].times_ns, heard[r].marks, strict=True)] for _, r in pairs
        ]


def losses(network: Network, ways: Sequence[Way], probes: Sequence[int]) -> list[tuple[int, int]]:
    """Return per way how many different datagrams came of ``probes`` that were sent, and how many doubles."""
    with _pairs(network, ways) as pairs:
        heard = {receiver: Received() for _, receiver in pairs}
        for number in range(max(probes, default=0)):
            for (sender, _), count in zip(pairs, probes, strict=True):
                if number < count:
                    send(sender, MARK.pack(number, 0, 0))
            listen(heard, time.monotonic() + 0.0005)
        longest = max((network.shaper.asked(w.link, w.direction).delay_ms for w in ways), default=0.0)
        listen(heard, time.monotonic() + 0.2 + 2 * longest / 1000)
        result = []
        for _, receiver in pairs:
            numbers = [mark[0] for mark in heard[receiver].marks]
            result.append((len(set(numbers)), len(numbers) - len(set(numbers))))
        return result


def rates_mbit(network: Network, ways: Sequence[Way], frames: Sequence[int]) -> list[float]:
    """Return the rate at which a train of full frames came out of each way, all ways at once; 0 where none came.

    Args:
        network: it.
        ways: directions that share no link.
        frames: how many to send on each.
    """
    trains = [count * each.payload for count, each in zip(frames, ways, strict=True)]
    with _pairs(network, ways) as pairs:
        heard = {receiver: Received() for _, receiver in pairs}
        for each, (sender, receiver) in zip(ways, pairs, strict=True):
            sender.setsockopt(_SOL_UDP, _UDP_SEGMENT, each.payload)
            receiver.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        _send_trains(pairs, trains, [each.payload * _CHUNK for each in ways], heard)
        slowest = max(
            (n * 8e-6 / (network.shaper.asked(w.link, w.direction).rate_mbit or 1e3))
            + network.shaper.asked(w.link, w.direction).delay_ms / 1000
            for w, n in zip(ways, trains, strict=True)
        )
        listen(
            heard,
            time.monotonic() + 0.1 + 2 * slowest,
            lambda: all(sum(heard[r].sizes) >= n for (_, r), n in zip(pairs, trains, strict=True)),
        )
        return [rate_of(heard[receiver], each.payload) for each, (_, receiver) in zip(ways, pairs, strict=True)]


def _send_trains(
    pairs: Sequence[tuple[socket.socket, socket.socket]],
    trains: Sequence[int],
    chunks: Sequence[int],
    heard: Mapping[socket.socket, Received],
) -> None:
    """Send as fast as the sockets take it, reading meanwhile: neither buffer needs to hold a whole train."""
    left = list(trains)
    give_up = time.monotonic() + 2.0
    with selectors.DefaultSelector() as selector:
        for number, (sender, receiver) in enumerate(pairs):
            selector.register(sender, selectors.EVENT_WRITE, number)
            selector.register(receiver, selectors.EVENT_READ, heard[receiver])
        while any(left) and time.monotonic() < give_up:
            for key, _ in selector.select(0.05):
                if isinstance(key.data, Received):
                    _read(key.fileobj, key.data)  # type: ignore[arg-type]
                    continue
                size = min(left[key.data], chunks[key.data])
                if send(pairs[key.data][0], bytes(size)):
                    left[key.data] -= size
                if not left[key.data]:
                    selector.unregister(key.fileobj)


def rate_of(heard: Received, payload: int) -> float:
    """Return the Mbit/s of frames at which a train arrived; 0 where too little of it did.

    The median of the slopes between arrivals half a train apart: an arrival that was late for want of CPU, the first
    or the last above all, does not count. The first fifth, which a burst allowance may have let through, is left out.
    """
    total, so_far, points = sum(heard.sizes), 0, []
    for arrived, size in zip(heard.times_ns, heard.sizes, strict=True):
        so_far += size
        if so_far > total / 5:
            points.append((arrived, so_far + (FRAME_BYTES - payload) * -(-so_far // payload)))
    half = len(points) // 2
    pairs = zip(points, points[half:], strict=False) if half else ()
    slopes = [(b[1] - a[1]) * 8e3 / (b[0] - a[0]) for a, b in pairs if b[0] > a[0]]
    return median(slopes) if slopes else 0.0
