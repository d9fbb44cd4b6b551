"""Finds the routes to many targets at once, with few probes. Pure: driven by answers and ``now``.

Owns: which hop is asked next, and what an answer says of whom. Refuses: packets, sockets, clocks (``tracer``).

One probe with a large time to live goes to each target. Its port-unreachable quotes what was left of it, which tells
the distance (FlashRoute: Huang, Rabinovich, Al-Dalky, IMC 2020). From there hops are asked backwards, until a router at
a distance is known already: its way is known, or asked through another target (Doubletree: Donnet et al., SIGMETRICS
2005). The first router is that of this machine's routing table. A route to a neighbour is taken over only where a
router answers a probe to the target itself, never because nothing answers.

Invariants: an answer counts only if it is to a probe of the last ``LATE_S`` seconds, to the same target; no more than
``RATE`` probes a second; no target gets more than ``MOST_PROBES``; no more than ``MOST_TARGETS`` are kept, none longer
than ``KEPT_S``.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

from overlaycast.discovery.survey.bucket import Bucket
from overlaycast.discovery.survey.paths import route_to
from overlaycast.discovery.survey.questions import DISTANCE, Question
from overlaycast.discovery.survey.route import Route
from overlaycast.discovery.survey.spots import FAR, Point, Spot, Spots, Target, passed

Asked = Question[Spot]
Verdict = Literal["hop", "target", "blocked"]

LARGE_TTL: Final = 64
MAX_HOPS: Final = 30
"""No router further than this is asked for a target that does not answer."""
RATE: Final = 2000
AT_ONCE: Final = 32
LATE_S: Final = 10.0
FIRST_S: Final = 0.5
"""Seconds after the first probe when the route is told, complete or not."""
FRESH_S: Final = 10.0
"""A target that is asked for again within so many seconds is not traced again."""
STALE_S: Final = 120.0
"""The way to a router is asked once more when a new target passes it, if it was seen last so long ago."""
KEPT_S: Final = 600.0
MOST_TARGETS: Final = 20_000
MOST_PROBES: Final = 100
WINDOW: Final = 3
"""So many hops beyond the last one that answers are asked where the target does not."""
WINDOW_ASKS: Final = 3
"""So often each."""
NEAR: Final = 12
"""No further than this the routers of a target are looked for of which nothing has answered yet."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe to send. ``number``, 1 to 65535, is not that of another one under way."""

    number: int
    target: str
    ttl: int


@dataclass(slots=True)
class _Sent:
    target: Target
    ttl: int
    question: Asked | None  # None: only the time to the first router is wanted
    at: float


_Group = tuple[int, Point | None]  # targets that ask for the hop below the same router


