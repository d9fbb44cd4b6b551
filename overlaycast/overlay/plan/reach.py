"""Which member can open a connection to which other, and at which addresses.

Owns: that a link needs one end that can dial the other; mostly the child dials, and where only the child can be
reached the parent calls it. Refuses: choosing.

A member behind an address translator or a firewall can be dialled by nobody, except by its neighbours: members that
the coordinator sees under the same translator's address dial one another under the addresses of their own network.
What is assumed of neighbours may be wrong (a host may have a firewall of its own): such a pair is given up sooner than
others (``unusable_pair.not_opened``).

Nobody is sent to a third party. A member is dialled at the address that the coordinator sees, or at one that it claims
and at which it has answered the coordinator; its neighbours also find it at a private address. An address of one host
or one link only, such as loopback, is for those whom the coordinator sees at the same one.
"""

from __future__ import annotations

from collections.abc import Mapping

from overlaycast.overlay.state.members import Member
from overlaycast.wire.hosts import is_local, is_private
from overlaycast.wire.messages import Address, Subscribe


def describe(member: Member, request: Subscribe, allow_local: bool) -> None:
    """Take down what a subscriber says of its addresses.

    Without ``request.seen`` there is no network between it and us, and what it says is so.
    """
    member.claimed = tuple([(address.host, address.port) for address in request.addresses])
    if member.proven:
        member.proven = tuple(pair for pair in member.proven if pair[0] in member.claimed)
    member.open, member.dials, member.seen = request.reachable, request.dials, request.seen
    member.inside = _inside(member.seen, request.local)
    _settle(member, allow_local)


def unproven(member: Member) -> tuple[tuple[str, int], ...]:
    """Return the addresses that the member claims and nobody has seen it at: it has to be called there."""
    proven = dict(member.proven)
    return tuple(one for one in member.claimed if member.seen and one[0] != member.seen and one not in proven)


def prove(member: Member, answered: Mapping[tuple[str, int], tuple[str, int]], allow_local: bool) -> bool:
    """The member has answered at these addresses, claimed to actual; True: others have to be told something new."""
    before = told(member)
    member.proven = (*member.proven, *((one, answered[one]) for one in unproven(member) if one in answered))
    _settle(member, allow_local)
    return before != told(member)


def told(member: Member) -> tuple[object, ...]:
    """Return what others are told of where the member is found."""
    return member.addresses, member.reachable, member.dials, member.inside


def _settle(member: Member, allow_local: bool) -> None:
    """Say where others find the member, from what it claims and what is known."""
    known = _known(member)
    member.addresses = found = member.claimed if known == member.claimed else known
    here_only = False
    if member.seen and not allow_local:
        wide = tuple(one for one in found if not is_local(one[0]))
        member.addresses, here_only = wide or found, not wide
    member.reachable = member.open and bool(found) and not here_only
    if here_only and found:
        member.inside = (member.seen, *found[0])


def _known(member: Member) -> tuple[tuple[str, int], ...]:
    if not member.seen:
        return member.claimed
    proven = dict(member.proven)
    known = (one if one[0] == member.seen else proven.get(one) for one in member.claimed)
    return tuple(one for one in known if one) or tuple((member.seen, port) for _, port in member.claimed[:1])


def _inside(seen: str, local: Address | None) -> tuple[str, str, int] | None:
    """Return which translator the member is behind, and where neighbours there find it."""
    if local is None or not seen or local.host == seen or not is_private(local.host):
        return None
    return (seen, local.host, local.port)


def opens(one: Member, other: Member) -> bool:
    """Whether ``one`` can open a connection to ``other``, as far as is known."""
    return one.dials and (other.reachable or neighbours(one, other))


def linked(parent: Member, child: Member) -> bool:
    """Whether these two can have a link, whichever end opens it, and it has not failed for no known reason."""
    return parent.id not in child.barred and (opens(child, parent) or opens(parent, child))


def neighbours(one: Member, other: Member) -> bool:
    """Whether both are behind the same translator, and so within one network."""
    return one.inside is not None and other.inside is not None and one.inside[0] == other.inside[0]


def way(one: Member, other: Member) -> tuple[tuple[str, int], ...]:
    """Return the addresses at which ``one`` finds ``other``; none where it cannot."""
    if not opens(one, other):
        return ()
    if other.inside is not None and neighbours(one, other):
        return (other.inside[1:],)
    return other.addresses


def neighbours_only(parent: Member, child: Member) -> bool:
    """Whether these two could have no link if they were not neighbours."""
    return not (child.dials and parent.reachable) and not (parent.dials and child.reachable)
