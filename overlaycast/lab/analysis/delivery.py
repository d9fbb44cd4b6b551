"""What each receiver got: from its own journal, and from its file as the lab found it. Pure.

Owns: expected, received and lost records of a receiver. A receiver that was a member before the stream began is owed
all of it; one that came later is owed everything from its first record on. What a journal claims to have lost and what
is missing by count are both looked at, and the larger one stands.
"""

from __future__ import annotations

from overlaycast.lab.analysis.silences import last_came
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import FileSeen, Recording
from overlaycast.lab.results.result import Delivery, Latency
from overlaycast.wire.journal import (
    Begun,
    Failure,
    InVain,
    ParentLinkFailed,
    RecordsLost,
    Sample,
    Started,
    StreamEnd,
    Summary,
    Welcomed,
)

NOTHING = Journal("")
FLIGHT_S = 0.5
"""What arrives within this after a fault was on its way before: nothing has recovered by it."""


def span(source: Journal) -> tuple[int, int]:
    """Return the first record's number and the number after the last one that the source sent."""
    begin, end, sample = source.last(Begun), source.last(StreamEnd), source.last(Sample)
    first = source.all(Begun)[0].next_seq if begin else 0
    if end is not None:
        return first, end.next_seq
    return first, sample.next_seq if sample and sample.next_seq is not None else first


def deliveries(recording: Recording) -> tuple[Delivery, ...]:
    """Return one entry for every peer, in the order of the cast."""
    away = recording.absent()
    return tuple(_delivery(recording, host, host not in away) for host in recording.cast.peers)


def _delivery(recording: Recording, host: str, survived: bool) -> Delivery:
    lives = recording.journals.get(host, NOTHING)
    journal = lives.last_life()
    summary = journal.last(Summary) or _unfinished(journal)
    first, expected = _owed(recording, journal, summary, survived)
    duplicated = summary.duplicated
    received = summary.received if summary.received is not None else 0
    missing = max(0, expected - received)
    file = recording.received.get(host)
    error = journal.last(Failure)
    return Delivery(
        member=journal.member,
        host=host,
        site=recording.network.site_of(host),
        survived=survived,
        finished=journal.last(StreamEnd) is not None,
        expected=expected,
        received=received,
        lost=max(missing, summary.lost),
        duplicated=duplicated,
        reordered=summary.reordered,
        sha256_ok=_whole(recording, file, summary, first),
        media_readable=_readable(recording, file),
        latency_ms=_latency(summary),
        longest_gap_ms=summary.longest_gap_ms,
        longest_gap_at_s=_since_begin(recording, summary.longest_gap_at),
        bytes=summary.bytes,
        error=error.reason if error else None,
        digest_ok=summary.digest_ok,
        startup_ms=_startup_ms(recording, journal),
        links_failed=len(lives.all(ParentLinkFailed)),
        asked_in_vain=sum(len(one.parents) for one in lives.all(InVain)),
    )


def _unfinished(journal: Journal) -> Summary:
    """A killed receiver wrote no summary: its last sample stands for it."""
    samples = journal.all(Sample)
    if not samples:
        return Summary(t=0)
    last = samples[-1]
    lost = sum(entry.to_seq - entry.from_seq for entry in journal.all(RecordsLost))
    return Summary(
        t=last.t,
        next_seq=last.records + lost,  # what was read but not written yet died with it
        received=last.records,
        lost=lost,
        bytes=last.bytes,
        longest_gap_ms=max(sample.gap_ms for sample in samples),
    )


def _owed(recording: Recording, journal: Journal, summary: Summary, survived: bool) -> tuple[int, int]:
    source = recording.journals.get(recording.cast.source, NOTHING)
    first, end = span(source)
    begin, welcome = source.last(Begun), journal.last(Welcomed)
    came_later = begin is not None and welcome is not None and welcome.t > begin.t
    if came_later and summary.first_seq is not None:
        first = summary.first_seq
    if not survived:  # it is owed what it had when it was taken away
        end = summary.next_seq if summary.next_seq is not None else first
    return first, max(0, end - first)


def _whole(recording: Recording, file: FileSeen | None, summary: Summary, first: int) -> bool:
    """Bit for bit, as the lab itself compared the files; without that by digests, for a late joiner by the agent's."""
    if file is None:
        return False
    if file.fits is not None:
        return file.fits
    source_first, _ = span(recording.journals.get(recording.cast.source, NOTHING))
    if first == source_first:
        return file.sha256 == recording.sent.sha256
    return summary.digest_ok is True


