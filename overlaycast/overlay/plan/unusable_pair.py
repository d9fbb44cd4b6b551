"""Pairs between which no link comes to be, or none that carries, though both ends live.

Owns: ``Watch.pair_failures``, how often a child's link to a parent has failed so, and ``Member.barred``, the parents
that a child is kept away from for it. Refuses: finding out that both live (``watch``), and choosing anybody else.

Nobody tells the coordinator of a firewall between two hosts, of a wrong address, or of a call that its child never
answers. So an order is told again once; what has failed ``TRIES`` times within ``MEMORY_S`` is not tried for
``BARRED_S``: not as parent, not as standby, not as fallback (``reach.linked``). A false alarm costs a choice, never
a parent: a member that would have to wait otherwise is forgiven. Two neighbours that are only assumed to reach each
other are tried once; what each of them has with others is not touched.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.plan import promises
from overlaycast.overlay.plan.reach import neighbours_only
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.processes import PairFailures

TRIES: Final = 2
MEMORY_S: Final = 120.0
BARRED_S: Final = 600.0
IN_COMMON: Final = 3
"""A member that is kept away from so many parents is what these failures have in common, or it lies."""


def failed(group: Group, parent: Member, child: Member, now: float) -> bool:
    """Take note that both live and the link between them does not; True: they are kept apart from now on."""
    known = group.watch.pair_failures.setdefault(child.id, {})
    before = known.get(parent.id)
    failures = before.failures + 1 if before is not None and now - before.at <= MEMORY_S else 1
    known[parent.id] = PairFailures(failures, now)
    if failures < TRIES or (parent.role == "source" and _starves_others(parent, child)):
        return False
    bar(group, parent, child, now)
    return True


def not_opened(group: Group, parent: Member, child: Member, now: float) -> None:
    """The child says that it could not open its link; if nothing but an assumption says that it can, once is enough."""
    if neighbours_only(parent, child):
        group.watch.pair_failures.setdefault(child.id, {})[parent.id] = PairFailures(TRIES - 1, now)


def bar(group: Group, parent: Member, child: Member, now: float) -> None:
    """Keep a child away from a parent, and as long from all others that it is kept away from."""
    if parent.id in child.barred:
        return
    child.barred = (*child.barred, parent.id)
    group.timers.arm(now + BARRED_S, "unusable-pair", child.id)
    if parent in child.standbys:
        promises.release(group, child)
        if child.parent is not None:
            group.orders.replan[child.parent.id] = None
    group.touch(child)
    group.note(now, "unusable-pair", child, parent=parent.id)


def is_about(parent: Member, child: Member) -> bool:
    """Whether the child is kept away from this parent and from few others: then its branch may be moved for it."""
    return parent.id in child.barred and len(child.barred) < IN_COMMON


def _starves_others(source: Member, child: Member) -> bool:
    """Whether the source fails others too: then it is not about this pair, and there is no other source to go to."""
    return any(one is not child and one.watch.status == "stalled" for one in source.children)


def forgive(child: Member) -> None:
    """Let a child be linked with everybody again: time is up, or it has no other place."""
    child.barred = ()
