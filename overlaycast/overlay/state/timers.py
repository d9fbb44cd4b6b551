"""What is due when: a heap of (time, kind, member), with re-arming and cancelling by (kind, member).

Owns: deadlines. Refuses: clocks; it is told the time. A timer is at most once in force; arming it again moves it.
"""

from __future__ import annotations

import heapq


class Timers:
    """Deadlines in seconds of the caller's clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str, int]] = []
        self._armed: dict[tuple[str, int], float] = {}

    def arm(self, at: float, kind: str, member: int = 0) -> None:
        """Have (kind, member) fall due at ``at``, and not at another time."""
        self._armed[kind, member] = at
        heapq.heappush(self._heap, (at, kind, member))

    def armed(self, kind: str, member: int = 0) -> bool:
        """Whether (kind, member) is in force."""
        return (kind, member) in self._armed

    def pending(self, kind: str) -> list[tuple[int, float]]:
        """Return the members for which something of this kind is in force, and when it falls due."""
        return sorted((member, at) for (armed, member), at in self._armed.items() if armed == kind)

    def cancel(self, kind: str, member: int = 0) -> None:
        """Forget (kind, member), if it is in force."""
        self._armed.pop((kind, member), None)

    def next(self) -> float | None:
        """Return when the next one falls due; None: nothing is armed."""
        heap = self._heap
        while heap and self._armed.get((heap[0][1], heap[0][2])) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: float) -> list[tuple[str, int]]:
        """Return, in order, and disarm what is due by ``now``."""
        found = []
        while (at := self.next()) is not None and at <= now:
            _, kind, member = heapq.heappop(self._heap)
            del self._armed[kind, member]
            found.append((kind, member))
        return found
