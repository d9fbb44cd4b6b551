"""The switch from one parent to another: an outage, who wins it, and the doubt after it.

Owns: whom to ask next while nobody feeds us, when somebody else does, and whether the old parent was only late.
Refuses: what links say and when time is up (``upstream``). Pure. Rules: see ``upstream``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from overlaycast.failover.links import DIAL_LIMIT
from overlaycast.failover.outage import COMPLAIN_AFTER, COMPLAIN_EVERY, Complaints, Outage, predefined
from overlaycast.failover.parents import Parents
from overlaycast.failover.silence import PATIENCE, SilenceLimit
from overlaycast.failover.words import Doubt, Link, ParentChanged, Phase, Reason, SendStart, State
from overlaycast.wire.messages import Assign, Peer

DIAL_PATIENCE: Final = 0.25
"""Seconds that a dialled source has to answer before the next one is asked as well."""
CONNECT_PATIENCE: Final = 1.5
"""The same for the first parent ever: nothing is lost by waiting, and its order may still be on the way."""
DOUBT: Final = 0.3
"""Seconds after a switch for silence in which the old parent may come back."""
DOUBT_LIMITS: Final = 4
"""The same in unusual silences: where silences have to be long to mean anything, so has this."""


class Succession(Parents):
    """Outages and doubts.

    Args:
        silence_s: the silence limit's floor, already in proportion to the heartbeat.
    """

    def __init__(self, silence_s: float, heartbeat_s: float, jitter: Callable[[], float]) -> None:
        super().__init__(heartbeat_s, jitter)
        self._silence_s = silence_s
        self._limit = SilenceLimit(silence_s)
        self._jitter = jitter
        self._doubt: Doubt | None = None
        self._complaints = Complaints()

    @property
    def settled_parent(self) -> int | None:
        """Who feeds us, as the coordinator is told: a switch in doubt does not count yet."""
        return self._doubt.complaint.parent if self._doubt else self.parent

    # --- who feeds us --------------------------------------------------------------------------------------------

    def _win(self, link: Link, now: float) -> None:
        """From now on ``link`` feeds us."""
        old, outage = self.current, self._outage
        was = old.peer.member if old else (outage.parent if outage else None)
        self.current, self._outage = link, None
        link.phase = Phase.FEEDING
        link.feed = True
        self._doubt = None
        self.state = State.STREAMING if link.stalled_since is None else State.STALLED
        ordered = self.order is not None and self.order.parent is not None
        by_order = ordered and link.peer.member == self._target
        reason = "first" if was is None else "order" if outage is None or was == link.peer.member else outage.reason
        self._actions.append(ParentChanged(link.peer.member, was, reason))
        complaint = None
        if outage and not by_order:
            complaint = outage.complaint(self._target, now, link.peer.member)
        if complaint and old and old.stalled_since is None:
            doubt_s = max(DOUBT, DOUBT_LIMITS * self._limit.unusual(now))
            old.phase, self._doubt = Phase.ASKED, Doubt(old.number, now + doubt_s, complaint, old.taken, link.taken)
        elif complaint:
            self._actions.append(self._complaints.make(complaint, now))
        for other in self.links:
            if other is not link and not self._in_doubt(other) and (other.feed or other is old):
                self._rest(other)

    def _hopeless(self, link: Link, now: float) -> bool:
        """The stream may be idle; then no record decides between the old parent and a living standby, but this."""
        return link.stalled_since is not None or now - link.heard >= 2 * self._limit.seconds(link.heard)

    def _recovered(self) -> None:
        """The parent delivers after all: a false alarm; whoever was asked may rest."""
        if self._outage is None:
            return
        self._outage = None
        for link in self.links:
            ordered = link.peer.member == self._target
            if link is not self.current and link.feed and not ordered:
                self._rest(link)

    # --- the old parent, in doubt --------------------------------------------------------------------------------

    def _in_doubt(self, link: Link) -> Doubt | None:
        """Return the doubt if it is about this link."""
        return self._doubt if self._doubt and self._doubt.link == link.number else None

    def _go_back(self, link: Link, doubt: Doubt, now: float) -> None:
        """The old parent delivers again: the alarm was false, and we are where we were."""
        self._doubt = None
        self._limit.gap(doubt.gap, now)
        left, self.current = self.current, link
        link.phase, self.state = Phase.FEEDING, State.STREAMING
        self._actions.append(ParentChanged(link.peer.member, doubt.complaint.now_from, "return"))
        if left:
            self._rest(left)

    def _settle_doubt(self, order: Assign) -> None:
        """An order has come: it decides, not the doubt."""
        doubt, self._doubt = self._doubt, None
        link = self.links.get(doubt.link) if doubt else None
        if link and not (order.parent and order.parent.member == link.peer.member):
            self._rest(link)

    def _end_doubt(self, doubt: Doubt, now: float) -> None:
        """The old parent had its time: back to it if it lives, else the coordinator hears of the switch."""
        link = self.links.get(doubt.link)
        lives = link and link.stalled_since is None and now - link.heard < self._limit.unusual(now)
        if link and lives and self._keeps_up(link, doubt):
            self._go_back(link, doubt, now)
            return
        self._doubt = None
        if link:
            self._rest(link)
        self._actions.append(self._complaints.make(doubt.complaint, now))

    def _keeps_up(self, link: Link, doubt: Doubt) -> bool:
        """A link cut to a hundredth of its rate lives, too; to go back there would be the next outage."""
        meanwhile = self.current.taken - doubt.new if self.current else 0
        return PATIENCE * (link.taken - doubt.old) >= meanwhile

    # --- outages -------------------------------------------------------------------------------------------------

    def _begin_outage(
        self,
        reason: Reason,
        now: float,
        first: Peer | None = None,
        parent: int | None = None,
        heard: float | None = None,
    ) -> None:
        before = self._outage
        self._doubt = None
        self._complaints.answered()  # older news; what is said from now on is about this outage
        if before and parent is None:
            parent, heard = before.parent, before.heard
        complain_at = now + (COMPLAIN_AFTER if parent is not None else 4 * COMPLAIN_EVERY)
        self._outage = Outage(reason, parent, now if heard is None else heard, now, complain_at)
        if self.state is not State.CONNECTING:
            self.state = State.SWITCHING
        self._outage.queue = ([first] if first else []) + self._sources(skip=first)
        self._try_next(now)

    def _sources(self, skip: Peer | None = None) -> list[Peer]:
        """Whom to ask, without who feeds us."""
        return predefined(self.order, {self.parent, skip.member if skip else None}, self.links.is_warm)

    def _try_next(self, now: float) -> None:
        """Ask the next of the list; at its end pause, and begin again."""
        outage = self._outage
        if outage is None or now < outage.next_try:
            return
        if not outage.queue:
            if self._take_loss(now):
                outage.next_try = now + DIAL_LIMIT
            else:
                outage.end_of_round(self._sources(), now, self._jitter)
            return
        peer = outage.queue.pop(0)
        outage.next_try = now + self._patience(peer)
        self._ask_peer(peer, now)

    def _patience(self, peer: Peer) -> float:
        """How long this one has before the next is asked as well."""
        if self.state is State.CONNECTING:
            return CONNECT_PATIENCE
        if self.links.to(peer.member) is None:
            return DIAL_PATIENCE
        return max(self._silence_s, DIAL_PATIENCE / 2)

    def _take_loss(self, now: float) -> bool:
        """All were asked and some said GONE: go on with the one that has most. True: asked."""
        best = self.links.best_of_gone()
        if best is None:
            return False
        best.gone = None
        best.asked_at = now
        self._actions.append(SendStart(best.number, oldest=True))
        return True
