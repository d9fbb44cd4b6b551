"""What a simulated run is counted by. Pure.

Owns: the counters and what they mean. A *move* is a change of parent by a member that had one. It *had to be* if the
old parent was dead, or leaving, or had been without data for as long as flags hold; it *followed* a failure if it
came within ``FOLLOW_S`` of the same member's last move that had to be (first to the standby at once, then to the
better place). It was *improving* if the coordinator's events say so. All others are moves of members that were well.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

FOLLOW_S: Final = 10.0


@dataclass(slots=True)
class Tally:
    """Counts of one phase of a run. ``gaps`` are the seconds that a member that had data was without."""

    joins: int = 0
    leaves: int = 0
    crashes: int = 0
    forwarder_crashes: int = 0
    moves: int = 0
    moves_needed: int = 0
    moves_following: int = 0
    moves_improving: int = 0
    moves_of_well: int = 0
    events: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    reports: int = 0
    errors: int = 0
    gaps: list[float] = field(default_factory=list)
    first_waits: list[float] = field(default_factory=list)
    well_moved: list[dict[str, float | int | str | None]] = field(default_factory=list)

    @property
    def changes(self) -> int:
        """Members that came or went."""
        return self.joins + self.leaves + self.crashes
