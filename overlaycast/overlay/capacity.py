"""What hosts and uplinks can carry, in whole copies of the stream.

Owns: degrees (copies that a host sends) and the room of an uplink (copies that cross it). Refuses: choosing.

Capacity belongs to hosts and to shared links. A host states what it can upload; what an echo shows is a lower bound
of the thinnest link on the way, which members of one site share: so it limits the site's uplink, not the host's LAN.
An echo that shows ``AMPLE`` times the stream's rate or more is limited by the echo itself and limits nothing.
"""

from __future__ import annotations

import math
from typing import Final

from overlaycast.overlay.carried import Direction, account
from overlaycast.overlay.group import Group
from overlaycast.overlay.locality import Place
from overlaycast.overlay.members import SERVERS, Member

HOST_SHARE: Final = 0.8
"""Part of a host's stated upload that is planned for (DESIGN 5)."""
UPLINK_SHARE: Final = 0.9
"""Part of an uplink that is planned for."""
AMPLE: Final = 4.0
UNLIMITED: Final = 1 << 30
ROUNDING: Final = 1e-9
SITE_LEVELS: Final = 3
"""Levels of the tree that are kept for the inside of sites."""


def degree(group: Group, member: Member) -> int:
    """Return how many children the member may have; who they can be is for ``reach``."""
    settings = group.settings
    if not (member.reachable or member.dials) or member.id in group.leaves:
        return 0
    limit = member.out_degree
    if limit is None:
        planted = member.role == "source" or member.role in SERVERS
        limit = settings.source_out_degree if planted else settings.default_out_degree
    if member.role == "source":
        limit = min(limit, settings.source_out_degree)
    if member.upload_mbit is not None:
        limit = min(limit, int(HOST_SHARE * member.upload_mbit / settings.rate_mbit + ROUNDING))
    seen = group.hosts.get(member.id)
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
    return max(1, int(UPLINK_SHARE * rate_mbit / stream_mbit + ROUNDING))


def uplink_copies(group: Group, place: Place) -> int:
    """Return how many copies a site's uplink carries in one direction, as far as is known.

    Only uplinks of sites, and what leaves the source's place, are limited by what echoes show: further in they show the
    same thin link again, and further out they are the sum of many.
    """
    return _site_copies(group, place, "out") if _is_site(group, place) else UNLIMITED


def _learned(group: Group, place: Place, direction: Direction, copies: int) -> int:
    """Return the copies by echo, corrected by what the uplink was seen to carry, or not to carry (``carried``)."""
    seen = account(group, place, direction)
    if seen is None:
        return copies
    upper = seen.upper(group.clock)
    if upper is not None:
        copies = min(copies, max(1, int(UPLINK_SHARE * upper + ROUNDING)))
    return max(copies, seen.lower(group.clock))


def _source_has_room(group: Group, place: Place) -> bool:
    """Whether one more copy may leave the place where the source is."""
    source = group.source
    if source is None or source.place is not place:
        return True
    limit = _source_copies(group, source)
    return limit >= UNLIMITED or place.outbound + sum(child.inbound for child in place.children) < limit


def _is_site(group: Group, place: Place) -> bool:
    places = group.places
    return place.depth > places.core.depth and places.site(place) is place


def _site_copies(group: Group, place: Place, direction: Direction) -> int:
    """Copies that a site's uplink carries; of a file just so many that no receiver is slowed down (``fan_out``)."""
    if group.settings.mode == "live":
        return _learned(group, place, direction, _copies(place.rate_mbit, group.settings.rate_mbit))
    return fan_out(group)


def _source_copies(group: Group, source: Member) -> int:
    """Copies that may leave the source's place.

    Its own echo never left the coordinator's neighbourhood, perhaps. What the best member beyond the core shows is
    what is known to come through; if all of them are thin, the thin link may be the one that they share.
    """
    seen = source.upload_mbit if source.upload_mbit is not None else group.places.core.rate_mbit
    if group.settings.mode == "live":
        copies = _copies(seen, group.settings.rate_mbit)
        return copies if source.place is None else _learned(group, source.place, "out", copies)
    rates = [site.rate_mbit for site in _sites(group) if site.rate_mbit is not None]
    if not rates or seen is None:
        return fan_out(group)
    thinnest = min(rates)
    if math.isinf(thinnest):
        return fan_out(group)
    return max(fan_out(group), int(min(seen / thinnest + ROUNDING, UNLIMITED)))


def _sites(group: Group) -> list[Place]:
    return [place for place in group.places.core.children if place.count]


def fan_out(group: Group) -> int:
    """Return how many sites one site feeds in a file group.

    As fast as possible for the slowest: each uplink carries one copy out, and the sites form a chain; more only where
    a chain would be longer than the depth limit allows.
    """
    sites = len(_sites(group))
    levels = max(group.settings.depth_limit - SITE_LEVELS, 1)
    copies = 1
    while sum(copies**level for level in range(1, levels + 1)) < sites if copies > 1 else sites > levels:
        copies += 1
    return copies


def room(group: Group, feeder: Place | None, fed: Place | None, instead: bool = False) -> bool:
    """Whether one more copy from one place to another overloads no site's uplink.

    ``instead``: the copy replaces one that enters the same site already.
    """
    if feeder is fed or feeder is None or fed is None:
        return True
    one, other = group.places.site(feeder), group.places.site(fed)
    if one is other:
        return True
    if one.outbound >= uplink_copies(group, one) or not _source_has_room(group, feeder):
        return False
    if instead or not _is_site(group, other):
        return True
    return other.inbound < _site_copies(group, other, "in")
