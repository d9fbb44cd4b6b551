"""An outage: which parent to ask next, how long to wait for each, and what the coordinator hears until it is over.

Owns: the predefined list (Fig. 8, last part), its rounds and pauses, and the repetition of complaints (Fig. 9A).
Refuses: opening and closing links. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from overlaycast.failover.redial import pause
from overlaycast.failover.words import Complain, Link, Reason
from overlaycast.wire.messages import Assign, Peer

COMPLAIN_AFTER: Final = 0.25
COMPLAIN_EVERY: Final = 1.0
LOSS_PATIENCE: Final = 0.5
"""Seconds that a parent has to answer before the loss of what others do not have is taken. Where an order names only
one, the coordinator has so long to name others."""
AGAIN_PATIENCE: Final = 0.25
"""The same for one that was dialled once more before that."""
AGAIN_EVERY: Final = 3.0
"""Seconds before the same is waited for again before a loss: it costs a part of the stream each time."""
LONGEST_PAUSE: Final = 2.0
"""Seconds between two rounds through the list, at most."""


@dataclass(slots=True)
class Outage:
    """A parent lost or silent (``parent`` None: there was none yet), last heard at ``heard``.

    ``asked``: those that were asked and have brought nothing yet, and when.
    """

    reason: Reason
    parent: int | None
    heard: float
    next_try: float
    complain_at: float
    queue: list[Peer] = field(default_factory=list)
    rounds: int = 0
    asked: dict[int, float] = field(default_factory=dict)
    dialled_again: dict[int, float] = field(default_factory=dict)
    """Members that had not answered when a loss was about to be taken, and when they were dialled once more for it."""

    def end_of_round(self, queue: list[Peer], now: float, jitter: Callable[[], float]) -> None:
        """All were asked: pause, longer each time, and begin again."""
        self.next_try = now + pause(self.rounds, LONGEST_PAUSE, jitter)
        self.rounds += 1
        self.queue = queue

    def hurry(self, now: float) -> None:
        """The one asked last has failed: the next need not wait."""
        self.next_try = min(self.next_try, now)

    def dial_again(self, member: int, asked_at: float, now: float) -> bool:
        """Is this one dialled once more before a loss is taken? Take note: it is not done on and on."""
        late = now >= asked_at + LOSS_PATIENCE and now >= self.dialled_again.get(member, -math.inf) + AGAIN_EVERY
        if late:
            self.dialled_again[member] = now
        return late

    def patience_s(self, link: Link) -> float:
        """Return how long this one has to answer, since it was asked last, before a loss is taken."""
        return AGAIN_PATIENCE if self.dialled_again.get(link.peer.member) == link.asked_at else LOSS_PATIENCE

    def complaint(self, target: int | None, now: float, now_from: int | None = None) -> Complain:
        """Return what the coordinator is told about this outage."""
        parent = self.parent if self.parent is not None else target
        return Complain(parent, milliseconds(now - self.heard), self.reason, now_from)


def named(order: Assign | None) -> set[int]:
    """Return the members that an order names."""
    return {peer.member for peer in predefined(order, set(), lambda member: True)}


def predefined(order: Assign | None, without: set[int | None], is_warm: Callable[[int], bool]) -> list[Peer]:
    """Return the parents to ask, each once: warm standbys, the other standbys, the parent, fallbacks."""
    if order is None:
        return []
    standbys = sorted(order.standbys, key=lambda peer: not is_warm(peer.member))
    queue: dict[int, Peer] = {}
    for peer in (*standbys, *((order.parent,) if order.parent else ()), *order.fallbacks):
        if peer.member not in without:
            queue.setdefault(peer.member, peer)
    return list(queue.values())


class Complaints:
    """The newest complaint about a switch, repeated until an order answers."""

    def __init__(self) -> None:
        self._open: Complain | None = None
        self._at = 0.0

    def make(self, complaint: Complain, now: float) -> Complain:
        """Keep it until it is answered; return it, to be told now."""
        self._open, self._at = complaint, now + COMPLAIN_EVERY
        return complaint

    def answered(self) -> None:
        """An order has come, or there is newer news."""
        self._open = None

    def deadlines(self) -> list[float]:
        """Return when it is to be told again."""
        return [self._at] if self._open else []

    def due(self, now: float) -> list[Complain]:
        """Return what is to be told again now."""
        return [self.make(self._open, now)] if self._open and now >= self._at else []


def milliseconds(seconds: float) -> float:
    """Return milliseconds for reports; never negative."""
    return round(max(seconds, 0.0) * 1000, 3)
