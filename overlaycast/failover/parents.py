"""The connections towards possible parents: dialled, asked for records, left to rest, closed; and the order they serve.

Owns: which connections there are and what each was asked. Refuses: whether to ask (``succession``), and time. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from overlaycast.failover.links import Links
from overlaycast.failover.outage import Outage
from overlaycast.failover.redial import Redials
from overlaycast.failover.words import Action, CloseLink, Dial, Link, Phase, SendStart, SendStop, State
from overlaycast.wire.messages import Assign, Peer

STANDBY_SLOWDOWN: Final = 10
"""Heartbeats of a standby link are so many times rarer: sent so (``downstream``), and waited for."""


class Parents:
    """What the machine knows of its possible parents.

    Args:
        heartbeat_s: a parent's heartbeat while idle.
        jitter: returns a number in [0, 1); pauses are spread with it.
    """

    def __init__(self, heartbeat_s: float, jitter: Callable[[], float]) -> None:
        self.order: Assign | None = None
        self.links = Links(max(1.0, 4 * STANDBY_SLOWDOWN * heartbeat_s))
        self.current: Link | None = None
        self.state = State.WAITING
        self._actions: list[Action] = []
        self._outage: Outage | None = None
        self._target: int | None = None
        self._redials = Redials(jitter)

    def actions(self) -> list[Action]:
        """Return and forget what is to be done, in order."""
        drained, self._actions = self._actions, []
        return drained

    @property
    def parent(self) -> int | None:
        """Who feeds us."""
        return self.current.peer.member if self.current else None

    @property
    def starved(self) -> bool:
        """Nothing comes from above: what our children are told (the stalled flag)."""
        return self.state not in (State.STREAMING, State.ENDED)

    @property
    def standbys_ready(self) -> tuple[int, ...]:
        """The warm ones."""
        return self.links.warm()

    # --- connections ---------------------------------------------------------------------------------------------

    def _dial(self, peer: Peer, feed: bool, now: float) -> None:
        self._redials.dialled(peer.member)
        link = self.links.open(peer, feed, now)
        self._actions.append(Dial(link.number, peer, feed))

    def _ask_peer(self, peer: Peer, now: float) -> None:
        link = self.links.to(peer.member)
        if link is None:
            self._dial(peer, feed=True, now=now)
        elif link.phase is Phase.IDLE:
            link.phase = Phase.ASKED
            link.feed = True
            link.asked_at = now
            self._actions.append(SendStart(link.number))
        elif link.phase is Phase.DIALLING and not link.feed:
            # its HELLO said IDLE; once it answers it will be asked
            link.feed = True
            self._actions.append(SendStart(link.number))

    def _rest(self, link: Link) -> None:
        """Not needed for feeding: warm if it is (or was) one of ours, else closed."""
        if self._ordered_peer(link.peer.member):
            link.feed = False
            if link.phase is not Phase.DIALLING:
                link.phase = Phase.IDLE
            self._actions.append(SendStop(link.number))
        else:
            self._close(link)

    def _close(self, link: Link) -> None:
        self.links.drop(link.number)
        if link is self.current:
            self.current = None
        self._actions.append(CloseLink(link.number))

    def _keep_warm(self, peer: Peer, now: float) -> None:
        if self.links.to(peer.member) is None and not self._redials.planned(peer.member):
            self._dial(peer, feed=False, now=now)

    def _sort_links(self, wanted: dict[int, Peer], parent: Peer | None) -> None:
        """Close what the order does not name; whoever is asked, but not to be our parent, may rest."""
        for link in self.links:
            peer = wanted.get(link.peer.member)
            if peer is None:
                if link is not self.current:
                    self._close(link)
                continue
            link.peer = peer
            ordered = parent is not None and parent.member == peer.member
            if link.feed and link is not self.current and not ordered and not self._outage:
                self._rest(link)

    # --- small questions -----------------------------------------------------------------------------------------

    def _is_standby(self, member: int) -> bool:
        return self.order is not None and any(peer.member == member for peer in self.order.standbys)

    def _ordered_peer(self, member: int) -> Peer | None:
        if self.order is None:
            return None
        wanted = (*self.order.standbys, *([self.order.parent] if self.order.parent else []))
        return next((peer for peer in wanted if peer.member == member), None)
