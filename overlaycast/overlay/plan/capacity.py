"""What hosts and uplinks can carry, in whole copies of the stream.

Owns: degrees (copies that a host sends) and the room of an uplink (copies that cross it). Refuses: choosing.

Capacity belongs to hosts and to shared links. A host states what it can upload; what an echo shows is a lower bound
of the thinnest link on the way, which members of one router share: so it limits the links on the way, not the host's
LAN.
An echo that shows ``AMPLE`` times the stream's rate or more is limited by the echo itself and limits nothing.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.state import filerate
from overlaycast.overlay.state.account import Direction
from overlaycast.overlay.state.carried import account
from overlaycast.overlay.state.filerate import FileRate
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.locality import is_guess
from overlaycast.overlay.state.members import SERVERS, Member
from overlaycast.overlay.state.router import Router

HOST_SHARE: Final = 0.8
"""Part of a host's stated upload that is planned for."""
UPLINK_SHARE: Final = 0.9
"""Part of an uplink that is planned for."""
AMPLE: Final = 8.0
STEPS: Final = (4.0, 4.0 * 2**0.5)
"""From the first of these times the stream's rate on, an echo counts as the step below it: there, noise alone would
choose between five copies and six."""
UNLIMITED: Final = filerate.UNLIMITED
ROUNDING: Final = 1e-9
SITE_LEVELS: Final = 3
"""Levels of the tree that are kept for the inside of sites."""


def degree(group: Group, member: Member) -> int:
    """Return how many children the member may have; which they can be is for ``reach``."""
    settings = group.settings
    if not (member.reachable or member.dials) or member.draining or member.id in group.repair.leaves:
        return 0
    if member.role == "standby" or is_guess(member):
        return 0
    limit = member.out_degree
    if limit is None:
        planted = member.role == "source" or member.role in SERVERS
        limit = settings.source_out_degree if planted else settings.default_out_degree
    if member.role == "source":
        limit = min(limit, settings.source_out_degree)
    if member.upload_mbit is not None:
        least = int(member.role == "source" and settings.mode == "file")  # a file has no rate that it must have
        limit = min(limit, max(int(HOST_SHARE * member.upload_mbit / settings.rate_mbit + ROUNDING), least))
    seen = group.watch.hosts.get(member.id)
    upper = seen.upper(group.clock) if seen is not None else None
    return limit if upper is None else min(limit, int(upper + ROUNDING))


def learn(group: Group, member: Member) -> bool:
    """Let the degree follow what the host is seen to send; True: it has changed. Nobody loses a child by it alone."""
    before, least = member.degree, len(member.children)
    member.degree = max(degree(group, member), least)
    return member.degree != before


def _copies(rate_mbit: float | None, stream_mbit: float) -> int:
    if rate_mbit is None or rate_mbit >= AMPLE * stream_mbit:
        return UNLIMITED
    share = rate_mbit / stream_mbit
    share = max((step for step in STEPS if step <= share), default=share)
    return max(1, int(UPLINK_SHARE * share + ROUNDING))


def uplink_copies(group: Group, router: Router) -> int:
    """Return how many copies a site's uplink carries in one direction, as far as is known."""
    return link_copies(group, router, "out") if _is_site(group, router) else UNLIMITED


def link_copies(group: Group, router: Router, direction: Direction) -> int:
    """Return how many copies the link above a router carries, as far as is known.

    An echo shows the thinnest link on its way, so the best one below a router is what its link carries at least. A
    link is taken for no more, unless a thinner one hides it, or transfers show more. A router at which nobody has shown
    anything is taken for a middling one. Of a file, a site needs no more copies than its plan says (``filerate``).
    """
    if group.settings.mode == "live":
        copies = _copies(known_mbit(group, router), group.settings.rate_mbit)
        if copies != UNLIMITED and _hidden(group, router):
            copies = UNLIMITED
        return _learned(group, router, direction, copies) if group.watch.carried else copies
    if _hidden(group, router):
        return UNLIMITED
    plan = file_rate(group)
    if direction == "in" and router.depth > group.routers.core.depth:
        return plan.divided
    return plan.copies(_file_mbit(group, plan, router))


def _hidden(group: Group, router: Router) -> bool:
    """Whether a link may be thicker than it shows, for it shows what a thinner one above it lets through.

    If that one is a site's uplink, the links further in are its own. If it is one that all share, any of them may be as
    thin: only links between routers are not taken for it. Where no router is shared, the sites that show most may all
    be hidden by the coordinator's own link.
    """
    core = group.routers.core
    thin = router
    while thin.parent is not None and _shows_as_much(thin, thin.parent):
        thin = thin.parent
    if thin is router:
        return False
    own = thin.depth > core.depth and not (core.parent is None and thin.parent is core and _as_much(thin, core))
    return own or any(child.count for child in router.children)


def _shows_as_much(router: Router, above: Router) -> bool:
    """Whether what came through both links was as much as through the upper one; above the first one is none."""
    return above.parent is not None and _as_much(router, above)


def _as_much(router: Router, above: Router) -> bool:
    if router.rate_mbit is None or above.rate_mbit is None:
        return False
    return router.rate_mbit >= filerate.SAME * above.rate_mbit


def known_mbit(group: Group, router: Router) -> float | None:
    """Return what echoes show of the way to a router; where they show nothing, what the middle one of all shows."""
    if router.rate_mbit is None and router.count:
        return group.routers.middling_mbit
    return router.rate_mbit


