"""One traceroute as a value and as a state machine: which hops to ask, what was answered, when to stop.

Owns: the rounds, the end of a trace, and what a hop that never answers becomes (``None``, an anonymous router).
Refuses: packets, sockets and clocks; ``tracer`` has those, ``probe`` has the bytes.

Invariants: a trace ends within the sum of its round times; no more than ``rounds`` probes are asked per hop; nothing
beyond the hop where the target answered is ever part of the route.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

MAX_HOPS: Final = 30
ROUND_TIMES: Final = (0.4, 0.9, 1.1, 0.6)
"""Seconds to wait after each round. The first repeats what was lost. The later ones come a second apart: so long does
a Linux router rest between two ICMP errors to one destination once its burst is used up (net.ipv4.icmp_ratelimit)."""
BEYOND: Final = 3
"""Hops beyond the last one that answered which are asked again while the target has not answered."""

Router = str | None
Verdict = Literal["hop", "target", "blocked"]


@dataclass(frozen=True, slots=True)
class Route:
    """The routers from here to ``target``, nearest first; ``None`` is one that does not answer.

    ``reached``: the target itself answered. ``rtt_ms`` has one entry per router and then, if reached, the target's.
    ``shared``: taken over from a neighbour of the target's subnet, not traced anew.
    """

    target: str
    routers: tuple[Router, ...]
    reached: bool
    rtt_ms: tuple[float | None, ...] = ()
    shared: bool = False


class Trace:
    """The traceroute to one target. Feed it answers and time; ask it what to send.

    Args:
        target: the address, only carried through to the result.
        hops: which hop counts to ask in the first round; all up to ``MAX_HOPS`` by default.
        round_times: seconds to wait after each round; their number bounds the probes per hop.
    """

    def __init__(
        self,
        target: str,
        hops: Iterable[int] = range(1, MAX_HOPS + 1),
        round_times: tuple[float, ...] = ROUND_TIMES,
    ) -> None:
        self.target = target
        self._hops = tuple(sorted(hops))
        self._round_times = round_times
        self._round = 0
        self._answers: dict[int, str] = {}
        self._rtts: dict[int, float] = {}
        self._inferred: dict[int, str] = {}
        self._end: int | None = None  # the hop where the target answered, or where a router blocked the way
        self._reached = False
        self.deadline: float | None = None
        self.done = False

    def start(self, now: float) -> list[int]:
        """Return the hop counts to probe at once, nearest first."""
        self.deadline = now + self._round_times[0]
        return list(self._hops)

    def answer(self, hop: int, router: str, verdict: Verdict, rtt: float | None) -> None:
        """Take one answer to a probe that was sent with ``hop`` as its time to live; ``rtt`` in seconds."""
        if self.done or hop not in self._hops:
            return
        if verdict == "target" and (self._end is None or hop < self._end or not self._reached):
            self._end, self._reached = hop, True
        elif verdict == "blocked" and (self._end is None or (hop < self._end and not self._reached)):
            self._end = hop
        if verdict != "target":
            self._answers.setdefault(hop, router)
        if rtt is not None:
            self._rtts.setdefault(hop, rtt)
        self._finish_if_complete()

    def infer(self, routers: tuple[Router, ...]) -> None:
        """Take routers for hops that stayed silent, known from other routes; what answered is not replaced."""
        for index, router in enumerate(routers):
            if router is not None and index + 1 not in self._answers:
                self._inferred[index + 1] = router
        self._finish_if_complete()

    def expire(self, now: float) -> list[int]:
        """Return the hop counts to probe again because a round is over; ends the trace after the last round."""
        if self.done or self.deadline is None or now < self.deadline:
            return []
        self._round += 1
        if self._round >= len(self._round_times):
            self.done = True
            return []
        self.deadline = now + self._round_times[self._round]
        return self._silent()

    @property
    def routers(self) -> tuple[Router, ...]:
        """The routers known so far, up to the target or to the last one that answered."""
        known = {**self._inferred, **self._answers}
        end = max(self._answers, default=0) if self._end is None else self._end
        last = end - 1 if self._reached else end
        return tuple(known.get(hop) for hop in range(1, last + 1))

    def result(self) -> Route:
        """Return the route as far as it is known."""
        routers = self.routers
        stop = len(routers) + (1 if self._reached else 0)
        rtts = (self._rtts.get(hop) for hop in range(1, stop + 1))
        return Route(self.target, routers, self._reached, tuple(None if rtt is None else rtt * 1000 for rtt in rtts))

    def _silent(self) -> list[int]:
        stop = self._end if self._end is not None else max(self._answers, default=0) + BEYOND + 1
        return [hop for hop in self._hops if hop < stop and hop not in self._answers and hop not in self._inferred]

    def _finish_if_complete(self) -> None:
        if self._end is not None and not self._silent():
            self.done = True
