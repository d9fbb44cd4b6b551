"""From which length on a silence is drawn as a red stroke. Pure.

Owns: the rule. A receiver of a slow stream waits between any two records, and that is no silence.
"""

from __future__ import annotations

import math
from statistics import median
from typing import Final

from overlaycast.lab.analysis.series import Receiver, Series
from overlaycast.lab.results.result import Result

LEAST_MS: Final = 40.0
"""Shorter pauses are the scheduler's."""
INTERVALS: Final = 4
"""So many records missed in a row are a silence."""


def shortest_silence_ms(result: Result, series: Series) -> float:
    """Return it in whole ms: some record intervals of the middle receiver, but never less than ``LEAST_MS``."""
    received = {one.host: one.received for one in result.delivery}
    intervals = [
        _receiving_s(one, series.step_s) * 1000 / count
        for one in series.receivers
        if (count := received.get(one.host, 0))
    ]
    return float(math.ceil(max(LEAST_MS, INTERVALS * median(intervals or [0.0]))))


def _receiving_s(receiver: Receiver, step_s: float) -> float:
    """Return the time from a receiver's first record to its last; to a step."""
    came = [index for index, rate in enumerate(receiver.rate_mbit) if rate > 0]
    return (came[-1] - came[0] + 1) * step_s if came else 0.0
