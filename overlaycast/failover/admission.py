"""Which children are let in at a member's data port, and which have to go again (Fig. 9C, 920). Pure.

Owns: the coordinator's Accepts by their grants, our own rank, and the verdict on an ENTER or a HELLO; whether it is a
parent of ours that has dialled us. Refuses: sockets, clocks, timers and nonces; what drives it holds an ENTER without a
verdict for ``HOLD_S``, and asks again when anything has changed.

A grant is 16 secret bytes made by the coordinator for one child at one parent; the connection that proves it is that
child's (``wire.grants``). Only a child that was announced with version 1 of the data link may show it instead. No child
is admitted whose rank is not above ours, whatever was announced, so that no combination of late orders and local
switches closes a cycle.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from overlaycast.wire import grants
from overlaycast.wire.frames import SHOWN, Call, Enter, Hello, Offer, Proof, RefuseCode
from overlaycast.wire.grants import Bond, Identity, Nonces
from overlaycast.wire.messages import Accept, Peer, Revoke

HOLD_S: Final = 1.0
"""Seconds that an ENTER with a grant that was not announced (yet) is held: Accept and Assign travel on different links,
and the child may be faster."""
REVOKED_S: Final = 3.0
"""A revoked child that is being fed may be moving: it has so long to leave by itself."""
PER_CHILD: Final = 4
"""Newest grants kept per child: an older one may be on its way while a newer is announced. So many proofs are made for
an ENTER at most."""


@dataclass(frozen=True, slots=True)
class Admission:
    """An announced child. ``answer``: what we prove ourselves with, before we say anything else; None: nothing."""

    child: int
    name: str
    epoch: int
    standby: bool
    answer: Proof | None = None


@dataclass(frozen=True, slots=True)
class _Announced:
    admission: Admission
    bond: Bond
    proves: bool


def proves(version: int | None) -> bool:
    """Return whether grants are proven on a data link of this version (``Accept``, ``Peer``)."""
    return version is not None and version > SHOWN


def is_called_by(peer: Peer, identity: Identity, said: Call | Offer, nonces: Nonces | None) -> bool:
    """Return whether this parent, which an order names, has dialled us, ``identity``, and said this."""
    grant = bytes.fromhex(peer.grant)
    if not proves(peer.data_version):
        return isinstance(said, Call) and hmac.compare_digest(said.grant, grant)
    bond = Bond(identity.group, peer.member, identity.member)
    return isinstance(said, Offer) and nonces is not None and grants.offers(grant, bond, nonces, said)


class Admissions:
    """The announced children of one member.

    Args:
        most: children at once, warm ones included.
        identity: says who we are now.

    Attributes:
        rank: our own; None: no order has come, and no ENTER gets a verdict.
        leaving: we let nobody in any more.
    """

    def __init__(self, most: int, identity: Callable[[], Identity] = Identity) -> None:
        self.rank: int | None = None
        self.leaving = False
        self._most = most
        self._identity = identity
        self._of: dict[int, dict[bytes, _Announced]] = {}

    def accept(self, order: Accept) -> None:
        """Announce a child; its oldest grants are forgotten."""
        me = self._identity()
        admission = Admission(order.child, order.name, order.epoch, order.standby)
        bond = Bond(me.group, me.member, order.child)
        of_child = self._of.setdefault(order.child, {})
        of_child[bytes.fromhex(order.grant)] = _Announced(admission, bond, proves(order.data_version))
        for grant in sorted(of_child, key=lambda one: (of_child[one].admission.epoch, one))[:-PER_CHILD]:
            del of_child[grant]

    def revoke(self, order: Revoke) -> None:
        """Forget a child's grants, except those announced after this order was made."""
        kept = {grant: one for grant, one in self._of.pop(order.child, {}).items() if one.admission.epoch > order.epoch}
        if kept:
            self._of[order.child] = kept

    def verdict(
        self, said: Enter | Hello, nonces: Nonces | None, present: Collection[int]
    ) -> Admission | RefuseCode | None:
        """Return who the child is that says this, if it may come in; else why not. None: hold it.

        Args:
            nonces: of its connection; None: there are none.
            present: the children that are in.
        """
        found = self._shown(said.grant) if isinstance(said, Hello) else self._proven(said, nonces)
        if self.rank is None or found is None:
            return None
        if isinstance(found, RefuseCode):
            return found
        if self.leaving:
            return RefuseCode.LEAVING
        if said.rank <= self.rank:
            return RefuseCode.RANK
        if len(present) >= self._most and found.child not in present:
            return RefuseCode.FULL
        return found

    def _shown(self, grant: bytes) -> Admission | RefuseCode | None:
        found = next((of_child[grant] for of_child in self._of.values() if grant in of_child), None)
        if found is None:
            return None
        return RefuseCode.VERSION if found.proves else found.admission

    def _proven(self, said: Enter, nonces: Nonces | None) -> Admission | None:
        if nonces is None:
            return None
        for grant, one in self._of.get(said.child, {}).items():
            if one.proves and grants.enters(grant, one.bond, nonces, said):
                return replace(one.admission, answer=grants.answer(grant, one.bond, nonces))
        return None

    def rise(self, rank: int, ranks: Mapping[int, int]) -> list[int]:
        """Have another rank from now on. Return the children that it overtakes: they have to come again.

        Else one of them, warm until now, could be above us when it asks for records, and a cycle would be closed.

        Args:
            rank: our own.
            ranks: what the children that are in have said, by member id.
        """
        self.rank = rank
        return [child for child, said in ranks.items() if said <= rank]

    def leave_within_s(self, order: Revoke, epoch: int, fed: bool) -> float | None:
        """Return in how many seconds a revoked child has to be gone; None: it stays.

        Args:
            order: has been taken.
            epoch: of the announcement by which the child came in.
            fed: whether it gets records.
        """
        if epoch > order.epoch:
            return None
        return REVOKED_S if fed else 0.0

    def expects(self, child: int) -> bool:
        """Whether this child is announced."""
        return child in self._of

    def offer(self, order: Accept, nonces: Nonces) -> Offer:
        """Return what we say to this child on a connection that we have dialled."""
        me = self._identity()
        return grants.offer(bytes.fromhex(order.grant), Bond(me.group, me.member, order.child), nonces, order.epoch)

    def fed(self) -> set[int]:
        """Return the children that have their place here, by their newest announcements; standby's are elsewhere."""
        newest = {
            child: sorted((one.admission for one in of_child.values()), key=lambda admission: admission.epoch)[-1]
            for child, of_child in self._of.items()
        }
        return {child for child, admission in newest.items() if not admission.standby}
