"""What hosts and uplinks can carry, in whole copies of the stream.

Owns: degrees (copies that a host sends) and the room of an uplink (copies that cross it). Refuses: choosing.

Capacity belongs to hosts and to shared links. A host states what it can upload; what an echo shows is a lower bound
of the thinnest link on the way, which members of one site share: so it limits the site's uplink, not the host's LAN.
An echo that shows ``AMPLE`` times the stream's rate or more is limited by the echo itself and limits nothing.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.group import Group
from overlaycast.overlay.locality import Place
from overlaycast.overlay.members import SERVERS, Member

HOST_SHARE: Final = 0.8
"""Part of a host's stated upload that is planned for (DESIGN 5)."""
UPLINK_SHARE: Final = 0.9
"""Part of an uplink that is planned for."""
AMPLE: Final = 4.0
UNLIMITED: Final = 1 << 30


def degree(group: Group, member: Member) -> int:
    """Return how many children the member may have: none where it cannot be dialled."""
    settings = group.settings
    if not member.reachable:
        return 0
    limit = member.out_degree
    if limit is None:
        planted = member.role == "source" or member.role in SERVERS
        limit = settings.source_out_degree if planted else settings.default_out_degree
    if member.role == "source":
        limit = min(limit, settings.source_out_degree, _source_limit(group, member))
    if member.upload_mbit is not None:
        limit = min(limit, int(HOST_SHARE * member.upload_mbit / settings.rate_mbit + 1e-9))
    return limit


def _source_limit(group: Group, member: Member) -> int:
    """A source that an echo shows to be behind a thin link: all that it sends crosses that link."""
    if group.settings.mode == "file":
        return UNLIMITED
    return _copies(member.rate_mbit, group.settings.rate_mbit)


def _copies(rate_mbit: float | None, stream_mbit: float) -> int:
    if rate_mbit is None or rate_mbit >= AMPLE * stream_mbit:
        return UNLIMITED
    return max(1, int(UPLINK_SHARE * rate_mbit / stream_mbit + 1e-9))


def uplink_copies(group: Group, place: Place) -> int:
    """Return how many copies the link above a place carries in one direction, as far as is known.

    Only a site's uplink is limited by what echoes show: further in they show the same thin link again, and further
    out they are the sum of many.
    """
    if place.parent is None or group.places.site(place) is not place:
        return UNLIMITED
    if place.depth <= group.places.core.depth:
        return UNLIMITED
    if group.settings.mode == "file":
        return 1
    return _copies(place.rate_mbit, group.settings.rate_mbit)


def room(group: Group, feeder: Place | None, fed: Place | None, instead: bool = False) -> bool:
    """Whether one more copy from one place to another overloads no site's uplink.

    ``instead``: the copy replaces one that enters the same site already.
    """
    if feeder is fed or feeder is None or fed is None:
        return True
    one, other = group.places.site(feeder), group.places.site(fed)
    if one is other:
        return True
    if one.outbound >= uplink_copies(group, one):
        return False
    return instead or other.inbound < uplink_copies(group, other)
