"""What each fault of a run did, as it stands in ``result.json``: whom it hit, who moved, how members were fed.

Owns: names and units of these fields. Refuses: to find them out (``analysis``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LEAST_S: Final = 0.2
"""Members write samples so often: in a shorter window nothing is measured."""


@dataclass(frozen=True, slots=True)
class Move:
    """A member that changed its parent after a fault.

    Attributes:
        host: the member.
        was: its parent before.
        now: its parent after.
        first: the first parent that it turned to, by itself or on an order.
        below_top: it sat below a branch's top, and should have stayed where it was.
        well: its old parent was alive and fed, so there was no need.
    """

    host: str
    was: str | None
    now: str | None
    first: str | None
    below_top: bool
    well: bool


@dataclass(frozen=True, slots=True)
class Orphans:
    """The surviving children of a dead forwarder in one site, and their parents after the repair."""

    site: str
    hosts: tuple[str, ...]
    heir: str | None
    heir_fed_by: str | None
    siblings_by_heir: bool
    ok: bool


SEVERAL: Final = ", "
"""Stands between the hosts that a fault hit, and between those that it is to hit."""


@dataclass(frozen=True, slots=True)
class FaultSeen:
    """What one fault did.

    Attributes:
        id, action, asked, target: what was done, and to which member, link or site.
        away: members that could not serve while it lasted.
        at_s: seconds after the first record was sent.
        evidence: how it was verified.
        healed_s: when it was healed, or None.
        affected: surviving receivers that were fed through the target, or were silent because of it.
        detected_ms: until the first of them took action.
        recovered_ms: until the last of them received again; None: one never did, or there is none.
        back_ms: from the heal until the last of those away received again; None: one never did, or none was to.
        longest_gap_ms: the longest silence at one of them.
        bystanders_gap_ms: the longest silence, until the next fault, at a surviving receiver that it did not cut off.
        bystanders_latency_ms: the highest median latency of 200 ms at one of those.
        moved: members with another parent afterwards, with ``moves`` one by one.
        moved_below_top: of these, how many sat below a branch's top.
        moved_while_well: of these, how many were fed by a living parent.
        orphans: per site, whether one copy entered and the siblings were fed inside.
        heir_fed_from_outside: all sites of the orphans are ok; None: the target had no children.
        inbound_copies: per site of the target and its orphans, copies that entered until the next fault.
        lost, duplicated: records, at the surviving receivers, until the next fault.
        window_s: from it until the next fault, or until the last receiver had everything; None: not known.
    """

    id: str
    action: str
    asked: str
    target: str
    at_s: float
    evidence: str
    healed_s: float | None
    affected: int
    detected_ms: float | None
    recovered_ms: float | None
    longest_gap_ms: float | None
    moved: int
    moves: tuple[Move, ...]
    moved_below_top: int
    moved_while_well: int
    orphans: tuple[Orphans, ...]
    heir_fed_from_outside: bool | None
    inbound_copies: dict[str, float]
    lost: int
    duplicated: int
    away: tuple[str, ...] = ()
    back_ms: float | None = None
    bystanders_gap_ms: float | None = None
    bystanders_latency_ms: float | None = None
    window_s: float | None = None

    @property
    def hit(self) -> tuple[str, ...]:
        """Return the hosts that it hit; the link or router, where it hit one."""
        return tuple(self.target.split(SEVERAL))

    @property
    def measured(self) -> bool:
        """Return whether there was time to see what it did."""
        return self.window_s is None or self.window_s >= LEAST_S


@dataclass(frozen=True, slots=True)
class FeedSeen:
    """How the surviving receivers were fed just before a fault, or (``before_fault`` None) at the stream's end.

    ``by_call`` of the ``receivers`` were fed over a connection that their parent had opened; ``as_planned`` by the
    parent that the coordinator had given them (None: this system has no coordinator).
    """

    at_s: float
    before_fault: str | None
    receivers: int
    by_call: int
    as_planned: int | None
