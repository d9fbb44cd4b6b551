"""Which children are let in at a member's data port, and which have to go again (Fig. 9C, 920). Pure.

Owns: the coordinator's Accepts by their grants, our own rank, and the verdict on a HELLO. Refuses: sockets, clocks and
timers; what drives it holds a HELLO without a verdict for ``HOLD_S``, and asks again when anything has changed.

A grant is 16 secret bytes made by the coordinator for one child at one parent; the connection that shows it is that
child's. No child is admitted whose rank is not above ours, whatever was announced, so that no combination of late
orders and local switches closes a cycle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from overlaycast.wire.frames import RefuseCode
from overlaycast.wire.messages import Accept, Revoke

HOLD_S: Final = 1.0
"""Seconds that a HELLO with a grant that was not announced (yet) is held: Accept and Assign travel on different links,
and the child may be faster."""
REVOKED_S: Final = 3.0
"""A revoked child that is being fed may be moving: it has so long to leave by itself."""
PER_CHILD: Final = 4
"""Newest grants kept per child: an older one may be on its way while a newer is announced."""


@dataclass(frozen=True, slots=True)
class Admission:
    """An announced child."""

    child: int
    name: str
    epoch: int
    standby: bool


class Admissions:
    """The announced children of one member.

    Args:
        most: children at once, warm ones included.

    Attributes:
        rank: our own; None: no order has come, and no HELLO gets a verdict.
        leaving: we let nobody in any more.
    """

    def __init__(self, most: int) -> None:
        self.rank: int | None = None
        self.leaving = False
        self._most = most
        self._by_grant: dict[bytes, Admission] = {}

    def accept(self, order: Accept) -> None:
        """Announce a child; its oldest grants are forgotten."""
        self._by_grant[bytes.fromhex(order.grant)] = Admission(order.child, order.name, order.epoch, order.standby)
        mine = [(a.epoch, grant) for grant, a in self._by_grant.items() if a.child == order.child]
        for _, grant in sorted(mine)[:-PER_CHILD]:
            del self._by_grant[grant]

    def revoke(self, order: Revoke) -> None:
        """Forget a child's grants, except those announced after this order was made."""
        for grant, admission in list(self._by_grant.items()):
            if admission.child == order.child and admission.epoch <= order.epoch:
                del self._by_grant[grant]

    def verdict(self, grant: bytes, rank: int, present: Collection[int]) -> Admission | RefuseCode | None:
        """Return who the child with this grant and rank is, if it may come in; else why not. None: hold it."""
        admission = self._by_grant.get(grant)
        if self.rank is None or admission is None:
            return None
        if self.leaving:
            return RefuseCode.LEAVING
        if rank <= self.rank:
            return RefuseCode.RANK
        if len(present) >= self._most and admission.child not in present:
            return RefuseCode.FULL
        return admission

    def rise(self, rank: int, ranks: Mapping[int, int]) -> list[int]:
        """Have another rank from now on. Return the children that it overtakes: they have to come again.

        Else one of them, warm until now, could be above us when it asks for records, and a cycle would be closed.

        Args:
            rank: our own.
            ranks: what the children that are in have said, by member id.
        """
        self.rank = rank
        return [child for child, said in ranks.items() if said <= rank]

    def leave_within_s(self, order: Revoke, epoch: int, fed: bool) -> float | None:
        """Return in how many seconds a revoked child has to be gone; None: it stays.

        Args:
            order: has been taken.
            epoch: of the announcement by which the child came in.
            fed: whether it gets records.
        """
        if epoch > order.epoch:
            return None
        return REVOKED_S if fed else 0.0

    def expects(self, child: int) -> bool:
        """Whether this child is announced."""
        return any(admission.child == child for admission in self._by_grant.values())

    def fed(self) -> set[int]:
        """Return the children that have their place here, by their newest announcements; standby's are elsewhere."""
        newest = sorted(self._by_grant.values(), key=lambda admission: admission.epoch)
        return {child for child, standby in {a.child: a.standby for a in newest}.items() if not standby}
