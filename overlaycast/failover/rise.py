"""An order that raises our rank waits for the children whose ranks it would overtake.

Owns: the order that waits, and for how long. Refuses: sockets, clocks, and keeping a link that the rank rule forbids.
Pure.

A parent feeds no child whose rank is not above its own. When the coordinator raises the ranks of a whole branch, each
member gets its own order, and a parent's may arrive before its child's. If the parent obeyed at once, it would have to
refuse a child that is about to have a higher rank.

Rules
1. An order whose rank is below those of all connected children is obeyed at once.
2. Any other order waits until each of those children has said a higher rank (HELLO again on the same link) or is gone,
   and never longer than ``HOLD_S``, further down less. Then it is obeyed, and children that it still overtakes are
   refused. So if a child has died without a word, its parent gives up before those above do, and says its own new rank.
3. A newer order replaces the one that waits, and does not wait longer for that.
4. While an order waits, nothing of it counts: to all others it is an order that is late. So the proof that ranks
   close no cycle needs no new case.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from overlaycast.wire.messages import Assign

HOLD_S: Final = 0.5
"""Seconds: orders of one batch are on their way together, so a child's is rarely later than this."""
LEVEL_S: Final = 0.025
"""So much shorter at each level further down: a child that waits as well, for one that is dead, gives up before us,
and its HELLO has so long to reach us."""
LEAST_HOLD_S: Final = 0.2


class Rise:
    """At most one order that waits. Times are seconds of the caller's clock."""

    def __init__(self) -> None:
        self._order: Assign | None = None
        self._until = 0.0

    def offer(self, order: Assign, now: float) -> None:
        """Take an order that has come; the caller has checked that it is not older than the one obeyed."""
        if self._order is None:
            self._until = now + max(LEAST_HOLD_S, HOLD_S - LEVEL_S * max(order.depth - 1, 0))
        elif order.epoch < self._order.epoch:
            return
        self._order = order

    def ready(self, children: Iterable[int], now: float) -> Assign | None:
        """Return the order to obey now, once; ``children``: the rank that each connected child has said last."""
        order = self._order
        if order is None or (now < self._until and any(rank <= order.rank for rank in children)):
            return None
        self._order = None
        return order

    def next_deadline(self) -> float | None:
        """Return until when the order waits; None: no order waits."""
        return None if self._order is None else self._until

    def forget(self) -> None:
        """Drop the order that waits: it was for a member that we are no more."""
        self._order = None
