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

from overlaycast.agent.links import DIAL_LIMIT, Links
from overlaycast.agent.outage import COMPLAIN_AFTER, COMPLAIN_EVERY, Complaints, Outage, milliseconds, predefined
from overlaycast.agent.redial import Redials
from overlaycast.agent.silence import SilenceLimit, UsualRate
from overlaycast.agent.switching import (
    Action,
    Ask,
    Complain,
    Dial,
    Doubt,
    Fed,
    Hang,
    Hush,
    Link,
    Phase,
    Reason,
    Silent,
    State,
)
from overlaycast.wire.frames import RefuseCode
from overlaycast.wire.messages import Assign, Peer

DIAL_PATIENCE: Final = 0.25
"""Seconds that a dialled source has to answer before the next one is asked as well."""
CONNECT_PATIENCE: Final = 1.5
"""The same for the first parent ever: nothing is lost by waiting, and its order may still be on the way."""
DOUBT: Final = 0.3
"""Seconds after a switch for silence in which the old parent may come back."""
DOUBT_LIMITS: Final = 4
"""The same in unusual silences: where silences have to be long to mean anything, so has this."""
LEAST_BEATS: Final = 1.4
"""A silence shorter than so many heartbeat intervals means nothing, whatever the group's settings say."""
STANDBY_SLOWDOWN: Final = 10
"""Heartbeats of a standby link are so many times rarer."""
LATE: Final = 0.02
"""A timer so late means that we were not running ourselves; what others did meanwhile we cannot know."""
GRACE: Final = 0.01
"""Seconds in which, after that, what they said meanwhile can be read."""


