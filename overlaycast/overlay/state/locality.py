"""Where members are: traced paths become one tree of routers, and the tree tells sites and distances.

Owns: the routers, how far they are, how many copies pass the link above each. Refuses: what paths say of one another
(``skeleton``), choosing parents.

Raw paths are kept, and the tree is what all of them say together, in whatever order they came. A path that only adds
to the tree is added; where it contradicts, the whole is inferred anew (``refresh``).

A member is *located* by the last router of its path, or because it was reached without one. Where the path ends in
silence, the member joins those that name the same gateway and the same router beyond it (``vicinity``), or else the
members of its prefix if all of those that were traced are at one router; both only if that router fits. Otherwise it is
not located: it counts for no core, and is beside those that it names the same routers as, beside others of its prefix
that are not located, or with no address beside those that are about as far. So is a member whose path ends at a router
where most others name another gateway, if those that name its own were all traced to one other router, as far away.

Invariants: an address has one router; ``count`` is the number of peers at and below a router; a router's delay never
exceeds the smallest measured below it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median_low
from typing import Final

from overlaycast.overlay.state.measurement import Fact, Measurement
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.prefix import prefix_of
from overlaycast.overlay.state.router import OUTSIDE, Key, Router, meeting
from overlaycast.overlay.state.shown import Readings, tells
from overlaycast.overlay.state.skeleton import ROOT, Above, Hops, Skeleton, infer, through, usable
from overlaycast.overlay.state.vicinity import Vicinity, Witnesses

SUPPORT: Final = 3
"""So many members with the same path say no more than that it is no mistake."""
MANY_ROUTERS: Final = 1024
ROUTERS_EACH: Final = 8
"""Routers that are no matter, in all and for each member; what more there are may be former members'."""
HERE: Final = "the coordinator's network"


def is_guess(member: Member) -> bool:
    """Whether a member is where its own word has it, and not its path: who says what is not so is at a false place."""
    return not member.located and member.router is not None and _by_its_word(member, member.router)


def _by_its_word(member: Member, router: Router) -> bool:
    """Whether a member is at a router because of what it says: it tells nothing of that router's links then."""
    return member.fact.near is not None and isinstance(router.key, str) and router.key not in ("", member.fact.last)


