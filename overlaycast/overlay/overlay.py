"""The interface: one group's decisions, as the coordinator's driver (and any simulation) calls them.

Owns: the five verbs (``receive``, ``disconnected``, ``tick``, ``next_deadline``, ``messages_to_send``), joining and
measuring, and what outlives a crash. Refuses: I/O, clocks, chance; the same calls give the same answers.

``now`` is seconds of a clock that never goes back, also across restarts. Member ids are never reused. After any call
drain ``messages_to_send()``, ``measurements_wanted()``, ``forgotten()`` and ``events()``, and re-arm for
``next_deadline()``. Orders are made when messages are drained: many changes between two drains are one epoch, and a
member is told once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from overlaycast.overlay import snapshots, views
from overlaycast.overlay.mending import drain, improve, repair
from overlaycast.overlay.plan import capacity, locating, moves, orders, promises, reach, unusable_pair
from overlaycast.overlay.state import credit
from overlaycast.overlay.state.group import Event, Group
from overlaycast.overlay.state.measurement import Measurement
from overlaycast.overlay.state.members import SENDERS, SERVERS, Member, State
from overlaycast.overlay.watching import (
    contents,
    distances,
    inquiries,
    relief,
    retuning,
    start,
    unlocated,
    unrated,
    watch,
)
from overlaycast.wire.frames import SHOWN, VERSION
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.hosts import is_local
from overlaycast.wire.messages import (
    Contents,
    CoordinatorMessage,
    DistanceReply,
    Done,
    Failed,
    FirstHops,
    Leaving,
    MemberMessage,
    NotReceiving,
    Pong,
    Report,
    Subscribe,
)
from overlaycast.wire.views import CountersView, DrainView, MemberView, RebalancedView, TreeView

EPOCH_LEAP = 1 << 20
"""A member that comes back may know of so many epochs more than we do."""


class Overlay:
    """One group.

    Args:
        settings: the group's.
        key: 32 secret bytes; grants are keyed hashes.
        allow_local: members may dial one another at loopback and link-local addresses.
    """

    def __init__(self, settings: GroupSettings, key: bytes, allow_local: bool = False) -> None:
        self._group = Group(settings, key, allow_local=allow_local)

    # --- members come ------------------------------------------------------------------------------------------

    def join(self, request: Subscribe, now: float) -> int:
        """Make an authenticated subscriber a member and return its id; it will be measured, then placed."""
        group = self._group
        member = Member(group.next_id, request.name, request.part)
        group.next_id += 1
        group.members[member.id] = member
        _describe(group, member, request)
        member.joined_epoch = group.epoch
        member.data_version = min(request.data_version or SHOWN, VERSION)
        seen = member.watch
        seen.heard_at, seen.lost_told, seen.links_failed, seen.asked_in_vain = now, 0, 0, 0
        member.degree = capacity.degree(group, member)
        if member.role in SERVERS:
            group.start.planted[member.id] = member
        if member.role == "backup":
            group.servers.append(member)
        if member.role == "source":
            start.source_came(group, member, now)
            start.maybe_start(group, now)
        start.came(group, member, now)
        contents.pass_on(group, member)
        group.wanted.append(member.id)
        group.note(now, "joined", member, name=member.name, role=member.role)
        if member.role == "standby":
            relief.came(group, member, now)
        if not group.timers.armed("check"):
            group.timers.arm(now + watch.CHECK_S, "check")
        return member.id

    def resume(self, request: Subscribe, now: float) -> bool:
        """Take back a member whose link was down; False: it is not one (any more).

        Raises:
            ValueError: the request does not resume anything.
        """
        group = self._group
        if request.resume is None:
            raise ValueError("a request without `resume` joins")
        member = _returning(group, request)
        if member is None:
            return False
        # orders may have gone out that our state does not know of, but not beyond all measure
        group.epoch = max(group.epoch, min(request.resume.epoch, group.epoch + EPOCH_LEAP))
        member.connected = True
        before = reach.told(member)
        _describe(group, member, request)
        if before != reach.told(member):
            _tell_next(group, member)
        member.degree = max(capacity.degree(group, member), len(member.children))
        promises.trim(group, member)
        group.timers.cancel("lost", member.id)
        start.returned(group, member, request.resume.rank)
        member.watch.next_seq = max(member.watch.next_seq, credit.believed(group, request.resume.next_seq))
        watch.heard(group, member, now)
        feeder = group.living(request.resume.parent)
        if feeder is not None and member.parent is not None and feeder is not member.parent:
            watch.adopt(group, member, feeder, now)
        repair.place_orphan(group, member)
        moves.enter(group, member)
        if member.parent is not None or member.role == "source":
            orders.repeat(group, member)
        contents.pass_on(group, member)
        if not member.rated or reach.unproven(member):
            group.wanted.append(member.id)
        group.note(now, "resumed", member)
        relief.back(group, member, now)
        return True

    def returns(self, request: Subscribe) -> bool:
        """Whether ``resume`` would take this member back."""
        return _returning(self._group, request) is not None

    def towards(self, request: Subscribe) -> str | None:
        """Return the address towards which a member is to look for its first hops: the source's.

        Empty: the coordinator's, for no source is known, or it is on the coordinator's host. None: towards nobody.
        """
        source = self._group.source
        if request.part in SENDERS:
            return None
        return "" if source is None or not source.seen or is_local(source.seen) else source.seen

    def has_source(self) -> bool:
        """Whether a source is connected; there is one at most."""
        source = self._group.source
        return source is not None and source.connected

    def put_out(self, member_id: int, now: float) -> None:
        """Forget a member at once. The source is only away from now on: its place is kept."""
        member = self._group.living(member_id)
        if member is None or member.role == "source":
            self.disconnected(member_id, now)
        else:
            repair.bury(self._group, member, State.DEAD, now)

    def measured(self, member_id: int, measurement: Measurement, now: float) -> None:
        """Take what was found out about a member; the first time, it gets its place (Fig. 4), or all do (Fig. 5)."""
        group = self._group
        member = group.living(member_id)
        if member is None:
            return
        first, rated = not member.measured, member.rated
        member.placed_at = now if first else member.placed_at
        locating.take(group, member, measurement)
        improve.correct_later(group, now)
        group.start.rated_peers += member.role == "peer" and member.rated and not rated
        if not first:
            unlocated.look_again(group)
            unrated.look_again(group)
            start.maybe_start(group, now)
            return
        unlocated.note(group, member, now)
        unrated.note(group, member, now)
        group.start.measured_peers += member.role == "peer"
        if member.role == "source":
            moves.enter(group, member)
        if member.role == "standby" and member.state is State.JOINING:
            member.become(State.ACTIVE)
        if not group.start.started:
            start.maybe_start(group, now)
        else:
            repair.place_orphan(group, member)
        unlocated.look_again(group)
        unrated.look_again(group)

    def claims(self, member_id: int) -> tuple[tuple[str, int], ...]:
        """Return addresses, host and port, at which the member has to answer before others are told of them."""
        member = self._group.living(member_id)
        return () if member is None else reach.unproven(member)

    def answered(self, member_id: int, answers: Mapping[tuple[str, int], tuple[str, int]]) -> None:
        """A member has answered at claimed addresses: those, and what they are in numbers."""
        group = self._group
        member = group.living(member_id)
        if member is not None and reach.prove(member, answers, group.allow_local):
            _tell_next(group, member)

    # --- settings ----------------------------------------------------------------------------------------------

    def objections(self, settings: GroupSettings) -> dict[str, str]:
        """Return which of these settings the group cannot have as it is now, by name, and why."""
        return retuning.objections(self._group, settings)

    def retune(self, settings: GroupSettings, now: float) -> None:
        """Go on with these settings, to which there are no objections."""
        retuning.retune(self._group, settings, now)

    # --- the five verbs ----------------------------------------------------------------------------------------

    def receive(self, sender: int, message: MemberMessage, now: float) -> None:
        """Take what a member says."""
        group = self._group
        member = group.living(sender)
        if member is None:
            return
        watch.heard(group, member, now)
        if isinstance(message, Report):
            watch.on_report(group, member, message, now)
            drain.reported(group, member, now)
        elif isinstance(message, NotReceiving):
            watch.on_not_receiving(group, member, message, now)
        elif isinstance(message, Contents):
            contents.on_contents(group, member, message, now)
        elif isinstance(message, Pong):
            watch.on_pong(group, member, message, now)
        elif isinstance(message, DistanceReply):
            distances.on_reply(group, member, message)
        else:
            self._receive_once(member, message, now)

    def _receive_once(self, member: Member, message: MemberMessage, now: float) -> None:
        """Take what a member says once or twice in its life."""
        group = self._group
        if isinstance(message, FirstHops):
            if locating.hear(group, member, message.gateway, message.hops, now):
                group.note(now, "first-hops", member, gateway=message.gateway, hops=message.hops)
                improve.correct_later(group, now)
                unlocated.look_again(group)
        elif isinstance(message, Leaving):
            if not relief.hand_over(group, member, now, message.reason):
                drain.leave(group, member, now, "leaving", message.reason)
                relief.gone(group, member)
        elif isinstance(message, Failed):
            drain.leave(group, member, now, "failed", message.reason)
        elif isinstance(message, Done) and not member.done:
            member.done = True
            group.note(now, "done", member, ok=message.ok, next_seq=message.next_seq, sha256=message.sha256)

    def disconnected(self, member: int, now: float) -> None:
        """A control link is gone; see ``watch.link_lost``."""
        found = self._group.living(member)
        if found is not None and found.connected:
            watch.link_lost(self._group, found, now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._group.clock = max(self._group.clock, now)
        for kind, member_id in self._group.timers.due(now):
            self._due(kind, member_id, now)

    def next_deadline(self) -> float | None:
        """Return when ``tick`` is wanted next; in the past while there are more messages than one batch."""
        return 0.0 if self._group.orders.dirty else self._group.timers.next()

    def messages_to_send(self) -> list[tuple[int, CoordinatorMessage]]:
        """Return, and forget, what has to be sent, in order."""
        group = self._group
        repair.place_waiting(group)
        promises.plan_all(group)
        out: list[tuple[int, CoordinatorMessage]] = []
        orders.flush(group, out)
        out += group.orders.outbox
        group.orders.outbox = []
        return out

    # --- what an operator asks ------------------------------------------------------------------------------------

    def drain(self, member_id: int, now: float, reason: str) -> str | None:
        """Have a member give up its children and get none, while it goes on receiving; return why it cannot be."""
        member = self._group.living(member_id)
        if member is None or member.leaving or member.done:
            return "it is gone, or goes already"
        if member.role == "source":
            return "it is the source, which feeds all others"
        drain.drain(self._group, member, now, reason)
        relief.gone(self._group, member)
        return None

    def undo_drain(self, member_id: int, now: float, reason: str) -> None:
        """Let a member have children again."""
        member = self._group.living(member_id)
        if member is not None:
            drain.undo(self._group, member, now, reason)
            relief.back(self._group, member, now)

    def draining(self, member_id: int) -> DrainView:
        """Return whether a member is drained, and who still needs it."""
        return views.draining(self._group, member_id)

    def rebalance(self, now: float) -> RebalancedView:
        """Improve the tree at once, within the bounds of one round; return who was moved."""
        before = len(self._group.log)
        hindrance = improve.rebalance(self._group, now)
        return views.rebalanced(self._group, self._group.log[before:], hindrance)

    # --- what else the driver drains and shows -----------------------------------------------------------------

    def measurements_wanted(self) -> list[int]:
        """Return, and forget, the members that have to be measured."""
        wanted, self._group.wanted = self._group.wanted, []
        return wanted

    def forgotten(self) -> list[int]:
        """Return, and forget, who is no member any more."""
        forgotten, self._group.forgotten = self._group.forgotten, []
        return forgotten

    def seen(self) -> dict[int, str]:
        """Return at which address each member was seen last, whether it has a link or not."""
        return {member.id: member.seen for member in self._group.members.values()}

    def events(self) -> list[Event]:
        """Return, and forget, what has happened."""
        log, self._group.log = self._group.log, []
        return log

    @property
    def epoch(self) -> int:
        """The newest batch of orders."""
        return self._group.epoch

    def snapshot(self) -> dict[str, Any]:
        """Return what must outlive a crash, as JSON-able values."""
        return snapshots.dump(self._group)

    @classmethod
    def restore(
        cls, settings: GroupSettings, key: bytes, snapshot: dict[str, Any], now: float, allow_local: bool = False
    ) -> Overlay:
        """Return the overlay that made the snapshot; all members are expected to resume."""
        overlay = cls(settings, key, allow_local)
        snapshots.load(overlay._group, snapshot, now)
        return overlay

    def members(self) -> list[MemberView]:
        """Return all members for people: Fig. 6B, in order of id."""
        return views.members(self._group)

    def tree(self) -> TreeView:
        """Return the tree for people: epoch, root, and every member's place."""
        return views.tree(self._group)

    def counters(self) -> CountersView:
        """Return how often what has happened, and how many there are."""
        return views.counters(self._group)

    # --- inside ------------------------------------------------------------------------------------------------

    def _due(self, kind: str, member_id: int, now: float) -> None:
        group = self._group
        if kind in start.TIMERS:
            start.due(group, kind, now)
        elif kind == "relief":
            relief.due(group, now)
        elif kind == "check":
            watch.check_members(group, now)
        elif kind in _IMPROVEMENT:
            _IMPROVEMENT[kind](group, now)
        elif (member := group.living(member_id)) is not None:
            self._due_for(kind, member, now)

    def _due_for(self, kind: str, member: Member, now: float) -> None:
        group = self._group
        if kind == "lost":
            watch.still_lost(group, member, now)
        elif kind == "aside":
            watch.look_again(group, member, now)
        elif kind == "unusable-pair":
            unusable_pair.forgive(member)
        elif kind == "unlocated":
            unlocated.wait_no_more(group, member)
        elif kind == "unrated":
            unrated.wait_no_more(group, member)
            start.maybe_start(group, now)
        elif kind == "leaf":
            repair.may_forward(group, member, now)
        elif kind == "release":
            drain.waited_for(group, member)
        elif kind == "inquiry" and (inquiry := group.watch.inquiries.get(member.id)) is not None:
            inquiries.conclude(group, inquiry, now)


def _improve(group: Group, now: float) -> None:
    improve.step(group, now)
    distances.wake(group, now)


_IMPROVEMENT: Final = {
    "improve": _improve,
    "correct": improve.correct,
    "shorten": improve.shorten,
    "distances": distances.ask,
}
"""What makes the tree better, by the timer that it waits for."""


def _returning(group: Group, request: Subscribe) -> Member | None:
    member = None if request.resume is None else group.living(request.resume.member)
    # a standby may have become the source
    if member is None or member.role not in (request.part, request.role) or member.name != request.name:
        return None
    return member


def _tell_next(group: Group, member: Member) -> None:
    """The member is to be found elsewhere: those next to it have to know."""
    for other in (*member.children, *member.wards):
        group.touch(other, force=True)


def _describe(group: Group, member: Member, request: Subscribe) -> None:
    """Take down what a subscriber says of itself."""
    member.upload_mbit = request.limits.upload_mbit
    member.out_degree = request.limits.out_degree
    reach.describe(member, request, group.allow_local)


__all__ = ["Event", "Measurement", "Overlay", "State"]
