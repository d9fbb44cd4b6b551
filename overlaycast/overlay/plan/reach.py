"""Which member can open a connection to which other, and at which addresses.

Owns: that a link needs one end that can dial the other; mostly the child dials, and where only the child can be
reached the parent calls it. Refuses: choosing.

A member behind an address translator or a firewall can be dialled by nobody, except by its neighbours: members that
the coordinator sees under the same translator's address dial one another under the addresses of their own network.
What is assumed of neighbours may be wrong (a host may have a firewall of its own): ``doubt`` takes it back.
"""

from __future__ import annotations

from overlaycast.overlay.state.members import Member
from overlaycast.wire.messages import Subscribe


def describe(member: Member, request: Subscribe) -> bool:
    """Take down what a subscriber says of its addresses; True: others have to be told something new."""
    before = (member.addresses, member.reachable, member.dials, member.inside)
    member.addresses = tuple((address.host, address.port) for address in request.addresses)
    member.reachable = request.reachable and bool(member.addresses)
    member.dials = request.dials
    member.seen = request.seen
    local = request.local
    translated = local is not None and bool(local.host) and request.seen not in ("", local.host)
    member.inside = (request.seen, local.host, local.port) if local is not None and translated else None
    return before != (member.addresses, member.reachable, member.dials, member.inside)


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


def doubt(parent: Member, child: Member) -> None:
    """The child could not open a connection to its parent though both live: if that was a neighbour, it is none."""
    if not parent.reachable and neighbours(parent, child):
        parent.inside = None
