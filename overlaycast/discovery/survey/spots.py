"""What is on the routes: targets, and routers at a distance; each knows what is above it. Pure.

Owns: the links between them, and through which targets each can be asked. Refuses: when to ask (``questions``).

Two routes that pass the same router at the same distance came there the same way, as long as routes depend on the
destination only (Doubletree: Donnet et al., SIGMETRICS 2005). So what is above a router is asked once, through any
target below it.

Invariant: what is above something is nearer, so there is no circle; every router is passed by a target that is known.
"""

from __future__ import annotations

import math
from typing import Final

from overlaycast.discovery.survey.bucket import Bucket
from overlaycast.discovery.survey.questions import Question
from overlaycast.discovery.survey.route import Route

BURST: Final = 5
"""So many ICMP errors a router sends at once; Linux sends six (net.ipv4.icmp_ratelimit)."""
REST_S: Final = 1.05
"""And then one in so many seconds."""
PROMISED_S: Final = 0.3
"""So long a token is kept for the answer to a probe."""
FAR: Final = 255
"""The distance of a target that has not answered."""
_ROUNDING: Final = 1e-6


class Spot:
    """A target, or a router at a distance.

    Attributes:
        hop: the distance from here; the first router's is 1.
        above: what is known to be before it, at once or with silent hops between.
        askers: the targets whose routes pass here.
        questions: by distance, what is asked about the hops above.
    """

    __slots__ = ("above", "askers", "hop", "questions")

    def __init__(self, hop: int) -> None:
        self.hop = hop
        self.above: Point | None = None
        self.askers: dict[Target, None] = {}
        self.questions: dict[int, Question[Spot]] = {}


class Point(Spot):
    """A router at a distance.

    Attributes:
        router: its address.
        above_at: when ``above`` was last seen to be so.
        rtt: the least round-trip time of its answers, in seconds.
        tabled: this machine's routing table names it, so it is known before it answers.
    """

    __slots__ = ("_answers", "_promised", "above_at", "router", "rtt", "tabled")

    def __init__(self, hop: int, router: str, now: float) -> None:
        super().__init__(hop)
        self.router = router
        self.above_at = now
        self.rtt: float | None = None
        self.tabled = False
        self._answers = Bucket(BURST, REST_S, now)
        self._promised: list[float] = []

    def answered(self, rtt: float, now: float) -> None:
        """It has answered, after so many seconds."""
        self._answers.take(now)
        if self._promised:
            self._promised.pop(0)
        self.rtt = rtt if self.rtt is None else min(self.rtt, rtt)

    def low(self, now: float) -> bool:
        """Whether it has answered so much of late that its silence would be no wonder."""
        return self._answers.level(now) < BURST - 2

    def promise(self, now: float) -> bool:
        """Keep half a token for a probe that it may have to answer, as others may have to; False: there is none."""
        if self._free(now) < 0.5:
            return False
        self._promised.append(now + PROMISED_S)
        return True

    def wait_s(self, now: float) -> float:
        """Return in how many seconds it can be asked again."""
        if self._free(now) >= 0.5:
            return 0.0
        wait = self._answers.wait_s(1.0, now)
        return max(wait, self._promised[0] - now) if self._promised else wait

    def _free(self, now: float) -> float:
        while self._promised and self._promised[0] <= now:
            self._promised.pop(0)
        level = self._answers.level(now)
        return level - len(self._promised) / 2 if level >= 1 - _ROUNDING else 0.0


class Target(Spot):
    """What a route is wanted to.

    Attributes:
        address: its address.
        gateway: the first router on the way, by this machine's routing table; None: unknown, or there is none.
        started_at: when it was asked for.
        first_at: when its route is told, complete or not.
        reached: it has answered itself.
        ended: the router that does not let probes pass.
        own: which router answered at which distance.
        rtts: seconds after which what is at a distance answered; 0: the target.
        points: all routers that it can ask, by what is known.
        silent_with: by distance, the group of those that got no answer from there.
        looked_from: the least distance at which its routers were looked for though it did not answer; 0: nowhere.
        probes: how many were sent to it.
        told: the last route that was told.
    """

    __slots__ = (
        *("address", "ended", "first_at", "gateway", "looked_from", "own", "points", "probes", "reached", "rtts"),
        *("silent_with", "started_at", "told"),
    )

    def __init__(self, address: str, gateway: Point | None, now: float) -> None:
        super().__init__(FAR)
        self.address = address
        self.gateway = gateway
        self.started_at = now
        self.first_at = math.inf
        self.reached = False
        self.ended: Point | None = None
        self.own: dict[int, Point] = {}
        self.rtts: dict[int, float] = {}
        self.points: dict[Point, None] = {}
        self.silent_with: dict[int, tuple[int, Point | None]] = {}
        self.looked_from = 0
        self.probes = 0
        self.told: Route | None = None
        self.askers = {self: None}

    def heard(self, hop: int, rtt: float) -> None:
        """What is at this distance has answered, after so many seconds."""
        self.rtts[hop] = min(rtt, self.rtts.get(hop, rtt))


class Spots:
    """All routers, by distance and address."""

    def __init__(self) -> None:
        self._at: dict[int, dict[str, Point]] = {}

    def point(self, hop: int, router: str, now: float) -> Point:
        """Return the router at the distance."""
        found = self._at.setdefault(hop, {}).get(router)
        if found is None:
            found = self._at[hop][router] = Point(hop, router, now)
        return found

    def suspects(self, below: Spot, hop: int, now: float) -> list[Point]:
        """Return the routers that may be those at this distance before something, and have answered much of late."""
        above = below.above if below.above is not None and below.above.hop == hop - 1 else None
        return [
            point
            for point in self._at.get(hop, {}).values()
            if point.low(now) and (above is None or point.above is above or not _adjacent(point))
        ]

    def join(self, below: Spot, above: Point, now: float) -> list[Target]:
        """Take ``above`` for what is before ``below``, unless something nearer to it is known.

        Returns: the targets whose routes may have changed.
        """
        if above.hop >= below.hop or (below.above is not None and below.above.hop >= above.hop):
            return []
        below.above = above
        if isinstance(below, Point):
            below.above_at = now
        changed = list(below.askers)
        for target in changed:
            passed(target, above)
        return changed

    def stray(self, target: Target) -> None:
        """What was known of the way to a target is beyond it: it is nearer than it seemed."""
        for hop in [hop for hop in target.own if hop >= target.hop]:
            del target.own[hop]
        if target.above is not None and target.above.hop >= target.hop:
            target.above = max(target.own.values(), key=lambda point: point.hop, default=target.gateway)

    def leave(self, target: Target) -> None:
        """Forget a target, and the routers that it alone was known to pass."""
        for point in target.points:
            point.askers.pop(target, None)
            if not point.askers and self._at.get(point.hop, {}).get(point.router) is point:
                del self._at[point.hop][point.router]

    def __len__(self) -> int:
        return sum(map(len, self._at.values()))


def passed(target: Target, point: Point | None) -> None:
    """The route to a target passes a router, and so those above it."""
    while point is not None and target not in point.askers:
        point.askers[target] = None
        target.points[point] = None
        point = point.above


def _adjacent(point: Point) -> bool:
    return point.above is not None and point.above.hop == point.hop - 1
