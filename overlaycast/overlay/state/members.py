"""The member record (Fig. 6B) and its life.

Owns: what is known of one member, and which states may follow which. The record is the only place where a relation
is kept: the primary list (Fig. 6A) is derived, never stored. Refuses: choosing anything; I/O; clocks.

Invariants: ids are never used twice; a transition that the table does not name raises and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, NamedTuple

from overlaycast.errors import LocalProtocolError
from overlaycast.overlay.state.lateness import Lateness
from overlaycast.overlay.state.measurement import NOWHERE, Fact
from overlaycast.overlay.state.router import Router
from overlaycast.overlay.state.vicinity import Vicinity
from overlaycast.wire.frames import SHOWN
from overlaycast.wire.messages import Behind


class State(IntEnum):
    """Where a member is in its life."""

    JOINING = 0
    ACTIVE = 1
    SUSPECT = 2
    DEAD = 3
    LEFT = 4


ACTIVE: Final = State.ACTIVE
SUSPECT: Final = State.SUSPECT
DEAD: Final = State.DEAD
"""Names of their own for what every report and every search asks: through the enum they are found slowly."""

TRANSITIONS: Final[dict[State, tuple[State, ...]]] = {
    State.JOINING: (State.ACTIVE, State.DEAD, State.LEFT),
    State.ACTIVE: (State.SUSPECT, State.DEAD, State.LEFT),
    State.SUSPECT: (State.ACTIVE, State.DEAD, State.LEFT),
    State.DEAD: (),
    State.LEFT: (),
}

SERVERS: Final = ("relay", "backup")
SENDERS: Final = ("source", "standby")
"""Members that nobody feeds: the source, and those that wait to take its place (``watching.relief``)."""
NEVER: Final = float("-inf")


class _Nobody(list["Member"]):
    """The one empty list that all members without children or wards share, for most members are leaves.

    Never mutated: `tree` and `promises` replace it by a list of the member's own before the first append.
    """

    __hash__ = object.__hash__  # type: ignore[assignment]


NO_MEMBERS: Final[list[Member]] = _Nobody()


@dataclass(slots=True, eq=False)
class Lapse:
    """That a member cannot keep up, as events tell it: what is behind (None: it keeps up again), since when, how many
    records it had lost before, and when the newest of these events was."""

    what: Behind | None
    since: float
    lost_before: int
    told_at: float


@dataclass(slots=True, eq=False)
class Watched:
    """What a member reports, and what the watch concludes from it (Fig. 7 and 8). Written by ``watching`` only."""

    status: str = "waiting"
    fed_by: int = 0
    next_seq: int = 0
    heard_at: float = 0.0
    receive_mbit: float | None = None
    transmit_mbit: float | None = None
    slow_since: float | None = None
    flag_until: float = 0.0
    lateness: Lateness | None = None
    latency_ms: float | None = None
    lost: int = 0
    behind: Behind | None = None
    delivers: int = 0
    links_failed: int | None = None
    asked_in_vain: int | None = None
    lapse: Lapse | None = None
    lost_told: int | None = None
    lost_told_at: float = NEVER
    accused_at: float = NEVER
    words_at: float = NEVER


@dataclass(frozen=True, slots=True)
class History:
    """When a member was moved and mended last, and how often it was moved for its rate, or failed others.

    Frozen, so that all members that were never moved share one (``UNTOUCHED``).
    """

    moved_at: float = NEVER
    mended_at: float = NEVER
    moves: int = 0
    failures: int = 0


UNTOUCHED: Final = History()


class Seat(NamedTuple):
    """What a member's order says of its place in the tree. Equal where the very same members are named."""

    parent: Member | None
    rank: int
    standbys: tuple[Member, ...]
    fallbacks: tuple[Member, ...]
    primary: bool


