"""Where a member's data comes from: one parent link, warm standbys, and the switch between them.

Owns: orders, and time: when a silence is an outage, and when to act. ``hearing`` takes what links say, ``losses`` what
breaks; all three act on ``parents`` (the links) and ``succession`` (which of them feeds us, whom to ask next, and
what the coordinator is told, Figs. 8 and 9A). Refuses: sockets, clocks, randomness and record numbers. The driver fills
in the resume point when it performs an action, so that it is always the newest.

States: WAITING (no parent, no order), CONNECTING (an order, nothing heard yet), STREAMING, STALLED (the parent lives,
its own upstream is silent: hold still), SWITCHING (an outage: others are being asked), ENDED.

Rules
1. An order older than the newest seen changes nothing.
2. On silence the standby is asked and the parent is kept; whichever delivers first feeds us (a hedged request). On a
   reset there is nothing to keep.
3. After a switch for silence the old parent is still asked for a moment: if it delivers again, we go back, and the
   coordinator hears nothing of it. A busy machine makes false alarms; they must not turn trees around.
4. A parent that says it is stalled is not left before ``flag_s``, and later further down the tree: only the top of a
   broken branch moves.
5. A healthy parent is left only for one that has begun to deliver (make before break).
6. It never gives up: standbys, the parent, fallbacks, round and round with a jittered pause.
7. The coordinator is told until an order answers.
8. A heartbeat that claims records which have not come says nothing: whoever has records sends them first.
9. Of a source whose place another one has taken nothing is taken any more, although it may send: it does not know.
10. A loss is taken only from a parent that has brought us new records since it was last silent, or when all others were
   asked for what is missing, those that did not answer twice. An order that names others takes it back, as long as it
   has not come. A parent that has no records yet counts as one that has lost what we need, and no loss is taken from
   it. After a sleep of our own the first loss is asked of others, whatever the parent has brought: who was silent
   meanwhile, and who still holds what we missed, we cannot know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from overlaycast.failover.hearing import Hearing
from overlaycast.failover.links import Links
from overlaycast.failover.losses import Losses
from overlaycast.failover.outage import milliseconds, named
from overlaycast.failover.parents import Parents
from overlaycast.failover.succession import Succession
from overlaycast.failover.words import (
    Action,
    CloseLink,
    Fruitless,
    Link,
    Phase,
    Reason,
    Silent,
    State,
)
from overlaycast.wire.frames import RefuseCode
from overlaycast.wire.messages import Assign, Peer

LEAST_BEATS: Final = 1.4
"""A silence shorter than so many heartbeat intervals means nothing, whatever the group's settings say."""
STALL_STEP_S: Final = 0.25
"""A stalled parent is kept for so much longer at each level further down: what the level above finds mends this one."""
STALL_LEVELS: Final = 12
LATE: Final = 0.02
"""A timer so late means that we were not running ourselves; what others did meanwhile we cannot know."""
GRACE: Final = 0.01
"""Seconds in which, after that, what they said meanwhile can be read."""
SLEPT_S: Final = 1.0
"""A timer so late means that we slept for long enough to have missed what others still hold."""


def _floor(silence_s: float, heartbeat_s: float) -> float:
    return max(silence_s, LEAST_BEATS * heartbeat_s)


