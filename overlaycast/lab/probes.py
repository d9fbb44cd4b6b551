"""Short, bounded bursts of real datagrams that tell how a built network behaves. Sends and receives; judges
nothing.

Owns: the probe sockets, each made in the namespace it speaks for, closed at the end. One thread and one
selector serve them all, so a check of many links costs one process no more. Arrival times are the receiving
kernel's (SO_TIMESTAMPNS), so our own scheduling is not in them.
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

from overlaycast.lab.graph import Link
from overlaycast.lab.network import Network
from overlaycast.lab.wireclient import Direction

GROUP: Final = "239.255.77.7"
PAYLOAD: Final = 1472
"""UDP payload of a full frame."""
HEADERS: Final = 42
"""Ethernet, IPv4 and UDP headers of a probe."""

_SO_TIMESTAMPNS: Final = 35
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_SOL_UDP, _UDP_SEGMENT, _UDP_GRO = 17, 103, 104
_BUFFER: Final = 1 << 23
_CHUNK: Final = 44
"""Frames handed over at once: as many as fit into 64 KiB."""
_TIMESPEC: Final = struct.Struct("=qq")
_MARK: Final = struct.Struct("=IIq")


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of a link, with the nodes and addresses that speak over exactly this link."""

    link: str
    direction: Direction
    source: str
    target: str
    source_address: str
    target_address: str


@dataclass(slots=True)
class Arrivals:
    """What came in at one end: kernel time, bytes, and the mark each datagram carried."""

    times_ns: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    marks: list[tuple[int, int, int]] = field(default_factory=list)


def way(network: Network, link: Link, direction: Direction) -> Way:
    """Return a direction of a link as something that can be probed."""
    source, target = (link.a, link.b) if direction == "ab" else (link.b, link.a)
    return Way(link.name, direction, source, target, _address(network, link, source), _address(network, link, target))


def _address(network: Network, link: Link, node: str) -> str:
    address = network.topology.interface(link.name, node).address
    return address if address is not None else network.topology.address(node)  # a bridge's port: the LAN's gateway


@contextmanager
def _bound(network: Network, places: Sequence[tuple[str, str]]) -> Iterator[list[socket.socket]]:
    """One UDP socket per (node, address), non-blocking, with kernel timestamps and roomy buffers."""
    made: list[socket.socket] = []
    try:
        for node, address in places:
            with network.in_namespace(node):
                one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
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


def _read(one: socket.socket, into: Arrivals) -> None:
    """Take all that is there."""
    while True:
        try:
            data, extra, _, _ = one.recvmsg(1 << 16, 64)
        except BlockingIOError:
            return
        arrived = time.time_ns()
        for level, kind, body in extra:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(body) >= _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack_from(body)
                arrived = seconds * 1_000_000_000 + nanoseconds
        into.times_ns.append(arrived)
        into.sizes.append(len(data))
        into.marks.append(_MARK.unpack_from(data) if len(data) >= _MARK.size else (0, 0, 0))


def _listen(
    receivers: Mapping[socket.socket, Arrivals], until: float, enough: Callable[[], bool] = lambda: False
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


def unreachable(network: Network, rounds: int = 4) -> list[tuple[str, str]]:
    """Return the ordered pairs of hosts between which no datagram came through.

    Each pair gets up to ``rounds`` datagrams, a round at a time, only where the last ones did not arrive.
    """
    topology = network.topology
    hosts = [node.name for node in topology.hosts() if topology.links_of(node.name)]
    patience = 0.25 + 2 * max((topology.delay_ms(hosts[0], other) for other in hosts), default=0.0) / 1000
    missing = {(a, b) for a in range(len(hosts)) for b in range(len(hosts)) if a != b}
    with _bound(network, [(name, topology.address(name)) for name in hosts]) as sockets:
        arrivals = {one: Arrivals() for one in sockets}
        targets = [one.getsockname() for one in sockets]

        def left() -> set[tuple[int, int]]:
            return missing - {mark[:2] for each in arrivals.values() for mark in each.marks}

        for _ in range(rounds):
            for a, b in sorted(left()):
                _send(sockets[a], _MARK.pack(a, b, 0), targets[b])
            _listen(arrivals, time.monotonic() + patience, lambda: not left())
            patience *= 2
        return [(hosts[a], hosts[b]) for a, b in sorted(left())]


def _send(one: socket.socket, data: bytes, target: tuple[str, int] | None = None) -> bool:
    """Send a datagram if the socket takes it now."""
    try:
        if target is None:
            one.send(data)
        else:
            one.sendto(data, target)
    except OSError:
        return False  # no route, interface down, buffer full: as if it were lost
    return True


@dataclass(frozen=True, slots=True)
class MulticastFinding:
    """What multicast did.

    Attributes:
        deaf: routers on whose LAN even the control (sent within the LAN) was not heard: the probe proves nothing there.
        leaks: (LAN of the sender, LAN of the listener) where a datagram crossed a router.
    """

    deaf: tuple[str, ...]
    leaks: tuple[tuple[str, str], ...]


def multicast(network: Network) -> MulticastFinding:
    """Join a group on one host of every LAN, send to it from every LAN with a TTL that would suffice, and listen.

    The control: the LAN's router sends to the group within the LAN, and the listener must hear that.
    """
    topology = network.topology
    lans = topology.lans
    listeners = [_joined(network, lan.hosts[0].node, lan.hosts[0].address or "") for lan in lans]
    port_of = {one: one.getsockname()[1] for one in listeners}
    places = [(lan.hosts[0].node, lan.hosts[0].address or "") for lan in lans]
    places += [(lan.router, lan.gateway) for lan in lans]
    heard = {one: Arrivals() for one in listeners}
    try:
        with _bound(network, places) as senders:
            for one, (_, address) in zip(senders, places, strict=True):
                one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
                one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 32)
                one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            ports = sorted(set(port_of.values()))
            for _ in range(3):
                for number, one in enumerate(senders):
                    for port in ports:
                        _send(one, _MARK.pack(number, 0, 0), (GROUP, port))
                _listen(heard, time.monotonic() + 0.1)
            longest = max((topology.delay_ms(a[0], b[0]) for a in places for b in places), default=0.0)
            _listen(heard, time.monotonic() + 0.05 + 2 * longest / 1000)
    finally:
        for one in listeners:
            one.close()
    deaf, leaks = [], []
    for number, one in enumerate(listeners):
        senders_heard = {mark[0] for mark in heard[one].marks}
        if number + len(lans) not in senders_heard:
            deaf.append(lans[number].router)
        leaks += [(lans[n % len(lans)].router, lans[number].router) for n in senders_heard if n % len(lans) != number]
    return MulticastFinding(tuple(deaf), tuple(sorted(set(leaks))))


