"""What members say of their own networks, and of whom that makes neighbours. Pure.

Owns: neighbourhoods, that is members that name the same gateway and the same router beyond it, and at which router one
is, by the paths to those of its members that were traced. Refuses: paths (``skeleton``), and what follows
(``locality``).

Seen from a member a router shows another address than from the coordinator, so what members say places nobody by
itself: it tells who is beside whom. It is believed as far as others bear it out. A neighbourhood is at a router if it
is more than half of those that were traced there and say something, if two of it were, and if the same is true nowhere
else. So whoever says what is not so changes nothing for others, as long as most of those at its own router say what is
so; if not, a neighbourhood may be without a router, as if its members had said nothing.

Invariant: the answers depend on who has said what and who was traced where, not on the order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from overlaycast.wire.hosts import is_private

REPRESENTATIVES: Final = 2
"""So many traced members show where their neighbourhood is: a single path may have been mistaken for another one."""

Members: TypeAlias = dict[int, str | None]
"""Members, and the gateway that each names."""


class Vicinity(NamedTuple):
    """What a member says of its network, with what the coordinator sees of it itself; a neighbourhood too.

    Attributes:
        where: the prefix of the address at which it is seen, or the whole address if a translator has it.
        gateway: its first router; None: unknown, or any.
        beyond: the router after that; None: it did not answer. One further away says too little.
        known_by_it: no other router has this address.
    """

    where: str
    gateway: str | None = None
    beyond: str | None = None
    known_by_it: bool = False

    @property
    def neighbourhoods(self) -> tuple[Vicinity, ...]:
        """The neighbourhoods that it belongs to, the narrowest first.

        Where each host has a subnet the prefixes say nothing, and hosts with links of their own have unlike gateways.
        """
        return _neighbourhoods(self)


@lru_cache(maxsize=1 << 14)
def _neighbourhoods(near: Vicinity) -> tuple[Vicinity, ...]:
    if near.beyond is None:
        return (near._replace(known_by_it=False),)
    narrow = Vicinity(near.where, near.gateway, near.beyond)
    anywhere = (narrow._replace(where=""), narrow._replace(where="", gateway=None)) if near.known_by_it else ()
    return tuple(dict.fromkeys([narrow, *anywhere[:1], narrow._replace(gateway=None), *anywhere[1:]]))


def vicinity(
    seen: str, prefix: str | None, translated: bool, gateway: str | None, hops: Sequence[str | None]
) -> Vicinity | None:
    """Return what a member's words come to; None: nothing.

    Args:
        seen: the address at which the coordinator sees it.
        prefix: the prefix of that.
        translated: it is known to be behind a translator.
        gateway: its gateway, by its routing table.
        hops: the routers that answered it, the nearest first; None: one that did not.
    """
    first = gateway or (hops[0] if hops else None)
    beyond = hops[1] if len(hops) > 1 else None
    if first is None and beyond is None:
        return None
    # of an address that others use too only the translator tells whose it is
    inside = translated or (first is not None and _narrower(first, seen))
    where = seen if inside or prefix is None else prefix
    return Vicinity(where, first, beyond, beyond is not None and not translated and not _narrower(beyond, seen))


def _narrower(router: str, seen: str) -> bool:
    """Whether the router's address means something in its own network only, and the member's is seen everywhere."""
    return is_private(router) and not is_private(seen)


def _are_enough(one: Vicinity, members: Members) -> bool:
    """Whether these show where their neighbourhood is.

    If all of them have one gateway, those that have another one are behind another router, for all that they know.
    """
    gateways = set(members.values())
    return len(members) >= REPRESENTATIVES and (one.gateway is not None or len(gateways) > 1 or None in gateways)


class Witnesses:
    """The members that were traced and say something."""

    def __init__(self) -> None:
        self.version = 0
        """Grows whenever a neighbourhood may have come to another router."""
        self._said: dict[int, tuple[str, Vicinity]] = {}
        self._at: Counter[str] = Counter()
        """How many are at each router."""
        self._votes: dict[Vicinity, dict[str, Members]] = {}
        """By neighbourhood and router, its members there."""
        self._present: dict[str, dict[Vicinity, Members]] = {}
        """The same by router and neighbourhood."""
        self._most: dict[str, dict[Vicinity, bool]] = {}
        """By router, the neighbourhoods that are more than half of those there, and whether they are enough."""
        self._split: dict[Vicinity, None] = {}
        """Neighbourhoods that have members at several routers."""

    def hear(self, member: int, router: str | None, near: Vicinity | None) -> None:
        """Take the last router of the path to a member, and what the member says; None: nothing is known of it."""
        before, after = self._said.get(member), None if router is None or near is None else (router, near)
        if before == after:
            return
        if before is not None:
            del self._said[member]
            self._leave(member, *before)
        if after is not None:
            self._said[member] = after
            self._enter(member, *after)

    def _enter(self, member: int, router: str, near: Vicinity) -> None:
        self._at[router] += 1
        for one in near.neighbourhoods:
            votes = self._votes.setdefault(one, {})
            members = votes.setdefault(router, {})
            members[member] = near.gateway
            self._present.setdefault(router, {})[one] = members
            if len(votes) > 1:
                self._split[one] = None
        # others may be fewer than half now, and none but these more
        self._weigh(router, (*self._most.get(router, ()), *near.neighbourhoods))

    def _leave(self, member: int, router: str, near: Vicinity) -> None:
        self._at[router] -= 1
        for one in near.neighbourhoods:
            votes = self._votes[one]
            del votes[router][member]
            if not votes[router]:
                del votes[router]
                del self._present[router][one]
            if not votes:
                del self._votes[one]
            if len(votes) < 2:
                self._split.pop(one, None)
        self._weigh(router, (*self._present[router], *near.neighbourhoods))
        if not self._at[router]:
            del self._at[router], self._present[router]

    def _weigh(self, router: str, these: Iterable[Vicinity]) -> None:
        most = self._most.pop(router, {})
        before = dict(most)
        for one in these:
            members = self._present[router].get(one, {})
            if 2 * len(members) > self._at[router]:
                most[one] = _are_enough(one, members)
            else:
                most.pop(one, None)
        if most:
            self._most[router] = most
        self.version += most != before

    def home(self, near: Vicinity) -> str | None:
        """Return the router at which the member's neighbourhood is; None: nothing tells, or too little."""
        for one in near.neighbourhoods:
            homes = [router for router in self._votes.get(one, ()) if one in self._most.get(router, ())]
            if len(homes) == 1 and self._most[homes[0]][one]:
                return homes[0]
        return None

    def outvoted(self, router: str, near: Vicinity) -> bool:
        """Whether most of those who were traced to this router name another gateway, and another router beyond it."""
        return all(self._fewer(router, self._votes.get(one, {}).get(router, {})) for one in near.neighbourhoods)

    def doubtful(self) -> list[int]:
        """Return the members that may be elsewhere than they were traced to: few there say what they do."""
        found: dict[int, str | None] = {}
        for one in self._split:
            for router, members in self._votes[one].items():
                if self._fewer(router, members):
                    found.update(members)
        return list(found)

    def _fewer(self, router: str, members: Members) -> bool:
        return 2 * len(members) < self._at[router]
