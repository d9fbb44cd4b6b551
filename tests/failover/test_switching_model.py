"""Upstream, intake and ring together against simulated parents in virtual time.

Whatever parents do (freeze, die, come back, starve, refuse) and whatever the coordinator orders in between: every
record enters the ring exactly once, in order; and once the trouble is over the member is fed within a bounded time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overlaycast.agent.records.live_intake import LiveIntake
from overlaycast.agent.records.ring import Ring
from overlaycast.failover.machine import Upstream
from overlaycast.failover.words import (
    AskedInVain,
    CloseLink,
    Complain,
    Dial,
    Fruitless,
    LinkFailed,
    ParentChanged,
    SendStart,
    SendStop,
    Silent,
    State,
)
from overlaycast.wire.frames import Data, Heartbeat, Refuse, RefuseCode, encode
from overlaycast.wire.messages import Assign, Peer

STEP = 0.005
RECORD_EVERY = 0.01
DELAY = 0.01
NAMES = "pstf"


def peer(name: str) -> Peer:
    return Peer(member=ord(name), name=name, addresses=(), grant="0" * 32, rank=1)


def payload(seq: int) -> bytes:
    return random.Random(seq).randbytes(1 + seq % 97)


@dataclass
class Parent:
    """One possible parent: has everything up to the edge, unless it is dead, frozen or starved."""

    alive: bool = True
    frozen: bool = False
    starved_at: int | None = None
    oldest: int = 0

    def has(self, edge: int) -> int:
        return edge if self.starved_at is None else min(self.starved_at, edge)


@dataclass
class SimLink:
    """A connection: what is under way to us, and what we asked for."""

    parent: Parent
    intake: LiveIntake
    feed: bool
    opened: float
    greeted: bool = False
    position: int | None = None
    beat_at: float = 0.0
    under_way: list[tuple[float, bytes]] = field(default_factory=list)

    def send(self, arrives: float, data: bytes) -> None:
        """TCP keeps the order."""
        last = self.under_way[-1][0] if self.under_way else 0.0
        self.under_way.append((max(arrives, last), data))


class World:
    """Parents, the member under test, and time."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.rng = random.Random(seed)
        self.parents = {name: Parent() for name in NAMES}
        self.ring = Ring(64)
        self.machine = Upstream(0.08, 0.025, 0.5, self.rng.random)
        self.links: dict[int, SimLink] = {}
        self.told: list[Complain] = []
        self.epoch = 0
        self.losses: list[tuple[int, int]] = []

    @property
    def edge(self) -> int:
        return int(self.now / RECORD_EVERY)

    def order(self, parent: str, standbys: str, fallbacks: str = "f") -> None:
        self.epoch += 1
        assign = Assign(
            epoch=self.epoch,
            rank=9,
            depth=1,
            parent=peer(parent),
            standbys=tuple(map(peer, standbys)),
            fallbacks=tuple(map(peer, fallbacks)),
        )
        self.machine.assign(assign, self.now)
        self.perform()

    def perform(self) -> None:
        while actions := self.machine.actions():
            for action in actions:
                self.do(action)

    def do(self, action: object) -> None:
        match action:
            case Dial(number, to, feed):
                intake = LiveIntake(self.ring, lambda wanted, offered: self.may_skip(number))
                intake.feeding = feed
                self.links[number] = SimLink(self.parents[to.name], intake, feed, self.now)
            case SendStart(number, oldest):
                self.ask(self.links[number], oldest)
            case SendStop(number):
                self.links[number].intake.feeding = self.links[number].feed = False
                self.links[number].position = None
            case CloseLink(number):
                self.links.pop(number).intake.close()
            case Complain():
                self.told.append(action)
            case ParentChanged() | Silent() | Fruitless() | LinkFailed() | AskedInVain():
                pass

    def may_skip(self, number: int) -> bool:
        return self.machine.may_skip(number)

    def ask(self, link: SimLink, oldest: bool = False) -> None:
        link.intake.feeding = link.feed = True
        if link.greeted:
            self.start(link, link.parent.oldest if oldest else self.ring.position)

    def start(self, link: SimLink, seq: int) -> None:
        """The parent takes START (a frozen one later: its kernel keeps it)."""
        if seq < link.parent.oldest:
            link.send(self.now + 2 * DELAY, encode(Refuse(RefuseCode.GONE, link.parent.oldest)))
            return
        link.position = min(seq, link.parent.has(self.edge))
        link.send(self.now + 2 * DELAY, encode(Heartbeat(link.position, seek=True)))

    def step(self) -> None:
        self.now += STEP
        for number, link in list(self.links.items()):
            if number in self.links:
                self.serve(number, link)
        deadline = self.machine.next_deadline()
        if deadline is not None and deadline <= self.now:
            self.machine.tick(self.now)
        self.perform()

    def serve(self, number: int, link: SimLink) -> None:
        parent = link.parent
        if not parent.alive:
            self.links.pop(number).intake.close()
            self.machine.lost(number, "reset" if link.greeted else "unreachable", self.now)
            self.perform()
            return
        if not parent.frozen:
            self.parent_turn(link)
        ready = [data for at, data in link.under_way if at <= self.now and not parent.frozen]
        link.under_way = [item for item in link.under_way if item[0] > self.now or parent.frozen]
        if ready:
            self.deliver(number, link, b"".join(ready))

    def parent_turn(self, link: SimLink) -> None:
        if not link.greeted and self.now >= link.opened + 2 * DELAY:
            link.greeted = True
            link.send(self.now + DELAY, self.beat(link))
            if link.feed:
                self.start(link, self.ring.position)
        if link.position is not None:
            while link.position < link.parent.has(self.edge):
                data = encode(Data(link.position, 1, payload(link.position)))
                link.send(self.now + DELAY, data)
                link.position += 1
                link.beat_at = self.now
        every = 0.025 if link.feed else 0.25
        if link.greeted and self.now >= link.beat_at + every:
            link.send(self.now + DELAY, self.beat(link))
            link.beat_at = self.now

    def beat(self, link: SimLink) -> bytes:
        return encode(Heartbeat(link.parent.has(self.edge), link.parent.oldest, link.parent.starved_at is not None))

    def deliver(self, number: int, link: SimLink, data: bytes) -> None:
        view = memoryview(data)
        while view and number in self.links:
            room = link.intake.buffer()
            size = min(len(view), self.rng.randrange(1, 400))
            room[:size] = view[:size]
            arrival = link.intake.received(size)
            view = view[size:]
            self.losses += arrival.lost
            for said in arrival.said:
                if isinstance(said, Heartbeat):
                    self.machine.heartbeat(number, said.stalled, self.now)
                else:
                    self.machine.refused(number, said.code, said.oldest, self.now)
            if arrival.records or arrival.duplicates or not arrival.said:
                self.machine.data(number, arrival.records > 0, self.now)
            self.perform()

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds / STEP)):
            self.step()

    def received(self) -> bytes:
        cursor = self.ring.cursor(self.ring.began_at or 0)
        cursor.seek = None
        got = b""
        while piece := bytes(self.ring.piece(cursor)):
            self.ring.advance(cursor, len(piece))
            got += piece
        return got


