"""What is not known yet: which router is at a distance before something. Pure.

Owns: through whom it is asked next, how long to wait for the answer, and when its silence says something. Refuses: what
answers mean (``survey``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

Below = TypeVar("Below")
Asker = TypeVar("Asker")

GAPS_S: Final = (0.3, 0.75, 0.95)
"""Seconds until an unanswered probe is sent again: 0.3, 1.05 and 2 s after the first."""
SOON_S: Final = 2.0
"""And then so often, as long as silence is no answer."""
LATER_S: Final = 4.0
"""And when it is: routers that others ask too may answer none of ours for long."""
RARELY_S: Final = 30.0
OFTEN: Final = 10
"""Asked so often, a question is asked rarely."""
ASKERS: Final = 5
"""A hop is anonymous only when so many askers got no answer, or when there are fewer, and so many probes got none."""
DISTANCE: Final = 0
"""Instead of a hop: how far away is the target?"""
DISTANCE_PROBES: Final = 3
"""A target that has not answered so many is taken for one that does not, for now."""


class Question(Generic[Below]):
    """Which router is at ``hop`` before ``below``; ``DISTANCE``: how far away the target ``below`` is.

    Attributes:
        asks: how often it was asked.
        settled: silence is the answer, for now.
        again: what is known already is asked once more.
        unheard: a probe is under way.
        due_at: when to look at it again; None: it waits for the pace already.
        closed: it has been answered, or is asked no more.
    """

    __slots__ = ("_asked", "again", "asks", "below", "closed", "due_at", "hop", "settled", "unheard")

    def __init__(self, below: Below, hop: int, again: bool = False) -> None:
        self.below = below
        self.hop = hop
        self.asks = 0
        self.settled = False
        self.again = again
        self.unheard = False
        self.due_at: float | None = None
        self.closed = False
        self._asked: dict[object, int] = {}

    def next_asker(self, askers: Iterable[Asker]) -> Asker | None:
        """Return the target through which to ask next: one through which it was not asked yet, or least."""
        fewest: Asker | None = None
        for one in askers:
            if one not in self._asked:
                return one
            if fewest is None or self._asked[one] < self._asked[fewest]:
                fewest = one
        return fewest

    def asked(self, asker: object) -> None:
        """Take note that it is asked through a target."""
        self.asks += 1
        self.unheard = True
        self._asked[asker] = self._asked.get(asker, 0) + 1

    def gap_s(self, rtt_s: float) -> float:
        """Return how long to wait for an answer where others took ``rtt_s``."""
        if self.settled:
            return self.rest_s
        if self.asks == ASKERS:
            return max(GAPS_S[0], 1.5 * rtt_s)  # this answer is the last that is waited for
        return max(GAPS_S[self.asks - 1] if self.asks <= len(GAPS_S) else SOON_S, 1.5 * rtt_s)

    @property
    def rest_s(self) -> float:
        """Seconds until it is asked again where silence is the answer."""
        return LATER_S if self.asks <= OFTEN else RARELY_S

    def settles(self, others: int, limited: bool) -> bool:
        """Return whether its silence is an answer by now.

        Args:
            others: how many other targets in the same position have got no answer either.
            limited: routers that it may ask have used up what they may answer.
        """
        if self.hop == DISTANCE:
            return self.asks >= DISTANCE_PROBES
        if limited:
            return self.asks > ASKERS
        return self.asks >= ASKERS or (self.asks > 1 and len(self._asked) + others >= ASKERS)

    def reopen(self) -> None:
        """Silence is no answer after all: others in its position got one."""
        self.settled = False
        self.asks = min(self.asks, 2)
