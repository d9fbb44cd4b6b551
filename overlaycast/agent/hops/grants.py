"""Who may come in at the data port: the coordinator's Accepts, by grant (Fig. 9C, 920).

Owns: the table of announced children. Refuses: all others. Pure. A grant is 16 secret bytes made by the
coordinator for one child at one parent; the connection that shows it is that child's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from overlaycast.wire.messages import Accept, Revoke

PER_CHILD: Final = 4
"""Newest grants kept per child: an older one may be on its way while a newer is announced."""


@dataclass(frozen=True, slots=True)
class Admission:
    """An announced child."""

    child: int
    name: str
    epoch: int
    standby: bool


class Grants:
    """Grant bytes to child."""

    def __init__(self) -> None:
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

    def find(self, grant: bytes) -> Admission | None:
        """Return the child that this grant was made for."""
        return self._by_grant.get(grant)

    def fed(self) -> set[int]:
        """Return the children that have their place here, by their newest announcements; standby's are elsewhere."""
        newest = sorted(self._by_grant.values(), key=lambda admission: admission.epoch)
        return {child for child, standby in {a.child: a.standby for a in newest}.items() if not standby}

    def __len__(self) -> int:
        return len(self._by_grant)

    def of_child(self, child: int) -> Admission | None:
        """Return the newest announcement of this child."""
        mine = [admission for admission in self._by_grant.values() if admission.child == child]
        return max(mine, key=lambda admission: admission.epoch, default=None)
