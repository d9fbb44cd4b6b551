"""The state that all rules of one group share.

Owns: the table of members, the tree, the routers, timers, what is to be said and what has happened. Refuses: rules;
each of those is a module of its own that takes a ``Group``.

Invariants: ids only grow; the epoch only grows, by one for each batch of orders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from overlaycast.overlay.state.account import Account, Direction, Progress
from overlaycast.overlay.state.filerate import FileRate
from overlaycast.overlay.state.locality import Routers
from overlaycast.overlay.state.members import Member, State
from overlaycast.overlay.state.timers import Timers
from overlaycast.overlay.state.tree import Tree
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Contents, CoordinatorMessage


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for people and tools. ``at`` is the caller's clock."""

    at: float
    kind: str
    member: int | None
    details: dict[str, Any]


@dataclass(slots=True)
class Complaint:
    """An error that was set aside (Fig. 8, 818), to be looked at again."""

    reporter: int
    parent: int
    at: float


@dataclass(slots=True)
class Inquiry:
    """Fig. 8, 808: a parent was accused, and has been asked whether it lives."""

    parent: int
    asked_at: float
    nonce: int
    reporters: dict[int, int] = field(default_factory=dict)
    """Who accused it, each with the nonce of its own ping."""
    answered: set[int] = field(default_factory=set)


@dataclass(slots=True)
class PairFailures:
    """How often in a row the link between a child and one parent has failed though both live, and when last."""

    failures: int
    at: float


@dataclass(slots=True, eq=False)
class Group:
    """One group's state. Times are seconds of the caller's clock."""

    settings: GroupSettings
    key: bytes
    members: dict[int, Member] = field(default_factory=dict)
    next_id: int = 1
    epoch: int = 0
    tree: Tree = field(init=False)
    routers: Routers = field(default_factory=Routers)
    file_rate: tuple[tuple[int, int, float | None], FileRate] | None = None
    """What ``capacity.file_rate`` found last, and from what."""
    timers: Timers = field(default_factory=Timers)
    servers: list[Member] = field(default_factory=list)
    """Backup servers, in the order in which they came."""
    planted: dict[int, Member] = field(default_factory=dict)
    """Relays and backup servers: the start waits for their measurements."""
    # start-up and the source
    started: bool = False
    begun: bool = False
    begin_wanted: bool = False
    measured_peers: int = 0
    incarnation: int = -1
    next_seq: int = 0
    contents: Contents | None = None
    """What the source of a file group has announced."""
    stream_mbit: float | None = None
    """The rate at which the source really sends, as it reports."""
    unconfirmed: set[int] = field(default_factory=set)
    """Members placed at the start that have not said yet that they are there."""
    asked: dict[int, int] = field(default_factory=dict)
    """Nonces of the pings that ask a returned source's former children how far they are."""
    # to do
    dirty: dict[int, bool] = field(default_factory=dict)
    """Members whose order has to be looked at; True: it is sent even if nothing has changed."""
    outbox: list[tuple[int, CoordinatorMessage]] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    log: list[Event] = field(default_factory=list)
    waiting: dict[int, None] = field(default_factory=dict)
    """Members without a parent that want one, in the order in which they lost or never had it."""
    room_changed: bool = False
    """Somebody may have room who had none: those who wait are looked at again."""
    replan: dict[int, None] = field(default_factory=dict)
    """Forwarders whose death has to be planned anew."""
    revocations: dict[int, list[int]] = field(default_factory=dict)
    """Per child: former parents that are told to forget it once it has settled."""
    fallback_load: dict[int, int] = field(default_factory=dict)
    """Per member: on how many predefined lists it is."""
    releasing: dict[int, set[int]] = field(default_factory=dict)
    """Per leaver: the children that have not said yet that they are fed by others."""
    # watching
    progress: Progress | None = None
    """How far the source said that it was."""
    silent_since: float = 0.0
    silent_at: float = -1e18
    silent_count: int = 0
    """Members that fell silent one after the other (``mass_failure``): since when, the last one's time, how many."""
    clock: float = 0.0
    """The newest time that the caller has told."""
    carried: dict[tuple[int, Direction], Account] = field(default_factory=dict)
    """What uplinks were seen to carry, by router and direction."""
    nonces: int = 0
    inquiries: dict[int, Inquiry] = field(default_factory=dict)
    set_aside: dict[int, Complaint] = field(default_factory=dict)
    pair_failures: dict[int, dict[int, PairFailures]] = field(default_factory=dict)
    """Per child and parent: links that failed though both live."""
    accusations: dict[int, dict[str, float]] = field(default_factory=dict)
    """Per forwarder: hosts of children that got forged data from it, and when they said so last."""
    leaves: dict[int, None] = field(default_factory=dict)
    """Members that feed nobody for a while: convicted of forging, or too thin themselves (``repair.make_leaf``)."""
    hosts: dict[int, Account] = field(default_factory=dict)
    """What hosts are seen to send in all, of those of whose children one lacks, or did a while ago."""
    overdue: dict[int, float] = field(default_factory=dict)
    """Members that do not know their newest order, and since when, or when it was told again."""
    sweep_queue: list[int] = field(default_factory=list)
    improve_queue: list[int] = field(default_factory=list)
    heads: dict[int, None] = field(default_factory=dict)
    """Members that are fed from another router: their copies pass links."""
    heads_queue: list[int] = field(default_factory=list)
    hinted: dict[int, None] = field(default_factory=dict)
    """Members who may have a better place now, to be looked at first."""
    strays: dict[int, None] = field(default_factory=dict)
    """Orphans that turned to somebody further away, to be brought nearer (``gather``)."""
    remote: dict[int, int] = field(default_factory=dict)
    """Strays for whom nobody was found, and in how many sweeps since they were looked at in vain."""
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tree = Tree(self.settings.depth_limit)

    @property
    def source(self) -> Member | None:
        """The member that feeds the group, alive or missed."""
        return self.tree.root

    def living(self, member_id: int | None) -> Member | None:
        """Return the member if it is known and alive."""
        member = self.members.get(member_id) if member_id else None
        return member if member is not None and member.alive else None

    def nonce(self) -> int:
        """Return a number for a ping that nobody has had."""
        self.nonces += 1
        return self.nonces

    def note(self, at: float, kind: str, member: Member | None, **details: Any) -> None:
        """Record that something happened, and count it."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.log.append(Event(at, kind, member.id if member else None, details))

    def touch(self, member: Member, force: bool = False) -> None:
        """Have the member's order looked at when messages are next drained."""
        self.dirty[member.id] = force or self.dirty.get(member.id, False)

    def forget(self, member: Member, state: State) -> None:
        """Take a member that has no relations any more out of the table."""
        member.become(state)
        self.routers.leave(member)
        self.members.pop(member.id, None)
        self.dirty.pop(member.id, None)
        self.waiting.pop(member.id, None)
        self.set_aside.pop(member.id, None)
        self.inquiries.pop(member.id, None)
        self.revocations.pop(member.id, None)
        self.fallback_load.pop(member.id, None)
        self.planted.pop(member.id, None)
        self.releasing.pop(member.id, None)
        self.heads.pop(member.id, None)
        self.hinted.pop(member.id, None)
        self.pair_failures.pop(member.id, None)
        self.overdue.pop(member.id, None)
        self.accusations.pop(member.id, None)
        self.leaves.pop(member.id, None)
        self.hosts.pop(member.id, None)
        self.strays.pop(member.id, None)
        self.remote.pop(member.id, None)
        self.unconfirmed.discard(member.id)
        if member in self.servers:
            self.servers.remove(member)
