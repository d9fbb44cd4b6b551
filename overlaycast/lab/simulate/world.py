"""The coordinator's real decisions among simulated members, in virtual time: its driver without the sockets.

Owns: which members are there, when messages arrive, and the count of what happens. Decides nothing: parents come from
``Overlay``, failovers from ``Member``. Same draw, same seed, same run.

For small groups every message and frame really goes through its wire form, both ways, so that nothing passes here that
could not pass a socket; above ``ENCODE_LIMIT`` members the objects themselves are handed over, which is only faster.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any, Final

from overlaycast.discovery.survey.route import Route
from overlaycast.lab.simulate.agenda import Agenda, Alarm
from overlaycast.lab.simulate.draw import Draw
from overlaycast.lab.simulate.hop import GROUP, Death, Network
from overlaycast.lab.simulate.member import Member
from overlaycast.lab.simulate.node import Node
from overlaycast.lab.simulate.tally import FOLLOW_S, Tally
from overlaycast.lab.simulate.tracing import Icmp, Tracing
from overlaycast.lab.simulate.trains import Trains
from overlaycast.overlay.overlay import Measurement, Overlay
from overlaycast.wire.frames import VERSION as DATA_VERSION
from overlaycast.wire.group import GroupSettings, MemberLimits
from overlaycast.wire.messages import (
    VERSION,
    Address,
    CoordinatorMessage,
    Distance,
    DistanceReply,
    DistanceRequest,
    MemberMessage,
    Part,
    Report,
    Subscribe,
)
from overlaycast.wire.text import decode_from_coordinator, decode_from_member, encode

ENCODE_LIMIT: Final = 500
TRACE_S: Final = 0.2  # a traceroute and an echo take this, and two round trips
SILENT_CONTROL_S: Final = 5.0  # the coordinator sees after this that a control link is dead that was not reset


class World:
    """One group on one draw.

    Attributes:
        data_version: of the data link that members speak which join from now on; None: as the first programs did.
    """

    def __init__(
        self, draw: Draw, settings: GroupSettings, seed: int, anonymous: float = 0.0, icmp: Icmp | None = None
    ) -> None:
        self.draw, self.settings = draw, settings
        self.agenda = Agenda()
        self.rng = random.Random(f"world {seed}")
        self._jitter = random.Random(f"jitter {seed}")
        self.overlay = Overlay(settings, hashlib.sha256(f"simulation {seed}".encode()).digest())
        self.members: dict[int, Member] = {}
        self.data_version: int | None = DATA_VERSION
        self.tally = Tally()
        self.begun_at: float | None = None
        self.subscribed_at = 0.0
        """When the last member subscribed, at first or after another one."""
        self._encode = len(draw.places) <= ENCODE_LIMIT
        self.network = Network(self.agenda, self._delay_s, self._encode)
        self._alarm = Alarm(self.agenda, self._tick)
        self._moved_at: dict[int, float] = {}
        self._asked_at: dict[int, float] = {}
        self._improved: dict[int, float] = {}
        self._mended: dict[int, tuple[float, float]] = {}
        self._names = 0
        hidden = random.Random(f"anonymous {seed}")
        self._hidden = {name for name in draw.net.names if hidden.random() < anonymous}
        self.tracing = None if icmp is None else Tracing(self.agenda, draw, icmp, self._hidden, self._traced)
        self._trains = Trains(self.agenda, draw, self._rated)
        self._routes: dict[int, Route] = {}
        self._echoes: set[int] = set()

    # --- what members see (``member.ControlLink``) -----------------------------------------------------------------

    @property
    def now(self) -> float:
        """Virtual time in seconds."""
        return self.agenda.now

    def after(self, delay_s: float, call: Any, *args: object) -> None:
        """Let something happen later."""
        self.agenda.after(delay_s, call, *args)

    def jitter(self) -> float:
        """Return a number in [0, 1)."""
        return self._jitter.random()

    def node(self, ident: int) -> Node:
        """Return a member, dead or alive."""
        return self.members[ident]

    def tell(self, sender: Member, message: MemberMessage) -> None:
        """Carry a message to the coordinator."""
        if isinstance(message, Report):
            self.tally.reports += 1
        elif message.kind == "not-receiving":
            self.tally.errors += 1
        if self._encode:
            message = decode_from_member(encode(message))
        self.agenda.after(self._control_s(sender), self._receive, sender, message)

    def count_hops(self, member: Member, request: DistanceRequest, say: Callable[[DistanceReply], None]) -> None:
        """Say how far others are, as soon as their answers are here."""
        found = [self.members[one.member] for one in request.members]
        distances = tuple(
            Distance(
                member=one.ident,
                hops=self.draw.routers_between(one.seat, member.seat),
                rtt_ms=2 * self.draw.delay_ms(one.seat, member.seat),
            )
            for one in found
            if one.alive
        )
        wait_s = max((one.rtt_ms for one in distances), default=0.0) / 1000
        self.after(wait_s, say, DistanceReply(nonce=request.nonce, distances=distances))

    def flows(self, member: Node, gap_s: float | None) -> None:
        """Take note that data comes, or comes again."""
        if gap_s is not None:
            self.tally.gaps.append(gap_s)
            self._mended[member.ident] = self.now, gap_s
        asked_at = self._asked_at.pop(member.ident, None)
        if asked_at is not None:
            self.tally.first_waits.append(self.now - asked_at)

    def skips(self, member: Node, to: int) -> None:
        """Take no note: a node counts what it loses."""

    def moved(self, member: Node, old: int | None, new: int | None) -> None:
        """Take note of a new parent."""
        if old is None or old == new:
            return
        tally = self.tally
        gap_s = self._gap_s(member)
        tally.moves += 1
        left = self.members[old]
        if not left.alive or left.leaving or gap_s >= self.settings.flag_s:
            tally.moves_needed += 1
            self._moved_at[member.ident] = self.now
        elif self._improved.pop(member.ident, -FOLLOW_S) + FOLLOW_S > self.now:
            tally.moves_improving += 1
        elif self.now - self._moved_at.get(member.ident, -FOLLOW_S) < FOLLOW_S:
            tally.moves_following += 1
        else:
            tally.moves_of_well += 1
            tally.well_moved.append({"at": round(self.now, 3), "member": member.ident, "from": old, "to": new})

    def _gap_s(self, member: Node) -> float:
        """Return how long a member is without data, or was until this moment: the new feeder's may be there already."""
        if member.cut_at is not None:
            return self.now - member.cut_at
        at, gap_s = self._mended.get(member.ident, (-1.0, 0.0))
        return gap_s if at == self.now else 0.0

    # --- members that come and go ------------------------------------------------------------------------------------

    def join(self, seat: int, role: Part = "peer", limits: MemberLimits | None = None) -> Member:
        """Let a host subscribe, now. Returns the member."""
        self._names += 1
        self.subscribed_at = self.now
        request = self.subscription(self._names, seat, role, limits or MemberLimits())
        ident = self.overlay.join(request, self.now)
        member = Member(self, ident, seat, role)
        self.members[ident] = member
        self.tally.joins += 1
        self._asked_at[ident] = self.now
        interval_s = self.settings.report_ms / 1000
        self.agenda.after(interval_s * (0.5 + self.rng.random()), self._report, member)
        self._pump()
        return member

    def subscription(self, number: int, seat: int, role: Part, limits: MemberLimits) -> Subscribe:
        """Return what the member of this number says first."""
        site = self.draw.sites[seat]
        host = f"10.{site >> 8 & 255}.{site & 255}.{number % 250 + 1}"
        return Subscribe(
            version=VERSION,
            group=GROUP,
            token="simulation",
            name=f"m{number}",
            role="source" if role == "standby" else role,
            standby=True if role == "standby" else None,
            addresses=(Address(host=host, port=8471),),
            limits=limits,
            data_version=self.data_version,
        )

    def crash(self, member: Member, death: Death) -> None:
        """Kill a member."""
        if not member.alive:
            return
        self.tally.crashes += 1
        self.tally.forwarder_crashes += bool(member.downlink.feeding)
        self._asked_at.pop(member.ident, None)
        member.die(death)
        self.agenda.after(SILENT_CONTROL_S if death == "silent" else self._control_s(member), self._gone, member)

    def leave(self, member: Member) -> None:
        """Let a member go properly."""
        if member.alive and not member.leaving:
            self.tally.leaves += 1
            self._asked_at.pop(member.ident, None)
            member.leave()

    def present(self) -> list[Member]:
        """Return the live members that do not go, in order of their ids; the source too."""
        return [member for member in self.members.values() if member.alive and not member.leaving]

    def unfed(self) -> list[Member]:
        """Return the live members without data that are to have some."""
        return [member for member in self.present() if not member.flowing and member.role != "standby"]

    def _delay_s(self, a: int, b: int) -> float:
        return self.draw.delay_ms(self.members[a].seat, self.members[b].seat) / 1000

    # --- the coordinator's driver ---------------------------------------------------------------------------------

    def _control_s(self, member: Member) -> float:
        return self.draw.control_ms(member.seat) / 1000

    def _receive(self, sender: Member, message: MemberMessage) -> None:
        self.overlay.receive(sender.ident, message, self.now)
        self._pump()

    def _gone(self, member: Member) -> None:
        self.overlay.disconnected(member.ident, self.now)
        self._pump()

    def _report(self, member: Member) -> None:
        if member.alive:
            member.report()
            self.agenda.after(self.settings.report_ms / 1000, self._report, member)

    def _traced(self, ident: int, route: Route) -> None:
        """Take a route that the survey has found; with the first one it waits for the echo."""
        member = self.members[ident]
        first = ident not in self._routes
        self._routes[ident] = route
        if first:
            self._echoes.add(ident)
            self.agenda.after(4 * self._control_s(member), self._measure, member)
        elif ident not in self._echoes:
            self._measured(member, Measurement(route.routers, None, None, route.hops_ms, True, rated=False))

    def _measure(self, member: Member) -> None:
        """Take what traces and small echoes tell; with traces in virtual time, the rate comes with a train."""
        self._echoes.discard(member.ident)
        route = self._routes.get(member.ident)
        rtt_ms = 2 * self.draw.control_ms(member.seat)
        if route is not None:
            self._measured(member, Measurement(route.routers, rtt_ms, None, route.hops_ms, True, rated=False))
            self._trains.want(member.ident, member.seat, route)
            return
        path, hops_ms = self._trace(member)
        self._measured(member, Measurement(path, rtt_ms, self.draw.bottleneck_mbit(member.seat), hops_ms, True))

    def _rated(self, ident: int, mbit: float | None) -> None:
        """Take what a member's train has shown; it is where its newest route says."""
        member, route = self.members[ident], self._routes.get(ident)
        if route is not None:
            self._measured(member, Measurement(route.routers, None, mbit, route.hops_ms, True))

    def _trace(self, member: Member) -> tuple[tuple[str | None, ...], tuple[float | None, ...]]:
        """Return all that can be known of the way to a member."""
        trace = self.draw.trace(member.seat)
        return (
            tuple(None if name in self._hidden else name for name, _ in trace),
            tuple(None if name in self._hidden else ms for name, ms in trace),
        )

    def _measured(self, member: Member, found: Measurement) -> None:
        if member.alive:
            self.overlay.measured(member.ident, found, self.now)
            self._pump()

    def _pump(self) -> None:
        """Carry out what the core wants: measurements, messages, a timer."""
        for event in self.overlay.events():
            self.tally.events[event.kind] += 1
            if event.kind == "improved" and event.member is not None:
                self._improved[event.member] = self.now
        self.overlay.forgotten()  # nobody is refused here, so places are not counted
        for ident in self.overlay.measurements_wanted():
            member = self.members.get(ident)
            if member is not None and self.tracing is not None:
                self._routes.pop(ident, None)
                self.tracing.seek(ident, member.seat)
            elif member is not None:
                self.agenda.after(TRACE_S + 4 * self._control_s(member), self._measure, member)
        for ident, message in self.overlay.messages_to_send():
            self._send(ident, message)
        self._alarm.set(self.overlay.next_deadline())

    def _tick(self) -> None:
        self.overlay.tick(self.now)
        self._pump()

    def _send(self, ident: int, message: CoordinatorMessage) -> None:
        member = self.members[ident]
        self.tally.orders[message.kind] += 1
        if self._encode:
            message = decode_from_coordinator(encode(message))
        if message.kind == "begin":
            self.begun_at = self.now
        self.agenda.after(self._control_s(member), member.receive, message)

    def settle(self) -> Tally:
        """Return the counts so far, and begin to count anew. Who is without data now counts as a gap until now."""
        tally, self.tally = self.tally, Tally()
        tally.gaps += [self.now - member.cut_at for member in self.unfed() if member.cut_at is not None]
        return tally

    def tree(self) -> tuple[Draw, list[int | None], int]:
        """Return the tree as the members see it now.

        Returns:
            A draw of those present whose chain of parents ends at the source; each host's parent; and how many
            others there are, without a feed.
        """
        present = {member.ident: member for member in self.present()}
        fed = [member for member in present.values() if member.latency_ms() is not None]
        fed.sort(key=lambda member: member.role != "source")
        number = {member.ident: index for index, member in enumerate(fed)}
        parents = [None if member.role == "source" else number[member.parent or 0] for member in fed]
        backups = frozenset(number[member.ident] for member in fed if member.role == "backup")
        return self.draw.seated([member.seat for member in fed], backups), parents, len(present) - len(fed)
