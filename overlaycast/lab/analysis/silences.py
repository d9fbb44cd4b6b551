"""When no record came to a receiver, and whom a fault cut off, whoever fed them. Pure.

Owns: from which length on a silence is one, and which silences belong to a fault. A journal's sample says how long the
longest silence was that ended since the sample before; a silence without an end is seen by counts that stand still.
"""

from __future__ import annotations

from statistics import quantiles
from typing import Final

from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import FaultDone
from overlaycast.wire.journal import Sample, StreamEnd

CUT_OFF_MS: Final = 200.0
"""A machine's pauses are shorter, and so is a change of parent that goes well."""
UNUSUAL: Final = 1.5
"""A stream that comes in bursts is silent between them: a silence must be so much longer than nearly all others."""
STRIKES_S: Final = 1.0
"""What was in flight when a fault struck still arrives; a silence that it causes begins at most so much later."""
SAMPLED_S: Final = 0.25
"""A silence ends at most so long before the sample that tells of it."""


def cut_off(journal: Journal, fault: FaultDone, until_next: float) -> bool:
    """Return whether a receiver that had records got none for long because of a fault, or since then.

    A silence that begins after the next fault (``until_next``) is that one's, even if this one has not been healed.
    """
    samples = journal.running()
    if not any(one.records for one in samples if one.t <= fault.at):
        return False
    at_once = fault.at + STRIKES_S
    until = max(at_once, fault.healed_at or 0.0)
    least = _least_ms(journal)
    for one in samples:
        end, latest = one.t, one.t - one.gap_ms / 1000
        begin = latest - SAMPLED_S
        own = begin < at_once or latest < until_next
        if one.gap_ms >= least and end > fault.at and begin < until and own:
            return True
    return not ends(journal) and last_came(journal) <= until


def ends(journal: Journal) -> bool:
    """Return whether the end of the stream came."""
    return journal.last(StreamEnd) is not None


def last_came(journal: Journal) -> float:
    """Return when the last records came, to 200 ms; 0 if none ever did."""
    came, records = 0.0, 0
    for one in journal.running():
        if one.records > records:
            came, records = one.t, one.records
    return came


def spans(journal: Journal, t: float) -> bool:
    """Return whether a long silence went on at a moment."""
    least = _least_ms(journal)
    return any(one.gap_ms >= least and one.t - one.gap_ms / 1000 < t < one.t for one in journal.all(Sample))


def _least_ms(journal: Journal) -> float:
    gaps = [one.gap_ms for one in journal.all(Sample) if one.gap_ms > 0]
    usual = quantiles(gaps, n=10)[-1] if len(gaps) > 1 else 0.0
    return max(CUT_OFF_MS, UNUSUAL * usual)