def _startup_ms(recording: Recording, journal: Journal) -> float | None:
    """From the start of the program, or of the stream if that came later, to the first record; to 200 ms."""
    start = journal.last(Started)
    first = next((sample.t for sample in journal.all(Sample) if sample.records), None)
    summary = journal.last(Summary)
    if first is None and summary is not None and summary.received:  # it was over before the next sample
        first = summary.t
    if start is None or first is None:
        return None
    return round(max(0.0, first - max(start.t, began(recording))) * 1000, 1)


def _readable(recording: Recording, file: FileSeen | None) -> bool | None:
    if recording.sent.media is None:
        return None
    return file is not None and file.media == recording.sent.media


def _latency(summary: Summary) -> Latency:
    seen = summary.latency_ms
    return Latency(seen.p50, seen.p99, seen.max) if seen else Latency(None, None, None)


def _since_begin(recording: Recording, t: float | None) -> float | None:
    return None if t is None else round(t - began(recording), 3)


def began(recording: Recording) -> float:
    """Return when the source began to send; the run's start if it never did."""
    begins = recording.journals.get(recording.cast.source, NOTHING).all(Begun)
    return begins[0].t if begins else recording.started


def ended(recording: Recording) -> float:
    """Return when the source had sent its last record."""
    source = recording.journals.get(recording.cast.source, NOTHING)
    end = source.last(StreamEnd)
    return end.t if end else max((sample.t for sample in source.all(Sample)), default=recording.ended)


def delivered(recording: Recording) -> float:
    """Return when the last surviving receiver had everything, or got its last records."""
    away = recording.absent()
    journals = [recording.journals.get(host, NOTHING) for host in recording.cast.peers if host not in away]
    ends = [end.t if (end := one.last(StreamEnd)) else last_came(one) for one in journals]
    return max([ended(recording), *ends])


def lost_between(journal: Journal, t0: float, t1: float) -> int:
    """Return the records that a receiver gave up in a window."""
    return sum(entry.to_seq - entry.from_seq for entry in journal.all(RecordsLost) if t0 <= entry.t < t1)


def lost_by_any(recording: Recording) -> int:
    """Return the most records that a receiver lost in one life, between its first record and its last."""
    journals = (recording.journals.get(host, NOTHING) for host in recording.cast.peers)
    return max((_lost_in(life) for journal in journals for life in journal.lives()), default=0)


def _lost_in(life: Journal) -> int:
    told = sum(entry.to_seq - entry.from_seq for entry in life.all(RecordsLost))
    summary = life.last(Summary)
    if summary is None or summary.first_seq is None or summary.next_seq is None or summary.received is None:
        return told
    return max(told, summary.lost, summary.next_seq - summary.first_seq - summary.received)


def duplicated_between(journal: Journal, t0: float, t1: float) -> int:
    """Return the records that reached the sink twice in a window.

    A sample says how many records were written and which number comes next: what was written beyond the numbers that
    passed, losses set aside, was written twice. The sink lags behind, so the surplus shows late, never early.
    """
    return max(0, _surplus(journal, t1) - _surplus(journal, t0))


def _surplus(journal: Journal, until: float) -> int:
    journal = journal.last_life()
    summary, losses = journal.last(Summary), journal.all(RecordsLost)
    first = summary.first_seq if summary and summary.first_seq is not None else 0
    most = 0
    for sample in journal.all(Sample):
        if sample.next_seq is None or sample.t > until:
            continue
        lost = sum(loss.to_seq - loss.from_seq for loss in losses if loss.to_seq <= sample.next_seq)
        most = max(most, sample.records - (sample.next_seq - first) + lost)
    return most


def longest_gap(journal: Journal, t0: float, t1: float) -> float | None:
    """Return the longest silence between two records, as sampled in a window; milliseconds."""
    return max((sample.gap_ms for sample in journal.all(Sample) if t0 < sample.t <= t1), default=None)


def flows_after(journal: Journal, t: float) -> bool:
    """Return whether records came again after ``t`` and kept coming, or everything had come before."""
    return journal.last(StreamEnd) is not None or last_came(journal) > t + FLIGHT_S
