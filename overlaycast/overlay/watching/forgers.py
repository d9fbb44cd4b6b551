"""Forgers (file groups): a member that passes on chunks that do not fit the source's digests feeds nobody for an hour.

Owns: which members were accused of it, and by which hosts, ``Watch.accusations``. Refuses: to believe a single witness,
and to convict the source.

Every forwarder checks a chunk before it passes it on, so a child that gets a bad one has found the forger, or their
line. But the coordinator has only its word, and it may be the liar, or have bad memory itself. So one witness keeps
nobody but itself from the accused (``unusable_pair``). Two at different hosts within ``MEMORY_S`` convict: all children
are attached elsewhere, and the forger is a leaf for ``SHUNNED_S``. A host that has accused ``CREDIT`` forwarders of
which nobody else complains is not believed any more: it is what they have in common. Two hosts that lie together can
shun as many.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Final

from overlaycast.overlay.mending import repair
from overlaycast.overlay.plan import unusable_pair
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member

WITNESSES: Final = 2
CREDIT: Final = 3
MEMORY_S: Final = 3600.0
SHUNNED_S: Final = 3600.0
IPV6_NETWORK: Final = 64
"""Bits of an IPv6 address that name its network."""


def accused(group: Group, forger: Member, witness: Member, now: float) -> bool:
    """Take a child's word that its parent forges; True: it is convicted, and its children are attached elsewhere."""
    unusable_pair.bar(group, forger, witness, now)
    if forger.role == "source" or forger.id in group.repair.leaves:
        return False
    host = _host(witness)
    heard = {one: at for one, at in group.watch.accusations.get(forger.id, {}).items() if now - at <= MEMORY_S}
    if host in heard or _unconfirmed(group, host, now) < CREDIT:
        heard[host] = now
    group.watch.accusations[forger.id] = heard
    if len(heard) < WITNESSES:
        return False
    del group.watch.accusations[forger.id]
    moved = repair.make_leaf(group, forger, now, SHUNNED_S)
    group.note(now, "forger", forger, moved=[child.id for child in moved])
    return True


def _host(member: Member) -> str:
    """Members at one address that the coordinator sees are one witness; what they say of themselves proves nothing.

    Whoever has one IPv6 address has all of its network.
    """
    try:
        seen = ip_address(member.seen)
    except ValueError:
        return member.seen
    return str(ip_network((seen, IPV6_NETWORK), strict=False)) if seen.version == 6 else str(seen)


def _unconfirmed(group: Group, host: str, now: float) -> int:
    return sum(now - heard[host] <= MEMORY_S for heard in group.watch.accusations.values() if host in heard)
