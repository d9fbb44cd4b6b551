"""Which members make up one group of neighbours, and how many primaries it may have (Fig. 5).

Owns: the bounds of clusters, and the thresholds that rise with each further primary of a cluster. Refuses: placing.

A cluster is a router with all that is below it. One with fewer peers than ``cluster_min`` joins its neighbours at the
router further up, but no further than its site, whose uplink is what a head saves. The first primary of a cluster is
its best member whatever it has shown. For every ``cluster_max`` peers more there may be one more, if its echo shows
``primary_copies`` copies of the stream, twice as many for the next, and so on: so large clusters are preferred, and
weak members never are. Every further primary is one more copy on the uplink, therefore ``primary_copies`` 0, which is
the default, allows none.

Invariants: thresholds grow without end; what is tolerated is never less than what is granted.
"""

from __future__ import annotations

import math
from typing import Final

from overlaycast.overlay.plan.capacity import known_mbit, room
from overlaycast.overlay.plan.reach import linked
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import Router

HYSTERESIS: Final = 0.75
"""A cluster keeps its primaries until it has shrunk to this share of the size that granted them."""


def cluster(group: Group, router: Router) -> Router:
    """Return the router at which a router's cluster meets: its own, or one further up if there are too few."""
    core = group.routers.core
    while max(router.count, 1) < group.settings.cluster_min and router.depth > core.depth + 1:
        assert router.parent is not None
        router = router.parent
    return router


def granted(group: Group, peers: float) -> int:
    """Return how many primaries a cluster of so many peers may have, if they are good enough."""
    if not group.settings.primary_copies:
        return 1
    return max(1, math.ceil(peers / group.settings.cluster_max))


def tolerated(group: Group, router: Router) -> int:
    """Return how many copies may enter a router before those fed from outside are attached inside."""
    return granted(group, router.count / HYSTERESIS)


def threshold(group: Group, primaries: int) -> float:
    """Return the copies of the stream that an echo has to show of a cluster's next primary, which has so many."""
    return group.settings.primary_copies * 2.0 ** (primaries - 1) if primaries else 0.0


def shown(group: Group, member: Member) -> float:
    """Return the copies of the stream that the member's echo has shown; without one it is taken for its neighbours."""
    rate = member.rate_mbit
    if rate is None and member.router is not None:
        rate = known_mbit(group, member.router)
    return 0.0 if rate is None else rate / group.settings.rate_mbit


def deserves(group: Group, member: Member) -> bool:
    """Whether the member may be a further primary of its cluster: it is large, and the member good, enough."""
    source = group.source
    if source is None or source.spare <= 0 or member.router is None or not group.settings.primary_copies:
        return False
    where = cluster(group, member.router)
    if not 0 < where.inbound < granted(group, where.count):
        return False
    if shown(group, member) < threshold(group, where.inbound):
        return False
    return linked(source, member) and room(group, source.router, member.router)