def _learned(group: Group, router: Router, direction: Direction, copies: int) -> int:
    """Return the copies by echo, corrected by what the uplink was seen to carry, or not to carry (``carried``)."""
    seen = account(group, router, direction)
    if seen is None:
        return copies
    upper = seen.upper(group.clock)
    if upper is not None:
        copies = min(copies, max(1, int(UPLINK_SHARE * upper + ROUNDING)))
    return max(copies, seen.lower(group.clock))


def _source_has_room(group: Group, router: Router) -> bool:
    """Whether one more copy may leave the router where the source is."""
    source = group.source
    if source is None or source.router is not router:
        return True
    limit = _source_copies(group, source)
    return limit >= UNLIMITED or router.outbound + sum(child.inbound for child in router.children) < limit


def _is_site(group: Group, router: Router) -> bool:
    routers = group.routers
    return router.depth > routers.core.depth and routers.site(router) is router


def _source_copies(group: Group, source: Member) -> int:
    """Copies that may leave the source's router."""
    seen = _source_mbit(group)
    if group.settings.mode == "live":
        copies = _copies(seen, group.settings.rate_mbit)
        return copies if source.router is None else _learned(group, source.router, "out", copies)
    plan = file_rate(group)
    return plan.copies(plan.source_mbit)


def _source_mbit(group: Group) -> float | None:
    """Return what is known to come through from the source.

    Its own echo never left the coordinator's neighbourhood, perhaps. What the best member beyond the core shows is
    what is known to come through; if all of them are thin, the thin link may be the one that they share.
    """
    source = group.source
    return source.upload_mbit if source and source.upload_mbit is not None else group.routers.core.rate_mbit


def file_rate(group: Group) -> FileRate:
    """Return how fast a file group's sites can be fed, found anew when sites or what is known of them have changed."""
    seen = _source_mbit(group)
    core = group.routers.core
    stamp = (group.routers.version, core.order, seen)
    if group.file_rate is None or group.file_rate[0] != stamp:
        sites = [known_mbit(group, router) for router in core.children if router.count]
        levels = max(group.settings.depth_limit - SITE_LEVELS, 1)
        group.file_rate = (stamp, filerate.plan(seen, sites, levels))
    return group.file_rate[1]


def _file_mbit(group: Group, plan: FileRate, router: Router) -> float:
    """Return the rate that a router's link is taken for; the source's is not known by echoes alone."""
    source = group.source
    if source is not None and source.router is router:
        return plan.source_mbit
    return plan.known(known_mbit(group, router))


def turn(group: Group, router: Router) -> tuple[int, int]:
    """Return when the router is to be placed in a file group: those that feed most first, the thin last."""
    if group.settings.mode == "live":
        return 0, 0
    plan = file_rate(group)
    rate = plan.known(known_mbit(group, router))
    return -plan.copies(rate), plan.step(rate)


def holds_up(group: Group, feeder: Router | None, fed: Router | None) -> bool:
    """Whether a copy of a file from one router to another would come through a thinner link than it could."""
    if group.settings.mode == "live" or feeder is None or fed is None:
        return False
    out, into = group.routers.crossed(feeder, fed)
    if not out:
        return False
    plan = file_rate(group)
    wanted = min((plan.known(known_mbit(group, router)) for router in into), default=plan.fastest_mbit)
    return not plan.feeds(min(_file_mbit(group, plan, router) for router in out), wanted)


def slowed(group: Group, feeder: Member, fed: Router | None) -> int:
    """Return by how many steps of noise a file is slowed down where one more copy leaves the parent's uplink.

    Children behind thinner uplinks take less than their share, and leave it to the others.
    """
    here = feeder.router
    if group.settings.mode == "live" or here is None or fed is None:
        return 0
    site = group.routers.site(here)
    if group.routers.site(fed) is site:
        return 0
    plan = file_rate(group)
    routers = [child.router for child in feeder.children if child.router is not None]
    others = [other for router in routers if (other := group.routers.site(router)) is not site]
    wanted = [plan.known(other.rate_mbit) for other in others]
    return plan.step(filerate.share(_file_mbit(group, plan, site), wanted))


def room(group: Group, feeder: Router | None, fed: Router | None, instead: bool = False, thin: bool = False) -> bool:
    """Whether one more copy from one router to another overloads no link that it crosses.

    ``instead``: the copy replaces one that comes in already. ``thin``: a file may come through a link that is thinner
    than the receiver's own.
    """
    if feeder is fed or feeder is None or fed is None:
        return True
    if not _source_has_room(group, feeder):
        return False
    # most links of a live group are so wide that no limit has to be worked out
    all_limited = group.settings.mode == "file" or bool(group.watch.carried)
    wide_mbit = AMPLE * group.settings.rate_mbit
    out, into = feeder, fed
    while out is not into:
        if out.depth >= into.depth:
            limited = all_limited or out.rate_mbit is None or out.rate_mbit < wide_mbit
            if limited and out.outbound >= link_copies(group, out, "out") and not is_source(group, out):
                return False
            assert out.parent is not None
            out = out.parent
        else:
            limited = not instead and (all_limited or into.rate_mbit is None or into.rate_mbit < wide_mbit)
            if limited and into.inbound >= link_copies(group, into, "in"):
                return False
            assert into.parent is not None
            into = into.parent
    return thin or not holds_up(group, feeder, fed)


def is_source(group: Group, router: Router) -> bool:
    """Whether the source is at this router, whose links say how much leaves it."""
    return group.source is not None and group.source.router is router
