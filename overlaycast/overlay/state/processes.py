"""What each process keeps of one group: the start (Fig. 5), the watch (Fig. 7 and 8), repair, improvement, the orders.

Owns: the shapes, and ``forget``: a member that is gone is nowhere in them. Refuses: rules; each package of
``overlay`` changes its own part. Times are seconds of the caller's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from overlaycast.overlay.state.account import Account, Direction, Progress
from overlaycast.overlay.state.members import NEVER, Member
from overlaycast.overlay.state.router import Key
from overlaycast.wire.messages import Contents, CoordinatorMessage


@dataclass(slots=True)
class Start:
    """Fig. 5: how the group begins, and begins again when its source comes back. Changed by ``watching.start``."""

    started: bool = False
    begun: bool = False
    begin_wanted: bool = False
    incarnation: int = -1
    next_seq: int = 0
    contents: Contents | None = None
    """What the source of a file group has announced."""
    came: int = 0
    """Peers that have come so far."""
    all_came_at: float = NEVER
    """When the last of those had come that the start waits for."""
    measured_peers: int = 0
    rated_peers: int = 0
    unlocated: dict[int, None] = field(default_factory=dict)
    """Members that wait for a path that locates them."""
    unrated: dict[int, None] = field(default_factory=dict)
    """Members that wait for the rate of the links to their router, of which nothing is known."""
    planted: dict[int, Member] = field(default_factory=dict)
    """Relays and backup servers: the start waits for their measurements."""
    unconfirmed: set[int] = field(default_factory=set)
    """Members placed at the start that have not said yet that they are there."""
    back_at: float = NEVER
    """When a source that had come back was let go last."""
    asked: dict[int, int] = field(default_factory=dict)
    """Nonces of the pings that ask a returned source's former children how far they are."""
    parted: dict[int, float] = field(default_factory=dict)
    """Members that have turned away from the source by themselves, and when."""
    standbys: dict[int, Member] = field(default_factory=dict)
    """Sources that wait to take over, in the order in which they came. Changed by ``watching.relief``."""
    former: int = 0
    """The source that failed and whose place a standby has taken: its children may still read what it had sent."""
    deposed: int | None = None
    """The last source that was dismissed: it may be only frozen, or cut off, and then goes on sending."""
    unsure: set[int] = field(default_factory=set)
    """Of those children, who said that the former source still fed them: they are asked again."""
    ahead: dict[int, Member] = field(default_factory=dict)
    """Of those children, who lack records of the former source, and for each one that has them."""
    asks_left: int = 0
    """How often children are still asked whether a source whose control link is down feeds them."""

    def forget(self, member: int) -> None:
        """Wait for this member no more."""
        self.planted.pop(member, None)
        self.unlocated.pop(member, None)
        self.unrated.pop(member, None)
        self.unconfirmed.discard(member)
        self.parted.pop(member, None)
        self.standbys.pop(member, None)
        self.unsure.discard(member)
        for child in [one for one, leader in self.ahead.items() if member in (one, leader.id)]:
            del self.ahead[child]


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
    """The members that accused it, each with the nonce of its own ping."""
    answered: set[int] = field(default_factory=set)


@dataclass(slots=True)
class PairFailures:
    """How often in a row the link between a child and one parent has failed though both live, and when last."""

    failures: int
    at: float


@dataclass(slots=True)
class Silences:
    """Members that fell silent one after the other (``mass_failure``): since when, the last one's time, how many."""

    since: float = 0.0
    at: float = -1e18
    count: int = 0


@dataclass(slots=True)
class Watch:
    """Fig. 7 and 8: what members report, and what follows. Changed by ``watching``, and by its parts in ``plan``."""

    stream_mbit: float | None = None
    """The rate at which the source really sends, as it reports."""
    progress: Progress | None = None
    """How far the source said that it was."""
    end: int | None = None
    """Where the source said that the stream ends."""
    asking: dict[int, None] = field(default_factory=dict)
    """Members that want to know whether the stream is over, while it is not."""
    returning: set[int] = field(default_factory=set)
    """Members that were known before a restart and have not come back: each may know of a later rank than we do."""
    nonces: int = 0
    inquiries: dict[int, Inquiry] = field(default_factory=dict)
    set_aside: dict[int, Complaint] = field(default_factory=dict)
    silences: Silences = field(default_factory=Silences)
    pair_failures: dict[int, dict[int, PairFailures]] = field(default_factory=dict)
    """Per child and parent: links that failed though both live."""
    accusations: dict[int, dict[str, float]] = field(default_factory=dict)
    """Per forwarder: hosts of children that got forged data from it, and when they said so last."""
    carried: dict[tuple[int, Direction], Account] = field(default_factory=dict)
    """What uplinks were seen to carry, by router and direction."""
    hosts: dict[int, Account] = field(default_factory=dict)
    """What hosts are seen to send in all, of those of whose children one lacks, or did a while ago."""
    overdue: dict[int, float] = field(default_factory=dict)
    """Members that do not know their newest order, and since when, or when it was told again."""
    links_failed: int = 0
    asked_in_vain: int = 0
    """What members have said of their links since this coordinator started, over all members."""
    queue: list[int] = field(default_factory=list)
    """Members that the present round of checks has still to look at."""

    def nonce(self) -> int:
        """Return a number for a ping that nobody has had."""
        self.nonces += 1
        return self.nonces

    def forget(self, member: int) -> None:
        """Keep nothing of what this member said, or others said of it."""
        self.returning.discard(member)
        self.asking.pop(member, None)
        for table in (self.inquiries, self.set_aside, self.pair_failures, self.accusations, self.hosts, self.overdue):
            table.pop(member, None)


