"""An experiment as its YAML file says it: topology, members, stream, timeline of faults, expectations.

Owns: names, bounds and defaults of every field. Refuses: unknown fields, hosts and sites that the topology does not
have, faults after the end of the stream, by one line that names file, line, field and what is accepted.

Times are seconds; those of the timeline count from the moment the source begins to send.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from overlaycast.lab.metrics import METRICS
from overlaycast.lab.placed_yaml import PlacedYaml
from overlaycast.wire.frames import MAX_RECORD
from overlaycast.wire.group import GroupSettings

Seconds = Annotated[float, Field(ge=0, le=86_400)]
Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Target = Annotated[str, Field(min_length=1, max_length=100)]


def _only_known(model: type[BaseModel], values: Any) -> Any:
    if not isinstance(values, dict):
        raise _told("a mapping is accepted, with the fields " + ", ".join(_names(model)))
    for key in values:
        if key not in _names(model):
            raise _told(f"unknown field {key!r}; accepted: {', '.join(_names(model))}", str(key))
    return values


def _told(complaint: str, field: str | None = None) -> PydanticCustomError:
    """Return a complaint in our own words, about a field of the mapping that is being checked."""
    place = {} if field is None else {"field": field}
    return PydanticCustomError("told", "{told}", {"told": complaint, **place})


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


class _Part(BaseModel):
    """A frozen part of an experiment that names what it accepts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, values: Any) -> Any:
        return _only_known(cls, values)


class TopologyChoice(_Part):
    """Which network: a file in Mininet's custom format, and the name in its ``topos`` if it has several."""

    file: str = Field(min_length=1, description="path, relative to the experiment's file")
    name: str | None = Field(None, description="which of the file's topologies; needed if there are several")


class MediaStream(_Part):
    """A real MPEG-TS video of constant rate, made by ffmpeg, sent by its own clock."""

    kind: Literal["media"]
    seconds: float = Field(30, ge=1, le=3600)
    rate_mbit: float = Field(8.0, ge=1, le=100)
    record_size: int | None = Field(None, ge=1, le=MAX_RECORD)


class SyntheticStream(_Part):
    """Bytes from the seed, sent at a rate."""

    kind: Literal["synthetic"]
    seconds: float = Field(10, ge=0.1, le=3600)
    rate_mbit: float = Field(8.0, ge=0.01, le=1000)
    record_size: int | None = Field(None, ge=1, le=MAX_RECORD)


class FileStream(_Part):
    """A file, sent as fast as it goes in a file group, or at a rate in a live group."""

    kind: Literal["file"]
    path: str | None = Field(None, description="relative to the experiment's file; without it bytes from the seed")
    size_mib: float = Field(16, gt=0, le=4096, description="size of the bytes from the seed")
    rate_mbit: float | None = Field(None, ge=0.01, le=10_000)
    record_size: int | None = Field(None, ge=1, le=MAX_RECORD)


Stream = Annotated[MediaStream | SyntheticStream | FileStream, Field(discriminator="kind")]


class Members(_Part):
    """Who takes part. Hosts are named as in the topology; what is left out goes by the hosts' roles."""

    source: str | None = Field(None, description="host of the source; else the one with role server")
    coordinator: str | None = Field(None, description="host of the coordinator; else the one with role coordinator")
    peers: tuple[str, ...] | None = Field(None, description="hosts that join; else all with role client")
    backups: tuple[str, ...] | None = Field(None, description="hosts of backup relays; else all with role backup")


class Arrival(_Part):
    """When the peers come: all at once, or one after the other in an order drawn by the seed."""

    kind: Literal["at-once", "spread"] = "at-once"
    over_s: Seconds = Field(0, description="spread: from the first to the last")


class _Fault(_Part):
    at_s: Seconds = Field(description="after the source began to send")
    id: Slug | None = Field(None, description="its name in expectations and report; else the action and a number")

    # faults of this kind take their target out of the network, so it is no surviving receiver
    takes_away: ClassVar[bool] = True

    @property
    def aim(self) -> str:
        """Return the target expression, or what is hit by nature."""
        return str(getattr(self, "target", "coordinator"))

    @property
    def heals_after_s(self) -> float | None:
        """Return how long the fault lasts; None: for good."""
        value: float | None = getattr(self, "heal_after_s", None)
        return value


