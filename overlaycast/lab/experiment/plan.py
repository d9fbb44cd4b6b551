"""What to run, checked: the unit that commands make, systems adapt and a run carries out. Pure.

A plan can be written as JSON and read back by pydantic, for the process that carries it out is another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import PlainSerializer, PlainValidator, TypeAdapter

from overlaycast.lab.experiment import arrivals
from overlaycast.lab.experiment.experiment import Cast, Experiment
from overlaycast.lab.experiment.system import System
from overlaycast.lab.faults.aim import Ground, Pair, changeable
from overlaycast.lab.topology.addressing import AddressPlan
from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.manners import Icmp
from overlaycast.lab.topology.topology import FAMILIES, Topology


@dataclass(frozen=True, slots=True)
class _Declared:
    """The part of a topology that the rest is computed from."""

    name: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    ip: str
    notes: tuple[str, ...]
    icmp: Icmp
    addressing: AddressPlan


_DECLARED: Final[TypeAdapter[_Declared]] = TypeAdapter(_Declared)


def _to_json(topology: Topology) -> dict[str, Any]:
    ip = next(ip for ip, families in FAMILIES.items() if families == topology.families)
    declared = _Declared(
        topology.name, topology.nodes, topology.links, ip, topology.notes, topology.icmp, topology.addressing
    )
    values: dict[str, Any] = _DECLARED.dump_python(declared, mode="json")
    return values


def _from_json(values: Any) -> Topology:
    if isinstance(values, Topology):
        return values
    one = _DECLARED.validate_python(values)
    return Topology.of(
        one.name, one.nodes, one.links, ip=one.ip, notes=one.notes, icmp=one.icmp, addressing=one.addressing
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, checked: the experiment, its network, the hosts' parts, and where results go.

    Attributes:
        system: what carries the stream.
        notes: what a reader of the result has to know: what is left out, what came before, what is too much.
        capture_mib: keep so much of each link's packets; None: none.
        variant: its number among the runs of its file; None: it is the only one.
        point: what is swept, and to which value here.
    """

    file: Path
    experiment: Experiment
    topology: Annotated[Topology, PlainSerializer(_to_json), PlainValidator(_from_json)]
    cast: Cast
    out: Path
    seed: int
    command: str
    system: System = "overlay"
    notes: tuple[str, ...] = ()
    capture_mib: float | None = None
    variant: int | None = None
    point: tuple[tuple[str, Any], ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        """The hosts of all members."""
        return self.cast.members

    @property
    def ground(self) -> Ground:
        """What faults can aim at."""
        return Ground(self.topology, self.members, self.cast.source)

    @property
    def changeable(self) -> tuple[Pair, ...]:
        """The links whose shape its timeline will change."""
        return changeable(tuple(fault for _, fault in self.experiment.faults), self.ground)

    @property
    def arrivals(self) -> arrivals.Arrivals:
        """Who comes and goes when."""
        experiment = self.experiment
        return arrivals.plan(experiment.arrival, self.cast.peers, self.seed, experiment.stream_s)
