"""What the coordinator found out about the network, beside the truth, and how soon the first records came. Pure.

Owns: the comparison of paths and rates, and the start's figures. Refuses: what follows from them.
"""

from __future__ import annotations

from overlaycast.lab.analysis.delivery import NOTHING, began
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.located import Located, Way
from overlaycast.lab.recording.recording import Recording
from overlaycast.lab.results.result import LocatedSeen
from overlaycast.wire.journal import Fed, Sample, Welcomed

Routers = tuple[str | None, ...]

NOWHERE = Located(())


def found(recording: Recording) -> tuple[LocatedSeen, ...]:
    """Return one entry per receiver, in the order of the cast; none if nothing was known of anybody."""
    if not recording.located:
        return ()
    ways = recording.network.ways
    peers = [host for host in recording.cast.peers if host in ways]
    return tuple(_found(host, recording.located.get(host, NOWHERE), ways[host]) for host in peers)


def _found(host: str, known: Located, way: Way) -> LocatedSeen:
    nearest = max(way.routers, key=lambda one: (one == known.routers, len(set(one) & set(known.routers))), default=())
    complete = _answering(known.routers) in map(_answering, way.routers)
    return LocatedSeen(host, known.routers, nearest, complete, known.rate_mbit, way.rate_mbit)


def _answering(routers: Routers) -> Routers:
    """Return a path without the silence at its end: how many routers are silent there, no probe tells."""
    end = len(routers)
    while end and routers[end - 1] is None:
        end -= 1
    return routers[:end]


def first_record_s(recording: Recording) -> float | None:
    """Return how long after the last subscription before the stream's begin all of those had a record."""
    journals = [recording.journals.get(host, NOTHING) for host in recording.cast.peers]
    welcomes = {index: _welcomed(journal) for index, journal in enumerate(journals)}
    first = {index: t for index, t in welcomes.items() if t is not None and t <= began(recording)}
    records = [_record(recording, journals[index]) for index in first]
    known = [t for t in records if t is not None]
    if not known or len(known) < len(records):
        return None
    return round(max(known) - max(first.values()), 3)


def waited_s(recording: Recording, journal: Journal) -> float | None:
    """Return how long a receiver waited for its first record, once it had subscribed and the stream had begun."""
    welcome, record = _welcomed(journal), _record(recording, journal)
    if welcome is None or record is None:
        return None
    return round(max(0.0, record - max(welcome, began(recording))), 3)


def _record(recording: Recording, journal: Journal) -> float | None:
    t0 = began(recording)
    times = [*(one.t for one in journal.all(Fed)), *(one.t for one in journal.all(Sample) if one.records)]
    return min((t for t in times if t >= t0), default=None)


def _welcomed(journal: Journal) -> float | None:
    return next((one.t for one in journal.all(Welcomed)), None)
