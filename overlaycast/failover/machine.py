"""Where a member's data comes from: one parent link, warm standbys, and the switch between them.

Owns: the decision which link feeds us, when a silence is an outage, whom to ask next, what the coordinator is told
(Fig. 9A), and in which order predefined sources are tried (Fig. 8, last part). Refuses: sockets, clocks, randomness,
record numbers: the shell fills in the resume point when it performs an action, so it is always the newest.

States: WAITING (no parent, no order), CONNECTING (an order, nothing heard yet), STREAMING, STALLED (the parent lives,
its own upstream is silent: hold still), SWITCHING (an outage: others are being asked), ENDED.

Rules
1. An order older than the newest seen changes nothing.
2. On silence the standby is asked and the parent is kept; whichever delivers first feeds us (a hedged request). On a
   reset there is nothing to keep.
3. After a switch for silence the old parent is still asked for a moment: if it delivers again, we go back, and nobody
   hears of it. A busy machine makes false alarms; they must not turn trees around.
4. A parent that says it is stalled is not left before ``flag_s``: only the top of a broken branch moves.
5. A healthy parent is left only for one that has begun to deliver (make before break).
6. It never gives up: standbys, the parent, fallbacks, round and round with a jittered pause.
7. The coordinator is told until an order answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from overlaycast.failover.outage import COMPLAIN_EVERY, milliseconds
from overlaycast.failover.silence import UsualRate
from overlaycast.failover.succession import Succession
from overlaycast.failover.words import CloseLink, Complain, Link, Phase, Reason, SendStart, Silent, State
from overlaycast.wire.frames import RefuseCode
from overlaycast.wire.messages import Assign, Peer

LEAST_BEATS: Final = 1.4
"""A silence shorter than so many heartbeat intervals means nothing, whatever the group's settings say."""
LATE: Final = 0.02
"""A timer so late means that we were not running ourselves; what others did meanwhile we cannot know."""
GRACE: Final = 0.01
"""Seconds in which, after that, what they said meanwhile can be read."""


