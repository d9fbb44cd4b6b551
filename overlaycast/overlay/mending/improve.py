"""Local improvement while the group runs, for a stated gain, at a limited rate, never within a repair.

Owns: which members may do better elsewhere, a few at a time. Refuses: moving anybody whose plan is being carried out,
whose branch was mended a moment ago, that was moved a while ago, or that would gain less than ``improve_gain``.

What is looked at, in this order: guests of backup servers, which go back to peers; those that a newcomer has given a
better place (``hinted``); in turn, the heads, which are fed from another router, for only their copies pass links; and
in turn everybody. What is gained: a site with a thin uplink and more than one copy attaches the others inside; a large
cluster gets a further primary; a copy passes at least one link and ``improve_gain`` of its links fewer; or, where it
passes no more links than before or its way was too long, ``improve_gain`` of its delay is saved. What is left of a
step's moves goes to several heads at once, for links that no single move would save (``replan``). That is also how a
member that has received well for long enough becomes a primary, or ceases to be one.

While a group settles after a failure, nobody is moved who is well. In a large group somebody dies every second: there a
repair keeps improvement away from its own branch only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from overlaycast.overlay.mending import gather, replan
from overlaycast.overlay.mending.replan import Leave
from overlaycast.overlay.placing import clusters, placement, search
from overlaycast.overlay.placing.search import SITE_STRETCH, TOO_LONG, Found, Rules
from overlaycast.overlay.plan import capacity, moves
from overlaycast.overlay.plan.capacity import UNLIMITED, link_copies
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member, State
from overlaycast.overlay.state.router import Router
from overlaycast.overlay.state.tree import ancestors, delay_ms

LOOKED_AT: Final = 64
"""Members that one step looks at, of each kind."""
ROUND: Final = 8
"""Where there are many heads, a step looks at this part of them, but at no more than ``MOST``."""
MOST: Final = 512
MOVED_PER_STEP: Final = 100
"""One move, and one more for so many members."""
REST_S: Final = 60.0
"""Nobody is moved again for so long."""
CALM_S: Final = 5.0
"""Nothing is improved in a branch for so long after a repair of it."""
SETTLED_S: Final = 10.0
"""Nothing is improved at all for so long after the last failure or repair anywhere."""
PATIENCE_S: Final = 30.0
"""Where there is always something to mend, improvement waits for so long and then keeps to calm branches."""
LEAST_GAIN_MS: Final = 5.0
CORRECT_S: Final = 1.0
"""Heads that are elsewhere than was thought are looked at so often, some of them each time."""
CORRECTED: Final = 20
"""One in so many heads is moved each time, and one at least."""


def step(group: Group, now: float) -> None:
    """Look at some members and move the few that gain most by it; then rest."""
    settings = group.settings
    if settings.improve_s <= 0:
        return
    group.timers.arm(now + settings.improve_s, "improve")
    if _hindrance(group, now) is None:
        _improve(group, now, LOOKED_AT)


def correct_later(group: Group, now: float) -> None:
    """Have those looked at that are elsewhere than was thought, if the group is improved at all."""
    if group.improvement.misplaced and group.settings.improve_s > 0 and not group.timers.armed("correct"):
        group.timers.arm(now + CORRECT_S, "correct")


def correct(group: Group, now: float) -> None:
    """Mend what was planned for other places: copies that enter a limited link beside another one, or overfill one.

    Nobody else is moved, and those by and by: ``CORRECTED``. Those that cannot be moved now are left to ``step``.
    """
    misplaced = group.improvement.misplaced
    left = 1 + len(group.improvement.heads) // CORRECTED
    hindered = _hindrance(group, now) is not None
    for member_id in list(misplaced):
        if hindered or not left:
            break
        del misplaced[member_id]
        member = group.living(member_id)
        if member is None or not _well(group, member, now):
            continue
        burden = _overfull(group, member)
        if burden or _doubled(group, member) is not None:
            left -= _better(group, member, now, burden)
    correct_later(group, now)


def shorten_later(group: Group, member: Member, now: float) -> None:
    """Have a head looked at soon: it has counted how far others are."""
    group.improvement.counted[member.id] = None
    if not group.timers.armed("shorten"):
        group.timers.arm(now + CORRECT_S, "shorten")


def shorten(group: Group, now: float) -> None:
    """Move heads to others that were counted to be near; go on as long as that helps, some of the heads each time."""
    moved = False
    if _hindrance(group, now) is None:
        most = 1 + len(group.improvement.heads) // CORRECTED
        counted, group.improvement.counted = group.improvement.counted, {}
        moved = _improve_some(group, now, _living(group, counted), most, for_delay=False) < most
    if (moved or group.improvement.counted) and group.settings.improve_s > 0:
        group.timers.arm(now + CORRECT_S, "shorten")


def rebalance(group: Group, now: float) -> str | None:
    """Gather strays and improve at once, also where ``improve_s`` is 0; return what hinders improvement now.

    A step's bounds hold, but more members are looked at, so that the best moves of a group of some hundred are found.
    """
    gather.look_for_room(group, now)
    hindrance = _hindrance(group, now)
    if hindrance is None:
        _improve(group, now, MOST)
    return hindrance


def _hindrance(group: Group, now: float) -> str | None:
    """Return why nobody is to be moved now who is well."""
    if not group.start.begun:
        return "the source has not begun"
    if waiting := len(group.repair.waiting):
        return f"members wait for a parent: {waiting}"
    return "a failure is being settled" if _waits(group, now) else None


def _improve(group: Group, now: float, looked_at: int) -> None:
    _improve_some(group, now, _in_turn(group, looked_at), 1 + len(group.members) // MOVED_PER_STEP)


def _improve_some(group: Group, now: float, members: Iterable[Member], most: int, for_delay: bool = True) -> int:
    """Move those that gain, and others together, up to so many in all; return how many more may have been moved."""
    left = most
    for member in members:
        if left and _well(group, member, now) and _better(group, member, now, _overfull(group, member), for_delay):
            left -= 1
    if left > 0:
        left -= _exchange(group, now, left)
    return left


def _waits(group: Group, now: float) -> bool:
    """Whether the group still settles after a failure: nobody is moved then who is well, for some time at least."""
    if (
        not group.watch.inquiries
        and not any(group.repair.releasing.values())
        and now - group.repair.unsettled_at >= SETTLED_S
    ):
        group.improvement.waits_since = None
        return False
    if group.improvement.waits_since is None:
        group.improvement.waits_since = now
    return now - group.improvement.waits_since < PATIENCE_S


def _exchange(group: Group, now: float, most: int) -> int:
    """Move several heads together where no single move would save a link; return how many."""

    def feeds(feeder: Member, member: Member) -> bool:
        return _calm(group, feeder, now) and (feeder is not group.source or placement.ripe(group, member, now))

    made = replan.exchange(group, Leave(lambda one: _well(group, one, now), feeds), most)
    for move in made:
        move.member.past(moved_at=now)
        details = {"was": move.parent.id, "now": move.feeder.id, "gain_links": move.saved}
        group.note(now, "improved", move.member, **details)
    return len(made)


def _in_turn(group: Group, looked_at: int) -> Iterator[Member]:
    for server in group.servers:
        yield from [child for child in server.children if child.role != "backup"][:LOOKED_AT]
    hinted, group.improvement.hinted = group.improvement.hinted, {}
    yield from _living(group, hinted)
    group.improvement.heads_queue = group.improvement.heads_queue or list(group.improvement.heads)
    share = min(max(looked_at, len(group.improvement.heads) // ROUND), MOST)
    batch, group.improvement.heads_queue = group.improvement.heads_queue[:share], group.improvement.heads_queue[share:]
    yield from _living(group, batch)
    group.improvement.queue = group.improvement.queue or list(group.members)
    batch, group.improvement.queue = group.improvement.queue[:looked_at], group.improvement.queue[looked_at:]
    yield from _living(group, batch)


def _living(group: Group, ids: Iterable[int]) -> Iterator[Member]:
    return (member for member in map(group.living, ids) if member is not None)


def _well(group: Group, member: Member, now: float) -> bool:
    return (
        member.parent is not None
        and member.state is State.ACTIVE
        and member.connected
        and member.role != "backup"
        and not (member.leaving or member.done)
        and member.watch.status in ("streaming", "waiting")
        and now - member.history.moved_at >= REST_S
        and member.id not in group.orders.revocations
        and _calm(group, member, now)
        and all(now - child.history.mended_at >= CALM_S for child in member.children)
    )


def _calm(group: Group, member: Member, now: float) -> bool:
    """Whether nothing on the way from the source to the member is accused, or was mended a moment ago."""
    return all(
        now - one.history.mended_at >= CALM_S and one.watch.flag_until <= now and one.id not in group.watch.inquiries
        for one in (member, *ancestors(member))
    )


def _better(group: Group, member: Member, now: float, burden: bool = False, for_delay: bool = True) -> bool:
    """Move the member if another parent is worth it; any is, if the copy is a ``burden`` to a link.

    Not ``for_delay``: only if that saves links. A round trip that was measured once proves no gain.
    """
    parent = member.parent
    assert parent is not None
    source = group.source
    probation = source is not None and parent is not source and not placement.ripe(group, member, now)
    avoid = (source,) if probation and source is not None else ()
    edge, before = member.edge_ms, delay_ms(member)
    present = placement.judge(group, member, parent, SITE_STRETCH)
    doubled = _doubled(group, member)
    promoted = parent is not source and not probation and clusters.deserves(group, member)
    moves.detach(group, member, alone=False)
    found = _promotion(group, member) if promoted else placement.seek(group, member, avoid, Rules(inside=doubled))
    if found is not None:
        needed = parent.role == "backup" or promoted or burden or doubled is not None
        worth = needed or _gains(group, member, present, found, before, for_delay)
        found = found if worth and found[4] is not parent and _calm(group, found[4], now) else None
    if found is None:
        moves.put_back(group, member, parent, edge)
        return False
    moves.attach(group, member, found[4])
    member.past(moved_at=now)
    details = {"gain_ms": round(before - delay_ms(member), 3), "gain_links": _saved(present, found)}
    group.note(now, "improved", member, was=parent.id, now=found[4].id, **details)
    return True


def _promotion(group: Group, member: Member) -> Found | None:
    return None if group.source is None else placement.judge(group, member, group.source)


def _gains(group: Group, member: Member, present: Found, found: Found, before: float, for_delay: bool) -> bool:
    """Whether the move saves enough links, or enough delay at no cost in links.

    Failures in the past are a reason not to go to a candidate, but none to leave a parent that feeds well: otherwise a
    member that complains of a parent without cause would drive its siblings away.
    """
    share = group.settings.improve_gain
    links, saved = present[0], _saved(present, found)
    if links < TOO_LONG and saved >= max(1.0, share * links):
        return search.short_enough(group, member, found[1])
    if not for_delay:
        return False
    gain = min(present[1] - found[1], before - search.planned_ms(group, member, found[4]))
    return (saved >= 0 or links == TOO_LONG) and gain >= max(LEAST_GAIN_MS, share * min(before, present[1]))


def _saved(present: Found, found: Found) -> int:
    return present[0] - found[0] if max(present[0], found[0]) < TOO_LONG else 0


def _doubled(group: Group, member: Member) -> Router | None:
    """Return the first router behind a limited link that the member's copy enters as one of several; or None."""
    if member.parent is None:
        return None
    _, into = group.routers.crossed(member.parent.router, member.router)
    for router in reversed(into):
        if link_copies(group, router, "in") < UNLIMITED and router.inbound > clusters.tolerated(group, router):
            return router
    return None


def _overfull(group: Group, member: Member) -> bool:
    """Whether the member's copy leaves by a link that has more copies to carry than it can."""
    assert member.parent is not None
    out, _ = group.routers.crossed(member.parent.router, member.router)
    return any(not capacity.is_source(group, one) and one.outbound > link_copies(group, one, "out") for one in out)
