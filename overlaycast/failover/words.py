"""The types of ``machine``: its states, its links, and what it wants done.

Owns: these types. Refuses: decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from overlaycast.wire.messages import Peer, ReportState

Reason = Literal["silence", "reset", "refused", "unreachable", "gone", "damaged"]


class State(Enum):
    """See the module text."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    STREAMING = "streaming"
    STALLED = "stalled"
    SWITCHING = "switching"
    ENDED = "ended"


REPORTED: Final[dict[State, ReportState]] = {
    State.WAITING: "waiting",
    State.CONNECTING: "waiting",
    State.STREAMING: "streaming",
    State.STALLED: "stalled",
    State.SWITCHING: "switching",
    State.ENDED: "ended",
}
"""What reports call each state."""

NOTHING: Final = 1 << 64
"""In place of the oldest record that a parent has: it has none."""


class Phase(Enum):
    """A link's own state: dialled and unanswered; warm; asked for records; feeding."""

    DIALLING = "dialling"
    IDLE = "idle"
    ASKED = "asked"
    FEEDING = "feeding"


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect to ``peer`` and say HELLO: with the resume point if ``feed``, else IDLE."""

    link: int
    peer: Peer
    feed: bool


@dataclass(frozen=True, slots=True)
class SendStart:
    """START on this link from the resume point, or from the oldest record it has."""

    link: int
    oldest: bool = False


@dataclass(frozen=True, slots=True)
class SendStop:
    """STOP on this link: a standby again."""

    link: int


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Close this link."""

    link: int


@dataclass(frozen=True, slots=True)
class Complain:
    """Tell the coordinator ``NotReceiving``."""

    parent: int | None
    silent_ms: float
    reason: Reason
    now_from: int | None = None


@dataclass(frozen=True, slots=True)
class ParentChanged:
    """From now on ``parent`` is to feed us."""

    parent: int
    was: int | None
    reason: Literal["first", "order", "return", "silence", "reset", "refused", "unreachable", "gone", "damaged"]


@dataclass(frozen=True, slots=True)
class Silent:
    """Suspicion: ``parent`` has said nothing for so long."""

    parent: int
    silent_ms: float


@dataclass(frozen=True, slots=True)
class Fruitless:
    """These parents, one after the other, answered and brought no byte of a record."""

    parents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LinkFailed:
    """The link to this possible parent broke, was refused, or did not come about."""

    parent: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class AskedInVain:
    """These were asked in an outage, and brought nothing before another did or all had been asked."""

    parents: tuple[int, ...]


Action = (
    Dial | SendStart | SendStop | CloseLink | Complain | ParentChanged | Silent | Fruitless | LinkFailed | AskedInVain
)


@dataclass(slots=True)
class Link:
    """One connection towards a possible parent, as the machine sees it.

    ``gone``: it no longer has our next record; the oldest that it has, ``NOTHING`` while it has none. ``brings``: a new
    record has come since it was asked, and since it was silent. ``loss``: it was asked for its oldest record, this one,
    and none has come since.
    """

    number: int
    peer: Peer
    phase: Phase
    heard: float
    asked_at: float = 0.0
    feed: bool = False
    stalled_since: float | None = None
    gone: int | None = None
    taken: int = 0
    brings: bool = False
    loss: int | None = None


@dataclass(slots=True)
class Doubt:
    """After a switch for silence: the parent left behind, still asked, may prove that it was only late.

    ``old`` and ``new``: bytes taken from it and from the new parent when the doubt began. ``gap``: how long it had been
    silent when it was heard again, 0 until then.
    """

    link: int
    until: float
    complaint: Complain
    old: int = 0
    new: int = 0
    gap: float = 0.0
