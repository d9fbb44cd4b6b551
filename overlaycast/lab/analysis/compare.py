"""The same experiment over several systems, side by side: what each cost the links, and what it gave receivers. Pure.

Owns: the figures of a comparison, from ``result.json`` and ``series.json`` of each run. Refuses: runs that are not of
one experiment, topology and seed, for these prove nothing about one another.

In time is what reached a sink while the source was sending, or within ``series``' second after it: a stream that comes
whole but a minute late is no live stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

from overlaycast.errors import ConfigError
from overlaycast.lab.analysis.series import Series
from overlaycast.lab.results import stored
from overlaycast.lab.results.result import LinkUse, Result

SAME: Final = ("experiment", "topology", "seed", "payload_bytes")
CARRIED: Final = 0.1
"""A link whose share of a copy is below this carried acknowledgements and control only."""


@dataclass(frozen=True, slots=True)
class Copies:
    """One direction of a link: copies of the stream that crossed it, by system.

    ``site``: it leads into that site. ``star``: copies that a star of unicast needs here, carried in time or not.
    """

    link: str
    start: str
    end: str
    site: str | None
    star: int
    by_system: dict[str, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """One system in figures.

    Attributes:
        system: which.
        valid: False: the machine was too slow for its network, so this run shows nothing.
        receivers, whole: how many there were, and how many got everything, bit for bit, before the run was ended.
        lost_share: records that receivers were owed and had not got by the end of the run.
        in_time_share, in_time_worst: of the payload, what came in time; over all, and at the worst receiver.
        rate_mbit, rate_worst_mbit: payload per second in time; median receiver, and the worst.
        latency_p50_ms: median over the receivers of their medians.
        latency_p99_ms: the worst receiver's 99th percentile.
        longest_gap_ms: the longest silence at any receiver.
        site_copies: most copies into any site in which a receiver got some of them.
        link_copies: most copies on any direction of a link.
        star_into_site, star_on_link: the same, as a star of unicast needs them, were every link wide enough.
        all_copies: copies summed over all links; what multicast needs is the size of its tree.
        cpu_s: processor seconds of all members together since the stream began.
        control_bytes: of the control plane.
        got_nothing: receivers to which no record came.
    """

    system: str
    valid: bool
    receivers: int
    whole: int
    lost_share: float
    in_time_share: float
    in_time_worst: float
    rate_mbit: float
    rate_worst_mbit: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    longest_gap_ms: float | None
    site_copies: float
    link_copies: float
    star_into_site: int
    star_on_link: int
    all_copies: float
    cpu_s: float | None
    control_bytes: int | None
    got_nothing: int = 0


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One run as it lies on the disk."""

    result: Result
    series: Series

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the run in a folder. Raises ``ConfigError``, which names the file and the field."""
        return cls(Result.read(folder / "result.json"), stored.read(Series, folder / "series.json"))

    @property
    def system(self) -> str:
        """What carried the stream."""
        return self.result.system


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it.

    ``sites`` counts what crossed uplinks; ``empty_sites`` names, by system, those where no receiver got anything of it.
    """

    experiment: str
    title: str
    about: str
    topology: str
    seed: int
    faults: int
    systems: tuple[Figures, ...]
    links: tuple[Copies, ...]
    sites: dict[str, dict[str, float]]
    empty_sites: dict[str, tuple[str, ...]]
    latencies: dict[str, dict[str, tuple[float | None, float | None]]]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values, ready for ``json.dumps``."""
        return asdict(self)


def compare(runs: Sequence[StoredRun]) -> Comparison:
    """Return the runs side by side, in their order.

    Raises:
        ConfigError: they are not of the same experiment.
    """
    first = runs[0].result
    for run in runs[1:]:
        for field in SAME:
            asked, found = getattr(first, field), getattr(run.result, field)
            if asked != found:
                raise ConfigError(f"compare: {field} differs: {asked!r} and {found!r}")
    links = _links(runs)
    empty = {run.system: _empty_sites(run) for run in runs}
    return Comparison(
        experiment=first.experiment,
        title=first.title,
        about=first.about,
        topology=first.topology,
        seed=first.seed,
        faults=max(len(run.result.faults) for run in runs),
        systems=tuple(_figures(run, links, empty[run.system]) for run in runs),
        links=links,
        sites=_sites(links, runs),
        empty_sites=empty,
        latencies={run.system: _latencies(run) for run in runs},
        notes=tuple(f"{run.system}: {note}" for run in runs for note in run.result.notes),
    )


def _figures(run: StoredRun, links: Sequence[Copies], empty: Sequence[str]) -> Figures:
    receivers = run.result.survivors()
    expected = sum(one.expected for one in receivers)
    shares = _in_time(run)
    rate = _rate_mbit(run)
    name = run.system
    copies = [link.by_system.get(name, 0.0) for link in links]
    into_sites = [link.by_system.get(name, 0.0) for link in links if link.site and link.site not in empty]
    p99 = [one.latency_ms.p99 for one in receivers if one.latency_ms.p99 is not None]
    p50 = [one.latency_ms.p50 for one in receivers if one.latency_ms.p50 is not None]
    gaps = [one.longest_gap_ms for one in receivers if one.longest_gap_ms is not None]
    cpu = run.result.cpu_s
    return Figures(
        system=name,
        valid=run.result.verdict != "invalid",
        receivers=len(receivers),
        whole=sum(one.sha256_ok and one.lost == 0 for one in receivers),
        lost_share=round(sum(one.lost for one in receivers) / expected, 4) if expected else 0.0,
        in_time_share=round(sum(shares) / len(shares), 4) if shares else 0.0,
        in_time_worst=round(min(shares, default=0.0), 4),
        rate_mbit=round(rate * median(shares), 3) if shares else 0.0,
        rate_worst_mbit=round(rate * min(shares, default=0.0), 3),
        latency_p50_ms=median(p50) if p50 else None,
        latency_p99_ms=max(p99, default=None),
        longest_gap_ms=max(gaps, default=None),
        site_copies=max(into_sites, default=0.0),
        link_copies=max(copies, default=0.0),
        star_into_site=max((link.star for link in links if link.site), default=0),
        star_on_link=max((link.star for link in links), default=0),
        all_copies=round(sum(copies), 2),
        cpu_s=round(sum(cpu.values()), 2) if cpu else None,
        control_bytes=run.result.control.bytes,
        got_nothing=sum(one.received == 0 for one in receivers),
    )


def _rate_mbit(run: StoredRun) -> float:
    seconds = run.result.stream_s
    return run.result.payload_bytes * 8e-6 / seconds if seconds else 0.0


def _in_time(run: StoredRun) -> list[float]:
    """Return, for each surviving receiver, the share of the payload that came in time."""
    total, step = run.result.payload_bytes * 8e-6, run.series.step_s
    alive = {one.host for one in run.result.survivors()}
    return [
        min(1.0, sum(one.rate_mbit) * step / total) if total else 0.0
        for one in run.series.receivers
        if one.host in alive
    ]


def _links(runs: Sequence[StoredRun]) -> tuple[Copies, ...]:
    """Return every direction of a link that carried some of the stream in any of the runs."""
    found: dict[tuple[str, str], Copies] = {}
    for run in runs:
        for link in run.result.links:
            for crossed in _directions(link, run.system):
                key = crossed.link, crossed.start
                found[key] = _merged(found[key], crossed) if key in found else crossed
    rows = (row for row in found.values() if max(row.by_system.values()) >= CARRIED)
    return tuple(sorted(rows, key=lambda row: (row.site is None, row.site or "", -max(row.by_system.values()))))


def _directions(link: LinkUse, system: str) -> tuple[Copies, Copies]:
    ab_site = link.site_uplink if link.into_site == "ab" else None
    ba_site = link.site_uplink if link.into_site == "ba" else None
    return (
        Copies(link.name, link.a, link.b, ab_site, link.unicast_ab, {system: link.copies_ab or 0.0}),
        Copies(link.name, link.b, link.a, ba_site, link.unicast_ba, {system: link.copies_ba or 0.0}),
    )


def _merged(one: Copies, other: Copies) -> Copies:
    return replace(
        one,
        site=one.site or other.site,
        star=max(one.star, other.star),
        by_system=one.by_system | other.by_system,
    )


def _sites(links: Sequence[Copies], runs: Sequence[StoredRun]) -> dict[str, dict[str, float]]:
    """Return ``{site: {system: copies that entered}}``, over all uplinks of a site, for sites with receivers."""
    inhabited = {one.site for run in runs for one in run.result.delivery if one.site}
    found: dict[str, dict[str, float]] = {}
    for link in links:
        if link.site in inhabited and link.site is not None:
            into = found.setdefault(link.site, {run.system: 0.0 for run in runs})
            for system, copies in link.by_system.items():
                into[system] = round(into[system] + copies, 3)
    return found


def _empty_sites(run: StoredRun) -> tuple[str, ...]:
    """Return the sites whose surviving receivers all got nothing."""
    survivors = run.result.survivors()
    fed = {one.site for one in survivors if one.received}
    return tuple(dict.fromkeys(one.site for one in survivors if one.site and one.site not in fed))


def _latencies(run: StoredRun) -> dict[str, tuple[float | None, float | None]]:
    return {one.host: (one.latency_ms.p50, one.latency_ms.p99) for one in run.result.survivors()}
