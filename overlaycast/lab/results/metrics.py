"""The metrics that expectations may name: what each means, its unit, and how it is read off a result. Pure.

Owns: the list that users see in errors and reports. Every metric over receivers is the worst over those that survived;
every metric over faults is the worst over all faults, unless the expectation names one. Nothing is said of faults after
which there was no time to measure anything, and a time to recover is no figure where nobody was cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from overlaycast.lab.results.fault_seen import FaultSeen, FeedSeen
from overlaycast.lab.results.result import LocatedSeen, Result

Value = float | bool | None

CLOSE: Final = 0.15
"""An echo that differs by so much from the link is as good as it: placement rounds more than that."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One measure. ``read`` takes the result and the faults that the expectation is about."""

    words: str
    unit: str
    read: Callable[[Result, tuple[FaultSeen, ...]], Value]


def _largest(values: Iterable[float | None]) -> float | None:
    """Return the largest; None if there is none, or if one of them is missing (the worst is then unknown)."""
    found = list(values)
    known = [value for value in found if value is not None]
    return max(known) if known and len(known) == len(found) else None


def _worst(figure: Callable[[FaultSeen], float | None]) -> Callable[[Result, tuple[FaultSeen, ...]], Value]:
    """Return what reads the largest of a figure over the faults."""
    return _watched(lambda _, faults: _largest(map(figure, faults)))


def _watched(
    read: Callable[[Result, tuple[FaultSeen, ...]], Value],
) -> Callable[[Result, tuple[FaultSeen, ...]], Value]:
    """Return what reads a figure of the windows after faults: None if one of them was too short to measure in."""
    return lambda result, faults: read(result, faults) if all(fault.measured for fault in faults) else None


def _of_those_cut_off(figure: Callable[[FaultSeen], float | None]) -> Callable[[Result, tuple[FaultSeen, ...]], Value]:
    """Return what reads the largest of a figure over the faults that cut off any receiver, or that have it anyway."""

    def read(_: Result, faults: tuple[FaultSeen, ...]) -> Value:
        return _largest(figure(fault) for fault in faults if fault.affected or figure(fault) is not None)

    return _watched(read)


