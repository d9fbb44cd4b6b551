"""A small stage for the overlay: members that obey every order at once, and a clock that the test turns.

Owns: what a well-behaved agent and driver would answer. Refuses: deciding; every decision under test is the overlay's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from overlaycast.overlay import Event, Measurement, Overlay
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.locality import Routers
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import Router
from overlaycast.overlay.state.tree import check
from overlaycast.wire.group import GroupSettings, MemberLimits
from overlaycast.wire.messages import (
    Address,
    Assign,
    Begin,
    ChildReport,
    CoordinatorMessage,
    MemberMessage,
    NotReceiving,
    Ping,
    Pong,
    Report,
    Resume,
    Subscribe,
)
from overlaycast.wire.text import decode_from_coordinator, encode

KEY = bytes(range(32))


@dataclass
class Actor:
    """One member as the stage knows it: the newest order, and whether it answers."""

    id: int
    name: str
    role: str
    order: Assign | None = None
    epoch: int = 0
    parent: int | None = None
    next_seq: int = 0
    answers: bool = True
    heard: list[CoordinatorMessage] = field(default_factory=list)


class Scene:
    """An overlay with its members. Every order that it sends passes the wire's text, as it would a socket."""

    def __init__(self, **settings: Any) -> None:
        self.settings = GroupSettings(**settings)
        self.overlay = Overlay(self.settings, KEY)
        self.now = 100.0
        self.actors: dict[int, Actor] = {}
        self.sent: list[tuple[int, CoordinatorMessage]] = []
        self.events: list[Event] = []

    # --- members ---------------------------------------------------------------------------------------------

    def join(
        self,
        name: str,
        path: Iterable[str | None] = (),
        role: str = "peer",
        rtt_ms: float | None = 10.0,
        rate_mbit: float | None = 100.0,
        reachable: bool = True,
        hops_ms: tuple[float | None, ...] = (),
        measure: bool = True,
        host: str | None = None,
        dials: bool = True,
        behind: str | None = None,
        data_version: int | None = None,
        **limits: Any,
    ) -> Actor:
        """Subscribe a member and, unless told otherwise, measure it. ``behind``: this address translates for it."""
        number = len(self.actors) + 1
        own = Address(host=host or f"10.{number >> 8}.{number & 255}.2", port=8471)
        request = Subscribe(
            version=2,
            group="g",
            token="t",
            name=name,
            role="source" if role == "standby" else role,
            standby=True if role == "standby" else None,
            addresses=(Address(host=behind, port=8471) if behind else own,),
            limits=MemberLimits(**limits),
            reachable=reachable and behind is None,
            dials=dials,
            local=own,
            seen=behind or own.host,
            data_version=data_version,
        )
        actor = Actor(self.overlay.join(request, self.now), name, role)
        self.actors[actor.id] = actor
        if measure:
            self.measure(actor, path, rtt_ms, rate_mbit, hops_ms)
        return actor

    def measure(
        self,
        actor: Actor,
        path: Iterable[str | None],
        rtt_ms: float | None = 10.0,
        rate_mbit: float | None = 100.0,
        hops_ms: tuple[float | None, ...] = (),
    ) -> None:
        """Tell the overlay what was found out about a member."""
        self.overlay.measured(actor.id, Measurement(tuple(path), rtt_ms, rate_mbit, hops_ms), self.now)
        self.deliver()

    def locate(self, actor: Actor, path: Iterable[str | None], rtt_ms: float | None = 10.0) -> None:
        """Tell the overlay what is known of a member before its train of echoes has gone."""
        self.overlay.measured(actor.id, Measurement(tuple(path), rtt_ms, rated=False), self.now)
        self.deliver()

    def __getitem__(self, name: str) -> Actor:
        return next(actor for actor in reversed(self.actors.values()) if actor.name == name)

    # --- time and messages -------------------------------------------------------------------------------------

    def deliver(self, obey: bool = True) -> list[tuple[int, CoordinatorMessage]]:
        """Carry the overlay's messages to the members, and their answers back, until all is quiet."""
        everything = []
        while batch := self.overlay.messages_to_send():
            everything += batch
            self.sent += batch
            for member, message in batch:
                again = decode_from_coordinator(encode(message))
                actor = self.actors[member]
                actor.heard.append(again)
                if obey and actor.answers:
                    self._obey(actor, again)
        self.events += self.overlay.events()
        self.overlay.measurements_wanted()
        return everything

    def _obey(self, actor: Actor, message: CoordinatorMessage) -> None:
        if isinstance(message, Assign) and message.epoch >= actor.epoch:
            actor.order, actor.epoch = message, message.epoch
            actor.parent = message.parent.member if message.parent else None
            self.report(actor)
        elif isinstance(message, Ping):
            self.say(actor, Pong(nonce=message.nonce, next_seq=actor.next_seq, parent=actor.parent))
        elif isinstance(message, Begin):
            actor.next_seq = max(actor.next_seq, message.next_seq)

    def say(self, actor: Actor, message: MemberMessage) -> None:
        """Let a member say something, without delivering what follows."""
        self.overlay.receive(actor.id, message, self.now)

    def report(self, actor: Actor, mbit: float | None = None, state: str = "streaming", **more: Any) -> None:
        """Let a member report a second of the stream at its rate, or at another."""
        rate = self.settings.rate_mbit if mbit is None else mbit
        children = tuple(
            ChildReport(child=one.id, next_seq=one.next_seq) for one in self.actors.values() if one.parent == actor.id
        )
        fields: dict[str, Any] = {
            "epoch": actor.epoch,
            "parent": actor.parent,
            "state": state,
            "next_seq": actor.next_seq,
            "interval_ms": 1000,
            "bytes": int(rate * 125_000),
            "records": 1,
            "children": children,
        }
        self.say(actor, Report(**(fields | more)))

    def complain(self, actor: Actor, now_from: Actor | None = None, reason: str = "silence") -> None:
        """Let a member tell that its parent is silent, and where it went."""
        message = NotReceiving(
            epoch=actor.epoch,
            parent=actor.parent,
            next_seq=actor.next_seq,
            silent_ms=80,
            reason=reason,
            now_from=now_from.id if now_from else None,
        )
        if now_from is not None:
            actor.parent = now_from.id
        self.say(actor, message)

    def pass_time(self, seconds: float, reports: bool = True) -> None:
        """Let time pass in steps of at most a second; members that answer report once a step."""
        end = self.now + seconds
        while self.now < end:
            due = self.overlay.next_deadline()
            step = min(end, self.now + 1.0)
            self.now = max(self.now, min(step, due)) if due is not None and due < step else step
            self.overlay.tick(self.now)
            if reports and self.now == step:
                for actor in list(self.actors.values()):
                    if actor.answers:
                        actor.next_seq += 100
                        self.report(actor)
            self.deliver()

    def resume(self, actor: Actor) -> bool:
        """A member comes back to a coordinator that has restarted, and says who feeds it."""
        rank = actor.order.rank if actor.order else 0
        request = Subscribe(
            version=1,
            group="g",
            token="t",
            name=actor.name,
            role="source" if actor.role == "standby" else actor.role,
            standby=True if actor.role == "standby" else None,
            addresses=(Address(host=f"10.0.{actor.id}.2", port=8471),),
            resume=Resume(
                member=actor.id,
                secret="s" * 16,
                epoch=actor.epoch,
                rank=rank,
                parent=actor.parent,
                next_seq=actor.next_seq,
            ),
        )
        return self.overlay.resume(request, self.now)

    def kill(self, actor: Actor) -> None:
        """A member dies and its control link with it."""
        actor.answers = False
        self.overlay.disconnected(actor.id, self.now)
        self.deliver()

    # --- looking ---------------------------------------------------------------------------------------------------

    def parents(self) -> dict[str, str | None]:
        """Return the plan: each member's name and its parent's."""
        seats = {seat.id: seat for seat in self.overlay.tree().members}
        return {seat.name: seats[seat.parent].name if seat.parent in seats else None for seat in seats.values()}

    def children(self, name: str) -> list[str]:
        """Return the names of a member's children, by name."""
        return sorted(child for child, parent in self.parents().items() if parent == name)

    def kinds(self) -> list[str]:
        """Return the kinds of the events so far."""
        return [event.kind for event in self.events]