class Upstream(Succession):
    """The machine. Every input takes ``now`` (seconds, monotonic); ``actions()`` drains what is to be done.

    Args:
        silence_s: the silence limit's floor.
        heartbeat_s: a parent's heartbeat while idle.
        flag_s: how long a stalled parent is waited for.
        jitter: returns a number in [0, 1); pauses are spread with it.
    """

    def __init__(self, silence_s: float, heartbeat_s: float, flag_s: float, jitter: Callable[[], float]) -> None:
        super().__init__(max(silence_s, LEAST_BEATS * heartbeat_s), heartbeat_s, jitter)
        self.listening = True
        self._flag_s = flag_s
        self._rate = UsualRate()
        self._deadline: float | None = None

    def next_deadline(self) -> float | None:
        """When ``tick`` is due if nothing comes before."""
        self._deadline = min(self._deadlines(), default=None)
        return self._deadline

    def _deadlines(self) -> list[float]:
        if self.state is State.ENDED or not self.listening:
            return []
        times = self._redials.deadlines() + self._complaints.deadlines()
        for link in self.links:
            if link is self.current and not self._outage:
                times.append(link.heard + self._limit.seconds(link.heard))
                if link.stalled_since is not None:
                    times.append(link.stalled_since + self._flag_s)
            else:
                times.append(self.links.overdue_at(link, link is self.current))
        if self._outage:
            times += (self._outage.next_try, self._outage.complain_at)
        if self._doubt:
            times.append(self._doubt.until)
        return times

    # --- orders --------------------------------------------------------------------------------------------------

    def assign(self, order: Assign, now: float) -> None:
        """The coordinator gives us a place."""
        if self.state is State.ENDED or (self.order and order.epoch < self.order.epoch):
            return
        self.order = order
        self._complaints.answered()
        self._settle_doubt(order)
        wanted = {peer.member: peer for peer in (*order.standbys, order.parent) if peer}
        self._sort_links(wanted, order.parent)
        self._redials.keep_only(wanted)
        if order.parent:
            self._go_to(order.parent, now)
        for peer in order.standbys:
            self._keep_warm(peer, now)

    def new_identity(self) -> None:
        """We are a new member: orders count from the beginning again; what feeds us goes on."""
        self.order = None
        self._complaints.answered()

    def _go_to(self, peer: Peer, now: float) -> None:
        """Make ``peer`` our parent: at once if we have none, else only when it delivers."""
        self._target = peer.member
        if self._outage or self.current is None:
            if self.state is State.WAITING:
                self.state = State.CONNECTING
            if self._outage and self.current and self.current.peer.member == peer.member:
                self._outage.queue = self._sources()
                return
            reason = self._outage.reason if self._outage else "unreachable"
            self._begin_outage(reason, now, first=peer)
        elif self.current.peer.member != peer.member:
            self._ask_peer(peer, now)

    # --- what links say ------------------------------------------------------------------------------------------

    def heartbeat(self, number: int, stalled: bool, now: float) -> None:
        """A parent said that it lives; with ``stalled``, that nothing reaches it."""
        link = self._heard(number, now)
        if link is None:
            return
        if link.phase is Phase.DIALLING:
            self._answered(link, now)
        if not stalled:
            link.stalled_since = None
        elif link.stalled_since is None:
            link.stalled_since = now
        if link is self.current:
            self._current_spoke(link)
        elif link.phase is Phase.ASKED and not self._in_doubt(link):
            self._asked_spoke(link, now)

    def trickled(self, number: int, size: int, now: float) -> None:
        """Not even one whole record: ``size`` bytes of one. It lives, but no gap has ended well."""
        link = self.links.get(number)
        if link is None or self.state is State.ENDED:
            return
        if link is not self.current and not self._in_doubt(link):
            self.data(number, False, now, size)
            return
        self._rate.took(size, now)
        link.taken += size
        link.heard = min(now, link.heard + self._rate.worth_s(size)) if link is self.current else now

    def data(self, number: int, advanced: bool, now: float, size: int = 0) -> None:
        """Records came, ``size`` bytes in all; ``advanced``: at least one of them was new."""
        self._rate.took(size, now)
        link = self._heard(number, now)
        if link is None:
            return
        link.taken += size
        if advanced:
            link.stalled_since = None
        if doubt := self._in_doubt(link):
            if advanced:
                self._go_back(link, doubt, now)
            return
        if link is self.current:
            if advanced and self.state is not State.STREAMING:
                self._current_spoke(link)
        elif link.phase is Phase.ASKED and (advanced if self._outage else link.peer.member == self._target):
            self._win(link, now)

    def _heard(self, number: int, now: float) -> Link | None:
        link = self.links.get(number)
        if link is None or self.state is State.ENDED:
            return None
        if link is self.current:
            self._limit.gap(now - link.heard, now)
        elif (doubt := self._in_doubt(link)) and not doubt.gap:
            self._doubt = replace(doubt, gap=now - link.heard)  # counts if we go back: else it did not end well
        link.heard = now
        return link

    def _answered(self, link: Link, now: float) -> None:
        """The first word on a dialled link: the door is open."""
        link.phase = Phase.ASKED if link.feed else Phase.IDLE
        self._redials.answered(link.peer.member)
        if self._outage and not link.feed and self.state is not State.CONNECTING:
            # a standby became warm while we look for a source: ask it at once
            self._outage.queue.insert(0, link.peer)
            self._outage.next_try = now

    def _current_spoke(self, link: Link) -> None:
        """The parent is heard: healthy, or alive and stalled itself."""
        if link.stalled_since is None:
            self._recovered()
            self.state = State.STREAMING
        elif self._outage is None:
            self.state = State.STALLED

    def _asked_spoke(self, link: Link, now: float) -> None:
        """Somebody we asked lives. Is that enough to move there?"""
        if link.gone is not None:
            return
        sound = link.stalled_since is None
        if self.current is None:
            self._win(link, now)  # stalled or not: we have nothing, and holding still below it keeps the branch whole
        elif self._outage is None:
            if sound and link.peer.member == self._target:  # ordered to move while the old parent is well
                self._win(link, now)
        elif not sound:
            self._outage.next_try = max(self._outage.next_try, link.asked_at + self._flag_s)
        elif self._hopeless(self.current, now):
            self._win(link, now)

    def called(self, member: int, now: float) -> None:
        """Who has to call us has done so: it need not wait until it is dialled again."""
        peer = self._ordered_peer(member)
        if self.state is State.ENDED or peer is None or self.links.to(member) is not None:
            return
        if self._outage:
            self._ask_peer(peer, now)
        else:
            self._redials.hasten(member, now)
            self._check_redials(now)

    # --- what breaks ---------------------------------------------------------------------------------------------

    def lost(self, number: int, reason: Reason, now: float) -> None:
        """A link is closed, could not be opened, or was refused: the shell has nothing more to close."""
        link = self.links.drop(number)
        if link is None or self.state is State.ENDED:
            return
        if doubt := self._in_doubt(link):
            self._end_doubt(doubt, now)
            return
        if link is self.current:
            self.current = None
            self._begin_outage(reason, now, parent=link.peer.member, heard=link.heard)
            return
        if self._is_standby(link.peer.member):
            self._redials.failed(link.peer.member, now)
        if not link.feed:
            return
        if self._outage:
            if reason == "damaged" and link.peer.member == self._target:
                self._outage.reason = reason  # that is what the coordinator should hear of
            self._outage.hurry(now)
            self._try_next(now)
        elif link.peer.member == self._target:
            self._actions.append(self._complaints.make(Complain(link.peer.member, 0.0, reason, self.parent), now))
            self._redials.failed(link.peer.member, now)

    def refused(self, number: int, code: RefuseCode, oldest: int, now: float) -> None:
        """The other side said no. After GONE the link stays open: it has nothing older than ``oldest``."""
        if code is not RefuseCode.GONE:
            self.lost(number, "refused", now)
            return
        link = self._heard(number, now)
        if link is None:
            return
        if link.phase is Phase.DIALLING:
            self._answered(link, now)
        link.gone = oldest
        if link is self.current:
            self._actions.append(SendStart(number, oldest=True))
        elif self._outage:
            self._outage.hurry(now)
            self._try_next(now)
        elif link.feed:
            # a healthy parent is not left for a loss; we shall be further on when it is dialled again
            self._actions.append(CloseLink(number))
            self.lost(number, "gone", now)

    def ended(self, now: float) -> None:
        """END has arrived: nothing is awaited any more. Links stay as they are until the shell closes them."""
        self.state = State.ENDED
        self._outage = None
        self._doubt = None
        self._complaints.answered()

    # --- time ----------------------------------------------------------------------------------------------------

    def woke_late(self, seconds: float, now: float) -> None:
        """A timer of the shell's fired so much too late: what it tells about this machine."""
        self._limit.late(seconds, now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.state is State.ENDED:
            return
        if self._deadline is not None and now - self._deadline > LATE:
            self._forgive(now - self._deadline + GRACE)
        self._deadline = None
        self._check_current(now)
        self._check_links(now)
        self._check_complaints(now)
        self._check_redials(now)
        self._try_next(now)

    def _forgive(self, seconds: float) -> None:
        """We slept: nobody had that time to speak, or to come back."""
        self.links.forgive(seconds)
        if self._doubt:
            self._doubt = replace(self._doubt, until=self._doubt.until + seconds)
        if self._outage:
            self._outage.complain_at += seconds

    def _check_current(self, now: float) -> None:
        link = self.current
        if link is None or self._outage or not self.listening:
            return
        flagged = link.stalled_since is not None and now >= link.stalled_since + self._flag_s
        if now >= link.heard + self._limit.seconds(link.heard):
            self._actions.append(Silent(link.peer.member, milliseconds(now - link.heard)))
        elif not flagged:
            return
        self._begin_outage("silence", now, parent=link.peer.member, heard=link.heard)

    def _check_links(self, now: float) -> None:
        for link in self.links:
            if (link is self.current and not self._outage) or not self.listening:
                continue
            # the same sum as for the deadline: a difference may round below, and the moment come for ever
            if now >= self.links.overdue_at(link, link is self.current):
                self._actions.append(CloseLink(link.number))
                self.lost(link.number, "unreachable" if link.phase is Phase.DIALLING else "silence", now)

    def _check_complaints(self, now: float) -> None:
        if self._doubt and now >= self._doubt.until:
            self._end_doubt(self._doubt, now)
        outage = self._outage
        if outage and now >= outage.complain_at:
            outage.complain_at = now + COMPLAIN_EVERY
            self._actions.append(outage.complaint(self._target, now))
        self._actions += self._complaints.due(now)

    def _check_redials(self, now: float) -> None:
        for member in self._redials.due(now):
            peer = self._ordered_peer(member)
            if peer is None or self.links.to(member):
                self._redials.dialled(member)
                continue
            feed = member == self._target and member != self.parent and self._outage is None
            self._dial(peer, feed=feed, now=now)
