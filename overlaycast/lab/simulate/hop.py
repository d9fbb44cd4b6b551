"""What stands for sockets in virtual time: one TCP connection from a child to its parent. Pure.

Owns: whether a connection is open, what is on its way over it, and whether it carries anything now. A frame arrives
after the path's delay and in order; while the path is cut or the reader is frozen it waits, as in the kernel's buffers.

A parent says something all the time: records, or heartbeats. Those that bring no news are not played one by one: a hop
that ``carries`` is heard all the time, and one that ``feeds`` brings a record every 1 / ``RECORDS_PER_S`` seconds.

Refuses: what frames mean. That is for the two ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Literal, Protocol

from overlaycast.lab.simulate.agenda import Agenda
from overlaycast.wire import frames
from overlaycast.wire.frames import NONCE_SIZE, Frame
from overlaycast.wire.grants import Identity, Nonces
from overlaycast.wire.messages import Peer

GROUP: Final = "simulation"
"""The name of the group."""

RECORDS_PER_S: Final = 128
CONNECT_S: Final = 1.5
"""Seconds after which a connection without an answer is given up."""
USER_TIMEOUT_S: Final = 8.0
"""Seconds after which the kernel ends a connection to a host that has gone silently."""

Death = Literal["reset", "silent"]


def identity(ident: int) -> Identity:
    """Return who a member is."""
    return Identity(GROUP, ident)


class End(Protocol):
    """A member, as its connections see it."""

    ident: int
    alive: bool
    frozen: bool
    mute: bool
    death: Death

    @property
    def flowing(self) -> bool:
        """New records arrive here."""

    def position(self) -> float:
        """Return the number of the next record here."""

    def connected(self, hop: Hop) -> None:
        """A connection to a parent stands."""

    def unreachable(self, hop: Hop) -> None:
        """A parent cannot be connected."""

    def read(self, hop: Hop, frame: Frame | None) -> None:
        """Something has come over this hop; None: the other side has closed it."""

    def carries(self, hop: Hop, carries: bool) -> None:
        """A parent is heard from now on, or is not."""

    def feeds(self, hop: Hop, feeds: bool) -> None:
        """Records come from a parent from now on, or do not."""

    def takes_rest(self, hop: Hop) -> None:
        """A parent to which nothing comes sends what it has."""


class Network:
    """The paths between members.

    Args:
        delay_s: returns the delay of the path between two members.
        encode: every frame really goes through its bytes, so that nothing passes here that could not pass a socket.

    Attributes:
        cuts: pairs of members between which nothing passes, either way.
        dials: whether the first can open a connection to the second.
    """

    def __init__(self, agenda: Agenda, delay_s: Callable[[int, int], float], encode: bool) -> None:
        self.agenda = agenda
        self.delay_s = delay_s
        self.encode = encode
        self.cuts: set[tuple[int, int]] = set()
        self.dials: Callable[[int, int], bool] = lambda child, parent: True
        self._nonces = 0

    def passable(self, a: int, b: int) -> bool:
        """Does anything pass between these two?"""
        return not self.cuts or ((a, b) not in self.cuts and (b, a) not in self.cuts)

    def nonce(self) -> bytes:
        """Return one that nobody has had before. In virtual time there is no thief who could guess it."""
        self._nonces += 1
        return self._nonces.to_bytes(NONCE_SIZE, "big")

    def carried(self, frame: Frame) -> Frame:
        """Return what is read at the other end."""
        return frames.Decoder().feed(frames.encode(frame))[0] if self.encode else frame


class Hop:
    """One connection.

    Attributes:
        carries: the child hears its parent.
        feeds: records arrive at the child.
        wanted: the parent sends records: it was asked for them.
        asking: the child takes records.
        admitted: the parent has let the child in.
        rank: what the child has said last of its own.
        said: how far it has said that it is.
        stalled: what the parent has said last of what is above it.
        empty: it has said last that it has no records yet.
        gap: its next record is further on than the child's, and the child does not take the loss.
        at_once: the frame that is being read has not waited for its reader or for the path.
        nonces: of both ends, as soon as they have said them; None: grants are shown here.
        greeted: the child has said which grant it has.
        proven: what the child takes from here is its parent's.
    """

    __slots__ = (
        "_closed",
        "_network",
        "_waiting",
        "admitted",
        "asking",
        "at_once",
        "carries",
        "child",
        "delay_s",
        "empty",
        "feeds",
        "gap",
        "greeted",
        "nonces",
        "number",
        "open",
        "parent",
        "peer",
        "proven",
        "rank",
        "said",
        "stalled",
        "wanted",
    )

    def __init__(self, network: Network, number: int, child: End, parent: End, peer: Peer) -> None:
        self.number, self.child, self.parent, self.peer = number, child, parent, peer
        self.delay_s = network.delay_s(child.ident, parent.ident)
        self.open = self.admitted = self.carries = self.feeds = self.wanted = False
        self.asking = self.stalled = self.empty = self.gap = self.at_once = False
        self.greeted = self.proven = False
        self.nonces: Nonces | None = None
        self.rank = self.said = 0
        self._network = network
        self._closed: set[int] = set()
        self._waiting: dict[int, deque[Frame | None]] = {}

    @property
    def called(self) -> bool:
        """The parent opens this connection; the child cannot."""
        return not self.peer.addresses

    # --- opening and closing -------------------------------------------------------------------------------------

    def dial(self) -> None:
        """The child opens the connection: known after a round trip."""
        self._network.agenda.after(2 * self.delay_s, self._answered)

    def _answered(self) -> None:
        if self.child.ident in self._closed:
            return
        there = self._network.passable(self.child.ident, self.parent.ident) and (
            self.parent.alive or self.parent.death == "reset"
        )
        if not there or not self._network.dials(self.child.ident, self.parent.ident):
            self._network.agenda.after(max(0.0, CONNECT_S - 2 * self.delay_s), self._gave_up)
        elif self.parent.alive:
            self.connect()
        else:
            self._gave_up()

    def _gave_up(self) -> None:
        if self.child.ident not in self._closed:
            self.child.unreachable(self)

    def connect(self) -> None:
        """The connection stands: the child greets, or knocks."""
        if self.child.ident not in self._closed:
            self.open = True
            self.child.connected(self)

    def close(self, by: End) -> None:
        """One side closes; the other one reads the end, if it lives and the path lets it."""
        if by.ident not in self._closed:
            self._closed.add(by.ident)
            self._waiting.pop(by.ident, None)
            if by is self.child and self.feeds:
                self.child.feeds(self, False)
            if self.open:
                self._send(self._other(by), None)
            if by is self.parent:
                self.settle_later()  # the child hears it no more, even where the end that it sends does not pass

    def fail(self, to: End) -> None:
        """The kernel of this side ends the connection: nothing has been answered for too long."""
        if to.ident not in self._closed:
            to.read(self, None)

    # --- frames --------------------------------------------------------------------------------------------------

    def say(self, by: End, frame: Frame) -> None:
        """One side says something."""
        if self.open and by.ident not in self._closed:
            self._send(self._other(by), self._network.carried(frame))

    def _send(self, to: End, frame: Frame | None) -> None:
        self._network.agenda.after(self.delay_s, self._arrive, to, frame)

    def _arrive(self, to: End, frame: Frame | None) -> None:
        waiting = self._waiting.get(to.ident)
        if waiting or not self._can_be_read(to):
            self._waiting.setdefault(to.ident, deque()).append(frame)
        else:
            self.at_once = True
            self._deliver(to, frame)
            self.at_once = False

    def _can_be_read(self, by: End) -> bool:
        mute = by is self.child and self.parent.mute
        return not by.frozen and not mute and self._network.passable(self.child.ident, self.parent.ident)

    def _deliver(self, to: End, frame: Frame | None) -> None:
        if to.alive and to.ident not in self._closed:
            to.read(self, frame)

    def _other(self, end: End) -> End:
        return self.parent if end is self.child else self.child

    # --- what lasts ----------------------------------------------------------------------------------------------

    def settle_later(self) -> None:
        """Something has changed at the parent's end or on the path: it shows at the child after the delay."""
        self._network.agenda.after(self.delay_s, self.settle)

    def settle(self) -> None:
        """See what the path and the two ends allow now."""
        for end in (self.child, self.parent):
            waiting = self._waiting.get(end.ident)
            while waiting and self._can_be_read(end):
                self._deliver(end, waiting.popleft())
        if self.child.ident in self._closed or self.child.frozen or not self.child.alive:
            return
        carries = self._is_heard()
        if carries != self.carries:
            self.child.carries(self, carries)
        sends = carries and self.wanted and self.asking and not self.gap
        feeds = sends and self.parent.flowing
        if feeds != self.feeds:
            self.child.feeds(self, feeds)
        elif sends and not feeds:
            self.child.takes_rest(self)

    def _is_heard(self) -> bool:
        parent = self.parent
        if not (self.admitted and parent.alive) or parent.frozen or parent.mute or parent.ident in self._closed:
            return False
        return self._network.passable(self.child.ident, parent.ident)

    def hear_child(self) -> int:
        """Return how far the child is, as far as the parent can know."""
        if self.child.alive and not self.child.frozen and self._network.passable(self.child.ident, self.parent.ident):
            self.said = int(self.child.position())
        return self.said

    def reached(self) -> float:
        """Return the number of the next record that comes here to the child."""
        position = self.parent.position()
        return position - RECORDS_PER_S * self.delay_s if self.parent.flowing else position
