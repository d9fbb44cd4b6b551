"""How receivers are fed at chosen moments: over a call or not, and as the coordinator ordered or not. Pure.

Owns: the figures of ``result.FeedSeen``, from the receivers' journals alone: each order (``assign``) and what the
receiver then did (``fed``). Moments: each fault, just before it strikes, and the end of the stream.

A receiver is fed as ordered if its parent is that of the newest order. An order younger than ``OBEY_S`` seconds may not
be obeyed yet, so the order before it counts too.
"""

from __future__ import annotations

from overlaycast.lab.analysis.delivery import NOTHING, began, ended
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import Recording
from overlaycast.lab.results.fault_seen import FeedSeen
from overlaycast.wire.journal import Assigned, Fed

OBEY_S = 1.0
"""Time that a member has to turn to a parent that it was just given: on a call it waits for that parent."""


def feeding(recording: Recording) -> tuple[FeedSeen, ...]:
    """Return what was seen at each moment, in the order of time; the end of the stream is the last."""
    faults = sorted(recording.faults, key=lambda fault: fault.at)
    moments = [(fault.at, fault.id) for fault in faults] + [(ended(recording), None)]
    return tuple(_at(recording, t, fault) for t, fault in moments)


def _at(recording: Recording, t: float, fault: str | None) -> FeedSeen:
    away = recording.absent()
    lives = [_until(recording.journals.get(host, NOTHING), t) for host in recording.cast.peers if host not in away]
    fed = [(feed, life) for life in lives if (feed := life.last(Fed)) is not None and feed.parent is not None]
    ordered = any(life.last(Assigned) for life in lives)
    return FeedSeen(
        at_s=round(t - began(recording), 3),
        before_fault=fault,
        receivers=len(lives),
        by_call=sum(feed.called for feed, _ in fed),
        as_planned=sum(feed.parent in _planned(life, t) for feed, life in fed) if ordered else None,
    )


def _until(journal: Journal, t: float) -> Journal:
    """Return what the running program had written by then."""
    return Journal(journal.host, tuple(entry for entry in journal.entries if entry.t < t)).last_life()


def _planned(life: Journal, t: float) -> set[int | None]:
    orders = life.all(Assigned)
    fresh = [order.parent for order in orders if order.t >= t - OBEY_S]
    stood = [order.parent for order in orders if order.t < t - OBEY_S]
    return {*fresh, *stood[-1:]}
