"""From what was observed to what is concluded: ``build(recording) -> Result``. Pure.

Owns: putting the parts of a result together, and comparing expectations with their metrics. An expectation about
something that was not measured fails: a promise that cannot be checked was not kept.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import PurePath
from statistics import fmean
from typing import Final

from overlaycast.lab.analysis.aftermath import faults_seen
from overlaycast.lab.analysis.copies import inbound_by_site, inbound_by_tree, stream_curve, wire_curve
from overlaycast.lab.analysis.delivery import NOTHING, began, delivered, deliveries, ended, lost_by_any, span
from overlaycast.lab.analysis.discovery import first_record_s, found, waited_s
from overlaycast.lab.analysis.feeding import feeding
from overlaycast.lab.analysis.footprints import footprints
from overlaycast.lab.analysis.gaps import gaps
from overlaycast.lab.analysis.stretch import stretches
from overlaycast.lab.experiment.experiment import Expectation
from overlaycast.lab.recording.recording import Curve, LinkSeen, Recording
from overlaycast.lab.results.metrics import METRICS
from overlaycast.lab.results.result import (
    MOST_GAPS,
    ControlTraffic,
    Judged,
    LinkUse,
    MemberSeen,
    Result,
    SiteUse,
    Stretch,
    TreeSeen,
)
from overlaycast.wire.journal import StreamEnd

SETTLE_S: Final = 1.0
"""The first second of a stream, with queues filling, is not counted as copies before the fault."""

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}


def build(recording: Recording) -> Result:
    """Return the conclusions of a run, expectations judged."""
    experiment, source = recording.experiment, recording.journals.get(recording.cast.source, NOTHING)
    t0, t1 = began(recording), ended(recording)
    first, end = span(source)
    stream = stream_curve(source, recording.system)
    silent = gaps(recording)
    result = Result(
        experiment=experiment.name,
        title=experiment.title or experiment.name,
        about=experiment.about,
        topology=experiment.topology.name or PurePath(experiment.topology.file).stem,
        system=recording.system,
        seed=recording.seed,
        command=recording.command,
        versions=dict(recording.versions),
        started=datetime.fromtimestamp(recording.started, UTC).isoformat(timespec="seconds"),
        duration_s=round(recording.ended - recording.started, 3),
        stream_s=round(t1 - t0, 3),
        source_finished=source.last(StreamEnd) is not None,
        troubles=tuple(recording.troubles),
        records=end - first,
        payload_bytes=recording.sent.size,
        rate_mbit=experiment.group.rate_mbit,
        source=recording.cast.source,
        shaping=dict(recording.shaping),
        fidelity=tuple(dict(entry) for entry in recording.fidelity),
        multicast_blocked=recording.multicast_blocked,
        members=_members(recording),
        delivery=tuple(
            replace(one, first_record_s=waited_s(recording, recording.journals.get(one.host, NOTHING)))
            for one in deliveries(recording)
        ),
        links=tuple(_link(recording, stream, link, t0, t1) for link in recording.network.links),
        sites=_sites(recording, t0),
        tree=_tree(recording),
        faults=faults_seen(recording),
        feeding=feeding(recording),
        control=ControlTraffic(recording.control_bytes, recording.control_messages),
        notes=tuple(recording.notes),
        cpu_s=dict(recording.cpu_s),
        captures=None if recording.captures is None else dict(recording.captures),
        lost_by_any=lost_by_any(recording),
        gaps=tuple(sorted(silent or (), key=lambda gap: gap.cause is not None)[:MOST_GAPS]),
        unexplained_gaps=None if silent is None else sum(gap.cause is None for gap in silent),
        footprints=footprints(recording.footprints),
        hosts=recording.hosts,
        located=found(recording),
        delivered_s=_delivered_s(recording),
        first_record_s=first_record_s(recording),
    )
    judged = expectations(result, experiment.expect)
    return replace(result, expectations=judged, verdict=_verdict(judged, recording.shaping.get("valid", True)))


def _verdict(judged: Sequence[Judged], valid: bool) -> str:
    """A network that was not what it claimed to be proves nothing, neither for nor against."""
    if not valid:
        return "invalid"
    return "passed" if judged and all(one.ok for one in judged) else "failed"


def expectations(result: Result, asked: Sequence[Expectation]) -> tuple[Judged, ...]:
    """Return what became of every expectation."""
    return tuple(_judged(result, one) for one in asked)


def _judged(result: Result, asked: Expectation) -> Judged:
    metric = METRICS[asked.metric]
    if result.hosts is not None and (why := result.hosts.not_measured.get(asked.metric)) is not None:
        return Judged(asked.metric, asked.op, asked.limit, metric.unit, asked.fault, None, False, why)
    about = tuple(fault for fault in result.faults if asked.fault in (None, fault.id))
    value = metric.read(result, about)
    ok = value is not None and _COMPARE[asked.op](value, asked.limit)
    rounded = round(value, 3) if isinstance(value, float) else value
    return Judged(asked.metric, asked.op, asked.limit, metric.unit, asked.fault, rounded, ok)


def _members(recording: Recording) -> tuple[MemberSeen, ...]:
    hosts = {seat.id: seat.host for seat in recording.start_tree.seats}
    return tuple(
        MemberSeen(
            id=seat.id,
            host=seat.host,
            role=seat.role,
            site=seat.site,
            rank=seat.rank,
            parent=seat.parent,
            parent_host=hosts.get(seat.parent) if seat.parent is not None else None,
            primary=seat.primary,
            depth=seat.depth,
        )
        for seat in recording.start_tree.seats
    )


def _link(recording: Recording, stream: Curve, link: LinkSeen, t0: float, t1: float) -> LinkUse:
    ab = wire_curve(recording.counters, link.name, "ab", recording.system)
    ba = wire_curve(recording.counters, link.name, "ba", recording.system)
    counted = bool(recording.counters)
    # queues and failovers deliver some of the stream after its end: count to the last sample
    last = recording.counters[-1].t if recording.counters else t1
    overflow_ab, overflow_ba = recording.overflowed.get(link.name, (0, 0))
    return LinkUse(
        name=link.name,
        a=link.a,
        b=link.b,
        site_uplink=link.site,
        into_site=link.into_site,
        shaping=link.shaping,
        bytes_ab=round(ab.between(t0, last)),
        bytes_ba=round(ba.between(t0, last)),
        copies_ab=_rounded(_over_all(ab, stream, t0, last)) if counted else None,
        copies_ba=_rounded(_over_all(ba, stream, t0, last)) if counted else None,
        unicast_ab=_star(recording, link.a, link.b),
        unicast_ba=_star(recording, link.b, link.a),
        overflow_ab=overflow_ab,
        overflow_ba=overflow_ba,
    )


def _star(recording: Recording, a: str, b: str) -> int:
    """Return how many receivers the source would reach over this direction of a link."""
    routes = (recording.network.route(recording.cast.source, host) for host in recording.cast.peers)
    return sum((a, b) in pairwise(route) for route in routes)


def _over_all(wire: Curve, stream: Curve, t0: float, t1: float) -> float | None:
    # a curve begins with its first sample, some 200 ms into the stream: all that was sent counts
    total = stream.values[-1] if stream.values else 0.0
    return wire.between(t0, t1) / total if total else None


def _sites(recording: Recording, t0: float) -> tuple[SiteUse, ...]:
    until = min([delivered(recording), *(fault.at for fault in recording.faults)])
    since = min(t0 + SETTLE_S, (t0 + until) / 2)
    crossed = inbound_by_site(recording, since, until)
    taking_part = {*recording.cast.peers, *recording.cast.backups}
    sites = {host: recording.network.site_of(host) for host in taking_part}
    by_tree = inbound_by_tree(recording.start_tree, sites)
    if recording.system == "multicast":  # everybody is the source's, and routers make of many copies one
        by_tree = {site: min(fed, 1) for site, fed in by_tree.items()}
    return tuple(SiteUse(site, _rounded(crossed.get(site)), by_tree[site]) for site in sorted(by_tree))


def _delivered_s(recording: Recording) -> float | None:
    away = recording.absent()
    journals = [recording.journals.get(host, NOTHING) for host in recording.cast.peers if host not in away]
    ends = [end.t for one in journals if (end := one.last(StreamEnd)) is not None]
    return round(max(ends) - began(recording), 3) if ends and len(ends) == len(journals) else None


def _tree(recording: Recording) -> TreeSeen:
    tree = recording.start_tree
    network, cast = recording.network, recording.cast
    ratios = sorted(stretches(network, tree.edges(), cast.source, cast.peers).values())
    p95 = ratios[min(len(ratios) - 1, int(0.95 * len(ratios)))] if ratios else None
    return TreeSeen(
        epoch=tree.epoch,
        depth=max((seat.depth for seat in tree.seats), default=0),
        primaries=sum(seat.primary for seat in tree.seats if seat.role == "peer"),
        stretch=Stretch(_rounded(fmean(ratios)) if ratios else None, _rounded(p95)),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
