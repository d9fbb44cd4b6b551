"""What breaks: links that end, and parents that say no or have lost what we need.

Owns: what follows from either, and which loss of records may be taken. Refuses: to judge silence (``machine``).
"""

from __future__ import annotations

from overlaycast.failover.hearing import Hearing
from overlaycast.failover.parents import Parents
from overlaycast.failover.succession import Succession
from overlaycast.failover.words import NOTHING, CloseLink, Complain, Link, LinkFailed, Phase, Reason, State
from overlaycast.wire.frames import RefuseCode


class Losses:
    """Takes what breaks; times are seconds, monotonic."""

    def __init__(self, parents: Parents, succession: Succession, hearing: Hearing) -> None:
        self._parents = parents
        self._succession = succession
        self._hearing = hearing
        self._slept = False

    def slept(self) -> None:
        """We did not run for long: the first gap that follows is no loss before others were asked."""
        self._slept = True

    def lost(self, number: int, reason: Reason, now: float) -> None:
        """A link is closed, could not be opened, or was refused: the driver has nothing more to close."""
        parents, succession = self._parents, self._succession
        link = parents.links.drop(number)
        if link is None or succession.state is State.ENDED:
            return
        member = link.peer.member
        parents.emit(LinkFailed(member, reason))
        if doubt := succession.doubt_about(link):
            succession.end_doubt(doubt, now)
            return
        if link is parents.current:
            parents.current = None
            succession.begin_outage(reason, now, parent=member, heard=link.heard)
            return
        if parents.is_standby(member):
            parents.redials.failed(member, now)
        if not link.feed:
            return
        if outage := succession.outage:
            if reason == "damaged" and parents.is_target(link):
                outage.reason = reason  # the coordinator should hear of this one
            succession.hurry(outage, now)
        else:  # the parent of a new order: without an outage no other link is asked for records
            succession.complain(Complain(member, 0.0, reason, parents.member), now)
            parents.redials.failed(member, now)

    def others_named(self) -> None:
        """An order names parents that the one before did not: no loss is taken before they were asked."""
        for link in self._parents.links:
            if link.loss is not None:
                link.gone, link.loss = None if link is self._parents.current else link.loss, None

    def deposed(self, member: int, now: float) -> None:
        """This source has lost its place to another one: what it sends has numbers that are that one's now."""
        parents, succession = self._parents, self._succession
        link = parents.links.to(member)
        if link is None:
            return
        parents.close(link)
        if link is parents.current:
            parents.current = None
            reason = succession.outage.reason if succession.outage else "reset"
            successor = parents.order.parent if parents.order else None
            succession.begin_outage(reason, now, first=successor, parent=member, heard=link.heard)

    def refused(self, number: int, code: RefuseCode, oldest: int, now: float) -> None:
        """The other side said no. After GONE the link stays open: it has nothing older than ``oldest``."""
        if code is not RefuseCode.GONE:
            if code is RefuseCode.RANK:
                self._succession.await_order(now)
            self.lost(number, "refused", now)
            return
        link = self._hearing.heard(number, now)
        if link is None:
            return
        if link.phase is Phase.DIALLING:
            self._hearing.answered(link, now)
        began_late, link.gone = link.gone == NOTHING, oldest
        if link is self._parents.current:
            self._current_has_gap(link, now)
        elif outage := self._succession.outage:
            self._succession.hurry(outage, now)
        elif link.feed:
            # a healthy parent is not left for a loss; we shall be further on when this one is dialled again
            self._parents.emit(CloseLink(number))
            if began_late:  # no fault of its own
                self._parents.links.drop(number)
                self._parents.redials.failed(link.peer.member, now)
            else:
                self.lost(number, "gone", now)

    def may_skip(self, number: int) -> bool:
        """May the records be lost that lie between our next one and the first that this link offers?"""
        link = self._parents.links.get(number)
        return link is not None and (link.loss is not None or (link is self._parents.current and self._vouches(link)))

    def _vouches(self, link: Link) -> bool:
        """Is what it brings reason enough to believe that the gap is of our own making?"""
        return link.brings and not self._slept

    def _current_has_gap(self, link: Link, now: float) -> None:
        """The parent does not have our next record. Unless it was we who fell behind, others are asked for it."""
        if link.loss is not None or self._vouches(link):
            self._parents.start(link, oldest=True)
            return
        self._slept = False
        self._parents.current, link.phase = None, Phase.ASKED
        self._succession.begin_outage("gone", now, parent=link.peer.member, heard=link.heard)
