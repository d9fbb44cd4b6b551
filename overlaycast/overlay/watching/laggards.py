"""Children of a source that has failed which lack records that others have: they are sent to one of those.

Owns: whom each of them is offered (``Start.ahead``), as its first resort. Refuses: choosing parents. A source that
fails has not sent the same to each child, and its standby has nothing of what it sent.

Invariant: what is offered ranks below the child, so the ranks of the child's branch are raised where that is needed.
"""

from __future__ import annotations

from overlaycast.overlay.placing.placement import LIFT_LIMIT
from overlaycast.overlay.plan import moves
from overlaycast.overlay.plan.reach import linked, opens
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member


def offer(group: Group, source: Member) -> None:
    """Name to each child that lacks records before the stream goes on a sibling that has all of them."""
    first = group.start.next_seq
    ahead = [one for one in source.children if one.trusted and one.watch.next_seq >= first]
    for child in list(source.children):
        able = [one for one in ahead if linked(one, child) and opens(child, one)]
        if child.watch.next_seq >= first or not able:
            continue
        leader = min(able, key=lambda one: (one.rank > child.rank, one.rank))
        if child.rank <= leader.rank:
            if child.size > LIFT_LIMIT:
                continue
            moves.lift(group, child, leader.rank)
        group.start.ahead[child.id] = leader
        group.touch(child, force=True)


def reported(group: Group, child: Member) -> None:
    """Offer nothing any more to a child that has what it lacked."""
    if child.id in group.start.ahead and child.watch.next_seq >= group.start.next_seq:
        del group.start.ahead[child.id]
        group.touch(child)
