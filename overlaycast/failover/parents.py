"""The connections to possible parents, and the order from the coordinator that they serve.

Owns: which connections there are, what each was asked for, and the list of actions for the driver. Refuses: to decide
whom to ask (``succession``), and when (``machine``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from overlaycast.failover.links import Links
from overlaycast.failover.redial import Redials
from overlaycast.failover.words import Action, CloseLink, Dial, Link, Phase, SendStart, SendStop
from overlaycast.wire.messages import Assign, Peer

STANDBY_SLOWDOWN: Final = 10
"""Heartbeats of a standby link are so many times rarer: sent so (``downstream``), and waited for."""


def _standby_s(heartbeat_s: float) -> float:
    return max(1.0, 4 * STANDBY_SLOWDOWN * heartbeat_s)


class Parents:
    """What the machine knows of its possible parents.

    Args:
        heartbeat_s: a parent's heartbeat interval while idle.
        jitter: returns a number in [0, 1); pauses are spread with it.

    Attributes:
        order: the newest order.
        target: the member that the newest order with a parent names as our parent.
        current: the link that feeds us.
    """

    def __init__(self, heartbeat_s: float, jitter: Callable[[], float]) -> None:
        self.order: Assign | None = None
        self.target: int | None = None
        self.current: Link | None = None
        self.links = Links(_standby_s(heartbeat_s))
        self.redials = Redials(jitter)
        self._actions: list[Action] = []

    def retime(self, heartbeat_s: float) -> None:
        """Parents have another heartbeat interval."""
        self.links.standby_s = _standby_s(heartbeat_s)

    @property
    def member(self) -> int | None:
        """The member that feeds us."""
        return self.current.peer.member if self.current else None

    # --- actions -------------------------------------------------------------------------------------------------

    def emit(self, *actions: Action) -> None:
        """Have the driver do this."""
        self._actions += actions

    def drain(self) -> list[Action]:
        """Return and forget what is to be done, in order."""
        drained, self._actions = self._actions, []
        return drained

    # --- connections ---------------------------------------------------------------------------------------------

    def dial(self, peer: Peer, feed: bool, now: float) -> None:
        """Open a link to this peer; with ``feed``, for records at once."""
        self.redials.dialled(peer.member)
        link = self.links.open(peer, feed, now)
        self.emit(Dial(link.number, peer, feed))

    def ask(self, peer: Peer, now: float) -> None:
        """Ask this peer for records, over the link that there is or a new one."""
        link = self.links.to(peer.member)
        if link is None:
            self.dial(peer, feed=True, now=now)
        elif link.phase is Phase.IDLE:
            link.phase = Phase.ASKED
            link.feed = True
            link.asked_at = now
            self.start(link)
        elif link.phase is Phase.DIALLING and not link.feed:
            # its HELLO said IDLE; this START follows as soon as the link stands
            link.feed = True
            self.start(link)

    def start(self, link: Link, oldest: bool = False) -> None:
        """Ask for records from our next one on; with ``oldest`` from the oldest there is, and take the loss."""
        link.loss = link.gone if oldest else None
        link.gone, link.brings = None, False
        self.emit(SendStart(link.number, oldest))

    def rest(self, link: Link) -> None:
        """This link is not needed for records: keep it as a standby if the order names it, else close it."""
        if self.ordered(link.peer.member):
            link.feed = False
            if link.phase is not Phase.DIALLING:
                link.phase = Phase.IDLE
            self.emit(SendStop(link.number))
        else:
            self.close(link)

    def close(self, link: Link) -> None:
        """Forget this link, which does not feed us, and have the driver close it."""
        self.links.drop(link.number)
        self.emit(CloseLink(link.number))

    def keep_warm(self, peer: Peer, now: float) -> None:
        """Have a link to this standby."""
        if self.links.to(peer.member) is None and not self.redials.planned(peer.member):
            self.dial(peer, feed=False, now=now)

    def sort(self, wanted: dict[int, Peer], parent: Peer | None, searching: bool) -> None:
        """Close what the order does not name. Unless we are searching, let all rest but the parents old and new."""
        for link in self.links:
            peer = wanted.get(link.peer.member)
            if peer is None:
                if link is not self.current:
                    self.close(link)
                continue
            link.peer = peer
            ordered = parent is not None and parent.member == peer.member
            if link.feed and link is not self.current and not ordered and not searching:
                self.rest(link)

    # --- the order -----------------------------------------------------------------------------------------------

    def is_target(self, link: Link) -> bool:
        """Whether the link is to the member that we are ordered to have as parent."""
        return link.peer.member == self.target

    def is_standby(self, member: int) -> bool:
        """Does the order name this member as a standby?"""
        return self.order is not None and any(peer.member == member for peer in self.order.standbys)

    def ordered(self, member: int) -> Peer | None:
        """Return this member as the order names it, as parent or standby."""
        if self.order is None:
            return None
        wanted = (*self.order.standbys, *([self.order.parent] if self.order.parent else []))
        return next((peer for peer in wanted if peer.member == member), None)
