"""Members whose orders come late or never, and whose links break: what rule machines play with.

Owns: control links that are worse than real ones where the test says so: single messages are lost, doubled or overtake
one another, both ways; links of different members know no order anyway. Members are those of ``lab simulate``: what a
member does with an order whenever it arrives, and when its parent falls silent, is the agents' own failover machine.
Refuses: deciding places.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from overlaycast.lab.simulate import member as simulated
from overlaycast.lab.simulate.agenda import Agenda
from overlaycast.lab.simulate.hop import Network
from overlaycast.lab.simulate.node import Node
from overlaycast.lab.simulate.uplink import Uplink
from overlaycast.overlay import Event, Measurement, Overlay
from overlaycast.overlay.plan.reach import linked
from overlaycast.overlay.state.members import Member, State
from overlaycast.overlay.state.tree import ancestors, check, depth, top
from overlaycast.wire.group import GroupSettings, MemberLimits
from overlaycast.wire.messages import (
    Address,
    Assign,
    CoordinatorMessage,
    Distance,
    DistanceReply,
    DistanceRequest,
    Leaving,
    MemberMessage,
    NotReceiving,
    Report,
    Subscribe,
)

DELAY_S = 0.005
STEP_S = 0.02
"""The coordinator's timers may be so late."""
LOOK_S = 0.3
"""Long enough to notice a silence and to turn to the standby."""


class ShyUplink(Uplink):
    """Where it is ``shy``, what it says of a rank that has grown stays under way until the test lets it through."""

    shy = False

    def risen(self, rank: int) -> None:
        if not self.shy:
            super().risen(rank)


class Agent(simulated.Member):
    """One agent.

    Attributes:
        linked: its control link is there.
        hoarse: what it says stays under way (``voice``) until the test lets it be heard.
        inbox: what the coordinator has said and it has not read.
        ranks: all that it has had.
    """

    def __init__(self, world: Faulty, ident: int, request: Subscribe) -> None:
        super().__init__(world, ident, ident, request.role)
        self.uplink: ShyUplink = ShyUplink(self, world.network, world.settings, world.jitter)
        self.request = request
        self.linked = True
        self.hoarse = False
        self.inbox: deque[CoordinatorMessage] = deque()
        self.voice: deque[MemberMessage] = deque()
        self.ranks: list[int] = []

    @property
    def id(self) -> int:
        return self.ident

    @property
    def runs(self) -> bool:
        return self.alive and not self.frozen

    def _take_it(self, order: Assign) -> None:
        self.ranks.append(order.rank)
        super()._take_it(order)


