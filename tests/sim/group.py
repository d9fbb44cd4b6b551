"""A whole group in memory: the real overlay and failover machine, real messages and frames, and what befalls them.

Owns: the control links, which may be down, and the coordinator, which may be away; the network's cuts and losses; and
what must hold of the group as it is. Time is virtual and chance comes from one seed: the same script gives the same
run. What is played, see ``script``.
"""

from __future__ import annotations

import json
import random
from functools import cache
from itertools import product
from typing import Final

from overlaycast.failover.outage import AGAIN_PATIENCE, LOSS_PATIENCE
from overlaycast.lab.simulate.draw import Draw, on_topology
from overlaycast.lab.simulate.hop import RECORDS_PER_S, Death
from overlaycast.lab.simulate.member import Member
from overlaycast.lab.simulate.node import RING_S, Node
from overlaycast.lab.simulate.world import World
from overlaycast.lab.topology.loading import load_topology
from overlaycast.overlay import Overlay
from overlaycast.wire.group import GroupSettings, MemberLimits
from overlaycast.wire.messages import CoordinatorMessage, MemberMessage, Part, Resume
from tests.lab.made_up import ROOT

STEP_S: Final = 0.02
RETRANSMISSION_S: Final = 0.2
"""TCP sends again what was lost after this; until then nothing else is read."""
RECONNECT_S: Final = 0.5
"""Members try so often to reach a coordinator that is away."""
HEAD: Final = 0
"""The source's site."""
SLACK_S: Final = 0.1
"""A member that is fed may be so far behind the delay of its path."""
MOVED_ON_S: Final = SLACK_S + LOSS_PATIENCE
"""What a parent holds moves on, from when it was asked until the loss is taken. With one that is stalled it stays."""
BACK_S: Final = SLACK_S + AGAIN_PATIENCE
"""A parent whose path has come back less than this ago was dialled, and could not answer in the time that it had."""


@cache
def six_sites() -> Draw:
    """Six sites of eight seats behind uplinks of 5 ms, and the source's."""
    return on_topology(load_topology(ROOT / "topologies" / "six_sites.py"), seed=1)


