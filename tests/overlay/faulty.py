"""Members whose orders come late or never, and whose links break: a data plane in small, for rule machines.

Owns: what an agent does with an order whenever it arrives, by the rules of the data link: HELLO is refused unless the
parent's rank is lower; a rank only grows; a member whose rank grows drops children whose HELLO it overtakes.
Refuses: deciding places. A control link is worse than a real one where the test says so: single messages are lost,
doubled or overtake one another, both ways; links of different members know no order anyway.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from overlaycast.failover.rise import Rise
from overlaycast.overlay import Event, Measurement, Overlay
from overlaycast.overlay.plan.reach import linked
from overlaycast.overlay.state.members import Member, State
from overlaycast.overlay.state.tree import ancestors, check, depth, top
from overlaycast.wire.group import GroupSettings, MemberLimits
from overlaycast.wire.messages import (
    Accept,
    Address,
    Assign,
    CoordinatorMessage,
    Leaving,
    NotReceiving,
    Ping,
    Pong,
    Released,
    Report,
    Resume,
    Revoke,
    Subscribe,
)


@dataclass(eq=False)
class Agent:
    """One agent: what it was told, and its links."""

    id: int
    request: Subscribe
    alive: bool = True
    linked: bool = True
    frozen: bool = False
    mute: bool = False
    """It lives and receives, and feeds nobody."""
    hoarse: bool = False
    """What it says stays under way (``voice``) until the test lets it be heard."""
    leaving: bool = False
    gone: bool = False
    rank: int = 0
    epoch: int = 0
    order: Assign | None = None
    feeder: int | None = None
    links: dict[int, int] = field(default_factory=dict)
    """Parents and standbys that let it in, with the rank that it said."""
    grants: dict[int, int] = field(default_factory=dict)
    """Announced children, each with the epoch of the announcement."""
    calls: set[int] = field(default_factory=set)
    """Children that it was told to call."""
    rise: Rise = field(default_factory=Rise)
    shy: bool = False
    """What it says of a rank that has grown stays under way until the test lets it through."""
    inbox: deque[CoordinatorMessage] = field(default_factory=deque)
    voice: deque[Any] = field(default_factory=deque)
    ranks: list[int] = field(default_factory=list)

    @property
    def runs(self) -> bool:
        return self.alive and not self.frozen


class Faulty:
    """An overlay, its agents, and an adversary who chooses what arrives when."""

    def __init__(self, **settings: Any) -> None:
        self.settings = GroupSettings(**settings)
        self.overlay = Overlay(self.settings, bytes(32))
        self.now = 0.0
        self.agents: dict[int, Agent] = {}
        self.broken: set[tuple[int, int]] = set()
        """(child, parent): the way between these two carries nothing."""
        self.walls: set[tuple[int, int]] = set()
        """The same, and no test heals it: nobody told the coordinator of a firewall in between."""
        self.events: list[Event] = []
        self.names = 0

    @property
    def group(self) -> Any:
        return self.overlay._group

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
        agent = Agent(self.overlay.join(request, self.now), request)
        self.agents[agent.id] = agent
        self.collect()
        path = ("srv",) if role == "source" else ("srv", "core", *(() if role == "backup" else (f"site{site}",)))
        self.overlay.measured(agent.id, Measurement(path, 10.0 + site, 100.0), self.now)
        self.collect()
        return agent

    def crash(self, agent: Agent) -> None:
        agent.alive = False
        self._hang_up(agent)
        self.drop_link(agent)

    def drop_link(self, agent: Agent) -> None:
        if agent.linked:
            agent.linked = False
            agent.inbox.clear()
            agent.voice.clear()
            self.overlay.disconnected(agent.id, self.now)
            self.collect()

    def return_link(self, agent: Agent) -> None:
        if agent.linked or not agent.runs or agent.gone:
            return
        resume = Resume(
            member=agent.id,
            secret="s" * 16,
            epoch=agent.epoch,
            rank=agent.rank,
            parent=agent.feeder,
            next_seq=0,
        )
        agent.linked = True
        if not self.overlay.resume(agent.request.model_copy(update={"resume": resume}), self.now):
            # forgotten: the real shell lets it join anew; here that is another member's story
            agent.alive = False
            agent.linked = False
            self._hang_up(agent)
        self.collect()

    def _hang_up(self, agent: Agent) -> None:
        for other in self.agents.values():
            other.links.pop(agent.id, None)

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
            self._obey(agent, agent.inbox.popleft())

    def _obey(self, agent: Agent, message: CoordinatorMessage) -> None:
        if isinstance(message, Assign) and message.epoch >= agent.epoch:
            agent.rise.offer(message, self.now)
            self._rise(agent)
        elif isinstance(message, Accept):
            agent.grants[message.child] = max(message.epoch, agent.grants.get(message.child, 0))
            (agent.calls.add if message.addresses else agent.calls.discard)(message.child)
        elif isinstance(message, Revoke):
            if agent.grants.get(message.child, message.epoch) <= message.epoch:
                agent.grants.pop(message.child, None)
                agent.calls.discard(message.child)
                self.agents[message.child].links.pop(agent.id, None)
        elif isinstance(message, Ping):
            self.say(agent, Pong(nonce=message.nonce, next_seq=0, parent=agent.feeder))
        elif isinstance(message, Released):
            agent.gone = True
            self.crash(agent)

    def _rise(self, agent: Agent) -> None:
        """Obey an order as soon as its rank overtakes no child, or as it has waited long enough."""
        children = [other.links[agent.id] for other in self.agents.values() if agent.id in other.links]
        order = agent.rise.ready(children, self.now) if agent.runs else None
        if order is None:
            return
        agent.ranks.append(order.rank)
        agent.epoch, agent.order, agent.rank = order.epoch, order, order.rank
        for other in self.agents.values():
            if other.links.get(agent.id, order.rank + 1) <= order.rank:
                del other.links[agent.id]
        self.connect(agent)

    def say_rank(self, agent: Agent) -> None:
        """HELLO again on every link that stands: the rank has grown."""
        for parent, said in list(agent.links.items()):
            agent.links[parent] = agent.rank
            if said < agent.rank:
                self._rise(self.agents[parent])

    def connect(self, agent: Agent) -> None:
        """Have links to parent and standbys."""
        if agent.order is None or not agent.runs:
            return
        wanted = [peer.member for peer in (agent.order.parent, *agent.order.standbys) if peer is not None]
        for member in wanted:
            self._link(agent, member)
        parent = agent.order.parent.member if agent.order.parent else None
        if parent is not None and self._feeds(agent, parent):
            agent.feeder = parent
        for member in list(agent.links):
            if member not in wanted and member != agent.feeder:
                del agent.links[member]
                self._rise(self.agents[member])
        if not agent.shy:
            self.say_rank(agent)

    def opens(self, one: Agent, other: Agent) -> bool:
        """What the network allows, whatever the overlay believes."""
        inside, outside = one.request, other.request
        same = inside.seen == outside.seen != ""
        return inside.dials and (outside.reachable or same)

    def _link(self, agent: Agent, member: int) -> bool:
        """Dial, or be called, whatever the orders say; whoever accepts becomes a link."""
        other = self.agents[member]
        assert agent.order is not None
        named = (agent.order.parent, *agent.order.standbys, *agent.order.fallbacks)
        told = any(peer.addresses for peer in named if peer is not None and peer.member == member)
        if (
            member not in agent.links
            and other.runs
            and (self.opens(agent, other) if told else agent.id in other.calls and self.opens(other, agent))
            and self.passable(agent.id, member)
            and agent.id in other.grants
            and agent.rank > other.rank
        ):
            agent.links[member] = agent.rank
        return member in agent.links

    def _feeds(self, agent: Agent, member: int) -> bool:
        other = self.agents[member]
        return member in agent.links and other.runs and not other.mute and self.passable(agent.id, member)

    def passable(self, child: int, parent: int) -> bool:
        return (child, parent) not in self.broken and (child, parent) not in self.walls

    # --- what agents do by themselves ---------------------------------------------------------------------------

    def starved(self, agent: Agent) -> bool:
        """Its own link is dead; a parent that is starved itself says so and is not left."""
        return agent.feeder is None or not self._feeds(agent, agent.feeder)

    def look_around(self, agent: Agent) -> None:
        """Fig. 8, local part: a member without data asks its standbys, then the predefined list, and tells."""
        if agent.order is None or not agent.runs or agent.request.role == "source" or not self.starved(agent):
            return
        was = agent.feeder
        for peer in (
            *agent.order.standbys,
            *((agent.order.parent,) if agent.order.parent else ()),
            *agent.order.fallbacks,
        ):
            if self._link(agent, peer.member) and self._feeds(agent, peer.member):
                agent.feeder = peer.member
                break
        now_from = agent.feeder if not self.starved(agent) else None
        self.say(
            agent,
            NotReceiving(
                epoch=agent.epoch,
                parent=was if was is not None else (agent.order.parent.member if agent.order.parent else None),
                next_seq=0,
                silent_ms=80,
                reason="silence",
                now_from=now_from,
            ),
        )

    def slander(self, agent: Agent) -> None:
        """Say that the parent brings forged data; it may be true."""
        if agent.order is not None and agent.order.parent is not None:
            parent = agent.order.parent.member
            self.say(agent, NotReceiving(epoch=agent.epoch, parent=parent, next_seq=0, silent_ms=0, reason="damaged"))

    def report(self, agent: Agent, mbit: float | None = None) -> None:
        rate = self.settings.rate_mbit if mbit is None else mbit
        flows = agent.request.role == "source" or not self.starved(agent)
        self.say(
            agent,
            Report(
                epoch=agent.epoch,
                parent=agent.feeder,
                state="streaming" if flows else "stalled" if agent.order else "waiting",
                next_seq=0,
                interval_ms=1000,
                bytes=int(rate * 125_000) if flows else 0,
                records=1,
            ),
        )

    def say(self, agent: Agent, message: Any) -> None:
        if agent.linked and agent.runs:
            agent.voice.append(message)
            if not agent.hoarse:
                self.hear(agent)

    def hear(self, agent: Agent, count: int = 1 << 30) -> None:
        """Let the coordinator hear some of what an agent has said."""
        while agent.voice and count and agent.linked:
            count -= 1
            self.overlay.receive(agent.id, agent.voice.popleft(), self.now)
            self.collect()

    def leave(self, agent: Agent) -> None:
        agent.leaving = True
        self.say(agent, Leaving())

    def pass_time(self, seconds: float) -> None:
        """Time passes; nobody reads or says anything."""
        end = self.now + seconds
        while (due := self.overlay.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.overlay.tick(self.now)
            self.collect()
        self.now = end
        for agent in list(self.agents.values()):
            self._rise(agent)

    def second(self) -> None:
        """A second in which everything works."""
        self.exchange()
        self.pass_time(1.0)

    def exchange(self) -> None:
        """Orders arrive, members look around and report."""
        for agent in list(self.agents.values()):
            self.deliver(agent)
        for agent in list(self.agents.values()):
            self.connect(agent)
            self.look_around(agent)
            self.report(agent)
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
        """However orders arrive: who feeds whom has no cycle, and ranks only grow."""
        for agent in self.agents.values():
            seen: set[int] = set()
            one: Agent | None = agent
            while one is not None and one.feeder is not None and one.feeder in one.links:
                assert one.id not in seen, f"cycle through {sorted(seen)}"
                seen.add(one.id)
                one = self.agents[one.feeder]
            assert agent.ranks == sorted(agent.ranks)

    def note_stray(self) -> list[int]:
        """Return the members that are not fed by whom the plan says."""
        members = self.group.members
        planned = {one.id: one.parent.id if one.parent else None for one in members.values()}
        live = [agent for agent in self.agents.values() if agent.runs and agent.request.role != "source"]
        return [agent.id for agent in live if agent.id in members and agent.feeder != planned[agent.id]]

    def unfed(self) -> list[int]:
        """Return the live members that no chain of working links joins to a live source, though there is one."""
        found = []
        for agent in self.agents.values():
            one: Agent | None = agent
            while one is not None and one.request.role != "source":
                one = None if self.starved(one) or not one.runs else self.agents[one.feeder or 0]
            if agent.runs and not agent.leaving and (one is None or not one.runs):
                found.append(agent.id)
        return found

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
            and self.passable(agent.id, other.id)
            and (self.opens(agent, self.agents[other.id]) or self.opens(self.agents[other.id], agent))
            and other.id not in self.unfed()
            for other in group.members.values()
        )

    def plan_depth(self) -> int:
        return max((depth(member) for member in self.group.members.values()), default=0)

    def below(self, member: Member, top: Member) -> bool:
        return top in ancestors(member)