class Upstream:
    """The machine. Every input takes ``now`` (seconds, monotonic); ``actions()`` drains what is to be done.

    Args:
        silence_s: the silence limit's floor.
        heartbeat_s: a parent's heartbeat interval while idle.
        flag_s: how long a stalled parent is waited for.
        jitter: returns a number in [0, 1); pauses are spread with it.

    Attributes:
        listening: False while the driver reads no parent; silence means nothing then.
    """

    def __init__(self, silence_s: float, heartbeat_s: float, flag_s: float, jitter: Callable[[], float]) -> None:
        self.listening = True
        self._parents = Parents(heartbeat_s, jitter)
        self._succession = Succession(self._parents, _floor(silence_s, heartbeat_s), jitter)
        self._hearing = Hearing(self._parents, self._succession, flag_s)
        self._losses = Losses(self._parents, self._succession, self._hearing)
        self._deadline: float | None = None

    def retime(self, silence_s: float, heartbeat_s: float, flag_s: float, now: float) -> None:
        """The group has other times, which count from now on: parents that kept to the former ones are not silent."""
        self._parents.retime(heartbeat_s)
        self._parents.links.heard_all(now)
        self._succession.retime(_floor(silence_s, heartbeat_s))
        self._hearing.flag_s = flag_s

    # --- what the driver may ask ---------------------------------------------------------------------------------

    def actions(self) -> list[Action]:
        """Return and forget what is to be done, in order."""
        return self._parents.drain()

    @property
    def state(self) -> State:
        """The machine's state."""
        return self._succession.state

    @property
    def order(self) -> Assign | None:
        """The newest order."""
        return self._parents.order

    @property
    def links(self) -> Links:
        """All links to possible parents."""
        return self._parents.links

    @property
    def current(self) -> Link | None:
        """The link that feeds us."""
        return self._parents.current

    @property
    def parent(self) -> int | None:
        """The member that feeds us."""
        return self._parents.member

    @property
    def settled_parent(self) -> int | None:
        """The parent that the coordinator is told: a switch in doubt does not count yet."""
        return self._succession.settled_parent

    @property
    def starved(self) -> bool:
        """Nothing comes from above: what our children are told (the stalled flag)."""
        return self._succession.state not in (State.STREAMING, State.ENDED)

    @property
    def standbys_ready(self) -> tuple[int, ...]:
        """The standbys that are connected and wait to be asked."""
        return self._parents.links.warm()

    # --- orders --------------------------------------------------------------------------------------------------

    def assign(self, order: Assign, now: float) -> None:
        """The coordinator names our parent and our standbys."""
        parents, succession = self._parents, self._succession
        if succession.state is State.ENDED or (parents.order and order.epoch < parents.order.epoch):
            return
        before, parents.order = parents.order, order
        succession.answered(order)
        if order.deposed is not None:
            self._losses.deposed(order.deposed, now)
        if named(order) - named(before):
            self._losses.others_named()
        wanted = {peer.member: peer for peer in (*order.standbys, order.parent) if peer}
        parents.sort(wanted, order.parent, searching=succession.outage is not None)
        parents.redials.keep_only(wanted)
        if order.parent:
            self._go_to(order.parent, now)
        elif succession.outage:
            succession.outage.queue = succession.sources()
            succession.hurry(succession.outage, now)
        for peer in order.standbys:
            parents.keep_warm(peer, now)

    def new_identity(self) -> None:
        """We are a new member: epochs count from the beginning again. The link that feeds us stays."""
        self._parents.order = None
        self._succession.complaints.answered()

    def _go_to(self, peer: Peer, now: float) -> None:
        """Make ``peer`` our parent: at once if we have none, else only when it delivers."""
        parents, succession = self._parents, self._succession
        parents.target = peer.member
        if succession.outage is None and parents.current is not None:
            if parents.member != peer.member:
                parents.ask(peer, now)
            return
        if succession.state is State.WAITING:
            succession.state = State.CONNECTING
        if succession.outage and parents.member == peer.member:
            succession.outage.queue = succession.sources()
            return
        reason = succession.outage.reason if succession.outage else "unreachable"
        succession.begin_outage(reason, now, first=peer)

    # --- what links say, and what breaks --------------------------------------------------------------------------

    def heartbeat(self, number: int, stalled: bool, now: float, owes: bool = False, empty: bool = False) -> None:
        """A parent said that it lives; with ``stalled``, that nothing reaches it; with ``owes``, that it has records
        that it should have sent us before this: from one that feeds us that is no sign of life. With ``empty`` it has
        no records yet, while we have: it will begin somewhere behind ours."""
        self._hearing.heartbeat(number, stalled, now, owes, empty)

    def trickled(self, number: int, size: int, now: float) -> None:
        """``size`` bytes of a record came, and no whole record: the link lives, but its silence has not ended."""
        self._hearing.trickled(number, size, now)

    def data(self, number: int, advanced: bool, now: float, size: int = 0) -> None:
        """Records came, ``size`` bytes in all; ``advanced``: at least one of them was new."""
        self._hearing.data(number, advanced, now, size)

    def lost(self, number: int, reason: Reason, now: float) -> None:
        """A link is closed, could not be opened, or was refused: the driver has nothing more to close."""
        self._losses.lost(number, reason, now)

    def refused(self, number: int, code: RefuseCode, oldest: int, now: float) -> None:
        """The other side said no. After GONE the link stays open: it has nothing older than ``oldest``."""
        self._losses.refused(number, code, oldest, now)

    def may_skip(self, number: int) -> bool:
        """May the records be lost that lie between our next one and the first that this link offers?"""
        return self._losses.may_skip(number)

    def called(self, member: int, now: float) -> None:
        """A parent that has to call us has done so: it need not wait for the next try."""
        parents, peer = self._parents, self._parents.ordered(member)
        if self._succession.state is State.ENDED or peer is None or parents.links.to(member) is not None:
            return
        if self._succession.outage:
            parents.ask(peer, now)
        else:
            parents.redials.hasten(member, now)
            self._check_redials(now)

    def ended(self, now: float) -> None:
        """END has arrived: nothing is awaited any more. Links stay as they are until the driver closes them."""
        self._succession.end()

    # --- time ----------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When ``tick`` is due if nothing comes before."""
        self._deadline = min(self._deadlines(), default=None)
        return self._deadline

    def _deadlines(self) -> list[float]:
        parents, succession = self._parents, self._succession
        if succession.state is State.ENDED or not self.listening:
            return []
        times = parents.redials.deadlines() + succession.deadlines()
        for link in parents.links:
            if link is parents.current and not succession.outage:
                times.append(link.heard + succession.silence_limit_s(link))
                if link.stalled_since is not None:
                    times.append(link.stalled_since + self._stall_limit_s())
            else:
                times.append(parents.links.overdue_at(link, link is parents.current))
        return times

    def _stall_limit_s(self) -> float:
        """Return how long a stalled parent is kept: longer further down, so that those above us are the first to go."""
        levels = self._parents.order.depth - 1 if self._parents.order else 0
        return self._hearing.flag_s + STALL_STEP_S * min(max(levels, 0), STALL_LEVELS)

    def woke_late(self, seconds: float, now: float) -> None:
        """A timer of the driver's fired so much too late, which tells how busy this machine is."""
        self._succession.limit.late(seconds, now)
        if seconds >= SLEPT_S:
            self._losses.slept()

    def tick(self, now: float) -> None:
        """Do what is due."""
        succession = self._succession
        if succession.state is State.ENDED:
            return
        if self._deadline is not None and now - self._deadline > LATE:
            self._forgive(now - self._deadline + GRACE)
        self._deadline = None
        if self.listening:
            self._check_current(now)
            self._check_links(now)
        succession.check(now)
        self._check_redials(now)
        succession.try_next(now)

    def _forgive(self, seconds: float) -> None:
        """We slept: no other side had that time to speak, or to come back."""
        self._parents.links.forgive(seconds)
        self._succession.forgive(seconds)

    def _check_current(self, now: float) -> None:
        link, succession = self._parents.current, self._succession
        if link is None or succession.outage:
            return
        flagged = link.stalled_since is not None and now >= link.stalled_since + self._stall_limit_s()
        if now >= link.heard + succession.silence_limit_s(link):
            self._parents.emit(Silent(link.peer.member, milliseconds(now - link.heard)))
            if parents := self._hearing.drought.left(link.number, link.peer.member):
                self._parents.emit(Fruitless(parents))
        elif not flagged:
            return
        succession.begin_outage("silence", now, parent=link.peer.member, heard=link.heard)

    def _check_links(self, now: float) -> None:
        parents = self._parents
        for link in parents.links:
            feeds = link is parents.current
            if feeds and not self._succession.outage:
                continue
            # the same sum as for the deadline: a difference could round below it, and this moment would never pass
            if now >= parents.links.overdue_at(link, feeds):
                parents.emit(CloseLink(link.number))
                self.lost(link.number, "unreachable" if link.phase is Phase.DIALLING else "silence", now)

    def _check_redials(self, now: float) -> None:
        parents = self._parents
        for member in parents.redials.due(now):
            peer = parents.ordered(member)
            if peer is None or parents.links.to(member):
                parents.redials.dialled(member)
                continue
            feed = member == parents.target and member != parents.member and self._succession.outage is None
            parents.dial(peer, feed=feed, now=now)
