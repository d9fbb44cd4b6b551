"""The state that all rules of one group share.

Owns: the table of members, the tree, the routers, timers, what has happened, and one object for each process
(``processes``). Refuses: rules; each of those is a module of its own that takes a ``Group``.

Invariants: ids only grow; the epoch only grows, by one for each batch of orders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from overlaycast.overlay.state.candidates import Candidates
from overlaycast.overlay.state.filerate import FileRate
from overlaycast.overlay.state.locality import Routers
from overlaycast.overlay.state.members import DEAD, Member, State
from overlaycast.overlay.state.processes import Distances, Improvement, Orders, Repair, Start, Watch
from overlaycast.overlay.state.timers import Timers
from overlaycast.overlay.state.tree import Tree
from overlaycast.overlay.state.ways import Ways
from overlaycast.wire.group import GroupSettings

UNSETTLING: Final = frozenset(
    (
        "suspect",
        "dead",
        "left",
        "leaving",
        "failed",
        "failover",
        "new-sender",
        "not-receiving",
        "gathered",
        "source-back",
        "took-over",
    )
)
"""What shows that members are being moved for a failure or a leave, or are about to be."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for people and tools. ``at`` is the caller's clock."""

    at: float
    kind: str
    member: int | None
    details: dict[str, Any]


@dataclass(slots=True, eq=False)
class Group:
    """One group's state. Times are seconds of the caller's clock."""

    settings: GroupSettings
    key: bytes
    # members, and who feeds whom
    members: dict[int, Member] = field(default_factory=dict)
    next_id: int = 1
    epoch: int = 0
    tree: Tree = field(init=False)
    routers: Routers = field(default_factory=Routers)
    ways: Ways = field(default_factory=Ways)
    candidates: Candidates = field(default_factory=Candidates)
    servers: list[Member] = field(default_factory=list)
    """Backup servers, in the order in which they came."""
    allow_local: bool = False
    """Members may dial one another at addresses that mean something on one host or link only."""
    file_rate: tuple[tuple[int, int, float | None], FileRate] | None = None
    """What ``capacity.file_rate`` found last, and from what."""
    # the processes
    start: Start = field(default_factory=Start)
    watch: Watch = field(default_factory=Watch)
    repair: Repair = field(default_factory=Repair)
    improvement: Improvement = field(default_factory=Improvement)
    distances: Distances = field(default_factory=Distances)
    orders: Orders = field(default_factory=Orders)
    # time, and what the driver drains
    clock: float = 0.0
    """The newest time that the caller has told."""
    timers: Timers = field(default_factory=Timers)
    wanted: list[int] = field(default_factory=list)
    """Members that are to be measured."""
    forgotten: list[int] = field(default_factory=list)
    """Members that are none any more."""
    log: list[Event] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tree = Tree(self.settings.depth_limit)

    @property
    def source(self) -> Member | None:
        """The member that feeds the group, alive or missed."""
        return self.tree.root

    @property
    def relief(self) -> Member | None:
        """The standby that would take over now if the source were to go."""
        if self.settings.mode != "live":
            return None
        return next((one for one in self.start.standbys.values() if one.trusted), None)

    def living(self, member_id: int | None) -> Member | None:
        """Return the member if it is known and alive."""
        member = self.members.get(member_id) if member_id else None
        return member if member is not None and member.state < DEAD else None

    def note(self, at: float, kind: str, member: Member | None, **details: Any) -> None:
        """Record that something happened, and count it."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind in UNSETTLING:
            self.repair.unsettled_at = at
        self.log.append(Event(at, kind, member.id if member else None, details))

    def touch(self, member: Member, force: bool = False) -> None:
        """Have the member's order looked at when messages are next drained."""
        dirty = self.orders.dirty
        dirty[member.id] = force or dirty.get(member.id, False)

    def forget(self, member: Member, state: State) -> None:
        """Take a member that has no relations any more out of the table, and out of every process."""
        member.become(state)
        self.routers.leave(member)
        self.routers.witnesses.hear(member.id, None, None)
        self.members.pop(member.id, None)
        self.forgotten.append(member.id)
        for process in (self.start, self.watch, self.repair, self.improvement, self.distances, self.orders):
            process.forget(member.id)
        if member in self.servers:
            self.servers.remove(member)