class Survey:
    """The routes from this machine to many targets.

    Args:
        now: seconds of a clock that never goes back.
        first: where probes' numbers begin; others should not guess them.
    """

    def __init__(self, now: float, first: int = 0) -> None:
        self._targets: OrderedDict[str, Target] = OrderedDict()
        self._spots = Spots()
        self._silent: dict[_Group, dict[Target, None]] = {}
        self._due: list[tuple[float, int, Asked]] = []
        self._order = count()
        self._waiting: deque[Asked | Target] = deque()
        self._distances: deque[Asked] = deque()  # come after it, so that what is begun is ended first
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._number = first
        self._pace = Bucket(AT_ONCE, 1 / RATE, now)
        self._paced_until = now
        self._first: deque[tuple[float, Target]] = deque()
        self._dirty: dict[Target, None] = {}
        self._last_hops: dict[int, int] = {}
        self.probes_sent = 0

    def __len__(self) -> int:
        """How much is remembered: targets, routers and probes under way."""
        return len(self._targets) + len(self._spots) + len(self._sent) + len(self._silent)

    # --- called from outside -------------------------------------------------------------------------------------

    def seek(self, address: str, gateway: str | None, now: float) -> None:
        """Find the route to an address; ``routes`` will tell it.

        Args:
            address: as answers will name it.
            gateway: the first router on the way, if the routing table names it.
            now: seconds of a clock that never goes back.
        """
        known = self._targets.get(address)
        if known is not None:
            if now - known.started_at < FRESH_S:
                known.told = None
                self._changed([known])
                return
            self._drop(known)
        while len(self._targets) >= MOST_TARGETS:
            self._drop(next(iter(self._targets.values())))
        first = None if gateway is None else self._spots.point(1, gateway, now)
        target = self._targets[address] = Target(address, first, now)
        self._ask(target, DISTANCE)
        if first is not None:
            if not first.tabled:
                first.tabled = True
                self._waiting.append(target)
            self._link(target, first, now)

    def answer(self, number: int, address: str, router: str, verdict: Verdict, left: int | None, now: float) -> None:
        """Take the answer to a probe; what answers no probe of ours changes nothing.

        Args:
            number: the probe's.
            address: the target that the answer quotes.
            router: who answers.
            verdict: the probe's time to live ended there, it came to the target, or the router refuses to pass it on.
            left: what the answer quotes as left of the time to live.
            now: the time.
        """
        sent = self._sent.get(number)
        if sent is None or sent.target.address != address:
            return
        del self._sent[number]
        if self._targets.get(address) is not sent.target or now - sent.at > LATE_S:
            return
        rtt = max(0.0, now - sent.at)
        hop = sent.ttl - left + 1 if left is not None and 1 <= left <= sent.ttl else None
        if sent.question is None:
            assert sent.target.gateway is not None
            sent.target.gateway.answered(rtt, now)
        elif verdict == "target":
            self._from_target(sent, hop, rtt, now)
        elif verdict == "hop":
            self._from_router(sent, sent.question, sent.ttl, router, rtt, now)
        elif hop is not None or sent.ttl < LARGE_TTL:
            self._blocked(sent, sent.question, hop or sent.ttl, router, rtt, now)

    def probes(self, now: float) -> list[Probe]:
        """Return the probes to send now."""
        self._tick(now)
        ready = []
        while self._waiting or self._distances:
            wait = self._pace.wait_s(1, now)
            if wait > 1e-9:
                self._paced_until = now + wait
                break
            probe = self._next_probe((self._waiting or self._distances).popleft(), now)
            if probe is not None:
                self._pace.take(now)
                ready.append(probe)
        return ready

    def sent(self, number: int, now: float) -> None:
        """Correct when a probe was sent: making it takes its time."""
        if (sent := self._sent.get(number)) is not None:
            sent.at = now

    def routes(self, now: float) -> list[Route]:
        """Return the routes that are found, and those that are better or more certain than what was told before."""
        while self._first and self._first[0][0] <= now:
            self._changed([self._first.popleft()[1]])
        dirty, self._dirty = self._dirty, {}
        return [route for target in dirty if (route := self._to_tell(target, now)) is not None]

    def next_deadline(self) -> float | None:
        """Return when to call ``probes`` and ``routes``, if they are called after each answer and wish too."""
        times = [self._due[0][0]] if self._due else []
        if self._first:
            times.append(self._first[0][0])
        if self._waiting or self._distances:
            times.append(self._paced_until)
        return min(times, default=None)

    def route(self, address: str) -> Route | None:
        """Return what is known of the route to an address that was asked for."""
        target = self._targets.get(address)
        return None if target is None else route_to(target)

    # --- asking --------------------------------------------------------------------------------------------------

    def _ask(self, below: Spot, hop: int, again: bool = False) -> None:
        if hop in below.questions:
            return
        question = below.questions[hop] = Asked(below, hop, again)
        self._enqueue(question)

    def _enqueue(self, question: Asked) -> None:
        if question.hop == DISTANCE:
            self._distances.append(question)
        else:
            self._waiting.append(question)

    def _later(self, question: Asked, at: float) -> None:
        question.due_at = at
        heapq.heappush(self._due, (at, next(self._order), question))

    def _tick(self, now: float) -> None:
        while self._sent and now - next(iter(self._sent.values())).at > LATE_S:
            self._sent.popitem(last=False)
        while self._targets and now - (oldest := next(iter(self._targets.values()))).started_at > KEPT_S:
            self._drop(oldest)
        while self._due and self._due[0][0] <= now:
            at, _, question = heapq.heappop(self._due)
            if question.closed or question.due_at != at:
                continue
            question.due_at = None
            settled = question.settled
            if question.unheard:
                question.unheard = False
                self._unanswered(question, now)
            if question.settled and not settled:
                self._later(question, now + question.rest_s)
            elif not question.closed:
                self._enqueue(question)

    def _next_probe(self, wish: Asked | Target, now: float) -> Probe | None:
        if isinstance(wish, Target):
            return self._probe(wish, None, 1, now)
        if wish.closed:
            return None
        asker = wish.next_asker(wish.below.askers)
        if asker is None or asker.probes >= MOST_PROBES:
            self._close(wish)
            self._changed(wish.below.askers)
            return None
        if wish.asks and wish.hop != DISTANCE:
            wait = self._limit_s(wish, now)
            if wait > 0:
                self._later(wish, now + wait)
                return None
        if wish.hop == DISTANCE and not wish.asks:
            asker.first_at = now + FIRST_S
            self._first.append((asker.first_at, asker))
        wish.asked(asker)
        self._later(wish, now + wish.gap_s(asker.rtts.get(0, 0.0)))
        return self._probe(asker, wish, wish.hop or LARGE_TTL, now)

    def _limit_s(self, question: Asked, now: float) -> float:
        """Return how long to wait until a router that may have to answer can; 0: none is known to be at its limit."""
        suspects = self._spots.suspects(question.below, question.hop, now)
        if not suspects:
            return 0.0
        best = min(suspects, key=lambda point: point.wait_s(now))
        return 0.0 if best.promise(now) else max(best.wait_s(now), 0.001)

    def _probe(self, target: Target, question: Asked | None, ttl: int, now: float) -> Probe:
        self._number = self._number % 0xFFFF + 1  # far fewer are under way at a time: RATE * LATE_S
        self._sent[self._number] = _Sent(target, ttl, question, now)
        target.probes += 1
        self.probes_sent += 1
        return Probe(self._number, target.address, ttl)

    # --- silence -------------------------------------------------------------------------------------------------

    def _unanswered(self, question: Asked, now: float) -> None:
        below, hop = question.below, question.hop
        if question.again and question.asks > 1:
            self._close(question)  # what is known stays
            return
        limited = hop != DISTANCE and bool(self._spots.suspects(below, hop, now))
        others = 0
        if isinstance(below, Target):
            if hop == DISTANCE:
                self._look_ahead(below)
            elif below.hop == FAR:
                self._search_on(below, question, limited)
            elif question.asks > 1:
                others = self._silent_beside(below, hop)
        if hop > 1 and not question.again and (question.asks == 2 or (question.asks == 1 and not limited)):
            self._leap(below, hop, now)
        if not question.settled and not question.closed and question.settles(others, limited):
            question.settled = True
            self._changed(below.askers)

    def _leap(self, below: Spot, hop: int, now: float) -> None:
        """Ask for the hop above a silent one too, if nothing nearer to it is known."""
        if below.above is not None and below.above.hop >= hop - 1:
            return
        if isinstance(below, Target) and below.hop == FAR:
            if hop != below.looked_from:
                return
            below.looked_from = hop - 1
        self._ask_above(below, hop - 1, now)

    def _look_ahead(self, target: Target) -> None:
        """Look for the routers of a target that does not answer, at the distance where those of others end."""
        if target.hop != FAR or target.ended is not None or target.looked_from:
            return
        usual = max(self._last_hops, key=lambda hop: (self._last_hops[hop], -hop), default=2)
        target.looked_from = max(usual, 1 if target.gateway is None else 2)
        for hop in range(target.looked_from, usual + WINDOW + 1):
            self._ask(target, hop)

    def _search_on(self, target: Target, question: Asked, limited: bool) -> None:
        last = max(target.own, default=0)
        if question.asks >= WINDOW_ASKS and (not limited or question.asks > 2 * WINDOW_ASKS):
            self._close(question)
            self._changed([target])
        if not last and question.asks == 2 and question.hop == max(target.questions, default=0) < NEAR:
            for hop in range(question.hop + 1, question.hop + WINDOW + 1):
                self._ask(target, hop)

    def _silent_beside(self, target: Target, hop: int) -> int:
        """Count how many others got no answer from this distance, below the same router."""
        group = (hop, target.above)
        self._not_silent(target, hop)
        members = self._silent.setdefault(group, {})
        members[target] = None
        target.silent_with[hop] = group
        return len(members) - 1

    def _not_silent(self, target: Target, hop: int) -> _Group | None:
        group = target.silent_with.pop(hop, None)
        if group is not None:
            self._silent[group].pop(target, None)
            if not self._silent[group]:
                del self._silent[group]
        return group

    # --- answers -------------------------------------------------------------------------------------------------

    def _from_target(self, sent: _Sent, hop: int | None, rtt: float, now: float) -> None:
        target = sent.target
        target.heard(0, rtt)
        target.reached, target.ended = True, None
        distance = hop if hop is not None else sent.ttl if sent.ttl < LARGE_TTL else FAR
        if distance < target.hop:
            if target.hop == FAR:
                self._last_hops[distance - 1] = self._last_hops.get(distance - 1, 0) + 1
            target.hop = distance
            self._spots.stray(target)
            for asked in [asked for asked in target.questions if asked == DISTANCE or asked >= distance]:
                self._close(target.questions[asked])
            self._go_on(target, now)
        elif target.hop == FAR:
            self._look_ahead(target)
        self._changed([target])

    def _blocked(self, sent: _Sent, question: Asked, hop: int, router: str, rtt: float, now: float) -> None:
        target = sent.target
        if target.reached:
            return
        if target.ended is None or target.ended.hop >= hop:
            target.ended = self._spots.point(hop, router, now)
            for asked in [asked for asked in target.questions if asked == DISTANCE or asked > hop]:
                self._close(target.questions[asked])
        self._from_router(sent, question, hop, router, rtt, now)

    def _from_router(self, sent: _Sent, question: Asked, hop: int, router: str, rtt: float, now: float) -> None:
        target = sent.target
        if hop >= target.hop:
            return
        point = self._spots.point(hop, router, now)
        point.answered(rtt, now)
        passed(target, point)
        if target.own.setdefault(hop, point) is not point:
            if not question.again:
                return  # routes that are balanced: the first answer stays
            target.own[hop] = point
        target.heard(hop, rtt)
        self._changed([target])
        if question.again:
            self._seen_again(question, point, now)
        self._tie(target, question.below, point, now)
        self._go_on(point, now)
        if target.hop == FAR and target.ended is None:
            for further in range(hop + 1, min(hop + WINDOW, MAX_HOPS) + 1):
                if further > max(target.own):
                    self._ask(target, further)
        self._not_anonymous(target, hop, now)

    def _tie(self, target: Target, asked_for: Spot, point: Point, now: float) -> None:
        """Link a router that has answered to what is nearest to it on the same way, below and above."""
        hops = sorted(target.own)
        below = next((target.own[hop] for hop in hops if hop > point.hop), None)
        above = next((target.own[hop] for hop in reversed(hops) if hop < point.hop), None)
        for one in (asked_for, below or target):
            self._link(one, point, now)
        if above is not None:
            self._link(point, above, now)

    def _link(self, below: Spot, above: Point, now: float) -> None:
        self._changed(self._spots.join(below, above, now))
        if below.above is above:
            for question in list(below.questions.values()):
                if DISTANCE < question.hop <= above.hop and not question.again:
                    self._close(question)

    def _go_on(self, below: Spot, now: float) -> None:
        """Ask for what is above a router or a target, if that is not known or was seen long ago."""
        above = below.above
        if below.hop > 1 and (above is None or above.hop < below.hop - 1):
            self._ask_above(below, below.hop - 1, now)
        elif isinstance(below, Point) and above is not None and now - below.above_at > STALE_S and not above.tabled:
            self._ask(below, above.hop, again=True)

    def _ask_above(self, below: Spot, hop: int, now: float) -> None:
        """Ask which router is at a distance before something, unless the routing table knows."""
        gateway = next((target.gateway for target in below.askers if target.gateway is not None), None)
        if hop == 1 and gateway is not None:
            self._link(below, gateway, now)
        else:
            self._ask(below, hop)

    def _seen_again(self, question: Asked, point: Point, now: float) -> None:
        below = question.below
        assert isinstance(below, Point)
        below.above_at = now
        if below.above is not point:
            below.above = None
        self._close(question)

    def _not_anonymous(self, target: Target, hop: int, now: float) -> None:
        """An answer where others had none: theirs may come as well."""
        group = self._not_silent(target, hop)
        for other in self._silent.get(group, {}) if group is not None else ():
            question = other.questions.get(hop)
            if question is not None and question.settled:
                question.reopen()
                if question.due_at is not None:  # pragma: no branch - else it waits for the pace already
                    self._later(question, now)
                self._changed([other])

    # --- ends ----------------------------------------------------------------------------------------------------

    def _close(self, question: Asked) -> None:
        if not question.closed:
            question.closed = True
            del question.below.questions[question.hop]

    def _drop(self, target: Target) -> None:
        del self._targets[target.address]
        self._spots.leave(target)
        for hop in list(target.silent_with):
            self._not_silent(target, hop)
        for question in list(target.questions.values()):
            self._close(question)

    def _changed(self, targets: object) -> None:
        self._dirty.update(dict.fromkeys(targets))  # type: ignore[call-overload]

    def _to_tell(self, target: Target, now: float) -> Route | None:
        if self._targets.get(target.address) is not target:
            return None
        route, before = route_to(target), target.told
        if before is None:
            if route.open and now < target.first_at:
                return None
        elif (before.routers, before.reached, before.open) == (route.routers, route.reached, route.open):
            return None
        target.told = route
        return route
