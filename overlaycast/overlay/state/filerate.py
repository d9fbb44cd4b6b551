"""How fast a file can go to all sites, and what each site's uplink is to do for that.

Owns: the planned rate of a file group, and by it how many copies a site sends and which sites it may feed. Refuses:
choosing who feeds whom; it knows rates only.

Sites that follow one another from the fastest to the slowest each get all that they can take, and nobody waits for a
thinner one: so a site feeds none that is faster than itself. One copy each is enough for that; one with several times
the planned rate feeds several, and where the chain would be longer than there are levels the rate is divided.

Rates are what echoes show, in Mbit/s: None is unknown, and counts as the fastest that is known; the caller says what
the middle one is, if any is. What differs by less than a quarter is noise (``SAME``).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

SAME: Final = 0.8
"""A site with this share of another's rate is as fast."""
NEARLY: Final = 0.2
"""The part of a copy that an uplink may lack."""
UNLIMITED: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class FileRate:
    """The plan: what the source and the fastest site are taken for, and what the rate is divided by for the depth."""

    source_mbit: float
    fastest_mbit: float
    divided: int = 1

    @property
    def planned_mbit(self) -> float:
        """What a site gets that can take it."""
        return min(self.source_mbit, self.fastest_mbit) / self.divided

    def known(self, rate_mbit: float | None) -> float:
        """Return the rate that a site is taken for."""
        return self.fastest_mbit if rate_mbit is None else rate_mbit

    def copies(self, rate_mbit: float) -> int:
        """Return how many other sites one with this rate may feed, at least one."""
        return max(1, int(min(rate_mbit / self.planned_mbit + NEARLY, UNLIMITED)))

    def feeds(self, feeder_mbit: float, fed_mbit: float) -> bool:
        """Whether a site with the first rate slows none down with the second, nor those behind it."""
        return feeder_mbit >= SAME * min(fed_mbit, self.planned_mbit)

    def step(self, rate_mbit: float) -> int:
        """Return by how many steps of noise a rate is less than planned; 0: it is as fast, or faster."""
        return max(0, int(math.log(rate_mbit / self.planned_mbit, SAME)))


def share(uplink_mbit: float, wanted_mbit: Sequence[float]) -> float:
    """Return what one more copy gets of an uplink: no less than an even share, and what those leave that want less."""
    left = uplink_mbit
    for index, wanted in enumerate(sorted(wanted_mbit)):
        left -= min(wanted, left / (len(wanted_mbit) + 1 - index))
    return left


def plan(source_mbit: float | None, sites_mbit: Sequence[float | None], levels: int) -> FileRate:
    """Return the largest rate at which all sites can be fed, each as far as it can take it, within so many levels."""
    known = [rate for rate in sites_mbit if rate is not None]
    fastest = max(known, default=1.0 if source_mbit is None else source_mbit)
    whole = FileRate(fastest if source_mbit is None else source_mbit, fastest)
    rates = sorted(map(whole.known, sites_mbit), reverse=True)
    if _fits(whole, rates, levels):
        return whole
    less = [replace(whole, divided=divided) for divided in range(2, len(rates) + 1)]
    return less[bisect_left(less, True, key=lambda one: _fits(one, rates, levels))]


def _fits(found: FileRate, rates: Sequence[float], levels: int) -> bool:
    """Whether all can be fed, the fastest first, so that those that send most copies are nearest to the source."""
    fed, slots = 0, found.copies(found.source_mbit)
    for _ in range(levels):
        row = rates[fed : fed + slots]
        fed += len(row)
        if fed == len(rates):
            return True
        slots = sum(map(found.copies, row))
    return False