def _lost(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    # without an end of the stream it is not known how much is missing
    return _largest(one.lost for one in result.survivors()) if result.source_finished else None


def _duplicated(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    return _largest(one.duplicated for one in result.survivors())


def _reordered(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    return _largest(one.reordered for one in result.survivors())


def _sha256_ok(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    survivors = result.survivors()
    return all(one.sha256_ok for one in survivors) if survivors else None


def _media_readable(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    seen = [one.media_readable for one in result.survivors()]
    return all(seen) if seen and None not in seen else None


def _finished(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    survivors = result.survivors()
    return sum(one.finished for one in survivors) / len(survivors) if survivors else None


def _longest_gap(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    return _largest(one.longest_gap_ms for one in result.survivors())


def _latency_p99(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    return _largest(one.latency_ms.p99 for one in result.survivors())


def _inbound(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    return _largest(site.inbound_copies for site in result.sites)


def _inbound_by_tree(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    return _largest(site.inbound_by_tree for site in result.sites) or None  # 0: nobody was in the tree yet


def _inbound_after(_: Result, faults: tuple[FaultSeen, ...]) -> Value:
    return _largest(copies for fault in faults for copies in fault.inbound_copies.values())


def _of_uplinks(inwards: bool) -> Callable[[Result, tuple[FaultSeen, ...]], Value]:
    """Return what reads the most copies over any site's uplink, in one direction."""

    def read(result: Result, _: tuple[FaultSeen, ...]) -> Value:
        links = [link for link in result.links if link.site_uplink is not None and link.into_site in ("ab", "ba")]
        return _largest(link.copies_ab if (link.into_site == "ab") == inwards else link.copies_ba for link in links)

    return read


def _located(result: Result) -> list[LocatedSeen]:
    """Return what was known of the surviving receivers."""
    survivors = {one.host for one in result.survivors()}
    return [one for one in result.located if one.host in survivors]


def _complete_paths(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    seen = _located(result)
    return sum(one.complete for one in seen) / len(seen) if seen else None


def _rate_error(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    return _largest(one.rate_error for one in _located(result) if one.true_mbit is not None)


def _rates_close(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    seen = [one.rate_error for one in _located(result) if one.true_mbit is not None]
    return sum(error is not None and error <= CLOSE for error in seen) / len(seen) if seen else None


def _heir(_: Result, faults: tuple[FaultSeen, ...]) -> Value:
    seen = [fault.heir_fed_from_outside for fault in faults]
    return all(seen) if seen and None not in seen else None


def _damaged(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    survivors = result.survivors()
    return sum(not one.sha256_ok for one in survivors) if survivors else None


def _unnoticed(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    survivors = result.survivors()
    silent = [one for one in survivors if not one.sha256_ok and one.digest_ok is not False and one.error is None]
    return len(silent) if survivors else None


def _reason_given(result: Result, faults: tuple[FaultSeen, ...]) -> Value:
    away = {host for fault in faults for host in fault.away}
    seen = [one.error for one in result.delivery if one.host in away and not one.survived]
    return all(error is not None for error in seen) if seen else None


def _bystanders(_: Result, faults: tuple[FaultSeen, ...]) -> Value:
    return _largest(sum(move.well and move.host not in fault.hit for move in fault.moves) for fault in faults)


def _overflow(result: Result, _: tuple[FaultSeen, ...]) -> Value:
    return sum(link.overflow_ab + link.overflow_ba for link in result.links) if result.links else None


def _back(result: Result, faults: tuple[FaultSeen, ...]) -> Value:
    receivers = {one.host for one in result.delivery}
    healed = [
        fault
        for fault in faults
        if fault.healed_s is not None and (receivers & {*fault.away} or fault.back_ms is not None)
    ]
    return _largest(fault.back_ms for fault in healed)


def _fed_by_backup(result: Result, faults: tuple[FaultSeen, ...]) -> Value:
    backups = {member.host for member in result.members if member.role == "backup"}
    return min(
        (sum(backups & {move.now, move.first} != set() for move in fault.moves) for fault in faults), default=None
    )


def _by_call(result: Result, faults: tuple[FaultSeen, ...]) -> Value:
    return min((seen.by_call for seen in _moments(result, faults)), default=None)


def _as_planned(result: Result, faults: tuple[FaultSeen, ...]) -> Value:
    seen = [(one.as_planned, one.receivers) for one in _moments(result, faults)]
    shares = [planned / receivers for planned, receivers in seen if planned is not None and receivers]
    return min(shares) if shares and len(shares) == len(seen) else None


def _moments(result: Result, faults: tuple[FaultSeen, ...]) -> list[FeedSeen]:
    about = {fault.id for fault in faults}
    return [seen for seen in result.feeding if seen.before_fault is None or seen.before_fault in about]


METRICS: Final[dict[str, Metric]] = {
    "lost": Metric("records lost by a surviving receiver", "records", _lost),
    "duplicated": Metric("records written twice by a surviving receiver", "records", _duplicated),
    "reordered": Metric("records written out of order by a surviving receiver", "records", _reordered),
    "sha256_ok": Metric("every surviving receiver's file equals the source's", "", _sha256_ok),
    "media_readable": Metric(
        "ffprobe finds the same streams and packets in every file as in the source's", "", _media_readable
    ),
    "receivers_finished": Metric("share of surviving receivers that received the end of the stream", "", _finished),
    "longest_gap_ms": Metric("longest silence at a surviving receiver", "ms", _longest_gap),
    "latency_p99_ms": Metric("99th percentile of latency, at the slowest surviving receiver", "ms", _latency_p99),
    "inbound_copies_per_site": Metric(
        "copies that entered a site before the first fault, by link counters", "", _inbound
    ),
    "inbound_copies_by_tree": Metric(
        "members of a site with a parent outside it when the stream began", "", _inbound_by_tree
    ),
    "uplink_copies_in": Metric(
        "copies of the stream that entered by a site's uplink, over all of it; the most", "", _of_uplinks(True)
    ),
    "uplink_copies_out": Metric(
        "copies of the stream that left by a site's uplink, the source's too; the most", "", _of_uplinks(False)
    ),
    "complete_paths": Metric(
        "share of surviving receivers whose path the coordinator knew, with every router that answers; silence at its "
        "end does not count",
        "",
        _complete_paths,
    ),
    "rate_error": Metric(
        "by which share a receiver's echo differed from its path's thinnest link; the most", "", _rate_error
    ),
    "rates_close": Metric(
        "share of surviving receivers behind limited links whose echo differed by 15 % at most", "", _rates_close
    ),
    "inbound_copies_after": Metric(
        "copies that entered a site hit by a fault, until the next fault", "", _watched(_inbound_after)
    ),
    "heir_fed_from_outside": Metric(
        "one orphan per site gets a parent outside it; that orphan feeds its siblings", "", _watched(_heir)
    ),
    "recovered_ms": Metric(
        "time from the fault until the last receiver that it cut off received again",
        "ms",
        _of_those_cut_off(lambda fault: fault.recovered_ms),
    ),
    "detected_ms": Metric(
        "time from the fault until the first child reacted",
        "ms",
        _of_those_cut_off(lambda fault: fault.detected_ms),
    ),
    "affected": Metric(
        "surviving receivers that a fault cut off; the fewest of all faults",
        "",
        _watched(lambda _, faults: min((fault.affected for fault in faults), default=None)),
    ),
    "moved": Metric(
        "members that changed their parent after a fault",
        "",
        _worst(lambda fault: fault.moved),
    ),
    "moved_below_top": Metric(
        "members below the top of an orphaned branch that changed their parent",
        "",
        _worst(lambda fault: fault.moved_below_top),
    ),
    "moved_while_well": Metric(
        "members that changed their parent although it was alive",
        "",
        _worst(lambda fault: fault.moved_while_well),
    ),
    "multicast_blocked": Metric(
        "no router forwards IP multicast, tested before the run", "", lambda result, _: result.multicast_blocked
    ),
    "depth": Metric("hops from the source to the farthest member", "hops", lambda result, _: result.tree.depth or None),
    "stretch_mean": Metric("delay along the tree ÷ direct delay, mean", "", lambda result, _: result.tree.stretch.mean),
    "stretch_p95": Metric(
        "delay along the tree ÷ direct delay, 95th percentile", "", lambda result, _: result.tree.stretch.p95
    ),
    "back_ms": Metric(
        "time from the heal until the last receiver that was away received again",
        "ms",
        _watched(_back),
    ),
    "bystanders_moved": Metric(
        "members not hit by the fault that changed their parent although it was alive", "", _watched(_bystanders)
    ),
    "bystanders_gap_ms": Metric(
        "longest silence after a fault at a surviving receiver that the fault did not cut off",
        "ms",
        _worst(lambda fault: fault.bystanders_gap_ms),
    ),
    "bystanders_latency_ms": Metric(
        "highest latency after a fault at a surviving receiver that it did not cut off, as a median over 200 ms",
        "ms",
        _worst(lambda fault: fault.bystanders_latency_ms),
    ),
    "queue_overflow": Metric("frames dropped because a link's queue was full, during the stream", "frames", _overflow),
    "fed_by_backup": Metric(
        "members that a backup server fed after a fault, for a while or to the end", "", _fed_by_backup
    ),
    "reason_given": Metric("every member that a fault took away for good gave a reason", "", _reason_given),
    "damaged": Metric("surviving receivers whose file differs from the source's", "", _damaged),
    "unnoticed": Metric(
        "surviving receivers with a damaged file that reported neither a wrong digest nor an error", "", _unnoticed
    ),
    "startup_ms": Metric(
        "time from a receiver's start (or the stream's, if later) to its first record; the slowest",
        "ms",
        lambda result, _: _largest(one.startup_ms for one in result.survivors()),
    ),
    "delivered_s": Metric(
        "time from the source's begin until the last surviving receiver had everything",
        "s",
        lambda result, _: result.delivered_s,
    ),
    "first_record_s": Metric(
        "time from the last subscription before the stream began until all of these receivers had a record",
        "s",
        lambda result, _: result.first_record_s,
    ),
    "member_first_record_s": Metric(
        "time from a receiver's subscription (or the stream's begin, if later) to its first record; the slowest",
        "s",
        lambda result, _: _largest(one.first_record_s for one in result.survivors()),
    ),
    "troubles": Metric(
        "programs that failed although no fault targeted them", "", lambda result, _: len(result.troubles)
    ),
    "links_by_call": Metric(
        "surviving receivers whose parent dialled them; the smallest count before any fault and at the end",
        "",
        _by_call,
    ),
    "fed_as_planned": Metric(
        "share of surviving receivers fed by the parent that the coordinator assigned; the smallest "
        "before any fault and at the end",
        "",
        _as_planned,
    ),
    "links_failed": Metric(
        "links to possible parents that broke, were refused or did not come about, over all receivers",
        "",
        lambda result, _: sum(one.links_failed for one in result.delivery),
    ),
    "asked_in_vain": Metric(
        "parents that receivers asked for data and that brought none, over all receivers",
        "",
        lambda result, _: sum(one.asked_in_vain for one in result.delivery),
    ),
    "primaries": Metric(
        "peers with the source as parent when the stream began", "", lambda result, _: result.tree.primaries
    ),
    "lost_by_any": Metric(
        "records lost by a receiver between its first and its last; the most of all, those that left or died too",
        "records",
        lambda result, _: result.lost_by_any,
    ),
    "unexplained_gaps": Metric(
        "silences above 100 ms at any receiver that no fault, departure, order or busy processor explains",
        "",
        lambda result, _: result.unexplained_gaps,
    ),
    "memory_growth_mib": Metric(
        "trend of a program's memory after its first minute, over the rest of its life; the largest",
        "MiB",
        lambda result, _: _largest(one.grown_mib for one in result.footprints),
    ),
    "descriptor_growth": Metric(
        "trend of a program's open descriptors after its first minute, over the rest of its life; the largest",
        "",
        lambda result, _: _largest(one.grown_descriptors for one in result.footprints),
    ),
    "control_bytes": Metric("bytes of control messages, both ways", "bytes", lambda result, _: result.control.bytes),
}
OF_FAULTS: Final = {
    *("inbound_copies_after", "heir_fed_from_outside", "recovered_ms", "detected_ms", "affected", "moved", "back_ms"),
    *("moved_below_top", "moved_while_well", "bystanders_moved", "bystanders_gap_ms", "bystanders_latency_ms"),
    *("fed_by_backup", "reason_given"),
}
"""Metrics that say nothing where nothing goes wrong."""