def _joined(network: Network, node: str, address: str) -> socket.socket:
    with network.in_namespace(node):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    one.bind((GROUP, 0))
    one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(address))
    return one


@contextmanager
def _promptly() -> Iterator[None]:
    """Have the calling thread run before others where that is allowed: a sender without CPU measures itself."""
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
    places = [(each.source, each.source_address) for each in ways]
    places += [(each.target, each.target_address) for each in ways]
    with _bound(network, places) as sockets, _promptly():
        pairs = list(zip(sockets[: len(ways)], sockets[len(ways) :], strict=True))
        for sender, receiver in pairs:
            sender.connect(receiver.getsockname())
        yield pairs


def delays_ms(network: Network, ways: Sequence[Way], probes: int = 9, gap_s: float = 0.01) -> list[list[float]]:
    """Return the one-way delays that small datagrams met on each way, in order of arrival; lost ones are not there."""
    with _pairs(network, ways) as pairs:
        heard = {receiver: Arrivals() for _, receiver in pairs}
        for _ in range(probes):
            for sender, _ in pairs:
                _send(sender, _MARK.pack(0, 0, time.time_ns()))
            _listen(heard, time.monotonic() + gap_s)
        longest = max((network.shaper.asked(w.link, w.direction).delay_ms for w in ways), default=0.0)
        wanted = probes * len(pairs)
        _listen(
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
        heard = {receiver: Arrivals() for _, receiver in pairs}
        for number in range(max(probes, default=0)):
            for (sender, _), count in zip(pairs, probes, strict=True):
                if number < count:
                    _send(sender, _MARK.pack(number, 0, 0))
            _listen(heard, time.monotonic() + 0.0005)
        longest = max((network.shaper.asked(w.link, w.direction).delay_ms for w in ways), default=0.0)
        _listen(heard, time.monotonic() + 0.2 + 2 * longest / 1000)
        result = []
        for _, receiver in pairs:
            numbers = [mark[0] for mark in heard[receiver].marks]
            result.append((len(set(numbers)), len(numbers) - len(set(numbers))))
        return result


def rates_mbit(network: Network, ways: Sequence[Way], trains: Sequence[int]) -> list[float]:
    """Return the rate at which a train of full frames came out of each way, all ways at once; 0 where none came.

    Args:
        network: it.
        ways: directions that share no link.
        trains: bytes of payload to send on each.
    """
    with _pairs(network, ways) as pairs:
        heard = {receiver: Arrivals() for _, receiver in pairs}
        for sender, receiver in pairs:
            sender.setsockopt(_SOL_UDP, _UDP_SEGMENT, PAYLOAD)
            receiver.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        _send_trains(pairs, trains, heard)
        slowest = max(
            (n * 8e-6 / (network.shaper.asked(w.link, w.direction).rate_mbit or 1e3))
            + network.shaper.asked(w.link, w.direction).delay_ms / 1000
            for w, n in zip(ways, trains, strict=True)
        )
        _listen(
            heard,
            time.monotonic() + 0.1 + 2 * slowest,
            lambda: all(sum(heard[r].sizes) >= n for (_, r), n in zip(pairs, trains, strict=True)),
        )
        return [rate_of(heard[receiver]) for _, receiver in pairs]


def _send_trains(
    pairs: Sequence[tuple[socket.socket, socket.socket]], trains: Sequence[int], heard: Mapping[socket.socket, Arrivals]
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
                if isinstance(key.data, Arrivals):
                    _read(key.fileobj, key.data)  # type: ignore[arg-type]
                    continue
                size = min(left[key.data], PAYLOAD * _CHUNK)
                if _send(pairs[key.data][0], bytes(size)):
                    left[key.data] -= size
                if not left[key.data]:
                    selector.unregister(key.fileobj)


def rate_of(heard: Arrivals) -> float:
    """Return the Mbit/s of frames at which a train arrived; 0 where too little of it did.

    The median of the slopes between arrivals half a train apart: an arrival that was late for want of CPU, the first
    or the last above all, does not count. The first fifth, which a burst allowance may have let through, is left out.
    """
    total, so_far, points = sum(heard.sizes), 0, []
    for arrived, size in zip(heard.times_ns, heard.sizes, strict=True):
        so_far += size
        if so_far > total / 5:
            points.append((arrived, so_far + HEADERS * -(-so_far // PAYLOAD)))
    half = len(points) // 2
    pairs = zip(points, points[half:], strict=False) if half else ()
    slopes = [(b[1] - a[1]) * 8e3 / (b[0] - a[0]) for a, b in pairs if b[0] > a[0]]
    return median(slopes) if slopes else 0.0