class Upstream:
    """The machine. Every input takes ``now`` (seconds, monotonic); ``actions()`` drains what is to be done.

    Args:
        silence_s: the silence limit's floor.
        heartbeat_s: a parent's heartbeat while idle.
        flag_s: how long a stalled parent is waited for.
        jitter: returns a number in [0, 1); pauses are spread with it.
    """

    def __init__(self, silence_s: float, heartbeat_s: float, flag_s: float, jitter: Callable[[], float]) -> None:
        self.order: Assign | None = None
        self.links = Links(max(1.0, 4 * STANDBY_SLOWDOWN * heartbeat_s))
        self.current: Link | None = None
        self.state = State.WAITING
        self.listening = True
        self._silence_s = max(silence_s, LEAST_BEATS * heartbeat_s)
        self._limit = SilenceLimit(self._silence_s)
        self._rate = UsualRate()
        self._flag_s = flag_s
        self._jitter = jitter
        self._actions: list[Action] = []
        self._outage: Outage | None = None
        self._doubt: Doubt | None = None
        self._complaints = Complaints()
        self._target: int | None = None
        self._redials = Redials(jitter)
        self._deadline: float | None = None

    # --- what the shell reads ----------------------------------------------------------------------------------

    def actions(self) -> list[Action]:
        """Return and forget what is to be done, in order."""
        drained, self._actions = self._actions, []
        return drained

    @property
    def parent(self) -> int | None:
        """Who feeds us."""
        return self.current.peer.member if self.current else None

    @property
    def settled_parent(self) -> int | None:
        """Who feeds us, as the coordinator is told: a switch in doubt does not count yet."""
        return self._doubt.complaint.parent if self._doubt else self.parent

    @property
    def starved(self) -> bool:
        """Nothing comes from above: what our children are told (the stalled flag)."""
        return self.state not in (State.STREAMING, State.ENDED)

    @property
    def standbys_ready(self) -> tuple[int, ...]:
        """The warm ones."""
        return self.links.warm()

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

    # --- orders ------------------------------------------------------------------------------------------------

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

    def _sort_links(self, wanted: dict[int, Peer], parent: Peer | None) -> None:
        """Close what the order does not name; whoever is asked, but not to be our parent, may rest."""
        for link in self.links:
            peer = wanted.get(link.peer.member)
            if peer is None:
                if link is not self.current:
                    self._hang(link)
                continue
            link.peer = peer
            ordered = parent is not None and parent.member == peer.member
            if link.feed and link is not self.current and not ordered and not self._outage:
                self._rest(link)

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

    def _keep_warm(self, peer: Peer, now: float) -> None:
        if self.links.to(peer.member) is None and not self._redials.planned(peer.member):
            self._dial(peer, feed=False, now=now)

    # --- what links say ----------------------------------------------------------------------------------------

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
        elif link.phase is Phase.ASKED and not (self._doubt and number == self._doubt.link):
            self._asked_spoke(link, now)

    def trickled(self, number: int, size: int, now: float) -> None:
        """Not even one whole record: ``size`` bytes of one."""
        link = self.current
        if link is None or number != link.number:
            self.data(number, False, now, size)
        elif self.state is not State.ENDED:
            self._rate.took(size, now)
            link.heard = min(now, link.heard + self._rate.worth_s(size))

    def data(self, number: int, advanced: bool, now: float, size: int = 0) -> None:
        """Records came, ``size`` bytes in all; ``advanced``: at least one of them was new."""
        self._rate.took(size, now)
        link = self._heard(number, now)
        if link is None:
            return
        if advanced:
            link.stalled_since = None
        if self._doubt and number == self._doubt.link:
            if advanced:
                self._go_back(link, self._doubt)
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
        if link is self.current or (self._doubt and number == self._doubt.link):
            self._limit.gap(now - link.heard, now)
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

    def _recovered(self) -> None:
        """The parent delivers after all: a false alarm; whoever was asked may rest."""
        if self._outage is None:
            return
        self._outage = None
        for link in self.links:
            ordered = link.peer.member == self._target
            if link is not self.current and link.feed and not ordered:
                self._rest(link)

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

    def _hopeless(self, link: Link, now: float) -> bool:
        """The stream may be idle; then no record decides between the old parent and a living standby, but this."""
        return link.stalled_since is not None or now - link.heard >= 2 * self._limit.seconds(link.heard)

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
        self._actions.append(Fed(link.peer.member, was, reason))
        complaint = None
        if outage and not by_order:
            complaint = outage.complaint(self._target, now, link.peer.member)
        if complaint and old and old.stalled_since is None:
            doubt_s = max(DOUBT, DOUBT_LIMITS * self._limit.unusual(now))
            old.phase, self._doubt = Phase.ASKED, Doubt(old.number, now + doubt_s, complaint)
        elif complaint:
            self._actions.append(self._complaints.make(complaint, now))
        for other in self.links:
            doubted = self._doubt and other.number == self._doubt.link
            if other is not link and not doubted and (other.feed or other is old):
                self._rest(other)

    def _go_back(self, link: Link, doubt: Doubt) -> None:
        """The old parent delivers again: the alarm was false, and we are where we were."""
        self._doubt = None
        left, self.current = self.current, link
        link.phase, self.state = Phase.FEEDING, State.STREAMING
        self._actions.append(Fed(link.peer.member, doubt.complaint.now_from, "return"))
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
        if link and link.stalled_since is None and now - link.heard < self._limit.unusual(now):
            self._go_back(link, doubt)
            return
        self._doubt = None
        if link:
            self._rest(link)
        self._actions.append(self._complaints.make(doubt.complaint, now))

    def _rest(self, link: Link) -> None:
        """Not needed for feeding: warm if it is (or was) one of ours, else closed."""
        if self._ordered_peer(link.peer.member):
            link.feed = False
            if link.phase is not Phase.DIALLING:
                link.phase = Phase.IDLE
            self._actions.append(Hush(link.number))
        else:
            self._hang(link)

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

    # --- what breaks -------------------------------------------------------------------------------------------

    def lost(self, number: int, reason: Reason, now: float) -> None:
        """A link is closed, could not be opened, or was refused: the shell has nothing more to close."""
        link = self.links.drop(number)
        if link is None or self.state is State.ENDED:
            return
        if self._doubt and number == self._doubt.link:
            self._end_doubt(self._doubt, now)
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
            self._actions.append(Ask(number, oldest=True))
        elif self._outage:
            self._outage.hurry(now)
            self._try_next(now)
        elif link.feed:
            # a healthy parent is not left for a loss; we shall be further on when it is dialled again
            self._actions.append(Hang(number))
            self.lost(number, "gone", now)

    def ended(self, now: float) -> None:
        """END has arrived: nothing is awaited any more. Links stay as they are until the shell closes them."""
        self.state = State.ENDED
        self._outage = None
        self._doubt = None
        self._complaints.answered()

    # --- outages -----------------------------------------------------------------------------------------------

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
        self._actions.append(Ask(best.number, oldest=True))
        return True

    def _ask_peer(self, peer: Peer, now: float) -> None:
        link = self.links.to(peer.member)
        if link is None:
            self._dial(peer, feed=True, now=now)
        elif link.phase is Phase.IDLE:
            link.phase = Phase.ASKED
            link.feed = True
            link.asked_at = now
            self._actions.append(Ask(link.number))
        elif link.phase is Phase.DIALLING and not link.feed:
            # its HELLO said IDLE; once it answers it will be asked
            link.feed = True
            self._actions.append(Ask(link.number))

    def _dial(self, peer: Peer, feed: bool, now: float) -> None:
        self._redials.dialled(peer.member)
        link = self.links.open(peer, feed, now)
        self._actions.append(Dial(link.number, peer, feed))

    def _hang(self, link: Link) -> None:
        self.links.drop(link.number)
        if link is self.current:
            self.current = None
        self._actions.append(Hang(link.number))

    # --- time --------------------------------------------------------------------------------------------------

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
                self._actions.append(Hang(link.number))
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

    # --- small questions ---------------------------------------------------------------------------------------

    def _is_standby(self, member: int) -> bool:
        return self.order is not None and any(peer.member == member for peer in self.order.standbys)

    def _ordered_peer(self, member: int) -> Peer | None:
        if self.order is None:
            return None
        wanted = (*self.order.standbys, *([self.order.parent] if self.order.parent else []))
        return next((peer for peer in wanted if peer.member == member), None)
