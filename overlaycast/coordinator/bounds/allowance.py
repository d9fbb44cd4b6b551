"""How much one member may say: a bucket that time fills (pure).

Owns: the arithmetic. Invariant: over any span of ``t`` seconds no more than ``burst + rate * t`` is allowed.
"""

from __future__ import annotations


class Allowance:
    """``rate`` per second on average, ``burst`` at once."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = now

    def take(self, amount: float, now: float) -> bool:
        """Return whether ``amount`` is allowed at ``now`` seconds; if so it is used up."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        if amount > self._left:
            return False
        self._left -= amount
        return True
