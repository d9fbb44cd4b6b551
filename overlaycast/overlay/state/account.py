"""What one host has shown that it carries, in each direction. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Direction = Literal["out", "in"]
STALE: Final = 4
"""After so many windows without a word an account begins anew."""
TOGETHER: Final = 0.75
"""Share of the receivers that have to lack, for the uplink to be the reason."""
LACKING_WINDOWS: Final = 2
LACKING_S: Final = 120.0
PROVEN_S: Final = 600.0


@dataclass(slots=True)
class Account:
    """One direction of one uplink. Times are seconds of the caller's clock."""

    since: float
    heard: dict[int, tuple[float, int, bool]] = field(default_factory=dict)
    """Per receiver, in this window: what it gets of its copy, the other end's router, whether it lacks."""
    proven: int = 0
    proven_at: float = 0.0
    lacking: int = 0
    most: float | None = None
    most_until: float = 0.0

    def hear(self, receiver: int, share: float, other_end: int, lacks: bool) -> None:
        """Take what one receiver gets of its copy (0 to 1); its newest word counts."""
        self.heard[receiver] = (share, other_end, lacks)

    def turn(self, window_s: float, now: float) -> None:
        """Judge the window if it is over, and begin the next."""
        age = now - self.since
        if age < window_s:
            return
        heard, self.heard, self.since = list(self.heard.values()), {}, now
        if age > STALE * window_s:
            self.lacking = 0
            return
        lacking = [end for _, end, lacks in heard if lacks]
        if heard and not lacking:
            self._well(len(heard), now)
        elif len(set(lacking)) >= 2 and len(lacking) >= TOGETHER * len(heard):
            self.lacking += 1
            if self.lacking >= LACKING_WINDOWS:
                self.most, self.most_until = sum(share for share, _, _ in heard), now + LACKING_S
                self.proven = min(self.proven, int(self.most))
        else:
            self.lacking = 0

    def _well(self, copies: int, now: float) -> None:
        self.lacking = 0
        if copies >= self.proven or now - self.proven_at > PROVEN_S:
            self.proven, self.proven_at = copies, now
        if self.most is not None and copies > self.most:
            self.most = None

    def lower(self, now: float) -> int:
        """Return the copies that it is known to carry."""
        return self.proven if now - self.proven_at <= PROVEN_S else 0

    def upper(self, now: float) -> float | None:
        """Return the copies that it does not exceed, as far as is known."""
        return self.most if now <= self.most_until else None


@dataclass(frozen=True, slots=True)
class Progress:
    """The source's newest word: its next record, when it said so, and its fastest pace so far, records a second."""

    next_seq: int
    at: float
    pace: float | None = None
