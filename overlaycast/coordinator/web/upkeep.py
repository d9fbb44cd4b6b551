"""HTTP for those that keep a group running: rebalance its tree, and drain members whose hosts are to be stopped.

Owns: these routes, and which member a word names. Refuses: decisions; the overlay's are told and kept like all others.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException

from overlaycast.coordinator.web.http import ADMIN, NO_GROUP, AllGroups, OneGroup, refusals
from overlaycast.tokens import shown
from overlaycast.wire.views import DrainView, RebalancedView

ASKED: Final = "an operator asked for it"

_NO_MEMBER: Final = refusals(
    _404="no such group or member", _409="several members have this name, or it cannot be drained"
)

upkeep_routes = APIRouter(**ADMIN)


def _named(member: str, driver: OneGroup) -> int:
    """Return the member that a path names, by its number or its name."""
    seats = driver.overlay.tree().members
    if member.isascii() and member.isdigit() and len(member) < 17:
        found = [seat.id for seat in seats if seat.id == int(member)]
    else:
        found = [seat.id for seat in seats if seat.name == member]
    if not found:
        raise HTTPException(404, f"group {driver.row.name} has no member {shown(member[:64])}")
    if len(found) > 1:
        numbers = ", ".join(map(str, found[:16]))
        raise HTTPException(
            409, f"members {numbers} have the name {shown(member[:64])}; accepted: one of these numbers"
        )
    return found[0]


OneMember = Annotated[int, Depends(_named)]


@upkeep_routes.post("/groups/{name}/rebalance", responses=NO_GROUP)
async def rebalance(driver: OneGroup, groups: AllGroups) -> RebalancedView:
    """Improve the tree now: some members get better parents, as many as one round of improvement moves."""
    return groups.operate(driver, lambda overlay, now: overlay.rebalance(now))


@upkeep_routes.post("/groups/{name}/members/{member}/drain", responses=_NO_MEMBER)
async def drain(driver: OneGroup, groups: AllGroups, member: OneMember) -> DrainView:
    """Have a member's children fed by others, and give it no new ones, until it is told otherwise or starts again."""
    refused = groups.operate(driver, lambda overlay, now: overlay.drain(member, now, ASKED))
    if refused is not None:
        raise HTTPException(409, f"member {member}: {refused}")
    return driver.overlay.draining(member)


@upkeep_routes.get("/groups/{name}/members/{member}/drain", responses=_NO_MEMBER)
async def show_drain(driver: OneGroup, member: OneMember) -> DrainView:
    """Show whether a member is drained, and who still needs it."""
    return driver.overlay.draining(member)


@upkeep_routes.delete("/groups/{name}/members/{member}/drain", responses=_NO_MEMBER)
async def undo_drain(driver: OneGroup, groups: AllGroups, member: OneMember) -> DrainView:
    """Let a member have children again."""
    groups.operate(driver, lambda overlay, now: overlay.undo_drain(member, now, ASKED))
    return driver.overlay.draining(member)
