"""Which of its first hops a member asks, and how often. Pure: driven by answers and ``now``.

Owns: the bounds in number and time, and what the answers come to. Refuses: sockets and clocks (``first_hops``).

Each of the first hops is asked at once, by a probe that ends there, and again where nothing has answered. Routers count
what they answer by destination, so these probes take nothing from those of the coordinator.
"""

from __future__ import annotations

from typing import Final, Literal

HOPS: Final = 3
AGAIN_S: Final = (0.25, 0.5)
"""A hop that has not answered so long after the first probe is asked again."""
LAST_S: Final = 0.9
"""And what has not answered by then is taken to be silent."""

Verdict = Literal["hop", "end"]


class Nearby:
    """The first routers on the way from here to a host.

    Args:
        now: seconds of a clock that never goes back.
    """

    def __init__(self, now: float) -> None:
        self._began = now
        self._asked = 0
        self._length = HOPS
        self._routers: dict[int, str] = {}

    def probes(self, now: float) -> list[int]:
        """Return the hops to send a probe to now, 1 for the first router."""
        due = 1 + sum(now >= self._began + after for after in AGAIN_S)
        if due <= self._asked:
            return []
        self._asked = due
        return self._open()

    def answer(self, hop: int, verdict: Verdict, router: str) -> None:
        """Take the answer to the probe of a hop: its time ended at a router, or else it went no further than that."""
        if verdict == "end":
            self._length = min(self._length, hop - 1)
        elif hop <= self._length:
            self._routers.setdefault(hop, router)

    def over(self, now: float) -> bool:
        """Whether nothing more is waited for."""
        return now >= self._began + LAST_S or not self._open()

    def found(self) -> tuple[str | None, ...]:
        """Return the routers, the first one first; None: one that did not answer."""
        last = max((hop for hop in self._routers if hop <= self._length), default=0)
        return tuple(self._routers.get(hop) for hop in range(1, last + 1))

    def _open(self) -> list[int]:
        return [hop for hop in range(1, self._length + 1) if hop not in self._routers]