@dataclass(slots=True, eq=False)
class Member:
    """One member's record. Mutable and slotted: a group may hold a million of them.

    ``seen`` is the address that the coordinator sees. ``claimed`` are the addresses that the member says it has,
    ``proven`` those among them that have answered a call, each with the address that did; ``addresses`` are what others
    are told (``reach``). ``open``: it says that it can be dialled; ``reachable``: it can, as far as is known.

    ``data_version``: the data link that it spoke when it joined, or the newest that we know. It keeps that as long as
    it is a member, for the grants of its links depend on it.

    ``draining``: its children are attached elsewhere, and it is given none, for its host is to be stopped (``drain``).

    ``fact`` is what ``router`` was found by; ``located``: by a path, not by the lack of anything better. ``near`` is
    what the member says of its own network. ``rated``: its train of echoes has gone, or will
    not go.

    ``inside`` is (the translator's address, its own address behind it, port), None where nothing translates. Tree
    fields (parent, children, rank, height, size) are written by ``tree`` only; promises (standbys, wards, promised) by
    ``promises`` only, ``barred`` (parents that it is kept away from) by ``unusable_pair``. Rates are Mbit/s, times
    seconds of the caller's clock, ``*_ms`` milliseconds.
    """

    id: int
    name: str
    role: str
    state: State = State.JOINING
    connected: bool = True
    addresses: tuple[tuple[str, int], ...] = ()
    seen: str = ""
    claimed: tuple[tuple[str, int], ...] = ()
    proven: tuple[tuple[tuple[str, int], tuple[str, int]], ...] = ()
    open: bool = True
    reachable: bool = True
    dials: bool = True
    data_version: int = SHOWN
    inside: tuple[str, str, int] | None = None
    upload_mbit: float | None = None
    out_degree: int | None = None
    joined_epoch: int = 0
    placed_at: float = 0.0
    # location and performance (Fig. 6B: routers, performance parameter)
    router: Router | None = None
    fact: Fact = NOWHERE
    near: Vicinity | None = None
    located: bool = False
    rtt_ms: float | None = None
    rate_mbit: float | None = None
    measured: bool = False
    rated: bool = False
    degree: int = 0
    # the tree
    parent: Member | None = None
    children: list[Member] = NO_MEMBERS
    rank: int = 0
    height: int = 0
    size: int = 1
    edge_ms: float = 0.0
    # promises: members that take it when its parent dies, and those that it takes when theirs dies
    standbys: tuple[Member, ...] = ()
    counted: tuple[bool, ...] = ()
    wards: list[Member] = NO_MEMBERS
    promised: int = 0
    fallbacks: tuple[Member, ...] = ()
    barred: tuple[int, ...] = ()
    # what it was told
    sent: Seat | None = None
    order_epoch: int = 0
    # what the processes keep of it
    watch: Watched = field(default_factory=Watched)
    history: History = UNTOUCHED
    # how it ends
    draining: bool = False
    leaving: bool = False
    done: bool = False

    def __repr__(self) -> str:
        return f"<{self.role} {self.id} {self.name} {self.state.name}>"

    def past(self, **changes: float) -> None:
        """Note in its history what has happened to it."""
        self.history = replace(self.history, **changes)  # type: ignore[arg-type]

    @property
    def alive(self) -> bool:
        """It is a member, as far as anybody knows."""
        return self.state < DEAD

    @property
    def trusted(self) -> bool:
        """It may be given children: a member in good standing that stays."""
        return self.state <= ACTIVE and self.connected and not (self.draining or self.leaving or self.done)

    @property
    def spare(self) -> int:
        """Children that it can still be given; what is promised to others is not spare."""
        return self.degree - len(self.children) - self.promised

    @property
    def primary(self) -> bool:
        """It is fed by the source itself (Fig. 6A, derived)."""
        return self.parent is not None and self.parent.role == "source" and self.role != "backup"

    def become(self, state: State) -> None:
        """Change state.

        Raises:
            LocalProtocolError: the table does not allow it; nothing has changed.
        """
        if state not in TRANSITIONS[self.state]:
            raise LocalProtocolError(f"member {self.id}: {self.state.name} cannot become {state.name}")
        self.state = state
