"""Rule machine: join, leave, drain, crash, freeze, fall mute, break links, lie about rates, restart the coordinator;
other settings; orders and words that are late, lost, doubled or overtake one another; walls that nobody knows of.

After every step: the plan's invariants, no cycle among real feeds, a deadline armed. Once faults cease every live
member is fed within a bounded time, by whom the plan says and by nobody beyond its degree, if anybody has room for it.

Every push plays some dozens of games, ``slow`` hundreds of longer ones.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from overlaycast.overlay import Overlay
from overlaycast.overlay.plan.reach import linked
from overlaycast.overlay.state.tree import depth, top
from overlaycast.wire.frames import SEQ_LIMIT
from tests.overlay.faulty import LOOK_S, Agent, Faulty

BOUND_S = 60
WALLS = 2
SETTLE_S = 15
MOVE_S = 2
_RANKS = st.integers(0, (1 << 63) - 1) | st.integers(0, 23).map(lambda bits: 1 << (40 + bits - (bits == 23)))
_NUMBERS = st.integers(0, SEQ_LIMIT - 1)


class Group(RuleBasedStateMachine):
    """One group under an adversary."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Faulty()

    @initialize(
        degree=st.integers(1, 4),
        backups=st.integers(0, 2),
        peers=st.integers(0, 8),
        at_once=st.booleans(),
        strategy=st.sampled_from(["location", "performance", "both"]),
        depth_limit=st.sampled_from([3, 10]),
    )
    def begin(self, degree: int, backups: int, peers: int, at_once: bool, strategy: str, depth_limit: int) -> None:
        self.world = Faulty(
            default_out_degree=degree,
            source_out_degree=4,
            start_members=peers if at_once else 0,
            strategy=strategy,
            depth_limit=depth_limit,
        )
        self.world.join(0, "source")
        for _ in range(backups):
            self.world.join(0, "backup", degree=4)
        for number in range(peers):
            self.world.join(1 + number % 3)

    def _pick(self, which: int, alive: bool = True) -> Agent | None:
        peers = [
            agent for agent in self.world.agents.values() if agent.request.role != "source" and agent.alive == alive
        ]
        return peers[which % len(peers)] if peers else None

    @rule(
        site=st.integers(1, 4),
        degree=st.sampled_from([None, 0, 1, 3]),
        reachable=st.booleans(),
        dials=st.sampled_from([True, True, True, False]),
        translated=st.booleans(),
    )
    def join(self, site: int, degree: int | None, reachable: bool, dials: bool, translated: bool) -> None:
        if len(self.world.agents) < 25:
            self.world.join(site, degree=degree, reachable=reachable, dials=dials, translated=translated)

    @rule(site=st.integers(1, 4), role=st.sampled_from(["relay", "backup"]))
    def plant(self, site: int, role: str) -> None:
        if len(self.world.agents) < 25:
            self.world.join(site, role, degree=3)

    @rule(which=st.integers(0, 100))
    def crash(self, which: int) -> None:
        if agent := self._pick(which):
            self.world.crash(agent)

    @rule(which=st.integers(0, 100), frozen=st.booleans())
    def freeze(self, which: int, frozen: bool) -> None:
        if agent := self._pick(which):
            if frozen:
                agent.freeze()
            else:
                agent.thaw()

    @rule(which=st.integers(0, 100))
    def leave(self, which: int) -> None:
        if agent := self._pick(which):
            self.world.leave(agent)

    @rule(which=st.integers(0, 100), drained=st.booleans())
    def drain(self, which: int, drained: bool) -> None:
        if agent := self._pick(which):
            if drained:
                self.world.overlay.drain(agent.id, self.world.now, "a game")
            else:
                self.world.overlay.undo_drain(agent.id, self.world.now, "a game")
            self.world.collect()

    @rule(which=st.integers(0, 100))
    def lose_control_link(self, which: int) -> None:
        if agent := self._pick(which):
            self.world.drop_link(agent)

    @rule(which=st.integers(0, 100))
    def regain_control_link(self, which: int) -> None:
        if agent := self._pick(which):
            self.world.return_link(agent)

    @rule(which=st.integers(0, 100))
    def break_data_link(self, which: int) -> None:
        agent = self._pick(which)
        if agent and agent.parent is not None:
            self.world.break_path(agent.id, agent.parent)

    @rule(which=st.integers(0, 100), count=st.integers(1, 5))
    def deliver_some(self, which: int, count: int) -> None:
        if agent := self._pick(which):
            self.world.deliver(agent, count)

    @rule(which=st.integers(0, 100), how=st.sampled_from(["lost", "doubled", "overtaken"]), ours=st.booleans())
    def garble(self, which: int, how: str, ours: bool) -> None:
        if agent := self._pick(which):
            queue: deque[Any] = agent.inbox if ours else agent.voice
            if queue and how == "doubled":
                queue.append(queue[-1])
            elif queue:
                first = queue.popleft()
                if how == "overtaken":
                    queue.append(first)

    @rule(which=st.integers(0, 100), hoarse=st.booleans())
    def speak_late(self, which: int, hoarse: bool) -> None:
        if agent := self._pick(which):
            agent.hoarse = hoarse

    @rule(which=st.integers(0, 100), count=st.integers(1, 3))
    def hear_some(self, which: int, count: int) -> None:
        if agent := self._pick(which):
            self.world.hear(agent, count)

    @rule(which=st.integers(0, 100), mute=st.booleans())
    def fall_mute(self, which: int, mute: bool) -> None:
        if agent := self._pick(which):
            agent.silence(mute)

    @rule(which=st.integers(0, 100), shy=st.booleans())
    def say_ranks_late(self, which: int, shy: bool) -> None:
        if agent := self._pick(which):
            agent.uplink.shy = shy

    @rule(which=st.integers(0, 100))
    def say_a_rank(self, which: int) -> None:
        if (agent := self._pick(which)) and agent.runs:
            agent.uplink.risen(agent.rank)

    @rule(which=st.integers(0, 100))
    def slander(self, which: int) -> None:
        if agent := self._pick(which):
            self.world.slander(agent)

    @rule(which=st.integers(0, 100))
    def build_a_wall(self, which: int) -> None:
        agent, walls = self._pick(which), self.world.walls
        if agent and agent.order is not None and agent.order.parent is not None and len(walls) < WALLS:
            parent = agent.order.parent.member
            if parent not in {other for _, other in walls}:  # not every way from the source
                walls.add((agent.id, parent))
                self.world.break_path(agent.id, parent)

    @rule()
    def deliver_all(self) -> None:
        for agent in list(self.world.agents.values()):
            self.world.deliver(agent)

    @rule()
    def look_around(self) -> None:
        self.world.pass_time(LOOK_S)

    @rule(which=st.integers(0, 100), share=st.sampled_from([0.0, 0.5, 1.0]))
    def report(self, which: int, share: float) -> None:
        if agent := self._pick(which):
            self.world.report(agent, share * self.world.settings.rate_mbit)

    @rule(seconds=st.sampled_from([0.05, 0.5, 2.0, 8.0]))
    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule()
    def a_good_second(self) -> None:
        self.world.second()

    @rule()
    def restart_the_source(self) -> None:
        source = next(a for a in reversed(self.world.agents.values()) if a.request.role == "source")
        self.world.crash(source)
        self.world.join(0, "source")

    @rule(which=st.integers(0, 100), rank=_RANKS, next_seq=_NUMBERS)
    def come_back_with_a_lie(self, which: int, rank: int, next_seq: int) -> None:
        if agent := self._pick(which):
            self.world.drop_link(agent)
            self.world.lie(agent, rank, next_seq)

    @precondition(lambda self: self.world.group.start.started)
    @rule(liar=st.integers(0, 100), rank=_RANKS, next_seq=_NUMBERS)
    def restart_the_coordinator(self, liar: int, rank: int, next_seq: int) -> None:
        kept = json.loads(json.dumps(self.world.overlay.snapshot()))
        before = self._seats()
        self.world.overlay = Overlay.restore(self.world.settings, bytes(32), kept, self.world.now)
        assert self._seats() == before
        for agent in list(self.world.agents.values()):
            agent.linked = False
        if one := self._pick(liar):
            self.world.lie(one, rank, next_seq)
        for agent in list(self.world.agents.values()):
            self.world.return_link(agent)

    @rule(
        degrees=st.tuples(st.integers(1, 4), st.integers(1, 4)),
        depth_limit=st.sampled_from([3, 10]),
        improve_s=st.sampled_from([0, 3, 10]),
        start_members=st.integers(0, 8),
        lost_after_s=st.sampled_from([3, 5]),
    )
    def change_settings(
        self, degrees: tuple[int, int], depth_limit: int, improve_s: int, start_members: int, lost_after_s: int
    ) -> None:
        wanted = self.world.settings.model_copy(
            update={
                "source_out_degree": degrees[0],
                "default_out_degree": degrees[1],
                "depth_limit": depth_limit,
                "improve_s": improve_s,
                "start_members": start_members,
                "lost_after_s": lost_after_s,
            }
        )
        if not self.world.overlay.objections(wanted):
            parents = {member.id: member.parent for member in self.world.group.members.values() if member.parent}
            self.world.settings = wanted
            self.world.overlay.retune(wanted, self.world.now)
            after = {member: self.world.group.members[member].parent for member in parents}
            assert after == parents, "somebody lost a parent by it"

    def _seats(self) -> list[dict[str, Any]]:
        """Return who is where; what is only seen of members starts afresh with the coordinator."""
        seen = {"state", "receive_mbit", "latency_ms", "lost"}
        return [seat.model_dump(exclude=seen) for seat in self.world.overlay.tree().members]

    @invariant()
    def the_plan_holds(self) -> None:
        self.world.check_plan()

    @invariant()
    def nobody_feeds_itself(self) -> None:
        self.world.check_feeds()

    @invariant()
    def a_deadline_is_armed(self) -> None:
        if self.world.agents:
            assert self.world.overlay.next_deadline() is not None

    def teardown(self) -> None:
        """Faults cease: every live member is fed in bounded time."""
        world = self.world
        if not world.agents:
            return
        world.heal_paths()
        for agent in list(world.agents.values()):
            agent.thaw()
            agent.silence(False)
            agent.hoarse = agent.uplink.shy = False
            agent.uplink.risen(agent.rank)
            world.hear(agent)
            world.return_link(agent)
        for _ in range(BOUND_S):
            world.second()
            world.check_plan()
            world.check_feeds()
        world.exchange()
        starving = [member for member in world.unfed() if member not in world.group.repair.waiting]
        assert not [one for one in starving if not world.walls or world.could_be_fed(one)], f"not fed after {BOUND_S} s"
        guests = {one for one in world.astray() if one not in world.group.repair.waiting}
        # an improvement may be on its way, or have run into a wall
        for _ in range(SETTLE_S if world.walls and guests else MOVE_S):
            world.second()
            guests &= set(world.astray())
        assert not [one for one in guests if not world.walls or world.could_be_fed(one)], "not where the plan has them"
        if world.group.repair.waiting:
            self._nobody_has_room()

    def _nobody_has_room(self) -> None:
        """Whoever waits does so because nobody of any rank could take it."""
        group = self.world.group
        for member_id in group.repair.waiting:
            member = group.members[member_id]
            for other in group.members.values():
                free = other.trusted and len(other.children) < other.degree and top(other) is group.source
                free = free and linked(other, member)
                deep = depth(other) + 1 + member.height > group.tree.depth_limit
                assert not free or deep, f"{member} waits, {other} has room"


class Long(Group):
    """The same, in longer games that are new each time."""


# the same games in every push, so that what fails is what was pushed; the slow ones go on looking
_always = settings(
    max_examples=150, stateful_step_count=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)
_long = settings(_always, max_examples=1500, stateful_step_count=60, derandomize=False)
Group.TestCase.settings = _always
Long.TestCase.settings = _long
TestGroup = Group.TestCase
TestLong = pytest.mark.slow(Long.TestCase)
