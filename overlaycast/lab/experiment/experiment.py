"""An experiment as its YAML file says it: topology, members, stream, timeline of faults, expectations.

Owns: names, bounds and defaults of every field. Refuses: unknown fields, hosts and sites that the topology does not
have, faults after the end of the stream, by one line that names file, line, field and what is accepted.

Times are seconds; those of the timeline count from the moment the source begins to send.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from overlaycast.document.parts import Part, Seconds, Slug, field_error, only_known
from overlaycast.document.placed_yaml import Field as Path
from overlaycast.document.placed_yaml import PlacedYaml
from overlaycast.errors import MistakesError
from overlaycast.lab.faults.faults import Fault, Restart
from overlaycast.lab.faults.targets import SOURCE
from overlaycast.lab.results import ranges
from overlaycast.lab.results.metrics import METRICS
from overlaycast.lab.results.result import MetricName
from overlaycast.lab.topology.addressing import AddressPlan
from overlaycast.wire.frames import MAX_RECORD
from overlaycast.wire.group import GroupSettings


class IcmpChoice(Part):
    """A limit of ICMP errors, to one destination."""

    per_s: float = Field(ge=0.02, le=1000, description="errors a second")
    burst: int = Field(ge=1, le=1000, description="errors at once")


class TopologyChoice(Part):
    """The network: a topology file or a GraphML map, and the name in its ``topos`` if it has several."""

    file: str = Field(min_length=1, description="path of the network, relative to the experiment's file")
    name: str | None = Field(None, description="the topology to use, if the file has several; on a map, where hosts go")
    icmp: Literal["off", "stock"] | IcmpChoice | None = Field(
        None,
        description="how many ICMP errors a router sends to one destination: off (no limit), stock (the kernel's own), "
        "or a limit; default: as the topology's file says",
    )
    addressing: AddressPlan | None = Field(
        None,
        description="lans: a /24 per LAN; spread: no two hosts in one /24; one24: all in one /24, if they fit; "
        "default: as the topology's file says",
    )

    @property
    def wishes(self) -> dict[str, Any]:
        """What is asked beyond the file, in the words of ``Topology.of``."""
        return self.model_dump(include={"icmp", "addressing"}, exclude_none=True)


class MediaStream(Part):
    """A real MPEG-TS video, made by ffmpeg, sent by its own clock."""

    kind: Literal["media"]
    seconds: float = Field(30, ge=1, le=3600)
    rate_mbit: float = Field(8.0, ge=1, le=100)
    bitrate: Literal["constant", "variable"] = Field(
        "constant", description="variable: nearly all bytes are in one key frame per second, sent within a frame's time"
    )
    record_size: int | None = Field(None, ge=1, le=MAX_RECORD)


class SyntheticStream(Part):
    """Bytes generated from the seed, sent at a rate."""

    kind: Literal["synthetic"]
    seconds: float = Field(10, ge=0.1, le=3600)
    rate_mbit: float = Field(8.0, ge=0.01, le=1000)
    record_size: int | None = Field(None, ge=1, le=MAX_RECORD)


class FileStream(Part):
    """A file, sent at a rate; in a file group without a rate, as fast as possible."""

    kind: Literal["file"]
    path: str | None = Field(
        None, description="file to send, relative to the experiment's file; default: bytes from the seed"
    )
    size_mib: float = Field(16, gt=0, le=4096, description="MiB of bytes from the seed")
    rate_mbit: float | None = Field(None, ge=0.01, le=10_000)
    record_size: int | None = Field(None, ge=1, le=MAX_RECORD)


Stream = Annotated[MediaStream | SyntheticStream | FileStream, Field(discriminator="kind")]


class Members(Part):
    """The hosts that take part. What is left out follows from the roles in the topology."""

    source: str | None = Field(None, description="host of the source; default: the one with role server")
    coordinator: str | None = Field(None, description="host of the coordinator; default: the one with role coordinator")
    peers: tuple[str, ...] | None = Field(None, description="hosts of the peers; default: all with role client")
    backups: tuple[str, ...] | None = Field(
        None, description="hosts of the backup servers; default: all with role backup"
    )
    upload_mbit: dict[str, Annotated[float, Field(gt=0, le=1_000_000)]] = Field(
        default_factory=dict, description="host -> the upload rate that its member states"
    )
    congestion: Slug | None = Field(None, description="TCP congestion control of all members; default: the kernel's")


class Arrival(Part):
    """When peers join: all at once, one after the other during the stream, or at random, with departures."""

    kind: Literal["at-once", "spread", "churn"] = "at-once"
    together: bool = Field(
        False, description="at-once: all are let in at the same moment; default: one by one, in a fixed order"
    )
    over_s: Seconds = Field(
        0, description="spread: seconds between the first peer, there at the beginning, and the last"
    )
    initial: float = Field(0.5, ge=0, le=1, description="churn: share of the peers that are there at the beginning")
    per_minute: float = Field(12, gt=0, le=10_000, description="churn: arrivals per minute after that (Poisson)")
    lifetime_s: float = Field(30, gt=0, le=86_400, description="churn: mean seconds that a member stays (exponential)")
    kill_share: float = Field(0, ge=0, le=1, description="churn: share of departures by SIGKILL instead of SIGTERM")


class Expectation(Part):
    """A metric compared with a limit. The run fails if any expectation does."""

    metric: MetricName
    op: Literal["==", "!=", "<=", "<", ">=", ">"]
    limit: float | bool
    fault: Slug | None = Field(None, description="only after this fault; default: the worst over all faults")
    unit: str | None = Field(None, description="for the reader; must be the metric's unit")

    @model_validator(mode="after")
    def _metric_known(self) -> Expectation:
        if self.metric not in METRICS:
            raise field_error(f"{self.metric!r} is unknown; accepted: {', '.join(METRICS)}", "metric")
        unit = METRICS[self.metric].unit
        if self.unit is not None and self.unit != unit:
            accepted = repr(unit) if unit else "no unit"
            raise field_error(f"{self.metric} is measured in {accepted}, not {self.unit!r}", "unit")
        return self


class Limits(Part):
    """Time limits. A run that exceeds one fails."""

    start_s: float = Field(
        60, gt=0, le=3600, description="seconds from the first member's start to the source's first record"
    )
    end_s: float = Field(
        20,
        gt=0,
        le=3600,
        description="seconds from the stream's end (its beginning, if the end is unknown) to the last receiver's",
    )


Group = Annotated[GroupSettings, BeforeValidator(lambda values: only_known(GroupSettings, values))]


class Experiment(Part):
    """One experiment."""

    name: Slug
    title: str = Field("", max_length=200, description="one line, the heading of the report")
    about: str = Field("", max_length=4000, description="what the experiment shows, for the report")
    topology: TopologyChoice
    seed: int = Field(1, ge=0, lt=1 << 32, description="seed of every random choice")
    group: Group = GroupSettings()
    stream: Stream
    members: Members = Members()
    arrival: Arrival = Arrival()
    timeline: tuple[Fault, ...] = ()
    expect: tuple[Expectation, ...] = Field(min_length=1)
    limits: Limits = Limits()
    repeat: int = Field(1, ge=1, le=1000, description="number of runs, with seeds seed, seed + 1, …")
    sweep: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="field, as in group.default_out_degree -> values; one run for each combination",
    )

    @property
    def faults(self) -> tuple[tuple[str, Fault], ...]:
        """Return ``(id, fault)`` in the order of time."""
        ordered = sorted(self.timeline, key=lambda fault: fault.at_s)
        return tuple((fault.id or f"{fault.action}-{number}", fault) for number, fault in enumerate(ordered, 1))

    @property
    def stream_s(self) -> float | None:
        """Return how long the stream lasts by itself, or None if that is not known before."""
        if isinstance(self.stream, FileStream):
            return self.stream.size_mib * 8.388608 / self.stream.rate_mbit if self.stream.rate_mbit else None
        return self.stream.seconds

    @property
    def sent_by_s(self) -> float | None:
        """Return when the source has sent all of it: a source that starts again sends it all anew."""
        if self.stream_s is None:
            return None
        again = [
            fault.at_s + fault.heal_after_s
            for fault in self.timeline
            if isinstance(fault, Restart) and fault.target == SOURCE
        ]
        return max(again, default=0.0) + self.stream_s


@dataclass(frozen=True, slots=True)
class Cast:
    """The hosts that take part, by what they do."""

    source: str
    coordinator: str
    peers: tuple[str, ...]
    backups: tuple[str, ...]

    @property
    def members(self) -> tuple[str, ...]:
        """The hosts of all members."""
        return (self.source, *self.backups, *self.peers)


def parse(document: PlacedYaml) -> Experiment:
    """Return the experiment that a document holds; the network is not looked at yet.

    Raises:
        MistakesError: all complaints, each in one line.
    """
    experiment = document.checked(Experiment)
    wrong = [document.error(field, complaint) for field, complaint in _complaints(experiment, document.kept)]
    if wrong:
        raise MistakesError(wrong)
    return experiment


def _complaints(experiment: Experiment, left_out: Container[str]) -> Iterator[tuple[Path, str]]:
    """Return what does not fit together, by field."""
    end = experiment.stream_s
    for index, fault in enumerate(experiment.timeline):
        if end is not None and fault.at_s >= end:
            yield ("timeline", index, "at_s"), f"{fault.at_s:g} is after the end of the stream; accepted: below {end:g}"
    names = [name for name, _ in experiment.faults]
    for index, fault in enumerate(experiment.timeline):
        if fault.id is not None and names.count(fault.id) > 1:
            yield ("timeline", index, "id"), f"{fault.id!r} is there twice; ids must be unique"
    for index, expectation in enumerate(experiment.expect):
        if why := ranges.pointless(expectation.metric, expectation.op, expectation.limit):
            yield ("expect", index, "limit"), why
        if expectation.fault is not None and expectation.fault not in names and "timeline" not in left_out:
            accepted = ", ".join(names) or "none, the timeline is empty"
            yield ("expect", index, "fault"), f"no fault {expectation.fault!r}; accepted: {accepted}"
