"""Whether programs grow: the trend of their memory and descriptors. Pure.

The rule: what a program holds in its first ``WARM_UP_S`` is passed over (its ring fills, its code is loaded), and one
that was not watched for ``LEAST_S`` after that is not judged. The rest is cut into equal parts of time, and each part
counts with its median. The trend is the median slope of all pairs of parts (Theil 1950, Sen 1968), times the time
watched: so much the program grew, and a few outliers do not change it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import Final

from overlaycast.lab.recording.recording import Footprint
from overlaycast.lab.results.result import FootprintSeen

WARM_UP_S: Final = 60.0
LEAST_S: Final = 30.0
PARTS: Final = 60
LAST: Final = 0.1
"""The share of the time whose median is shown."""
MIB: Final = 1 << 20


def footprints(seen: Sequence[Footprint]) -> tuple[FootprintSeen, ...]:
    """Return one entry for every program that was watched long enough, in the order of their starts."""
    programs: dict[tuple[str, int], list[Footprint]] = defaultdict(list)
    for one in seen:
        programs[one.host, one.pid].append(one)
    found = (_judged(host, each) for (host, _), each in programs.items())
    return tuple(one for one in found if one is not None)


def _judged(host: str, seen: Sequence[Footprint]) -> FootprintSeen | None:
    warm = [one for one in seen if one.t - seen[0].t >= WARM_UP_S]
    watched_s = warm[-1].t - warm[0].t if warm else 0.0
    if watched_s < LEAST_S:
        return None
    times = [one.t for one in warm]
    memory = [one.rss_bytes / MIB for one in warm]
    descriptors = [float(one.descriptors) for one in warm]
    last = -max(1, round(LAST * len(warm)))
    return FootprintSeen(
        host=host,
        watched_s=round(watched_s, 1),
        rss_mib=round(median(memory[last:]), 2),
        grown_mib=round(max(0.0, trend(times, memory) * watched_s), 3),
        descriptors=median(descriptors[last:]),
        grown_descriptors=round(max(0.0, trend(times, descriptors) * watched_s), 3),
    )


def trend(times: Sequence[float], values: Sequence[float]) -> float:
    """Return by how much a value rises per second; ``times`` rise."""
    size = -(-len(times) // PARTS)
    parts = [slice(start, start + size) for start in range(0, len(times), size)]
    points = [(median(times[part]), median(values[part])) for part in parts]
    slopes = [(v1 - v0) / (t1 - t0) for (t0, v0), (t1, v1) in combinations(points, 2) if t1 > t0]
    return median(slopes) if slopes else 0.0