@dataclass(slots=True)
class Repair:
    """Fig. 8, 810 to 814: members without a parent, and those that were attached in haste. Changed by ``mending``."""

    unsettled_at: float = NEVER
    """When something failed, or was mended, last."""
    waiting: dict[int, None] = field(default_factory=dict)
    """Members without a parent that want one, in the order in which they lost or never had it."""
    room_changed: bool = False
    """A member may have room that had none: those that wait are looked at again."""
    leaves: dict[int, None] = field(default_factory=dict)
    """Members that feed nobody for a while: convicted of forging, or too thin themselves (``repair.make_leaf``)."""
    strays: dict[int, None] = field(default_factory=dict)
    """Orphans that turned to a member further away, to be brought nearer (``gather``)."""
    remote: dict[int, int] = field(default_factory=dict)
    """Strays for which nobody was found, and in how many checks since they were looked at in vain."""
    releasing: dict[int, set[int]] = field(default_factory=dict)
    """Per leaver, and per member that is drained: those that have not said yet that they are fed by others."""

    def forget(self, member: int) -> None:
        """Mend nothing for this member any more."""
        for table in (self.waiting, self.leaves, self.strays, self.remote, self.releasing):
            table.pop(member, None)


@dataclass(slots=True)
class Improvement:
    """Fig. 4, 410, again while the group runs: which members are to be looked at. Changed by ``mending.improve``."""

    heads: dict[int, None] = field(default_factory=dict)
    """Members that are fed from another router: their copies pass links."""
    hinted: dict[int, None] = field(default_factory=dict)
    """Members that may have a better place now, to be looked at first."""
    counted: dict[int, None] = field(default_factory=dict)
    """Members that have counted how far others are."""
    misplaced: dict[int, None] = field(default_factory=dict)
    """Members that are elsewhere than was thought when they got their parent."""
    waits_since: float | None = None
    """Since when improvement waits for a group that settles."""
    heads_queue: list[int] = field(default_factory=list)
    queue: list[int] = field(default_factory=list)

    def forget(self, member: int) -> None:
        """Do not look at this member any more."""
        self.heads.pop(member, None)
        self.hinted.pop(member, None)
        self.counted.pop(member, None)
        self.misplaced.pop(member, None)


@dataclass(slots=True)
class Asked:
    """A member that counts how far it is from others: under which number, at which router, and at which these are."""

    nonce: int
    router: Key
    others: dict[int, Key]


@dataclass(slots=True)
class Distances:
    """Who has been asked how far it is from others. Changed by ``watching.distances``; times are none of its own."""

    nonces: int = 0
    rounds: dict[Key, int] = field(default_factory=dict)
    """How often a member of each router has been asked."""
    tried: dict[Key, set[Key]] = field(default_factory=dict)
    """From each router, those to which a member of it was asked to count."""
    wanted: dict[Key, dict[Key, None]] = field(default_factory=dict)
    """For each router, others that have found themselves near to it, and may feed it."""
    asked: dict[int, Asked] = field(default_factory=dict)
    """Members whose answers are awaited."""

    def forget(self, member: int) -> None:
        """Wait for this member's answer no more."""
        self.asked.pop(member, None)


@dataclass(slots=True)
class Orders:
    """What has to be planned anew and to be told. Changed by ``plan``."""

    dirty: dict[int, bool] = field(default_factory=dict)
    """Members whose order has to be looked at; True: it is sent even if nothing has changed."""
    outbox: list[tuple[int, CoordinatorMessage]] = field(default_factory=list)
    replan: dict[int, None] = field(default_factory=dict)
    """Forwarders whose death has to be planned anew."""
    held: set[int] = field(default_factory=set)
    """Members that are told nothing until those that they still feed have changed over (``drain``)."""
    revocations: dict[int, list[int]] = field(default_factory=dict)
    """Per child: former parents that are told to forget it once it has settled."""
    listed: dict[int, dict[int, None]] = field(default_factory=dict)
    """Per member: those on whose predefined lists it is."""

    def forget(self, member: int) -> None:
        """Tell this member nothing any more."""
        self.dirty.pop(member, None)
        self.held.discard(member)
        self.revocations.pop(member, None)
        self.listed.pop(member, None)
