"""What a train of echoes shows of each direction, by when its receivers had it: packet-train dispersion (pure).

Owns: the arithmetic. Refuses: clocks; each receiver's times are differences on its own one, and need not agree.

A link lets so many bits through in so much time, however long the way is (Dovrolis, Ramanathan and Moore, 2001). A
small echo goes ahead of a train; the time from its arrival to the train's end is what the train takes on the thinnest
link of that direction, and no round-trip time has to be subtracted. A member returns each payload when it has all of
it. So the end of what comes back is later than the end of what went there by one payload's time on the way back; where
that is the thinner way, all payloads after the first wait there.

Either end may be late. So a figure counts only if two trains agree on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

AGREED: Final = 1.1
"""Two trains agree if one took no more than so many times as long as the other."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One train.

    Attributes:
        count: its payloads.
        bits: of one payload, on the wire.
        there_s: from the small echo's arrival at the member to that of the last payload.
        back_s: the same for what was returned, at the coordinator.
    """

    count: int
    bits: float
    there_s: float
    back_s: float

    @property
    def down_s(self) -> float:
        """What one payload took on the way to the member."""
        return self.there_s / self.count

    @property
    def up_s(self) -> float:
        """What one payload took on the way back."""
        behind = self.back_s - self.there_s
        return behind if behind <= self.down_s else (self.back_s - self.down_s) / self.count


def down_mbit(passages: Sequence[Passage]) -> float | None:
    """Return the rate of the thinnest link on the way to the member; None: no two trains agree."""
    return _agreed([one.down_s / one.bits for one in passages])


def up_mbit(passages: Sequence[Passage]) -> float | None:
    """Return the rate of the thinnest link on the way back; None: no two trains agree."""
    return _agreed([one.up_s / one.bits for one in passages])


def _agreed(seconds_per_bit: Sequence[float]) -> float | None:
    """Return the rate on which those two agree that differ least."""
    known = sorted(one for one in seconds_per_bit if one > 0)
    pairs = [(longer / shorter, shorter + longer) for shorter, longer in pairwise(known)]
    ratio, both = min(pairs, default=(float("inf"), 0.0))
    return 2e-6 / both if ratio <= AGREED else None
