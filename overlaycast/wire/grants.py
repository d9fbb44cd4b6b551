"""How the two ends of a data link prove to each other that they know its grant, and never show it. Pure.

Owns: what is proven and what it is bound to. Refuses: to keep grants, and to make nonces: a nonce has to be fresh and
from a source of secrets, at each end, for each connection.

A proof is an HMAC-SHA256 keyed with the grant. It is bound to the group's name, to both members' ids, to the nonces of
both ends, to who has dialled and to who proves; a child's also to its order's epoch, its rank, and what it asks for; an
offer's to its order's epoch. So what was read from one link opens no other one, neither end can send back what the
other end has said, and a changed bit makes it worthless. The incarnation of the *group* is in the grant itself: a group
that is made again has another key, and so other grants (``overlay.plan.orders``). That of its *source* is not bound:
the two ends may learn of another source at different times, and a link outlives it.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from typing import Final

from overlaycast.wire.frames import Enter, Offer, Proof

_LABEL: Final = b"overlaycast data link 2\0"
_CHILD: Final = b"child"
_PARENT: Final = b"parent"
_CALLER: Final = b"caller"
_PAIR: Final = struct.Struct("!QQ")
_ENTER: Final = struct.Struct("!QQQB")
_OFFER: Final = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a member is: the name of its group, and its id there."""

    group: str = ""
    member: int = 0


@dataclass(frozen=True, slots=True)
class Bond:
    """Which members a grant joins, and in which group."""

    group: str
    parent: int
    child: int


@dataclass(frozen=True, slots=True)
class Nonces:
    """What makes a connection unlike any other: the nonce of who has dialled, and that of who was dialled.

    ``calls``: the parent has dialled.
    """

    dialling: bytes
    dialled: bytes
    calls: bool = False


def enter(grant: bytes, bond: Bond, nonces: Nonces, unproven: Enter) -> Enter:
    """Return what a child says, with its proof; that of ``unproven`` does not count."""
    asked = _ENTER.pack(unproven.epoch, unproven.rank, unproven.resume_from, unproven.digests)
    return Enter(
        bond.child,
        unproven.epoch,
        unproven.rank,
        unproven.resume_from,
        _proof(grant, bond, nonces, _CHILD, asked),
        unproven.digests,
    )


def enters(grant: bytes, bond: Bond, nonces: Nonces, said: Enter) -> bool:
    """Return whether the child that says this knows the grant."""
    return hmac.compare_digest(enter(grant, bond, nonces, said).proof, said.proof) and said.child == bond.child


def offer(grant: bytes, bond: Bond, nonces: Nonces, epoch: int) -> Offer:
    """Return what a parent says that has dialled."""
    return Offer(bond.parent, epoch, _proof(grant, bond, nonces, _CALLER, _OFFER.pack(epoch)))


def offers(grant: bytes, bond: Bond, nonces: Nonces, said: Offer) -> bool:
    """Return whether the parent that says this knows the grant."""
    right = offer(grant, bond, nonces, said.epoch).proof
    return hmac.compare_digest(right, said.proof) and said.parent == bond.parent


def answer(grant: bytes, bond: Bond, nonces: Nonces) -> Proof:
    """Return what a parent says first to a child that has proven itself."""
    return Proof(_proof(grant, bond, nonces, _PARENT))


def answers(grant: bytes, bond: Bond, nonces: Nonces, said: Proof) -> bool:
    """Return whether the parent that says this knows the grant."""
    return hmac.compare_digest(answer(grant, bond, nonces).digest, said.digest)


def _proof(grant: bytes, bond: Bond, nonces: Nonces, who: bytes, said: bytes = b"") -> bytes:
    """Every part has a fixed length or says its length, so that no two different things give the same text."""
    dialled_by = b"parent" if nonces.calls else b"child"
    parts = (
        who,
        dialled_by,
        bond.group.encode(),
        _PAIR.pack(bond.parent, bond.child),
        nonces.dialling,
        nonces.dialled,
        said,
    )
    text = _LABEL + b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    return hmac.digest(grant, text, "sha256")