FIGURE_2A = {
    **{f"a{n}": ("srv", "core", "B", "A") for n in (1, 2, 3)},
    **{f"b{n}": ("srv", "core", "B", f"L{n}") for n in (1, 2, 3)},
    **{f"c{n}": ("srv", "core", "C") for n in (1, 2, 3)},
    **{f"d{n}": ("srv", "core", "D") for n in (1, 2, 3)},
    **{f"e{n}": ("srv", "core", "E") for n in (1, 2)},
}


def figure_2a(backup: bool = True, **settings: Any) -> Scene:
    """Return Figure 2A, all subscribed and measured: 14 clients in 4 sites, uplinks of 20 Mbit/s."""
    scene = Scene(**({"rate_mbit": 8.4, "default_out_degree": 3, "start_members": len(FIGURE_2A)} | settings))
    scene.join("source", ("srv",), "source", rtt_ms=0.2, rate_mbit=300)
    if backup:
        scene.join("backup", ("srv", "core"), "backup", rtt_ms=4.2, rate_mbit=90)
    for name, path in FIGURE_2A.items():
        scene.join(name, path, rtt_ms=14.5, rate_mbit=18)
    return scene


def after_a_death() -> tuple[Scene, str]:
    """Return Figure 2A when a head has died and its heir has gone to the backup server, and that heir's name."""
    scene = figure_2a()
    heir = min(scene.children("c1"), key=lambda name: scene[name].order.rank)  # type: ignore[union-attr]
    scene.kill(scene["c1"])
    scene.complain(scene[heir], scene["backup"], "reset")
    scene.deliver()
    return scene, heir


