"""The data links of a simulated agent: who feeds whom, and what happens when a parent dies. Pure, in virtual time.

Owns: one member's links and its failover (DESIGN 6.1), at the level of "data flows on this link or not": single
records are not simulated. Since a resumed link goes on at the record where the old one stopped, a member that is fed
again has lost nothing; what it costs is time, and that is what ``World.tally`` counts.

Refuses: as an agent does, a child whose grant was not announced within ``HOLD_S`` or whose rank is not above its own.

The rules are those of the agents' own machine (``failover/machine.py``, which this room may not import), made coarser:
standbys first, then the parent, then the predefined list, then again after a pause; a parent that lives but is itself
without data is held on to for ``flag_s``; the coordinator hears of it after 0.25 s, then every second, and at once
when a standby has taken over.

Times. A dial takes 1.5 round trips; data stops one path delay after a death. A reset connection is seen at once, a
silent one after the group's ``silence_ms`` (idle standby links: after four of their heartbeats, ten times rarer).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final, Literal, Protocol

from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Peer, Role

HOLD_S: Final = 1.0  # a HELLO waits so long for its grant
DIAL_S: Final = 3.0  # a dial that nobody answers is given up after this
PATIENCE_S: Final = 0.25  # whoever is dialled in an outage has so long before the next one is asked as well
PAUSE_S: Final = 1.0  # after the whole list has been asked in vain
COMPLAIN_S: Final = 0.25  # an outage that no standby has mended so far is told to the coordinator
REPEAT_S: Final = 1.0  # errors are repeated until answered (Fig. 9A)
RECORDS_PER_S: Final = 128  # only so that record numbers grow

Death = Literal["reset", "silent"]
Reason = Literal["silence", "reset", "refused", "unreachable", "gone"]


class Surroundings(Protocol):
    """What a member needs of the world around it."""

    settings: GroupSettings

    @property
    def now(self) -> float:
        """Virtual time in seconds."""

    def after(self, delay_s: float, call: object, *args: object) -> None:
        """Let something happen later."""

    def delay_s(self, a: Node, b: Node) -> float:
        """Return the delay of the path between two members."""

    def node(self, ident: int) -> Node:
        """Return a member, dead or alive."""

    def fed(self, member: Node, old: int | None, new: int, gap_s: float | None) -> None:
        """Take note that data now comes from ``new``; ``gap_s``: how long there was none."""


class Node(ABC):
    """One member. ``feeder`` is who data comes from (or came from last); the source feeds itself."""

    def __init__(self, world: Surroundings, ident: int, seat: int, role: Role) -> None:
        self.world = world
        self.ident, self.seat, self.role = ident, seat, role
        self.alive, self.leaving = True, False
        self.death: Death = "reset"
        self.epoch, self.rank, self.depth, self.primary = 0, 0, 0, False
        self.assigned: Peer | None = None
        self.standbys: tuple[Peer, ...] = ()
        self.fallbacks: tuple[Peer, ...] = ()
        self.feeder: int | None = None
        self.flowing = False
        self.cut_at: float | None = None  # data stopped then; None: it flows, or never did
        self.ups: dict[int, bool] = {}  # links to parents and standbys: whether it is open (else it is being dialled)
        self.downs: dict[int, bool] = {}  # links to children: whether data is wanted (else it is a standby's)
        self._grants: dict[int, set[str]] = {}
        self._held: dict[int, tuple[str, int, bool]] = {}
        self._search: Iterator[Peer] | None = None  # candidates not yet asked, while looking for a feed
        self._outage = 0  # the number of the last outage, so that its timers know whether it is still theirs
        self._records, self._counted_at = 0.0, 0.0

    @abstractmethod
    def report(self) -> None:
        """Say how it goes (Fig. 9B); also at once, when the feeder changes."""

    @abstractmethod
    def complain(self, reason: Reason, now_from: int | None = None) -> None:
        """Say that the feed is broken (Fig. 9A); ``now_from``: who has taken over."""

    @property
    def next_seq(self) -> int:
        """The number of the next record, as far as this member has got."""
        return int(self.count()) + 1

    def count(self) -> float:
        """Return how many records have come so far."""
        if self.flowing:
            self._records += (self.world.now - self._counted_at) * RECORDS_PER_S
        self._counted_at = self.world.now
        return self._records

    def latency_ms(self) -> float | None:
        """Return the delay from the source along the tree as it is now; None where the chain is broken."""
        total, node = 0.0, self
        for _ in range(1000):
            if node.role == "source":
                return total * 1000
            if not node.alive or node.feeder is None:
                return None
            above = self.world.node(node.feeder)
            total += self.world.delay_s(above, node)
            node = above
        return None

    def revoke(self, child: int) -> None:
        """Forget what a child was promised; a standby's link is closed."""
        self._grants.pop(child, None)
        if self.downs.get(child) is False:
            del self.downs[child]
            other = self.world.node(child)
            self.world.after(self.world.delay_s(self, other), other.lost, self.ident, "reset")

    # --- links to parents -----------------------------------------------------------------------------------------

    def _dial(self, peer: Peer, active: bool) -> None:
        other = self.world.node(peer.member)
        path = self.world.delay_s(self, other)
        self.ups[peer.member] = False
        if other.alive:
            self.world.after(3 * path, other.hello, self.ident, peer.grant, self.rank, active)
        wait = 2 * path if not other.alive and other.death == "reset" else DIAL_S
        self.world.after(wait, self._unanswered, peer.member)

    def _unanswered(self, peer: int) -> None:
        if self.ups.get(peer) is False:
            self.lost(peer, "unreachable")

    def _ask(self, peer: Peer) -> None:
        """Ask for data: over the link that is there, or by a new one."""
        if self.ups.get(peer.member):
            other = self.world.node(peer.member)
            self.world.after(self.world.delay_s(self, other), other.start, self.ident)
        else:
            self._dial(peer, active=True)

    def accepted(self, parent: int) -> None:
        """A parent has let us in. A standby that becomes warm in the middle of an outage is asked at once."""
        if self.alive and parent in self.ups:
            self.ups[parent] = True
            if self._search is not None and not self.flowing:
                other = self.world.node(parent)
                self.world.after(self.world.delay_s(self, other), other.start, self.ident)

    def refused(self, parent: int) -> None:
        """A parent has not let us in."""
        if self.alive:
            self.lost(parent, "refused")

    def lost(self, parent: int, reason: Reason) -> None:
        """A link to a parent or standby is gone."""
        if not self.alive or parent not in self.ups:
            return
        del self.ups[parent]
        awaited = self.assigned is not None and parent == self.assigned.member and not self.flowing
        if parent == self.feeder or (awaited and self.feeder not in self.ups):
            self._stop()
            self._look_elsewhere(reason)
        elif awaited or any(peer.member == parent for peer in self.standbys):
            self.world.after(REPEAT_S, self._redial, parent)
        elif self.assigned is not None and parent == self.assigned.member:  # sent there while the old parent is well
            self.complain(reason, now_from=self.feeder)
            self.world.after(REPEAT_S, self._redial, parent)

    def _redial(self, parent: int) -> None:
        if not self.alive or parent in self.ups:
            return
        for peer in self.standbys:
            if peer.member == parent:
                self._dial(peer, active=False)
                return
        if self.assigned is not None and self.assigned.member == parent:
            self._dial(self.assigned, active=True)

    def _close(self, parent: int) -> None:
        if self.ups.pop(parent, None) is not None:
            other = self.world.node(parent)
            self.world.after(self.world.delay_s(self, other), other.child_gone, self.ident)

    def _tidy(self) -> None:
        """Let go of a feeder that is not ours any more, once another one feeds us."""
        keep = {peer.member for peer in self.standbys} | {self.feeder}
        keep.add(self.assigned.member if self.assigned else None)
        for up in [up for up in self.ups if up not in keep]:
            self._close(up)

    # --- the feed -------------------------------------------------------------------------------------------------

    def flow(self, parent: int) -> None:
        """Data arrives from a parent."""
        if not self.alive or parent not in self.ups or (self.flowing and parent == self.feeder):
            return
        if self.flowing and not (self.assigned and self.assigned.member == parent):
            self._unwanted(parent)
            return
        was_flowing = self.flowing
        self.count()
        gap = None if self.cut_at is None else self.world.now - self.cut_at
        self.flowing, self.cut_at = True, None
        self._settle(parent, gap)
        if not was_flowing:
            self._pass_on()
        self.report()

    def stalled(self, parent: int) -> None:
        """Somebody whom we asked lives, but has no data itself. Better than nobody: below it the branch stays whole."""
        if not self.alive or parent not in self.ups or self.flowing or self.feeder in self.ups:
            return
        self._settle(parent, None)
        if self.cut_at is not None:
            self.world.after(self.world.settings.flag_s, self._held_too_long, self.cut_at, parent)
        self.report()

    def _settle(self, parent: int, gap_s: float | None) -> None:
        """From now on ``parent`` feeds us."""
        old, self.feeder, self._search = self.feeder, parent, None
        if old is not None and old != parent:
            self._unwanted(old)
        self._tidy()
        self.world.fed(self, old, parent, gap_s)
        if old is not None and (self.assigned is None or parent != self.assigned.member):
            self.complain("silence", now_from=parent)

    def _unwanted(self, parent: int) -> None:
        """Keep the link of a standby, without data; close any other."""
        if parent in self.ups and any(peer.member == parent for peer in self.standbys):
            other = self.world.node(parent)
            self.world.after(self.world.delay_s(self, other), other.stop, self.ident)
        else:
            self._close(parent)

    def cut(self, parent: int) -> None:
        """No more data comes from a parent. If it lives, it says that its own feed is silent, and we hold still."""
        if self.alive and parent == self.feeder and self.flowing:
            self._stop()
            self.world.after(self.world.settings.flag_s, self._held_too_long, self.cut_at, parent)

    def _stop(self) -> None:
        if not self.flowing:
            return
        self.count()
        self.flowing, self.cut_at = False, self.world.now
        for child, active in self.downs.items():
            if active:
                other = self.world.node(child)
                self.world.after(self.world.delay_s(self, other), other.cut, self.ident)

    def _held_too_long(self, since: float, parent: int) -> None:
        if self.alive and self.cut_at == since and self.feeder == parent and self._search is None:
            self._look_elsewhere("silence")

    def _look_elsewhere(self, reason: Reason) -> None:
        """Ask the standbys, the parent, then the predefined list; then once more, for ever (DESIGN 6)."""
        if self._search is None:
            self._outage += 1
            self._begin_search()
            self.world.after(COMPLAIN_S, self._still_without, self._outage, reason)
            self._next(self._outage)

    def look_anew(self) -> None:
        """Whom to ask has changed."""
        if self._search is not None:
            self._begin_search()

    def _begin_search(self) -> None:
        warm = [peer for peer in self.standbys if self.ups.get(peer.member)]
        cold = [peer for peer in self.standbys if not self.ups.get(peer.member)]
        parent = [] if self.assigned is None else [self.assigned]
        asked = {self.feeder if self.feeder in self.ups else None}
        listed = []
        for peer in (*warm, *cold, *parent, *self.fallbacks):
            if peer.member not in asked:
                asked.add(peer.member)
                listed.append(peer)
        self._search = iter(listed)

    def _next(self, outage: int) -> None:
        if not self._looking(outage):
            return
        peer = next(self._search, None) if self._search else None
        if peer is None:
            self._begin_search()
            self.world.after(PAUSE_S, self._next, outage)
            return
        warm = self.ups.get(peer.member)
        self._ask(peer)
        silence = self.world.settings.silence_ms / 1000
        self.world.after(max(silence, PATIENCE_S / 2) if warm else PATIENCE_S, self._next, outage)

    def _looking(self, outage: int) -> bool:
        return self.alive and not self.flowing and self._search is not None and outage == self._outage

    def _still_without(self, outage: int, reason: Reason) -> None:
        if self._looking(outage):
            self.complain(reason)
            self.world.after(REPEAT_S, self._still_without, outage, reason)

    # --- links to children ----------------------------------------------------------------------------------------

    def hello(self, child: int, grant: str, rank: int, active: bool) -> None:
        """A child dials us."""
        other = self.world.node(child)
        if not self.alive or self.ident not in other.ups:  # it has hung up again
            return
        path = self.world.delay_s(self, other)
        if grant not in self._grants.get(child, ()):
            self._held[child] = grant, rank, active
            self.world.after(HOLD_S, self._give_up, child, grant)
        elif rank <= self.rank:
            self.world.after(path, other.refused, self.ident)
        else:
            self.downs[child] = active
            self.world.after(path, other.accepted, self.ident)
            if active:
                self.world.after(path, other.flow if self.flowing else other.stalled, self.ident)

    def _give_up(self, child: int, grant: str) -> None:
        if self.alive and self._held.get(child, ("",))[0] == grant:
            del self._held[child]
            other = self.world.node(child)
            self.world.after(self.world.delay_s(self, other), other.refused, self.ident)

    def start(self, child: int) -> None:
        """A standby's child wants data now."""
        if self.alive and child in self.downs:
            self.downs[child] = True
            other = self.world.node(child)
            path = self.world.delay_s(self, other)
            self.world.after(path, other.flow if self.flowing else other.stalled, self.ident)

    def stop(self, child: int) -> None:
        """A child wants no data any more, but keeps the link."""
        if child in self.downs:
            self.downs[child] = False

    def child_gone(self, child: int) -> None:
        """A child has closed its link."""
        self.downs.pop(child, None)

    def _pass_on(self) -> None:
        for child, active in self.downs.items():
            if active:
                other = self.world.node(child)
                self.world.after(self.world.delay_s(self, other), other.flow, self.ident)

    # --- the end --------------------------------------------------------------------------------------------------

    def die(self, death: Death) -> None:
        """End: by a reset of all connections (its process is gone), or silently (its host or its line is)."""
        if not self.alive:
            return
        self.count()
        self.alive, self.flowing, self.death = False, False, death
        settings = self.world.settings
        silence = settings.silence_ms / 1000 if death == "silent" else 0.0
        idle = 4 * 10 * settings.heartbeat_ms / 1000 if death == "silent" else 0.0
        for child, active in self.downs.items():
            other = self.world.node(child)
            path = self.world.delay_s(self, other)
            self.world.after(path, other.cut, self.ident)
            reason: Reason = "silence" if death == "silent" else "reset"
            self.world.after(path + (silence if active else idle), other.lost, self.ident, reason)
        for up in self.ups:
            other = self.world.node(up)
            self.world.after(self.world.delay_s(self, other) + silence, other.child_gone, self.ident)
