"""How far members are from the coordinator and from one another, in ms, by echoes and by the routers that they share.

Owns: the estimates, and which delays cannot be told apart. Refuses: ways that members have counted (``ways``).
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import meeting

UNKNOWN_MS: Final = 1.0
"""One router further, where nothing was measured."""
NEAR_MS: Final = 1.0
SAME_SHARE: Final = 1.25
"""Delays are alike up to this share and so many ms more: what is measured twice differs, and a busy host is late."""


def alike_ms(least_ms: float) -> float:
    """Return up to which delay others cannot be told from the least one.

    Choose from all of those by what is not measured. It is no order: of three, the outer two may differ.
    """
    return least_ms * SAME_SHARE + NEAR_MS


def reach_ms(member: Member) -> float:
    """Return the one-way delay from the coordinator to the member, measured, or as its router suggests.

    Members of one router whose echoes differ by no more than noise are equally far: otherwise the noise of the
    moment would decide between equals, and two runs on one network would differ.
    """
    router = member.router
    if router is None:
        return UNKNOWN_MS if member.rtt_ms is None else member.rtt_ms / 2
    if member.rtt_ms is None:
        return router.delay_ms
    reach = member.rtt_ms / 2
    return router.delay_ms if reach <= alike_ms(router.delay_ms) else reach


def distance_ms(one: Member, other: Member) -> float:
    """Return the estimated one-way delay between two members, over the deepest router that both paths share."""
    if one.router is None or other.router is None:
        return reach_ms(one) + reach_ms(other)
    if one.router is other.router:
        return max(abs(reach_ms(one) - reach_ms(other)), 0.0)
    shared = meeting(one.router, other.router).delay_ms
    return max(reach_ms(one) - shared, 0.0) + max(reach_ms(other) - shared, 0.0)