class Routers:
    """The tree of routers of one group."""

    def __init__(self) -> None:
        self.version = 0
        """Grows whenever a router gets its first member or loses its last, or shows a better rate."""
        self._paths: dict[Hops, int] = {}
        """How many members have come with each path, and no more than ``SUPPORT``."""
        self._above: Skeleton = {}
        self._first: dict[str | None, None] = {}
        """What comes first in any path."""
        self._gateway: str | None = None
        """The router by which all paths leave, if they do."""
        self._contested = False
        self._stale = False
        self._facts: dict[Fact, Fact] = {}
        self._made = 0
        self._most = MANY_ROUTERS
        self.witnesses = Witnesses()
        self._clear()

    def _clear(self) -> None:
        self.root = Router("", None, "coordinator", self._made)
        self._made += 1
        self.known: dict[Key, Router] = {"": self.root}
        self.located = 0
        """Peers that are located."""
        self.lost = 0
        """Peers that are not, and are outside of the tree that paths make."""
        self.unlocated: dict[int, Member] = {}
        """Members that no path locates: another one's path may."""
        self._heard = -1
        """The version of the witnesses when those that no path locates were found last."""
        self._spread: dict[str, None] = {}
        """The prefixes that others have come to be alone in since then, or not, or whose members to other routers."""
        self._astray: dict[int, None] = {}
        """Members that are not at the router at which their path ends."""
        self._prefixes: dict[str, dict[Key, int]] = {}
        """By prefix, how many traced members are at which router."""
        self._subnets: dict[str, int] = {}
        """By prefix, how many members there are."""
        self._core: Router | None = None
        self._readings = Readings()
        self._doubted: tuple[Router, int] | None = None
        """The member whose reading is not believed, and its router."""
        self._middling: tuple[int, float | None] | None = None

    # --- what paths say ----------------------------------------------------------------------------------------

    def learn(self, hops: Hops, hops_ms: Sequence[float | None] = ()) -> None:
        """Take a path that is ``usable``; ``refresh`` tells whether it has changed more than it added."""
        support = self._paths.get(hops, 0)
        if support < SUPPORT:
            self._paths[hops] = support + 1
            self._begin(hops)
            if self._contested or not self._extend(through(self._gateway, hops)):
                self._stale = True
        if hops_ms:
            self._time(hops, hops_ms)

    def _begin(self, hops: Hops) -> None:
        """Note by which router a path leaves; the first two that are named say what a silent one is, or is not."""
        if not hops or hops[0] in self._first:
            return
        self._first[hops[0]] = None
        if None in self._first and 1 < len(self._first) < 4:
            self._stale = True
        named = [hop for hop in self._first if hop is not None]
        self._gateway = named[0] if len(named) == 1 else None

    def _extend(self, hops: Hops) -> bool:
        """Add what is new of a path behind what is known of it; False: it says something else of what is known."""
        last = next((index for index in range(len(hops) - 1, -1, -1) if hops[index] in self._above), -1)
        if last >= 0 and not self._agrees(hops[:last], self.known[hops[last] or ""]):
            return False
        above, silent = (hops[last] or ROOT) if last >= 0 else ROOT, 0
        for hop in hops[last + 1 :]:
            if hop is None:
                silent += 1
            else:
                self._above[hop] = Above(above, silent)
                self._make(hop)
                above, silent = hop, 0
        return True

    def _agrees(self, before: Hops, router: Router) -> bool:
        """Whether these hops are those before the router, or silent ones where those are."""
        above = router.parent
        for hop in reversed(before):
            if above is None or above is self.root or (hop is not None and hop != above.name):
                return False
            above = above.parent
        return above is self.root

    def refresh(self) -> bool:
        """Infer the tree anew if that is called for. True: it is another one, and nobody is in it; enter all again."""
        if not self._stale:
            return False
        self._stale = False
        found = infer(self._paths)
        self._contested = found.contested
        if found.above == self._above:
            return False
        self._grow(found.above)
        return True

    def _grow(self, above: Skeleton) -> None:
        """Have these routers, what is known of their delays, and nobody in them."""
        former, self._above = self.known, above
        self._clear()
        self.version += 1
        for name in above:
            router, before = self._make(name), former.get(name)
            if before is not None and before.timed:
                router.delay_ms, router.timed = before.delay_ms, True

    def forget_former(self, members: int, paths: Iterable[Hops]) -> bool:
        """Keep but these paths, those of the members that there are, if routers have become many more than members.

        A restart of the coordinator keeps no more either. True: the tree is new, and nobody is in it; enter all again.
        """
        if len(self.known) <= max(self._most, ROUTERS_EACH * members):
            return False
        self._paths, self._first, self._gateway, self._facts = {}, {}, None, {}
        for hops in paths:
            self._begin(hops)
            self._paths[hops] = min(self._paths.get(hops, 0) + 1, SUPPORT)
        found = infer(self._paths)
        self._contested, self._stale = found.contested, False
        self._grow(found.above)
        self._most = max(MANY_ROUTERS, 2 * len(self.known))
        return True

    def _make(self, name: str) -> Router:
        """Return the router of this name, made where it belongs."""
        found, chain = self.known.get(name), []
        while found is None:
            chain.append(name)
            name = self._above[name].router
            found = self.known.get(name)
        for below in reversed(chain):
            silent = self._above[below].silent
            for step in range(silent):
                found = self.add(("*", found.key, silent, step, below), found)
            found = self.add(below, found, below)
        return found

    def add(self, key: Key, parent: Router, name: str | None = None) -> Router:
        """Return the router with this key, made below ``parent`` if it is new."""
        router = self.known.get(key)
        if router is None:
            router = self.known[key] = Router(key, parent, name, self._made)
            self._made += 1
        return router

    def _time(self, hops: Hops, hops_ms: Sequence[float | None]) -> None:
        known = self.known
        for hop, rtt in zip(hops, hops_ms, strict=False):
            if hop is None or rtt is None or (router := known.get(hop)) is None:
                continue
            # routers answer late when busy, never early: the smallest is the truest
            if not router.timed or rtt / 2 < router.delay_ms:
                router.delay_ms, router.timed = rtt / 2, True

    # --- finding a router ---------------------------------------------------------------------------------------

    def fact(
        self, measurement: Measurement, addresses: Sequence[tuple[str, int]], near: Vicinity | None = None
    ) -> Fact:
        """Return what of a measurement tells where its member is; members beside one another share it."""
        path = measurement.path
        hops = path if path in self._paths else usable(path)  # neighbours come by the same one
        fact = Fact(hops, measurement.reached, prefix_of(addresses), near)
        return self._facts.setdefault(fact, fact)

    def find(self, fact: Fact, rtt_ms: float | None = None, entered: bool = False) -> tuple[Router, bool]:
        """Return the router of a member, and whether it is located by it; its path has been learned.

        ``entered``: the member is counted at a router already.
        """
        hops, last = fact.hops, fact.last
        home = self._home(fact)
        if last is not None:
            if home is not None and self._misled(fact, last, home):
                return home, False
            return self.known[last], True
        end = len(hops)
        while end and hops[end - 1] is None:
            end -= 1
        name = hops[end - 1] if end else None
        if fact.reached and not hops:
            return self.add((HERE,), self.root, HERE), True
        below = self.root if name is None else self.known[name]
        near = self._neighbour(fact, below)
        if home is not None and home is not near:
            return home, fact.reached and home.depth == len(hops) and below in home.up()
        if near is not None:
            return near, True
        if name is not None:
            return self.add(("*", below.key, len(hops) - end, self._apart(fact, entered)), below), False
        if fact.prefix is not None:
            return self.add((OUTSIDE, fact.prefix), self.root, fact.prefix), False
        # no path, no address: all that is left is how far it is from the only landmark, the coordinator
        bucket = round(math.log2(max(rtt_ms or 1.0, 0.1)))
        return self.add((OUTSIDE, bucket), self.root, f"about {2.0**bucket:g} ms"), False

    def _apart(self, fact: Fact, entered: bool) -> str | None:
        """Return what tells a member whose own router is silent from others behind as many silent ones.

        Those of one subnet are behind the same one, if they name the same router beyond it. So are, for want of
        anything else that tells them apart, those that have a subnet for themselves.
        """
        alone = self._subnets.get(fact.prefix or "", 0) <= entered
        beyond = None if fact.near is None else fact.near.beyond
        where = "?" if alone else fact.prefix
        return where if beyond is None else f"{where} below {beyond}"

    def _home(self, fact: Fact) -> Router | None:
        """Return the router at which those are that say of their networks what the member does; None: nothing tells."""
        name = self.witnesses.home(fact.near) if fact.near is not None else None
        return None if name is None else self.known.get(name)

    def _misled(self, fact: Fact, last: str, home: Router) -> bool:
        """Whether the path to a member was taken for a neighbour's, as the words of those at both routers have it."""
        assert fact.near is not None
        elsewhere = home.key != last and fact.reached and home.depth == len(fact.hops)
        return elsewhere and self.witnesses.outvoted(last, fact.near)

    def doubtful(self) -> list[int]:
        """Return the members that may have to be found anew though their path ends at a router."""
        return list(dict.fromkeys([*self._astray, *self.witnesses.doubtful()]))

    def unsettled(self) -> list[Member]:
        """Return the members that no path locates and that may have to be found anew."""
        heard, self._heard = self._heard, self.witnesses.version
        spread, self._spread = self._spread, {}
        waiting = self.unlocated.values()
        if heard != self._heard:
            return list(waiting)
        return [one for one in waiting if one.fact.near is None or one.fact.prefix in spread]

    def _neighbour(self, fact: Fact, below: Router) -> Router | None:
        """Return the one router at which all traced members of the prefix are, if the path does not contradict it."""
        routers = self._prefixes.get(fact.prefix or "")
        if routers is None or len(routers) != 1:
            return None
        found = self.known[next(iter(routers))]
        fits = not fact.hops or found.depth == len(fact.hops)
        return found if fits and below in found.up() else None

    # --- members come and go -----------------------------------------------------------------------------------

    def enter(self, member: Member) -> None:
        """Count the member at its router, and learn its delay and rate."""
        router = member.router
        if router is None:
            return
        if not _by_its_word(member, router):
            self._learn(router, member)
        self._note(member, router, 1)
        if member.role != "peer":
            return
        self._count(router, 1)
        for above in router.up():
            if not above.count:
                self.version += 1
            above.count += 1

    def renew(self, member: Member) -> float | None:
        """Learn delay and rate of a member that is counted at its router; return the router's rate before."""
        router = member.router
        assert router is not None
        before = router.rate_mbit
        if not _by_its_word(member, router):
            self._learn(router, member)
        return before

    def leave(self, member: Member) -> None:
        """Count the member no more."""
        if member.router is None:
            return
        self._note(member, member.router, -1)
        if member.role != "peer":
            return
        self._count(member.router, -1)
        for above in member.router.up():
            above.count -= 1
            self.version += not above.count

    def _note(self, member: Member, router: Router, more: int) -> None:
        """Take down where a traced member is, or that no path tells where this one is."""
        fact = member.fact
        if fact.prefix is not None:
            many = self._subnets.pop(fact.prefix, 0) + more
            if many:
                self._subnets[fact.prefix] = many
            self._come(fact.prefix, many)
        if not fact.hops or fact.hops[-1] is None:
            if more > 0 and not (fact.reached and not fact.hops):
                self.unlocated[member.id] = member
            else:
                self.unlocated.pop(member.id, None)
        elif _by_its_word(member, router):
            if more > 0:
                self._astray[member.id] = None
            else:
                del self._astray[member.id]
        elif fact.prefix is not None:
            self._note_traced(fact.prefix, router, more)

    def _note_traced(self, prefix: str, router: Router, more: int) -> None:
        routers = self._prefixes.setdefault(prefix, {})
        members = routers.pop(router.key, 0) + more
        if members:
            routers[router.key] = members
        if not routers:
            del self._prefixes[prefix]
        self._come(prefix, members)

    def _come(self, prefix: str, many: int) -> None:
        """Take note if so few are in a prefix, or at one router with it, that this may be the first or the second."""
        if many < 3:
            self._spread[prefix] = None

    def _count(self, router: Router, more: int) -> None:
        self._core = None
        if router.outside:
            self.lost += more
        else:
            self.located += more

    def _learn(self, router: Router, member: Member) -> None:
        if member.role != "source":
            self._learn_rate(router, member)
        if member.rtt_ms is None:
            return
        reach = member.rtt_ms / 2
        if router.heard and reach >= router.delay_ms:
            return
        hops = max(router.depth, 1)
        for above in router.up():
            # a router without a time of its own lies as far along the path as its share of the hops
            guess = reach if above.timed else reach * above.depth / hops
            if not above.timed and not above.heard:
                above.delay_ms, above.heard = guess, True
            elif guess < above.delay_ms:
                above.delay_ms = guess

    def _learn_rate(self, router: Router, member: Member) -> None:
        """Take what the member's echo has shown; one that has shown nothing shows no limit, and no lack of one."""
        rate = member.rate_mbit
        if rate is not None and tells(router.readings, member.id, rate):
            self.show(router, {member.id: rate})

    def show(self, router: Router, rates_mbit: Mapping[int, float]) -> None:
        """Take what echoes of members of a router have shown; a link shows what the best one below it does."""
        for member, rate in rates_mbit.items():
            self._readings.take(router, member, rate)
        self._weigh(router)

    def withdraw(self, member: Member) -> None:
        """Take back what a member's echo has shown: it may be elsewhere."""
        if member.router is not None and member.router.readings.pop(member.id, None) is not None:
            self._weigh(member.router)

    def _weigh(self, router: Router) -> None:
        """Look what is believed of a router now, and of one whose reading is in doubt, or was."""
        doubted, self._doubted = self._doubted, self._readings.doubted()
        for one in dict.fromkeys([router, *(found[0] for found in (doubted, self._doubted) if found is not None)]):
            unsure = self._doubted[1] if self._doubted is not None and self._doubted[0] is one else None
            own = max((rate for member, rate in one.readings.items() if member != unsure), default=None)
            before, one.own_mbit = one.own_mbit, own
            self._pass_up(one, before, own)

    def _pass_up(self, router: Router, before: float | None, now: float | None) -> None:
        for above in router.up():
            best = above.rate_mbit
            if now is not None and (best is None or now >= best):
                best = now
            elif before is not None and before == best:
                rates = [above.own_mbit, *(below.rate_mbit for below in above.children)]
                best = max((rate for rate in rates if rate is not None), default=None)
            if best == above.rate_mbit:
                break
            before, now, above.rate_mbit = above.rate_mbit, best, best
            self.version += 1

    @property
    def middling_mbit(self) -> float | None:
        """What the middle one of all routers with peers has shown; None: none has shown anything."""
        if self._middling is None or self._middling[0] != self.version:
            rates = [one.rate_mbit for one in self.known.values() if one.count and one.rate_mbit is not None]
            self._middling = self.version, median_low(rates) if rates else None
        return self._middling[1]

    # --- sites -------------------------------------------------------------------------------------------------

    @property
    def core(self) -> Router:
        """The deepest router that all located peers share."""
        if self._core is None:
            self._core = self._find_core()
        return self._core

    def _find_core(self) -> Router:
        router, peers = self.root, self.located or self.lost
        while True:
            below = next((child for child in router.children if child.count == peers), None)
            if below is None or not peers:
                return router
            router = below

    def site(self, router: Router) -> Router:
        """Return the site of a router: the branch just below the core, whose link above is its uplink.

        At the core and above it a router is its own site.
        """
        core = self.core
        if router.depth <= core.depth:
            return router
        inside = router
        while inside.depth > core.depth + 1:
            assert inside.parent is not None
            inside = inside.parent
        return inside if inside.parent is core else router

    # --- copies ------------------------------------------------------------------------------------------------

    @staticmethod
    def crossed(feeder: Router | None, fed: Router | None) -> tuple[list[Router], list[Router]]:
        """Return the routers whose uplink a copy from one router to another leaves by, and those it enters by."""
        out: list[Router] = []
        into: list[Router] = []
        if feeder is None or fed is None or feeder is fed:
            return out, into
        shared = meeting(feeder, fed)
        while feeder is not shared:
            out.append(feeder)
            assert feeder.parent is not None
            feeder = feeder.parent
        while fed is not shared:
            into.append(fed)
            assert fed.parent is not None
            fed = fed.parent
        return out, into

    def carry(self, feeder: Router | None, fed: Router | None, copies: int) -> None:
        """Count ``copies`` more (or fewer) between two routers on every link they pass."""
        out, into = self.crossed(feeder, fed)
        for router in out:
            router.outbound += copies
        for router in into:
            router.inbound += copies
