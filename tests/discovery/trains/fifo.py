"""Trains of echoes over links that are queues, in virtual time: what one train waits for, another one has sent.

Every frame passes every link of its way, first in, first out. Members return echoes at once. Routes are known a while
after the members have come. What decides is the programs' own: ``EchoProbe`` and ``Turns``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from overlaycast.discovery.echo import EchoProbe, Performance
from overlaycast.discovery.trains.turns import Turns, whereto
from overlaycast.lab.simulate.agenda import Agenda
from overlaycast.wire.messages import EchoReply, EchoRequest

FRAME, CARRIED = 1514, 1448


class Link:
    """One direction of a link."""

    def __init__(self, agenda: Agenda, mbit: float, delay_s: float) -> None:
        self.agenda, self.mbit, self.delay_s = agenda, mbit, delay_s
        self.free_at = 0.0
        self.bits = 0.0

    def take(self, size: int, then: Callable[[], None]) -> None:
        seconds = size * 8e-6 / self.mbit
        self.free_at = max(self.free_at, self.agenda.now) + seconds
        self.bits += size * 8
        self.agenda.after(self.free_at - self.agenda.now + self.delay_s, then)


@dataclass
class Host:
    """A member: the routers before it, and the links down and up."""

    name: str
    routers: tuple[str, ...]
    down: Sequence[Link]
    up: Sequence[Link]
    probe: EchoProbe
    turn: int | None = None
    asked: int = 0
    found: Performance | None = None
    near_at: float | None = None
    read_at: float | None = None
    sent: int = 0
    again: list[float | None] = field(default_factory=list)


class World:
    """Members below routers. ``links``: name -> (Mbit/s, seconds); ``ways``: member -> the links to it.

    Args:
        traced_s: how long it takes until a route is known.
        mute: members that return no train.
        old: members do not say when they had what.
    """

    def __init__(
        self,
        links: Mapping[str, tuple[float, float]],
        ways: Mapping[str, Sequence[str]],
        traced_s: float = 0.3,
        at_once: int = 16,
        mute: Sequence[str] = (),
        old: bool = False,
    ) -> None:
        self.old = old
        self.agenda = Agenda()
        self.turns = Turns(at_once)
        self.down = {name: Link(self.agenda, *link) for name, link in links.items()}
        self.up = {name: Link(self.agenda, *link) for name, link in links.items()}
        self.traced_s, self.mute = traced_s, mute
        self.hosts: list[Host] = []
        self.by_turn: dict[int, Host] = {}
        self.most = 0
        self.armed: float | None = None
        for number, (name, way) in enumerate(ways.items()):
            down = [self.down[link] for link in way]
            up = [self.up[link] for link in reversed(way)]
            self.hosts.append(Host(name, tuple(way[:-1]), down, up, EchoProbe(random.Random(number))))

    def play(self, seconds: float) -> World:
        for host in self.hosts:
            self.agenda.after(0.0, self._near, host)
        self.agenda.run(seconds)
        return self

    def _near(self, host: Host) -> None:
        if host.probe.heavy:
            host.near_at = self.agenda.now
            self.agenda.after(max(0.0, self.traced_s - self.agenda.now), self._wants, host)
        else:
            self._step(host, self._near)

    def _wants(self, host: Host) -> None:
        host.turn = self.turns.come("g", host.name, whereto(host.routers, True, host.name), self.agenda.now)
        self.by_turn[host.turn] = host
        self.pump()

    def pump(self) -> None:
        for number in self.turns.begin(self.agenda.now):
            host = self.by_turn[number]
            if host.again:
                host.probe = EchoProbe(random.Random(number))
            host.probe.expected_mbit = self.turns.expected(number)
            self._far(host)
        for number in self.turns.needless():
            self.by_turn[number].read_at = self.agenda.now
        self.most = max(self.most, sum(len(lane.running) for lane in self.turns._lanes.values()))
        deadline = self.turns.next_deadline()
        if deadline is not None and deadline != self.armed:
            self.armed = deadline
            self.agenda.after(max(0.0, deadline - self.agenda.now), self.pump)

    def _far(self, host: Host) -> None:
        if host.name not in self.mute:
            self._step(host, self._far, self._over)

    def _over(self, host: Host) -> None:
        found = host.probe.result()
        assert host.turn is not None
        if self.turns.done(host.turn, found.rate_mbit, self.agenda.now):
            host.again.append(found.rate_mbit)
        else:
            host.found, host.read_at = found, self.agenda.now
        self.pump()

    def _step(self, host: Host, then: Callable[[Host], None], over: Callable[[Host], None] | None = None) -> None:
        requests = host.probe.requests(self.agenda.now)
        if not requests:
            assert over is not None
            over(host)
        for request in requests:
            host.sent += len(request.payload)
            self._send(host.down, len(request.payload), lambda request=request: self._return(host, request, then))  # type: ignore[misc]

    def _return(self, host: Host, request: EchoRequest, then: Callable[[Host], None]) -> None:
        at_us = None if self.old else int(self.agenda.now * 1e6)
        reply = EchoReply(nonce=request.nonce, payload=request.payload, at_us=at_us)

        def back() -> None:
            if host.probe.receive(reply, self.agenda.now):
                then(host)

        self._send(host.up, len(request.payload), back)

    def _send(self, way: Sequence[Link], size: int, then: Callable[[], None]) -> None:
        frames = -(-size // CARRIED)
        for number in range(frames):
            last = number == frames - 1
            bytes_here = FRAME if not last else size - CARRIED * (frames - 1) + FRAME - CARRIED
            self._hop(way, 0, bytes_here, then if last else _nothing)

    def _hop(self, way: Sequence[Link], index: int, size: int, then: Callable[[], None]) -> None:
        if index == len(way):
            then()
        else:
            way[index].take(size, lambda: self._hop(way, index + 1, size, then))


def _nothing() -> None:
    pass