def expected(after: int) -> bytes:
    return b"".join(encode(Data(seq, 1, payload(seq))) for seq in range(after))


faults = st.sampled_from(["freeze", "die", "starve", "heal", "heal-all", "order", "nothing"])
script = st.lists(st.tuples(faults, st.sampled_from(NAMES), st.integers(1, 120)), max_size=25)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script, st.integers(0, 1 << 30))
def test_every_record_once_in_order(script: list[tuple[str, str, int]], seed: int) -> None:
    world = World(seed)
    world.order("p", "st")
    world.run(0.2)
    for fault, name, steps in script:
        parent = world.parents[name]
        match fault:
            case "freeze":
                parent.frozen = True
            case "die":
                parent.alive = False
            case "starve":
                parent.starved_at = world.edge
            case "heal":
                world.parents[name] = revive(world, name)
            case "heal-all":
                heal(world)
            case "order":
                others = "".join(other for other in NAMES if other != name)
                world.order(name, others[:2], others[2:])
        world.run(steps * STEP)
    heal(world)
    world.run(6.0)
    assert world.machine.state is State.STREAMING
    assert world.losses == []
    assert world.edge - world.ring.position <= 8
    assert world.received() == expected(world.ring.position)


def revive(world: World, name: str) -> Parent:
    old = world.parents[name]
    if old.alive:
        old.frozen, old.starved_at = False, None
        return old
    return Parent()


def heal(world: World) -> None:
    for name in NAMES:
        world.parents[name] = revive(world, name)


def gap_after(fault: str) -> tuple[World, float]:
    """Return the world and the gap in seconds that this fault of a healthy parent makes."""
    world = World(1)
    world.order("p", "s")
    world.run(1.0)
    setattr(world.parents["p"], *{"die": ("alive", False), "freeze": ("frozen", True)}[fault])
    since, before = world.now, world.ring.position
    while world.ring.position == before:
        world.step()
        assert world.now < since + 5
    return world, world.now - since


def test_gap_of_a_reset_is_a_round_trip() -> None:
    world, gap = gap_after("die")
    world.run(0.5)
    assert gap <= 3 * DELAY + 3 * STEP
    assert world.told[-1].now_from == ord("s")


def test_gap_of_a_silent_death_is_the_limit_and_a_round_trip() -> None:
    world, gap = gap_after("freeze")
    assert world.told == []  # not before it is sure
    world.run(0.5)
    assert gap <= 0.08 + 3 * DELAY + 3 * STEP
    assert world.told[-1].now_from == ord("s")


def test_loss_is_taken_when_nobody_has_it_any_more() -> None:
    world = World(3)
    world.order("p", "s")
    world.run(0.5)
    for name in NAMES:
        world.parents[name].alive = False
    world.run(0.5)
    for name in NAMES:
        world.parents[name] = Parent(oldest=world.edge - 10)
    world.run(4.0)
    assert len(world.losses) == 1
    first, after = world.losses[0]
    assert after - first > 0
    assert world.edge - world.ring.position <= 8
