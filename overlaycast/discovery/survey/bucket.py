"""A token bucket whose clock is the caller's. Pure."""

from __future__ import annotations


class Bucket:
    """Holds up to ``size`` tokens, and gets one every ``gap_s`` seconds; full at first."""

    __slots__ = ("_at", "_gap_s", "_level", "_size")

    def __init__(self, size: float, gap_s: float, now: float) -> None:
        self._size = size
        self._gap_s = gap_s
        self._level = size
        self._at = now

    def level(self, now: float) -> float:
        """Return how many tokens there are."""
        if now > self._at:
            self._level = min(self._size, self._level + (now - self._at) / self._gap_s)
            self._at = now
        return self._level

    def take(self, now: float) -> None:
        """Take a token; where there is none, the bucket stays empty."""
        self._level = max(0.0, self.level(now) - 1)

    def wait_s(self, tokens: float, now: float) -> float:
        """Return in how many seconds there are so many tokens; 0: now."""
        return max(0.0, (tokens - self.level(now)) * self._gap_s)
