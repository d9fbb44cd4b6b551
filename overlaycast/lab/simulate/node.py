"""A simulated agent's data plane: its stream, its parents and its children. Pure, in virtual time.

Owns: how far the stream has got here, and what a death, a freeze or a dead data port mean. The switch from parent to
parent is the agents' own machine (``failover``), driven by ``uplink``. Single records are not simulated: a member
counts what the path from the source brings. A child that resumes gets what its parent still holds; what the parent no
longer holds is counted as lost.

Refuses: what the coordinator says (``member``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Protocol

from overlaycast.failover.admission import proves
from overlaycast.failover.words import Complain, ParentChanged
from overlaycast.lab.simulate.downlink import Downlink
from overlaycast.lab.simulate.hop import RECORDS_PER_S, Death, Hop, Network
from overlaycast.lab.simulate.uplink import Uplink
from overlaycast.wire.frames import Call, Enter, Frame, Hello, Knock, Start, Stop
from overlaycast.wire.grants import Nonces
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Accept, Part

RING_S: Final = 8.0
"""Seconds of the stream that a member holds."""
_LEAST: Final = 1e-6
"""Records: positions closer than that are the same."""


class Surroundings(Protocol):
    """What a member needs of the world around it."""

    settings: GroupSettings
    network: Network

    def node(self, ident: int) -> Node:
        """Return a member, dead or alive."""

    def jitter(self) -> float:
        """Return a number in [0, 1)."""

    def moved(self, member: Node, old: int | None, new: int | None) -> None:
        """Take note that another parent feeds a member."""

    def flows(self, member: Node, gap_s: float | None) -> None:
        """Take note that data comes (again); ``gap_s``: how long there was none, None: it is the first."""

    def skips(self, member: Node, to: int) -> None:
        """Take note that a member gives up what lies before this record."""


class Node(ABC):
    """One member.

    Attributes:
        frozen: its process is stopped; its kernel goes on.
        mute: its data port sends nothing; all else works.
        cut_at: data stopped then; None: it flows, or never did.
        lost: records that no parent held any more.
        whole_from: from this record on nothing was missed here.
    """

    def __init__(self, world: Surroundings, ident: int, seat: int, role: Part) -> None:
        self.world = world
        self.ident, self.seat, self.role = ident, seat, role
        self.alive, self.frozen, self.mute = True, False, False
        self._frozen_at = 0.0
        self.death: Death = "reset"
        self.cut_at: float | None = None
        self.lost = 0
        self.whole_from = 0
        self.began: float | None = None
        self._position = 0.0
        self._counted_at = 0.0
        self._sends = False
        self._feeds: dict[Hop, None] = {}
        self._postponed: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.uplink = Uplink(self, world.network, world.settings, world.jitter)
        self.downlink = Downlink(self, world.network, world.jitter)

    @abstractmethod
    def parent_changed(self, change: ParentChanged) -> None:
        """Another parent feeds us, or none."""

    @abstractmethod
    def complain(self, complaint: Complain) -> None:
        """The coordinator has to be told."""

    # --- time ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Virtual time in seconds."""
        return self.world.network.agenda.now

    def after(self, delay_s: float, call: Callable[..., None], *args: Any) -> None:
        """Do something later, if we live then; frozen, when we run again."""
        self.world.network.agenda.after(delay_s, self.do, call, *args)

    def do(self, call: Callable[..., None], *args: Any) -> None:
        """Do something now, or when we run again."""
        if self.frozen:
            self._postponed.append((call, args))
        elif self.alive:
            call(*args)

    # --- the stream ----------------------------------------------------------------------------------------------

    @property
    def flowing(self) -> bool:
        """New records arrive here."""
        return self._sends or bool(self._feeds)

    @property
    def parent(self) -> int | None:
        """Who feeds us, or did last."""
        return self.uplink.machine.parent

    @property
    def starved(self) -> bool:
        """What children are told of what is above us."""
        return self.role not in ("source", "standby") and self.uplink.machine.starved

    def position(self) -> float:
        """Return the number of the next record."""
        now = self.now
        if self._counted_at != now:
            if self._sends:
                self._position += (now - self._counted_at) * RECORDS_PER_S
            self._counted_at = now
            for hop in self._feeds:
                self._position = max(self._position, hop.reached())
        return self._position

    @property
    def next_seq(self) -> int | None:
        """The number of the next record; None: there has been none."""
        return None if self.began is None else int(self.position())

    @property
    def oldest(self) -> int:
        """The oldest record still held."""
        return 0 if self.began is None else int(max(self.began, self.position() - RING_S * RECORDS_PER_S))

    def latency_ms(self) -> float | None:
        """Return the delay from the source along the tree as it is now; None where the chain is broken."""
        total, node = 0.0, self
        for _ in range(1000):
            if node.role == "source":
                return total * 1000
            if not node.alive or node.parent is None:
                return None
            above = self.world.node(node.parent)
            total += self.world.network.delay_s(above.ident, node.ident)
            node = above
        return None

    def send(self, first: int) -> None:
        """A source begins with this record."""
        if not self._sends:
            self.began = self._position = float(first)
            self.whole_from = first
            self._counted_at = self.now
            self._change_flow(lambda: setattr(self, "_sends", True))

    def halt(self) -> None:
        """A source sends no more; what it has sent is still to be had."""
        if self._sends:
            self._change_flow(lambda: setattr(self, "_sends", False))

    def skip_to(self, seq: int) -> None:
        """The records before this one are not to be had any more."""
        if self.began is None:
            self.began = seq
        else:
            self.lost += max(0, seq - int(self.position()))
            self.world.skips(self, seq)
        self.whole_from = seq
        self._position = max(self._position, float(seq))

    def is_new(self, hop: Hop) -> float:
        """Return in how many seconds a record comes over this hop that is not here yet; 0: at once."""
        behind = self.position() - hop.reached()
        return behind / RECORDS_PER_S if behind > _LEAST else 0.0

    def feeds(self, hop: Hop, feeds: bool) -> None:
        """Records come over a hop, or do not any more."""
        if not feeds:
            hop.feeds = False
            self._position = max(self._position, hop.reached())
            self._change_flow(lambda: self._feeds.pop(hop, None))
            return
        held = self.world.node(hop.parent.ident).oldest
        if self.began is None:
            self.skip_to(max(held, int(hop.reached())))
        elif held > self.position():
            if not self.uplink.may_skip(hop, held):
                return
            self.skip_to(held)
        hop.feeds = True
        self._change_flow(lambda: self._feeds.setdefault(hop))
        self.uplink.advance(hop)

    def takes_rest(self, hop: Hop) -> None:
        """A parent to which nothing comes still sends what it holds and we do not have, or some of it."""
        if self.began is None or hop.reached() - self.position() <= _LEAST:
            return
        held = self.world.node(hop.parent.ident).oldest
        if held > self.position():
            if not self.uplink.may_skip(hop, held):
                return
            self.skip_to(held)
        before = int(self.position())
        self._position = max(self._position, hop.reached())
        self.downlink.flow_changed()
        if int(self._position) > before:  # a part of a record is none
            self.uplink.took(hop)

    def passes(self, hop: Hop, seq: int) -> None:
        """A record has come over a hop that we read all the time: so have all before it that the parent had."""
        if self.began is None or not hop.asking or hop.gap:
            return
        if self.world.node(hop.parent.ident).whole_from <= self.position():  # else ``feeds`` takes the loss, or not
            self._position = max(self.position(), float(seq))

    def _change_flow(self, change: Callable[[], object]) -> None:
        before = self.flowing
        self.position()
        change()
        self._counted_at = self.now if self._sends else -1.0
        if self.flowing == before or not self.alive:
            return
        if self.flowing:
            gap_s = None if self.cut_at is None else self.now - self.cut_at
            self.cut_at = None
            self.world.flows(self, gap_s)
        else:
            self.cut_at = self.now
        self.downlink.flow_changed()

    # --- what hops say -------------------------------------------------------------------------------------------

    def end(self, ident: int) -> Node:
        """Return another member."""
        return self.world.node(ident)

    def connected(self, hop: Hop) -> None:
        """A connection to a parent stands."""
        self.do(self.uplink.greet, hop)

    def unreachable(self, hop: Hop) -> None:
        """A parent cannot be connected."""
        self.do(self.uplink.unreachable, hop)

    def carries(self, hop: Hop, carries: bool) -> None:
        """A parent is heard, or is not any more."""
        self.uplink.carries(hop, carries)

    def read(self, hop: Hop, frame: Frame | None) -> None:
        """A parent or a child says something, or has closed."""
        if hop.child is self:
            self.uplink.read(hop, frame)
        elif frame is None or isinstance(frame, Knock | Enter | Hello | Start | Stop):
            self.downlink.read(hop, frame)

    def call(self, order: Accept) -> None:
        """Open a connection to a child that cannot dial us, and prove to it, or show it, its grant."""
        network, other = self.world.network, self.world.node(order.child)
        if not (other.alive and network.dials(self.ident, order.child) and network.passable(self.ident, order.child)):
            return
        delay_s = network.delay_s(self.ident, order.child)
        if proves(order.data_version):
            nonces = Nonces(network.nonce(), network.nonce(), calls=True)
            other.after(5 * delay_s, other.uplink.called, self.downlink.offer(order, nonces), nonces)
        else:
            other.after(3 * delay_s, other.uplink.called, Call(bytes.fromhex(order.grant)), None)

    def starved_changed(self) -> None:
        """The children must know before they act."""
        self.downlink.tell_state()

    # --- what befalls it -----------------------------------------------------------------------------------------

    def die(self, death: Death) -> None:
        """End: by a reset of all connections (its process is gone), or silently (its host or its line is)."""
        if not self.alive:
            return
        self.position()
        self.alive, self.frozen, self.death = False, False, death
        self._sends = False
        self._feeds.clear()
        for hop in list(self.uplink.hops.values()):
            if death == "silent":
                self.world.node(hop.parent.ident).downlink.lose_silently(hop)
            else:
                hop.close(self)
        self.downlink.settle()
        if death == "reset":
            self.downlink.close()

    def freeze(self) -> None:
        """Stop (SIGSTOP): nothing is read, said or noticed; connections stay."""
        if self.alive and not self.frozen:
            for hop in list(self._feeds):
                self.feeds(hop, False)
            self.frozen, self._frozen_at = True, self.now
            self.downlink.settle()

    def thaw(self) -> None:
        """Run again: first read what has come, then do what has become due."""
        if not self.alive or not self.frozen:
            return
        self.frozen = False
        self.uplink.machine.woke_late(self.now - self._frozen_at, self.now)
        for hop in [*self.uplink.hops.values(), *self.downlink.hops]:
            hop.settle()
        self.downlink.settle()
        postponed, self._postponed = self._postponed, []
        for call, args in postponed:
            self.do(call, *args)

    def silence(self, mute: bool) -> None:
        """Let the data port send nothing, or send again."""
        self.mute = mute
        self.downlink.settle()

    def path_changed(self) -> None:
        """What can pass to and from us is another now."""
        for hop in [*self.uplink.hops.values(), *self.downlink.hops]:
            hop.settle_later()
