"""Which members have room for a child, found from a router outwards.

Owns: two heaps for each router: its own members with room, least delay first, and the routers further in that have such
members. Refuses: judging a candidate beyond "has room and is trusted".

Entries may be out of date. What is found stale is dropped or corrected when it is looked at, and a member is listed
again whenever it gains room. So a search costs what it looks at, not how large the group is.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from overlaycast.overlay.state import tree
from overlaycast.overlay.state.delays import alike_ms
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import Router

LOOK: Final = 4
"""Acceptable candidates that are compared per router, beside those that are about as near as the nearest."""
PATIENCE: Final = 24
"""Entries that are looked at per router in search of them."""
BEHIND_MS: Final = 1e6
"""A member that cannot be dialled is listed after all others, for not everybody can be its child."""
GLANCE: Final = 6
"""Members that are looked at for a router further in: its first are the best placed, and there are other routers."""

Accept = Callable[[Member], bool]

_Own = tuple[float, str, int, Member]
_Inner = tuple[float, str, int, Router]


class Candidates:
    """The members of one group that have room, by router (``Router.order``)."""

    def __init__(self) -> None:
        self._own: dict[int, list[_Own]] = {}
        self._inner: dict[int, list[_Inner]] = {}
        self._listed: set[int] = set()
        """Routers that those above them have in their heaps."""

    def offer(self, member: Member) -> None:
        """List a member that has, or again has, room for a child."""
        router = member.router
        if router is None or member.role == "backup" or member.degree == 0:
            return
        delay = tree.delay_ms(member) + (0.0 if member.reachable else BEHIND_MS)
        heapq.heappush(self._own.setdefault(router.order, []), (delay, member.name, member.id, member))
        if router.order not in self._listed:
            self._listed.add(router.order)
            above = router.parent
            while above is not None:
                heapq.heappush(self._inner.setdefault(above.order, []), (delay, router.label, router.order, router))
                above = above.parent

    def near(self, router: Router, accept: Accept, look: int = LOOK, patience: int = PATIENCE) -> list[Member]:
        """Return up to ``look`` acceptable members of this very router, least delay first."""
        heap = self._own.get(router.order, [])
        found: list[Member] = []
        kept: list[_Own] = []
        seen: set[int] = set()
        while heap and len(found) < look and len(kept) < patience:
            entry = heapq.heappop(heap)
            member = entry[3]
            if member.id in seen or member.router is not router or not _holds(member):
                continue
            seen.add(member.id)
            kept.append(entry)
            if accept(member):
                found.append(member)
        for entry in kept:
            heapq.heappush(heap, entry)
        return found

    def below(self, router: Router, accept: Accept, searched: Router | None) -> list[Member]:
        """Return acceptable members of routers further in, one per router, none of the branch ``searched`` already.

        They are the nearest few, and all that are about as near as the nearest: noise does not choose among those.
        """
        heap = self._inner.get(router.order, [])
        found: list[Member] = []
        kept: list[_Inner] = []
        seen: set[int] = set()
        alike = 0.0
        while heap and (len(found) < LOOK or heap[0][0] <= alike) and len(kept) < PATIENCE:
            entry = heapq.heappop(heap)
            inner = entry[3]
            if inner.order in seen or inner.order not in self._listed:
                continue
            if not self._own.get(inner.order):
                self._listed.discard(inner.order)
                continue
            seen.add(inner.order)
            kept.append(entry)
            if searched is None or not _inside(inner, searched):
                found.extend(self.near(inner, accept, 1, GLANCE))
                alike = alike or (alike_ms(entry[0]) if found else 0.0)
        for entry in kept:
            heapq.heappush(heap, entry)
        return found


def _holds(member: Member) -> bool:
    return member.trusted and member.spare > 0 and (member.parent is not None or member.role == "source")


def _inside(inner: Router, outer: Router) -> bool:
    router: Router | None = inner
    while router is not None and router.depth > outer.depth:
        router = router.parent
    return router is outer