def inside(scene: Scene) -> Group:
    """Return the state that the overlay keeps to itself."""
    return scene.overlay._group


def restart(scene: Scene, after: float, *away: str) -> None:
    """Let the coordinator crash and come back so many seconds later with what it has stored; all members resume, but
    those that are away."""
    kept = json.loads(json.dumps(scene.overlay.snapshot()))
    scene.now += after
    scene.overlay = Overlay.restore(scene.settings, KEY, kept, scene.now)
    for actor in scene.actors.values():
        assert actor.name in away or scene.resume(actor)
    scene.deliver()


def record(scene: Scene, name: str) -> Member:
    """Return what the overlay knows of a member."""
    return inside(scene).members[scene[name].id]


def sound(group: Group) -> None:
    """Assert that the tree keeps its rules, and that routers count those members and copies that there are."""
    members = list(group.members.values())
    check(group.tree, iter(members))
    for router in group.routers.known.values():
        within = {one for one in members if one.router is not None and router in one.router.up()}
        assert router.count == sum(one.role == "peer" and one.measured for one in within)
        edges = [(one.parent in within, one in within) for one in members if one.parent is not None]
        assert router.outbound == edges.count((True, False))
        assert router.inbound == edges.count((False, True))


def locate(routers: Routers, measurement: Measurement, addresses: Sequence[tuple[str, int]]) -> Router:
    """Return the router of a member of which this was measured; nobody enters it."""
    fact = routers.fact(measurement, addresses)
    routers.learn(fact.hops, measurement.hops_ms)
    routers.refresh()
    return routers.find(fact, measurement.rtt_ms)[0]
