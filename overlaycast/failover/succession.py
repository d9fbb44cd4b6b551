"""The switch from one parent to another: the outage, which link ends it, and the doubt after it.

Owns: the machine's state, whom to ask next during an outage, which link feeds us after it, and whether the old parent
was only late. Refuses: to read links and clocks; ``machine`` does that, and has the rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from typing import Final

from overlaycast.failover.links import DIAL_LIMIT
from overlaycast.failover.outage import (
    AGAIN_EVERY,
    COMPLAIN_AFTER,
    COMPLAIN_EVERY,
    LOSS_PATIENCE,
    Complaints,
    Outage,
    predefined,
)
from overlaycast.failover.parents import Parents
from overlaycast.failover.silence import PATIENCE, SilenceLimit
from overlaycast.failover.words import (
    NOTHING,
    AskedInVain,
    Complain,
    Doubt,
    Link,
    ParentChanged,
    Phase,
    Reason,
    State,
)
from overlaycast.wire.messages import Assign, Peer

DIAL_PATIENCE: Final = 0.25
"""Seconds that a dialled source has to answer before the next one is asked as well."""
CONNECT_PATIENCE: Final = 1.5
"""The same for the first parent ever: nothing is lost by waiting, and its order may still be on the way."""
FIRST_PATIENCE: Final = 0.25
"""Seconds of silence that a parent has at least until the first record has come: nothing flows that a silence could
interrupt, and when a group starts, all its programs are busy at once."""
DOUBT: Final = 0.3
"""Seconds after a switch for silence in which the old parent may come back."""
DOUBT_LIMITS: Final = 4
"""The same in unusual silences: where silences have to be long to mean anything, so has this."""


class Succession:
    """Outages and doubts.

    Args:
        silence_s: the silence limit's floor, already in proportion to the heartbeat.
        jitter: returns a number in [0, 1); pauses are spread with it.

    Attributes:
        outage: the one under way.
        doubt: after a switch for silence, for as long as the old parent may come back.
        flows: a record has come.
    """

    def __init__(self, parents: Parents, silence_s: float, jitter: Callable[[], float]) -> None:
        self.state = State.WAITING
        self.outage: Outage | None = None
        self.doubt: Doubt | None = None
        self.flows = False
        self.limit = SilenceLimit(silence_s)
        self.complaints = Complaints()
        self._parents = parents
        self._silence_s = silence_s
        self._jitter = jitter
        self._order_due = -math.inf

    @property
    def settled_parent(self) -> int | None:
        """The parent that the coordinator is told: a switch in doubt does not count yet."""
        return self.doubt.complaint.parent if self.doubt else self._parents.member

    def retime(self, silence_s: float) -> None:
        """The silence limit has another floor."""
        self._silence_s = silence_s
        self.limit.set_floor(silence_s)

    # --- time ----------------------------------------------------------------------------------------------------

    def deadlines(self) -> list[float]:
        """Return when ``check`` or ``try_next`` is due."""
        times = self.complaints.deadlines()
        if self.outage:
            times += (self.outage.next_try, self.outage.complain_at)
        if self.doubt:
            times.append(self.doubt.until)
        return times

    def check(self, now: float) -> None:
        """End a doubt whose time is over; tell the coordinator again what it has not answered."""
        if self.doubt and now >= self.doubt.until:
            self.end_doubt(self.doubt, now)
        if self.outage and now >= self.outage.complain_at:
            self.outage.complain_at = now + COMPLAIN_EVERY
            self._parents.emit(self.outage.complaint(self._parents.target, now))
        self._parents.emit(*self.complaints.due(now))

    def forgive(self, seconds: float) -> None:
        """We did not run for so long: no other side could use that time."""
        if self.doubt:
            self.doubt.until += seconds
        if self.outage:
            self.outage.complain_at += seconds

    def complain(self, complaint: Complain, now: float) -> None:
        """Tell the coordinator, again and again until an order comes."""
        self._parents.emit(self.complaints.make(complaint, now))

    def end(self) -> None:
        """The stream is over: nothing is awaited any more."""
        self.state = State.ENDED
        self.outage = self.doubt = None
        self.complaints.answered()

    # --- the parent --------------------------------------------------------------------------------------------

    def win(self, link: Link, now: float) -> None:
        """From now on ``link`` feeds us."""
        parents, outage, old = self._parents, self.outage, self._parents.current
        was = old.peer.member if old else (outage.parent if outage else None)
        parents.current, self.outage, self.doubt = link, None, None
        link.phase, link.feed, link.gone = Phase.FEEDING, True, None
        self.state = State.STREAMING if link.stalled_since is None else State.STALLED
        reason = "first" if was is None else "order" if outage is None or was == link.peer.member else outage.reason
        parents.emit(ParentChanged(link.peer.member, was, reason))
        if outage:
            self._in_vain(outage.asked.keys() - {link.peer.member})
        if outage and not self._is_ordered(link):
            complaint = outage.complaint(parents.target, now, link.peer.member)
            if old and old.stalled_since is None:
                doubt_s = max(DOUBT, DOUBT_LIMITS * self.limit.unusual(now))
                old.phase, self.doubt = Phase.ASKED, Doubt(old.number, now + doubt_s, complaint, old.taken, link.taken)
            else:
                self.complain(complaint, now)
        for other in parents.links:
            if other is not link and not self.doubt_about(other) and (other.feed or other is old):
                parents.rest(other)

    def _is_ordered(self, link: Link) -> bool:
        """Is this the parent that the newest order names?"""
        order = self._parents.order
        return order is not None and order.parent is not None and link.peer.member == self._parents.target

    def silence_limit_s(self, link: Link) -> float:
        """Return how long the parent may be silent from when it was last heard."""
        limit = self.limit.seconds(link.heard)
        return limit if self.flows else max(limit, FIRST_PATIENCE)

    def seems_dead(self, link: Link, now: float) -> bool:
        """Has the old parent given no sign of life for twice the limit?

        While the stream is idle no record can decide between it and a living standby; then this does.
        """
        return link.stalled_since is not None or now - link.heard >= 2 * self.silence_limit_s(link)

    def recovered(self) -> None:
        """The parent delivers after all: it was a false alarm. Those that were asked may rest."""
        if self.outage is None:
            return
        self.outage = None
        for link in self._parents.links:
            ordered = link.peer.member == self._parents.target
            if link is not self._parents.current and link.feed and not ordered:
                self._parents.rest(link)

    # --- the old parent, in doubt --------------------------------------------------------------------------------

    def doubt_about(self, link: Link) -> Doubt | None:
        """Return the doubt if it is about this link."""
        return self.doubt if self.doubt and self.doubt.link == link.number else None

    def go_back(self, link: Link, doubt: Doubt, now: float) -> None:
        """The old parent delivers again: the alarm was false, and we are where we were."""
        self.doubt = None
        self.limit.gap(doubt.gap, now)
        left, self._parents.current = self._parents.current, link
        link.phase, self.state = Phase.FEEDING, State.STREAMING
        self._parents.emit(ParentChanged(link.peer.member, doubt.complaint.now_from, "return"))
        assert left is not None  # a doubt ends with the link that won
        self._parents.rest(left)

    def answered(self, order: Assign) -> None:
        """An order has come: it ends complaints, and decides in place of the doubt."""
        self._order_due = -math.inf
        self.complaints.answered()
        doubt, self.doubt = self.doubt, None
        link = self._parents.links.get(doubt.link) if doubt else None
        if link and not (order.parent and order.parent.member == link.peer.member):
            self._parents.rest(link)

    def end_doubt(self, doubt: Doubt, now: float) -> None:
        """The doubt is over: go back to the old parent if it lives, else tell the coordinator of the switch."""
        link = self._parents.links.get(doubt.link)
        lives = link and link.stalled_since is None and now - link.heard < self.limit.unusual(now)
        if link and lives and self._keeps_up(link, doubt):
            self.go_back(link, doubt, now)
            return
        self.doubt = None
        if link:
            self._parents.rest(link)
        self.complain(doubt.complaint, now)

    def _keeps_up(self, link: Link, doubt: Doubt) -> bool:
        """Does it bring about as much as the new parent?

        A link cut to a hundredth of its rate also shows signs of life, but going back to it would be the next outage.
        """
        current = self._parents.current
        meanwhile = current.taken - doubt.new if current else 0
        return PATIENCE * (link.taken - doubt.old) >= meanwhile

    # --- outages -------------------------------------------------------------------------------------------------

    def begin_outage(
        self,
        reason: Reason,
        now: float,
        first: Peer | None = None,
        parent: int | None = None,
        heard: float | None = None,
    ) -> None:
        """Nobody feeds us as it should: ask others, ``first`` before all. ``parent`` was last heard at ``heard``."""
        before = self.outage
        self.doubt = None
        if self._parents.current:  # what it has when it comes back is another question
            self._parents.current.brings = False
        self._parents.links.forget_gone(now - LOSS_PATIENCE if reason == "gone" else now)
        self.complaints.answered()  # older news; what is said from now on is about this outage
        if before and parent is None:
            parent, heard = before.parent, before.heard
        complain_at = now + (COMPLAIN_AFTER if parent is not None else 4 * COMPLAIN_EVERY)
        self.outage = Outage(reason, parent, now if heard is None else heard, now, complain_at)
        if before:
            self.outage.asked = before.asked
        if self.state is not State.CONNECTING:
            self.state = State.SWITCHING
        self.outage.queue = ([first] if first and not self._lacks(first) else []) + self.sources(skip=first)
        self.try_next(now)

    def _lacks(self, peer: Peer) -> bool:
        """Has this one said that it does not have our next record?"""
        return peer.member in self._parents.links.gone()

    def sources(self, skip: Peer | None = None) -> list[Peer]:
        """Return the parents to ask, in order, without the present one, and those that have not what we need."""
        parents = self._parents
        without = {parents.member, skip.member if skip else None, *parents.links.gone()}
        return predefined(parents.order, without, parents.links.is_warm)

    def try_next(self, now: float) -> None:
        """If it is time, ask the next of the list. At its end pause, and begin again."""
        outage = self.outage
        if outage is None or now < outage.next_try:
            return
        if not outage.queue:
            if not self._take_loss(now):
                self._in_vain(outage.asked.keys())
                outage.asked = {}
                outage.end_of_round(self.sources(), now, self._jitter)
            return
        peer = outage.queue.pop(0)
        outage.next_try = now + self._patience(peer)
        link = self._parents.links.to(peer.member)
        outage.asked[peer.member] = (
            link.asked_at if link and link.phase is Phase.DIALLING else now
        )  # dialled since then
        self._parents.ask(peer, now)

    def _in_vain(self, asked: Set[int]) -> None:
        if asked:
            self._parents.emit(AskedInVain(tuple(sorted(asked))))

    def hurry(self, outage: Outage, now: float) -> None:
        """The one asked last cannot help: go on to the next."""
        outage.hurry(now)
        self.try_next(now)

    def _patience(self, peer: Peer) -> float:
        """Return how long this one has before the next is asked as well."""
        if self.state is State.CONNECTING:
            return CONNECT_PATIENCE
        if self._parents.links.to(peer.member) is None:
            return DIAL_PATIENCE
        return max(self._silence_s, DIAL_PATIENCE / 2)

    def _knows_only(self, link: Link) -> bool:
        """Is this the only parent that the order names?"""
        return not predefined(self._parents.order, {link.peer.member}, self._parents.links.is_warm)

    def await_order(self, now: float) -> None:
        """A parent refused us for our rank: it has obeyed a newer order, and ours should be on its way."""
        if now >= self._order_due + AGAIN_EVERY:
            self._order_due = now + LOSS_PATIENCE

    def _take_loss(self, now: float) -> bool:
        """All were asked, and some do not have the next record: ask the one that has most for its oldest.

        Returns:
            True if there was one: it is asked, or will be when the others, and the coordinator, had time to answer.
        """
        outage, best = self.outage, self._parents.links.best_of_gone()
        if best is None or outage is None:
            return False
        self._dial_again(outage, now)
        awaited = [link.asked_at + outage.patience_s(link) for link in self._parents.links.asked()]
        if outage.parent is not None and self._knows_only(best):
            awaited.append(best.asked_at + LOSS_PATIENCE)
        if (until := max([*awaited, self._order_due])) > now:
            outage.next_try = until
            return True
        if best.gone == NOTHING:
            return self._wait_below(best, now)
        outage.next_try = now + DIAL_LIMIT
        best.phase, best.feed, best.asked_at = Phase.ASKED, True, now
        self._parents.start(best, oldest=True)
        return True

    def _dial_again(self, outage: Outage, now: float) -> None:
        """Dial those once more that have not answered for long, or could not be dialled: the way may be there by now,
        and what was sent while it was broken is not sent again before a second or more."""
        parents = self._parents
        for link in parents.links.asked():
            if link.phase is Phase.DIALLING and outage.dial_again(link.peer.member, link.asked_at, now):
                parents.close(link)
                parents.dial(link.peer, feed=True, now=now)
        for peer in predefined(parents.order, set(), parents.links.is_warm):
            asked_at = outage.asked.get(peer.member, -math.inf)
            if parents.links.to(peer.member) is None and outage.dial_again(peer.member, asked_at, now):
                parents.dial(peer, feed=True, now=now)

    def _wait_below(self, link: Link, now: float) -> bool:
        """Nobody has any records: if we have no parent, this one is ours until somebody has. Nothing is given up."""
        if self._parents.current is not None:
            return False
        self._parents.ask(link.peer, now)
        self.win(link, now)
        return True