class Group(World):
    """One group."""

    def __init__(self, seed: int, settings: GroupSettings | None = None) -> None:
        super().__init__(six_sites(), settings or GroupSettings(), seed)
        self.seed = seed
        self.chance = random.Random(f"network {seed}")
        self.loss = 0.0
        self.away = False
        self.unlinked: set[int] = set()
        self.switched: list[tuple[float, int, int, int | None]] = []
        """When which member changed from which parent to which."""
        self.longest_gap_s: dict[int, float] = {}
        self.needless: list[tuple[float, int, int, int]] = []
        """When which member gave up records, from which number to which, that a parent within its reach still had."""
        self._numbers: dict[int, int] = {}
        self._parts: dict[int, Part] = {}
        self._joined = 0
        self._healed_at: dict[tuple[int, int], float] = {}

    # --- the group as it is ----------------------------------------------------------------------------------------

    @property
    def source(self) -> Member:
        """The live source, or the one that was last."""
        sources = [member for member in self.members.values() if member.role == "source"]
        return next((one for one in reversed(sources) if one.alive and not one.leaving), sources[-1])

    def seats_of(self, site: int) -> list[int]:
        """Return the seats at a site; 0 is the source's."""
        return [seat for seat, at in enumerate(self.draw.sites) if at == site]

    def site(self, member: Member) -> int:
        """Return the member's site."""
        return self.draw.sites[member.seat]

    def children(self, member: Member) -> list[Member]:
        """Return the present members that a member feeds."""
        return [other for other in self.present() if other.parent == member.ident and other.role != "source"]

    def forwarder(self, most: bool = True) -> Member:
        """Return the present member, not the source, that feeds most others (or, but for leaves, fewest)."""
        feeding = [one for one in self.present() if one.role == "peer" and self.children(one)]
        return (max if most else min)(feeding, key=lambda one: (len(self.children(one)), -one.ident))

    def branch(self, member: Member) -> set[int]:
        """Return the ids of all members below a member."""
        below = {child.ident for child in self.children(member)}
        return below.union(*(self.branch(self.members[child]) for child in below))

    def movers(self, since: float) -> set[int]:
        """Return who has another parent now than then."""
        first: dict[int, int] = {}
        for at, ident, old, _ in self.switched:
            if at > since:
                first.setdefault(ident, old)
        return {ident for ident, old in first.items() if self.members[ident].parent != old}

    # --- what members see ------------------------------------------------------------------------------------------

    def moved(self, member: Node, old: int | None, new: int | None) -> None:
        """Keep who moves."""
        super().moved(member, old, new)
        if old is not None and old != new:
            self.switched.append((self.now, member.ident, old, new))

    def flows(self, member: Node, gap_s: float | None) -> None:
        """Keep the longest gaps."""
        super().flows(member, gap_s)
        self.longest_gap_s[member.ident] = max(self.longest_gap_s.get(member.ident, 0.0), gap_s or 0.0)

    def skips(self, member: Node, to: int) -> None:
        """Keep what was given up although one of those whom the newest order names had it, and could be reached."""
        super().skips(member, to)
        first = int(member.position())
        order = member.uplink.machine.order
        named = (*order.standbys, *order.fallbacks, *([order.parent] if order.parent else [])) if order else ()
        for peer in named:
            other = self.members[peer.member]
            has = max(first, other.oldest, other.whole_from)
            slack_s = SLACK_S if other.flowing else MOVED_ON_S
            if has + slack_s * RECORDS_PER_S < min(to, other.position()) and self._can_give(other, member):
                self.needless.append((self.now, member.ident, first, to))

    def _can_give(self, parent: Member, child: Node) -> bool:
        well = parent.alive and not parent.frozen and not parent.mute
        pairs = ((child.ident, parent.ident), (parent.ident, child.ident))
        back_at = max(self._healed_at.get(pair, -BACK_S) for pair in pairs)
        return well and self.network.passable(child.ident, parent.ident) and self.now > back_at + BACK_S

    # --- control links ---------------------------------------------------------------------------------------------

    def tell(self, sender: Member, message: MemberMessage) -> None:
        """What a member says on a link that is down is not kept."""
        if not self.away and sender.ident not in self.unlinked:
            super().tell(sender, message)

    def _send(self, ident: int, message: CoordinatorMessage) -> None:
        if ident in self.unlinked:
            return
        super()._send(ident, message)
        if message.kind == "released":  # it goes, and its control link with it
            member = self.members[ident]
            self.agenda.after(2 * self._control_s(member), self._gone, member)

    def _pump(self) -> None:
        if not self.away:
            super()._pump()

    def _tick(self) -> None:
        if not self.away:
            super()._tick()

    def _gone(self, member: Member) -> None:
        if not self.away and member.ident not in self.unlinked:
            super()._gone(member)

    def join(self, seat: int, role: Part = "peer", limits: MemberLimits | None = None) -> Member:
        """Let a host subscribe."""
        member = super().join(seat, role, limits)
        self._joined += 1
        self._numbers[member.ident] = self._joined
        self._parts[member.ident] = role
        return member

    def unlink(self, member: Member) -> None:
        """Break a member's control link; the coordinator sees it."""
        if member.ident not in self.unlinked:
            self.unlinked.add(member.ident)
            if not self.away:
                self.overlay.disconnected(member.ident, self.now)
                self._pump()

    def relink(self, member: Member) -> None:
        """Let a member come back to the coordinator, as soon as it runs."""
        if not member.alive:
            return
        if member.frozen or self.away:
            self.agenda.after(RECONNECT_S, self.relink, member)
            return
        self.unlinked.discard(member.ident)
        part = self._parts[member.ident]  # what it was started as
        request = self.subscription(self._numbers[member.ident], member.seat, part, MemberLimits())
        resume: Resume = member.resume()
        if not self.overlay.resume(request.model_copy(update={"resume": resume}), self.now):
            member.die("reset")  # forgotten: it starts again
            if part != "source" or not self.overlay.has_source():  # a second one is refused
                self.join(member.seat, part)
        self._pump()

    def lose_coordinator(self) -> None:
        """The coordinator's process is gone; what it has stored stays."""
        self.away = True
        self.unlinked.update(self.members)

    def return_coordinator(self) -> None:
        """It starts again from what it has stored, and members come back one by one."""
        stored = json.loads(json.dumps(self.overlay.snapshot()))
        self.overlay = Overlay.restore(self.settings, bytes(32), stored, self.now)
        self.away = False
        self._alarm.cancel()
        for member in self.members.values():
            self.agenda.after(RECONNECT_S * self.chance.random(), self.relink, member)
        self._pump()

    # --- the network -----------------------------------------------------------------------------------------------

    def cut(self, one: int, other: int) -> None:
        """Let nothing pass between two members."""
        self.network.cuts.add((one, other))
        self.members[one].path_changed()

    def heal(self, one: int, other: int) -> None:
        """Let everything pass again."""
        self.network.cuts.discard((one, other))
        self._healed_at[one, other] = self.now
        self.members[one].path_changed()

    def _across(self, site: int) -> list[tuple[Member, Member]]:
        inside = [member for member in self.members.values() if self.site(member) == site]
        outside = [member for member in self.members.values() if self.site(member) != site]
        return list(product(inside, outside))

    def isolate(self, site: int) -> None:
        """A site's uplink carries nothing."""
        for one, other in self._across(site):
            self.cut(one.ident, other.ident)
        for member in self.present():
            if self.site(member) == site:
                self.unlink(member)

    def rejoin(self, site: int) -> None:
        """It carries everything again."""
        for one, other in self._across(site):
            self.heal(one.ident, other.ident)
        for member in self.present():
            if self.site(member) == site:
                self.agenda.after(RECONNECT_S * self.chance.random(), self.relink, member)

    def lose(self, share: float) -> None:
        """From now on so much of what is sent between members is lost, and sent again."""
        self.loss = share
        if share:
            self.agenda.after(STEP_S, self._lose_some)

    def _lose_some(self) -> None:
        if not self.loss:
            return
        for member in self.present():
            for hop in list(member.uplink.hops.values()):
                pair = (member.ident, hop.parent.ident)
                if self.chance.random() < self.loss and pair not in self.network.cuts:
                    self.cut(*pair)
                    self.agenda.after(RETRANSMISSION_S, self.heal, *pair)
        self.agenda.after(RETRANSMISSION_S, self._lose_some)

    def restart_source(self) -> None:
        """The source's process dies and starts again at once."""
        source = self.source
        self.crash(source, "reset")
        self.join(source.seat, "source")

    def crash(self, member: Member, death: Death) -> None:
        """Kill a member; a frozen one dies as well."""
        super().crash(member, death)
        self.unlinked.discard(member.ident)

    # --- what must hold --------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let time pass; nobody ever feeds itself."""
        ends_at = self.now + seconds
        while self.now < ends_at:
            self.agenda.run(min(ends_at, self.now + STEP_S))
            self.check_no_cycle()

    def run_until_fed(self, at_most_s: float) -> float:
        """Let time pass until everybody is fed; return how long it took."""
        began = self.now
        while self.unfed():
            assert self.now < began + at_most_s, f"not fed after {at_most_s} s: {[m.ident for m in self.unfed()]}"
            self.run(STEP_S)
        return self.now - began

    def run_until_agreed(self, at_most_s: float) -> None:
        """Let time pass until everybody is where the plan has it: an improvement may be on its way."""
        began = self.now
        while astray := self.astray():
            assert self.now < began + at_most_s, f"not where the plan has them after {at_most_s} s: {astray}"
            self.run(STEP_S)

    def astray(self) -> list[int]:
        """Return the members that another one feeds than the plan says."""
        planned = {seat.id: seat.parent for seat in self.overlay.tree().members}
        return [one.ident for one in self.present() if one.parent != planned[one.ident]]

    def check_no_cycle(self) -> None:
        """What a member sends never comes back to it. Who has closed sends nothing, also before that is read."""
        settled: set[int] = set()
        for member in self.members.values():
            seen: set[int] = set()
            one: Member | None = member
            while one is not None and one.ident not in settled and one.alive:
                assert one.ident not in seen, f"{sorted(seen)} feed themselves"
                seen.add(one.ident)
                one = self._sender(one)
            settled |= seen

    def _sender(self, member: Member) -> Member | None:
        """Return who sends to a member what it takes for its stream."""
        current = member.uplink.machine.current
        hop = None if current is None else member.uplink.hops.get(current.number)
        return self.members[hop.parent.ident] if hop is not None and hop.wanted else None

    def check(self, lost: bool = False) -> None:
        """Everybody is fed, by one parent, by whom the plan says, and has everything (unless ``lost``).

        With ``lost`` it has at least everything that its possible parents still had.
        """
        assert self.needless == [], "records were given up that others had"
        assert self.astray() == [], "not where the plan has them"
        for member in self.present():
            if member.role in ("source", "standby"):
                continue
            assert member.flowing, f"{member.ident} is not fed"
            assert member.latency_ms() is not None, f"{member.ident}: its chain of parents does not reach the source"
            feeding = [hop.parent.ident for hop in member.uplink.hops.values() if hop.asking]
            assert feeding == [member.parent], f"{member.ident} is fed by {feeding}, its parent is {member.parent}"
            self._check_stream(member, lost)

    def _check_stream(self, member: Member, lost: bool) -> None:
        behind_s = (self.source.position() - member.position()) / RECORDS_PER_S
        delay_s = (member.latency_ms() or 0.0) / 1000
        assert delay_s - SLACK_S <= behind_s <= delay_s + SLACK_S, f"{member.ident} is {behind_s} s behind"
        held = self.longest_gap_s.get(member.ident, 0.0) < RING_S - SLACK_S
        assert lost or not held or member.lost == 0, f"{member.ident} has lost {member.lost} records"