class Faulty:
    """An overlay, its agents, and an adversary who chooses what arrives when."""

    def __init__(self, **settings: Any) -> None:
        self.settings = GroupSettings(**settings)
        self.overlay = Overlay(self.settings, bytes(32))
        self.network = Network(Agenda(), lambda one, other: DELAY_S, encode=True)
        self.network.dials = self._dials
        self.agents: dict[int, Agent] = {}
        self.walls: set[tuple[int, int]] = set()
        """Nothing passes between these two, and no test heals it: a firewall that the coordinator does not know of."""
        self.events: list[Event] = []
        self.names = 0

    @property
    def group(self) -> Any:
        return self.overlay._group

    @property
    def now(self) -> float:
        return self.network.agenda.now

    # --- what members see ---------------------------------------------------------------------------------------

    def node(self, ident: int) -> Node:
        return self.agents[ident]

    def jitter(self) -> float:
        return 0.5

    def count_hops(
        self, member: simulated.Member, request: DistanceRequest, say: Callable[[DistanceReply], None]
    ) -> None:
        """Say at once that all are as far as their ids differ, whatever their paths say."""
        hops = {one.member: abs(one.member - member.ident) for one in request.members}
        distances = tuple(Distance(member=other, hops=count, rtt_ms=2.0 * count) for other, count in hops.items())
        say(DistanceReply(nonce=request.nonce, distances=distances))

    def moved(self, member: Node, old: int | None, new: int | None) -> None:
        """Nobody counts."""

    def flows(self, member: Node, gap_s: float | None) -> None:
        """Nobody counts."""

    def skips(self, member: Node, to: int) -> None:
        """Nobody counts."""

    def tell(self, sender: simulated.Member, message: MemberMessage) -> None:
        agent = self.agents[sender.ident]
        if agent.linked and agent.runs:
            agent.voice.append(message)
            if not agent.hoarse:
                self.hear(agent)

    # --- coming and going ---------------------------------------------------------------------------------------

    def join(
        self,
        site: int,
        role: str = "peer",
        degree: int | None = None,
        reachable: bool = True,
        dials: bool = True,
        translated: bool = False,
    ) -> Agent:
        """``translated``: behind the site's NAT, where members reach one another."""
        self.names += 1
        address = Address(host=f"10.0.{site}.{self.names % 200 + 1}", port=8471)
        request = Subscribe(
            version=2,
            group="g",
            token="t",
            name=f"{role}{self.names}",
            role=role,
            addresses=(Address(host=f"192.0.2.{site}", port=8471) if translated else address,),
            limits=MemberLimits(out_degree=degree),
            reachable=reachable,
            dials=dials,
            local=address,
            seen=f"192.0.2.{site}" if translated else address.host,
        )
        agent = Agent(self, self.overlay.join(request, self.now), request)
        self.agents[agent.id] = agent
        self.collect()
        path = ("srv",) if role == "source" else ("srv", "core", *(() if role == "backup" else (f"site{site}",)))
        self.overlay.measured(agent.id, Measurement(path, 10.0 + site, 100.0), self.now)
        self.collect()
        return agent

    def crash(self, agent: Agent) -> None:
        agent.die("reset")
        self.drop_link(agent)

    def drop_link(self, agent: Agent) -> None:
        if agent.linked:
            agent.linked = False
            agent.inbox.clear()
            agent.voice.clear()
            self.overlay.disconnected(agent.id, self.now)
            self.collect()

    def return_link(self, agent: Agent) -> None:
        if agent.linked or not agent.runs:
            return
        agent.linked = True
        if not self.overlay.resume(agent.request.model_copy(update={"resume": agent.resume()}), self.now):
            # forgotten: the real driver lets it join anew; here that is another member's story
            agent.die("reset")
            agent.linked = False
        self.collect()

    def lie(self, agent: Agent, rank: int, next_seq: int) -> None:
        """A member that says whatever it likes of itself when it comes back."""
        if agent.linked or not agent.runs:
            return
        claim = agent.resume().model_copy(update={"rank": rank, "next_seq": next_seq})
        agent.linked = self.overlay.resume(agent.request.model_copy(update={"resume": claim}), self.now)
        if not agent.linked:
            agent.die("reset")
        self.collect()

    # --- orders -------------------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Put the overlay's messages in the inboxes of those who have a link."""
        for member, message in self.overlay.messages_to_send():
            agent = self.agents[member]
            if agent.linked:
                agent.inbox.append(message)
        self.events += self.overlay.events()
        self.overlay.measurements_wanted()

    def deliver(self, agent: Agent, count: int = 1 << 30) -> None:
        """Let an agent read some of its inbox."""
        while agent.inbox and count and agent.runs:
            count -= 1
            agent.receive(agent.inbox.popleft())
            if not agent.alive:
                self.drop_link(agent)

    def opens(self, one: Agent, other: Agent) -> bool:
        """What the network allows, whatever the overlay believes."""
        inside, outside = one.request, other.request
        same = inside.seen == outside.seen != ""
        return inside.dials and (outside.reachable or same)

    def _dials(self, one: int, other: int) -> bool:
        return self.opens(self.agents[one], self.agents[other])

    def break_path(self, one: int, other: int) -> None:
        """Let nothing pass between two members."""
        self.network.cuts.add((one, other))
        self.agents[one].path_changed()

    def heal_paths(self) -> None:
        """Let everything pass again, but through walls."""
        healed, self.network.cuts = self.network.cuts, set(self.walls)
        for one, _ in sorted(healed):
            self.agents[one].path_changed()

    def slander(self, agent: Agent) -> None:
        """Say that the parent brings forged data; it may be true."""
        if agent.order is not None and agent.order.parent is not None:
            parent = agent.order.parent.member
            self.tell(agent, NotReceiving(epoch=agent.epoch, parent=parent, next_seq=0, silent_ms=0, reason="damaged"))

    def report(self, agent: Agent, mbit: float) -> None:
        """Say that this rate comes, whatever does."""
        self.tell(
            agent,
            Report(
                epoch=agent.epoch,
                parent=agent.settled_parent,
                state="streaming" if agent.flowing else "stalled" if agent.order else "waiting",
                next_seq=agent.next_seq or 0,
                interval_ms=1000,
                bytes=int(mbit * 125_000) if agent.flowing else 0,
                records=1,
            ),
        )

    def hear(self, agent: Agent, count: int = 1 << 30) -> None:
        """Let the coordinator hear some of what an agent has said."""
        while agent.voice and count and agent.linked:
            count -= 1
            self.overlay.receive(agent.id, agent.voice.popleft(), self.now)
            self.collect()

    def leave(self, agent: Agent) -> None:
        agent.leaving = True
        self.tell(agent, Leaving())

    def pass_time(self, seconds: float) -> None:
        """Time passes; no order is read, and nobody reports."""
        end = self.now + seconds
        while self.now < end:
            self.network.agenda.run(min(end, self.now + STEP_S))
            due = self.overlay.next_deadline()
            if due is not None and due <= self.now:
                self.overlay.tick(self.now)
                self.collect()

    def second(self) -> None:
        """A second in which everything works."""
        for _ in range(4):
            self.exchange()
            self.pass_time(0.25)
        for agent in list(self.agents.values()):
            agent.report()

    def exchange(self) -> None:
        """Orders arrive."""
        for agent in list(self.agents.values()):
            self.deliver(agent)

    # --- what must hold -----------------------------------------------------------------------------------------

    def check_plan(self) -> None:
        """Every invariant of the plan, from scratch."""
        group = self.group
        members: list[Member] = list(group.members.values())
        check(group.tree, iter(members))
        for member in members:
            self._check_member(member)
        self._check_links(members)

    def _check_member(self, member: Member) -> None:
        group = self.group
        counted = sum(
            counts
            for ward in member.wards
            for one, counts in zip(ward.standbys, ward.counted, strict=True)
            if one is member
        )
        assert member.promised == counted, f"{member}: promised {member.promised}, counted {counted}"
        assert len(member.children) + member.promised <= member.degree, f"{member}: promised beyond its degree"
        for standby in member.standbys:
            assert member in standby.wards
            assert standby.rank < member.rank
            assert standby.alive
            assert linked(standby, member), f"{member}: no link to its standby"
        assert member.parent is None or linked(member.parent, member), f"{member}: no link to its parent"
        settled = (
            member.parent is not None
            or member.role == "source"
            or member.id in group.repair.waiting
            or member.leaving
            or member.done
            or member.state is State.SUSPECT
            or not group.start.started
            or not member.measured
        )
        assert settled, f"{member}: neither fed nor queued"

    def _check_links(self, members: list[Member]) -> None:
        """Copies per link, counted anew."""
        into: dict[int, int] = {}
        out: dict[int, int] = {}
        for member in members:
            if member.parent is None:
                continue
            outs, ins = self.group.routers.crossed(member.parent.router, member.router)
            for router in ins:
                into[router.order] = into.get(router.order, 0) + 1
            for router in outs:
                out[router.order] = out.get(router.order, 0) + 1
        for router in set(self.group.routers.known.values()):
            assert router.inbound == into.get(router.order, 0)
            assert router.outbound == out.get(router.order, 0)

    def check_feeds(self) -> None:
        """However orders arrive: who sends to whom has no cycle, and ranks only grow."""
        for agent in self.agents.values():
            seen: set[int] = set()
            one: Agent | None = agent
            while one is not None and one.alive:
                assert one.id not in seen, f"cycle through {sorted(seen)}"
                seen.add(one.id)
                one = self._sender(one)
            assert agent.ranks == sorted(agent.ranks)

    def _sender(self, agent: Agent) -> Agent | None:
        current = agent.uplink.machine.current
        hop = None if current is None else agent.uplink.hops.get(current.number)
        return self.agents[hop.parent.ident] if hop is not None and hop.wanted else None

    def astray(self) -> list[int]:
        """Return the members that are not fed by whom the plan says."""
        members = self.group.members
        planned = {one.id: one.parent.id if one.parent else None for one in members.values()}
        live = [agent for agent in self.agents.values() if agent.runs and agent.request.role != "source"]
        return [agent.id for agent in live if agent.id in members and agent.parent != planned[agent.id]]

    def unfed(self) -> list[int]:
        """Return the live members to which no records come."""
        return [agent.id for agent in self.agents.values() if agent.runs and not agent.leaving and not agent.flowing]

    def could_be_fed(self, member_id: int) -> bool:
        """Whether anybody who is fed has room for it as it is, and no wall in between."""
        group, agent = self.group, self.agents[member_id]
        member = group.members[member_id]
        return any(
            other.trusted
            and len(other.children) < other.degree
            and top(other) is group.source
            and member not in (other, *ancestors(other))
            and depth(other) + 1 + member.height <= group.tree.depth_limit
            and other.rank < member.rank
            and self.network.passable(agent.id, other.id)
            and (self.opens(agent, self.agents[other.id]) or self.opens(self.agents[other.id], agent))
            and other.id not in self.unfed()
            for other in group.members.values()
        )

    def plan_depth(self) -> int:
        return max((depth(member) for member in self.group.members.values()), default=0)

    def below(self, member: Member, top: Member) -> bool:
        return top in ancestors(member)