class Kill(_Fault):
    """The agent's process is killed (SIGKILL): neighbours see a reset."""

    action: Literal["kill"]
    target: Target


class Leave(_Fault):
    """The agent is asked to go (SIGTERM) and leaves properly."""

    action: Literal["leave"]
    target: Target


class Freeze(_Fault):
    """The agent's process is stopped (SIGSTOP): silence without a reset. Heals by SIGCONT."""

    action: Literal["freeze"]
    target: Target
    heal_after_s: Seconds | None = None


class LinkDown(_Fault):
    """A link loses its carrier at both ends: silence without a reset. Heals by coming up again."""

    action: Literal["link-down"]
    target: Target = Field(description="a member (its access link goes down)")
    heal_after_s: Seconds | None = None


class CoordinatorKill(_Fault):
    """The coordinator's process is killed (SIGKILL). Heals by starting it again on the same state."""

    action: Literal["coordinator-kill"]
    heal_after_s: Seconds | None = None

    takes_away: ClassVar[bool] = False


Fault = Annotated[Kill | Leave | Freeze | LinkDown | CoordinatorKill, Field(discriminator="action")]


class Expectation(_Part):
    """A promise: a metric, compared with a limit. Any that fails fails the run."""

    metric: str
    op: Literal["==", "!=", "<=", "<", ">=", ">"]
    limit: float | bool
    fault: Slug | None = Field(None, description="only after this fault; else the worst over all")
    unit: str | None = Field(None, description="said for the reader; must be the metric's own")

    @model_validator(mode="after")
    def _metric_known(self) -> Expectation:
        if self.metric not in METRICS:
            raise _told(f"{self.metric!r} is unknown; accepted: {', '.join(METRICS)}", "metric")
        unit = METRICS[self.metric].unit
        if self.unit is not None and self.unit != unit:
            accepted = repr(unit) if unit else "no unit"
            raise _told(f"{self.metric} is measured in {accepted}, not {self.unit!r}", "unit")
        return self


class Limits(_Part):
    """How long to wait before a run counts as failed."""

    start_s: float = Field(60, gt=0, le=3600, description="from the first member's start to the source's first record")
    end_s: float = Field(
        20,
        gt=0,
        le=3600,
        description="from the stream's own end (its begin if that is not known) to the last receiver's",
    )


Group = Annotated[GroupSettings, BeforeValidator(lambda values: _only_known(GroupSettings, values))]


class Experiment(_Part):
    """One experiment."""

    name: Slug
    title: str = Field("", max_length=200, description="one line above the report")
    about: str = Field("", max_length=4000, description="what it shows, for the report")
    topology: TopologyChoice
    seed: int = Field(1, ge=0, lt=1 << 32, description="fixes every choice")
    group: Group = GroupSettings()
    stream: Stream
    members: Members = Members()
    arrival: Arrival = Arrival()
    timeline: tuple[Fault, ...] = ()
    expect: tuple[Expectation, ...] = Field(min_length=1)
    limits: Limits = Limits()

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


@dataclass(frozen=True, slots=True)
class Cast:
    """The hosts that take part, by what they do."""

    source: str
    coordinator: str
    peers: tuple[str, ...]
    backups: tuple[str, ...]


def parse(document: PlacedYaml) -> Experiment:
    """Return the experiment that a document holds; the network is not looked at yet.

    Raises:
        ConfigError: the first complaint, in one line.
    """
    experiment = document.checked(Experiment)
    _check_faults(document, experiment)
    return experiment


def _check_faults(document: PlacedYaml, experiment: Experiment) -> None:
    end = experiment.stream_s
    for index, fault in enumerate(experiment.timeline):
        if end is not None and fault.at_s >= end:
            complaint = f"{fault.at_s:g} is after the end of the stream; accepted: below {end:g}"
            raise document.error(("timeline", index, "at_s"), complaint)
    names = [name for name, _ in experiment.faults]
    for index, fault in enumerate(experiment.timeline):
        if fault.id is not None and names.count(fault.id) > 1:
            raise document.error(("timeline", index, "id"), f"{fault.id!r} is there twice; ids must be unique")
    for index, expectation in enumerate(experiment.expect):
        if expectation.fault is not None and expectation.fault not in names:
            accepted = ", ".join(names) or "none, the timeline is empty"
            raise document.error(("expect", index, "fault"), f"no fault {expectation.fault!r}; accepted: {accepted}")
