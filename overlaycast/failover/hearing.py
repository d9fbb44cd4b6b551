"""What a link says: who lives, who delivers, and whether that is enough to be fed by it.

Owns: the meaning of heartbeats and records, and what has come of late. Refuses: to notice that nothing is said
(``machine``), and what a link says last (``losses``).
"""

from __future__ import annotations

from overlaycast.failover.drought import Drought
from overlaycast.failover.parents import Parents
from overlaycast.failover.silence import UsualRate
from overlaycast.failover.succession import Succession
from overlaycast.failover.words import NOTHING, Link, Phase, State


class Hearing:
    """Takes what links say; times are seconds, monotonic.

    Args:
        parents: the links.
        succession: decides which of them feeds us.
        flag_s: how long a stalled parent is waited for; may be set anew.
    """

    def __init__(self, parents: Parents, succession: Succession, flag_s: float) -> None:
        self.drought = Drought()
        self._parents = parents
        self._succession = succession
        self.flag_s = flag_s
        self._rate = UsualRate()

    def heartbeat(self, number: int, stalled: bool, now: float, owes: bool = False, empty: bool = False) -> None:
        """A parent said that it lives; with ``stalled``, that nothing reaches it; with ``owes``, that it has records
        that it should have sent us before this: from one that feeds us that is no sign of life. With ``empty`` it has
        no records yet, while we have: it will begin somewhere behind ours."""
        link = self._parents.links.get(number)
        if link is None:
            return
        if owes and link.phase is not Phase.DIALLING and link.feed:
            return
        if self.heard(number, now) is None:
            return
        if link.phase is Phase.DIALLING:
            self.answered(link, now)
        if not stalled:
            link.stalled_since = None
        elif link.stalled_since is None:
            link.stalled_since = now
        if link is self._parents.current:
            self._current_spoke(link)
        elif link.phase is Phase.ASKED and not self._succession.doubt_about(link):
            self._asked_spoke(link, now, empty and link.loss is None)

    def trickled(self, number: int, size: int, now: float) -> None:
        """``size`` bytes of a record came, and no whole record: the link lives, but its silence has not ended."""
        link = self._parents.links.get(number)
        if link is None or self._succession.state is State.ENDED:
            return
        feeds = link is self._parents.current
        if not feeds and not self._succession.doubt_about(link):
            self.data(number, False, now, size)
            return
        self._rate.took(size, now)
        self.drought.rain(number)
        link.taken += size
        link.heard = min(now, link.heard + self._rate.worth_s(size)) if feeds else now

    def data(self, number: int, advanced: bool, now: float, size: int = 0) -> None:
        """Records came, ``size`` bytes in all; ``advanced``: at least one of them was new."""
        self._rate.took(size, now)
        self.drought.rain(number)
        link = self.heard(number, now)
        if link is None:
            return
        succession = self._succession
        link.taken += size
        if advanced:
            link.stalled_since, link.loss, link.brings, succession.flows = None, None, True, True
        if link is self._parents.current:
            if advanced and succession.state is not State.STREAMING:
                self._current_spoke(link)
        elif doubt := succession.doubt_about(link):
            if advanced:
                succession.go_back(link, doubt, now)
        elif link.phase is Phase.ASKED and (advanced if succession.outage else self._parents.is_target(link)):
            succession.win(link, now)

    def heard(self, number: int, now: float) -> Link | None:
        """Return the link if it is still of interest, its silence ended."""
        link = self._parents.links.get(number)
        if link is None or self._succession.state is State.ENDED:
            return None
        if link is self._parents.current:
            self._succession.limit.gap(now - link.heard, now)
        elif (doubt := self._succession.doubt_about(link)) and not doubt.gap:
            doubt.gap = now - link.heard  # it raises the limit only if we go back: else it did not end well
        link.heard = now
        return link

    def answered(self, link: Link, now: float) -> None:
        """The first word on a dialled link: the other side has let us in."""
        link.phase = Phase.ASKED if link.feed else Phase.IDLE
        self._parents.redials.answered(link.peer.member)
        outage = self._succession.outage
        if outage and not link.feed and self._succession.state is not State.CONNECTING:
            # a standby became warm while we look for a source: ask it at once
            outage.queue.insert(0, link.peer)
            outage.next_try = now

    def _current_spoke(self, link: Link) -> None:
        """The parent is heard: it delivers, or it lives and is stalled itself."""
        if link.stalled_since is None:
            self._succession.recovered()
            self._succession.state = State.STREAMING
        elif self._succession.outage is None:
            self._succession.state = State.STALLED

    def _asked_spoke(self, link: Link, now: float, empty: bool) -> None:
        """A member that we asked lives. Is that enough to move there?"""
        succession, current = self._succession, self._parents.current
        if empty:
            self._is_empty(link, now)
        elif link.gone == NOTHING:
            link.gone = None
        if link.gone is not None:
            return
        sound = link.stalled_since is None
        if current is None:
            succession.win(link, now)  # stalled or not: we have nothing, and waiting below it keeps the branch whole
        elif succession.outage is None:
            if sound and self._parents.is_target(link):  # ordered to move while the old parent is well
                succession.win(link, now)
        elif not sound:
            succession.outage.next_try = max(succession.outage.next_try, link.asked_at + self.flag_s)
        elif succession.seems_dead(current, now):
            succession.win(link, now)

    def _is_empty(self, link: Link, now: float) -> None:
        """A member that we asked has no records at all: others may have what we need."""
        if link.gone is None:
            link.gone = NOTHING
            if outage := self._succession.outage:
                self._succession.hurry(outage, now)
