"""Which silences there were at receivers, and what explains each of them. Pure.

Owns: the rule. A silence above ``LEAST_MS`` is explained by one of these, looked for on the receiver's path, which is
the receiver and all that fed it, directly or through others, from ``WINDOW_S`` before the silence to its end:

- a fault of the timeline, whatever it was aimed at, until it was healed;
- a peer of the path that left or was killed;
- a peer of the path, or the receiver itself, that was just taken in or was given another parent by the coordinator;
- programs of the path, or the whole machine, that together waited for processors for half of the silence or longer.

Anything else is unexplained. In file groups pauses are no fault, and nothing is measured.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise
from operator import attrgetter
from typing import Final

from overlaycast.lab.analysis.delivery import NOTHING, began
from overlaycast.lab.analysis.silences import SAMPLED_S
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import Recording
from overlaycast.lab.results.result import GapSeen
from overlaycast.wire.journal import Assigned, Fed, Sample, Welcomed

LEAST_MS: Final = 100.0
WINDOW_S: Final = 3.0
"""A member that leaves has its children moved first, and a child asks one standby after the other: that takes time."""
STALLED: Final = 0.5
"""The share of a silence that must have been waited for processors."""
PASSED: Final = {"leave": "left", "kill": "killed"}


def gaps(recording: Recording) -> tuple[GapSeen, ...] | None:
    """Return every long silence of every receiver's every life, in the order of receivers and time."""
    if recording.experiment.group.mode == "file":
        return None
    paths, causes, t0 = Paths(recording), _Causes(recording), began(recording)
    found = []
    for host in recording.cast.peers:
        for sample in recording.journals.get(host, NOTHING).all(Sample):
            if sample.gap_ms > LEAST_MS:
                begin = sample.t - sample.gap_ms / 1000 - SAMPLED_S
                path = paths.between(host, begin - WINDOW_S, sample.t)
                why = causes.of(path, begin, sample.t, sample.gap_ms) or (None, "")
                found.append(GapSeen(host, round(sample.t - t0, 3), round(sample.gap_ms, 1), *why))
    return tuple(found)


class Paths:
    """Who fed whom over time, by host, as the members' journals say."""

    def __init__(self, recording: Recording) -> None:
        """Read all journals."""
        names = {
            welcome.member: host for host, journal in recording.journals.items() for welcome in journal.all(Welcomed)
        }
        self._feds = {host: journal.all(Fed) for host, journal in recording.journals.items()}
        self._times = {host: [fed.t for fed in feds] for host, feds in self._feds.items()}
        self._parents = {
            host: [names.get(fed.parent) if fed.parent is not None else None for fed in feds]
            for host, feds in self._feds.items()
        }

    def between(self, host: str, t0: float, t1: float) -> frozenset[str]:
        """Return a receiver and all that fed it, directly or through others, at some time between two."""
        found, todo = {host}, [host]
        while todo:
            fresh = self._fed_by(todo.pop(), t0, t1) - found
            found |= fresh
            todo += sorted(fresh)
        return frozenset(found)

    def _fed_by(self, host: str, t0: float, t1: float) -> set[str]:
        times = self._times.get(host, [])
        first = max(0, bisect_right(times, t0) - 1)
        return {parent for parent in self._parents.get(host, [])[first : bisect_right(times, t1)] if parent is not None}


class _Causes:
    """All that can explain a silence, each found by its time."""

    def __init__(self, recording: Recording) -> None:
        self._faults = recording.faults
        events = [(one.at, one.host, PASSED[one.what]) for one in recording.passed if one.what != "come"]
        for host, journal in recording.journals.items():
            events += _orders(host, journal)
        self._events = sorted(events)
        self._times = [at for at, _, _ in self._events]
        self._stalls = sorted(recording.stalls, key=attrgetter("end"))
        self._ends = [stall.end for stall in self._stalls]

    def of(self, path: frozenset[str], begin: float, end: float, gap_ms: float) -> tuple[str, str] | None:
        """Return what explains a silence, and of whom; None if nothing does."""
        since = begin - WINDOW_S
        for fault in self._faults:
            if fault.at <= end and (fault.healed_at or fault.at) >= since:
                return "fault", fault.id
        for index in range(bisect_left(self._times, since), bisect_right(self._times, end)):
            _, host, what = self._events[index]
            if host in path:
                return what, host
        waited_ms = self._waited_ms(path, begin, end)
        return ("processors", f"{waited_ms:.0f} ms") if waited_ms >= STALLED * gap_ms else None

    def _waited_ms(self, path: frozenset[str], begin: float, end: float) -> float:
        """Return for how long those on the path waited for processors, in sum."""
        waited_ms = 0.0
        for index in range(bisect_right(self._ends, begin), len(self._stalls)):
            stall = self._stalls[index]
            if stall.begin >= end:
                break
            if stall.host is None or stall.host in path:
                waited_ms += stall.waited_ms
        return waited_ms


def _orders(host: str, journal: Journal) -> Iterator[tuple[float, str, str]]:
    """Yield each time that the coordinator took a member in, or gave it another parent."""
    for life in journal.lives():
        orders = life.all(Assigned)
        if orders:
            yield orders[0].t, host, "joined"
        for before, order in pairwise(orders):
            if order.parent != before.parent:
                yield order.t, host, "moved"
