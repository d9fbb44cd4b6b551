"""Exchanges in the running tree: several heads are moved together where no single move would save a link.

Owns: how the running tree looks as a plan of routers (``exchange``), and carrying out an exchange whole or not at all.
Refuses: saying who may be moved at all; groups with many heads, whose plan would take too long to look at.

A router's head is the shallowest of its members that are fed from another router. A plan knows nothing of who feeds
whom within a router, nor of ranks, delays and what is promised: so each step is judged again as it is made, and if one
cannot be made those before it are taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from overlaycast.overlay.placing import placement, search
from overlaycast.overlay.placing.exchange import Exchange, Plan
from overlaycast.overlay.placing.levels import SOURCE
from overlaycast.overlay.placing.nearest import neighbours
from overlaycast.overlay.placing.search import SITE_STRETCH
from overlaycast.overlay.plan import moves
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.tree import depth

MOST: Final = 1024
"""Heads in the largest group whose plan is looked at: it takes some 0.1 ms a head."""
TRIES: Final = 16
"""Exchanges that are tried in one step: each failed one is taken back."""


@dataclass(frozen=True, slots=True)
class Leave:
    """What the plan of routers does not know: who may be moved now, and who may feed whom."""

    free: Callable[[Member], bool]
    feeds: Callable[[Member, Member], bool]


@dataclass(frozen=True, slots=True)
class Move:
    """A head that was moved, from which parent to which; ``saved``: links, by all moves of its exchange together."""

    member: Member
    parent: Member
    feeder: Member
    saved: int


def exchange(group: Group, leave: Leave, most: int) -> list[Move]:
    """Make the exchanges that save most links, until ``most`` heads are moved; return their moves.

    An exchange saves a link, and ``improve_gain`` of a link for each head that it moves.
    """
    heads = heads_of(group)
    if not 1 < len(heads) <= MOST or (plan := _plan(group, heads)) is None:
        return []
    made: list[Move] = []
    saved = {router: plan.best(router).saved for router in range(len(heads))}
    for router in sorted((router for router in saved if saved[router]), key=lambda router: -saved[router])[:TRIES]:
        if len(made) >= most:
            break
        best = plan.best(router)  # those before it may have changed it
        worth = best.saved >= max(1, group.settings.improve_gain * len(best.steps))
        if worth and all(leave.free(heads[moved]) for moved, _, _ in best.steps):
            done = _carry_out(group, heads, best, leave)
            if done:
                plan.make(best)
                made += done
    return made


def heads_of(group: Group) -> list[Member]:
    """Return each router's head, in an order that is the same whichever member was measured first."""
    found: dict[int, Member] = {}
    for member in map(group.living, group.improvement.heads):
        if member is None or member.router is None or member.role == "backup" or not member.degree:
            continue
        other = found.get(member.router.order)
        if other is None or (depth(member), member.id) < (depth(other), other.id):
            found[member.router.order] = member
    return sorted(found.values(), key=lambda head: (head.router.label if head.router else "", head.id))


def _plan(group: Group, heads: list[Member]) -> Plan | None:
    """Return the tree as it is, as a plan; None: somebody is fed from a router that has no head."""
    source = group.source
    if source is None or source.router is None:
        return None
    number = {head.router.order: index for index, head in enumerate(heads) if head.router is not None}
    number[source.router.order] = SOURCE
    feeders: list[int] = []
    for head in heads:
        above = head.parent.router if head.parent is not None else None
        if above is None or above.order not in number:
            return None
        feeders.append(number[above.order])
    fed = [0] * (len(heads) + 1)
    for feeder in feeders:
        fed[feeder] += 1
    routers = [*(head.router for head in heads if head.router is not None), source.router]
    room = [max(1, group.tree.depth_limit - _within(head)) for head in heads]
    most = [count + max(0, one.spare) for count, one in zip(fed, (*heads, source), strict=True)]
    ways = group.ways
    near = neighbours(routers, ways)
    return Plan(feeders, room, most, near, lambda one, other: ways.links(routers[one], routers[other]))


def _within(head: Member) -> int:
    """Return how many levels the router needs below its head, at the least."""
    return int(any(child.router is head.router for child in head.children))


def _carry_out(group: Group, heads: list[Member], wanted: Exchange, leave: Leave) -> list[Move]:
    """Make all moves of an exchange, or none; return what was made."""
    movers = [heads[number] for number, _, _ in wanted.steps]
    before = [(one, one.parent, one.edge_ms) for one in movers if one.parent is not None]
    for one in movers:
        moves.detach(group, one, alone=False)
    for number, feeder, _ in wanted.steps:
        if not _attach(group, heads[number], group.source if feeder == SOURCE else heads[feeder], leave):
            _take_back(group, before)
            return []
    return [Move(one, parent, one.parent, wanted.saved) for one, parent, _ in before if one.parent is not None]


def _attach(group: Group, member: Member, head: Member | None, leave: Leave) -> bool:
    """Attach an orphan to somebody at the router of this head; False: nobody there may feed it."""
    assert head is not None
    assert head.router is not None
    found = placement.at(group, member, head.router)
    if found is None or not leave.feeds(found[4], member):
        return False
    if member.rank < found[4].rank:
        return False  # a new rank would stay if the exchange is taken back, and cost the branch its links
    if not search.short_enough(group, member, found[1], SITE_STRETCH):
        return False
    moves.attach(group, member, found[4])
    return True


def _take_back(group: Group, before: list[tuple[Member, Member, float]]) -> None:
    """Attach all where they were: first they are all taken off, so that each finds its former parent as it was."""
    for member, _, _ in before:
        moves.detach(group, member, alone=False)
    for member, parent, edge in before:
        moves.put_back(group, member, parent, edge)
