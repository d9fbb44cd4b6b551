"""Which host of a network runs which program of an experiment: source, peers, backups, coordinator. Pure.

Owns: the choice by role or by name, and the check that targets exist. Refuses: a part for which there is no host or no
single one, by file, line and field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from overlaycast.document.placed_yaml import Field, PlacedYaml
from overlaycast.errors import ConfigError, MistakesError
from overlaycast.lab.experiment.experiment import Cast, Experiment, MediaStream
from overlaycast.lab.faults import aim, fixtures
from overlaycast.lab.faults.aim import Ground
from overlaycast.lab.faults.targets import SOURCE
from overlaycast.lab.results import ranges
from overlaycast.lab.results.metrics import OF_FAULTS
from overlaycast.lab.topology.topology import Topology


@dataclass(frozen=True, slots=True)
class Host:
    """A host, as far as casting needs to know it."""

    name: str
    role: str | None
    site: str | None


def cast(document: PlacedYaml, experiment: Experiment, hosts: Sequence[Host]) -> Cast:
    """Return which host has which part.

    Raises:
        ConfigError: a host that does not exist, a part without a host, a host with two members.
    """
    members = experiment.members
    roles = _by_role(hosts)
    found = Cast(
        source=_one(document, ("members", "source"), members.source, roles.get("server", ())),
        coordinator=_one(document, ("members", "coordinator"), members.coordinator, roles.get("coordinator", ())),
        peers=members.peers if members.peers is not None else roles.get("client", ()),
        backups=members.backups if members.backups is not None else roles.get("backup", ()),
    )
    if not found.peers:
        raise document.error(("members", "peers"), "no member joins; name hosts, or give hosts the role client")
    _check_distinct(document, found, {host.name for host in hosts})
    for host in members.upload_mbit:
        if host not in found.members:
            accepted = ", ".join(sorted(found.members))
            raise document.error(("members", "upload_mbit", host), f"no member {host!r}; accepted: {accepted}")
    return found


def _by_role(hosts: Sequence[Host]) -> Mapping[str, tuple[str, ...]]:
    roles: dict[str, list[str]] = {}
    for host in hosts:
        roles.setdefault(host.role or "", []).append(host.name)
    return {role: tuple(names) for role, names in roles.items()}


def _one(document: PlacedYaml, field: Field, named: str | None, by_role: Sequence[str]) -> str:
    if named is not None:
        return named
    if len(by_role) != 1:
        found = ", ".join(by_role) or "none"
        raise document.error(field, f"required: not exactly one host of the topology has that role ({found})")
    return by_role[0]


def _check_distinct(document: PlacedYaml, cast: Cast, known: set[str]) -> None:
    used: set[str] = set()
    # the coordinator is no member, and may share its host with one
    if cast.coordinator not in known:
        accepted = ", ".join(sorted(known))
        raise document.error(("members", "coordinator"), f"no host {cast.coordinator!r}; accepted: {accepted}")
    parts = {"source": (cast.source,), "peers": cast.peers, "backups": cast.backups}
    for part, names in parts.items():
        for name in names:
            if name not in known:
                raise document.error(("members", part), f"no host {name!r}; accepted: {', '.join(sorted(known))}")
            if name in used:
                raise document.error(("members", part), f"{name!r} already has a part; one host, one member")
            used.add(name)


def check_faults(document: PlacedYaml, experiment: Experiment, cast: Cast, topology: Topology) -> None:
    """Check that this network has the targets of all faults, and members enough for all expectations.

    Raises:
        MistakesError: all complaints, each by file, line and field.
    """
    wrong = [
        document.error(*one) for one in (*_targets(experiment, cast, topology), *_expected(experiment, cast, topology))
    ]
    if wrong:
        raise MistakesError(wrong)


def _targets(experiment: Experiment, cast: Cast, topology: Topology) -> Iterator[tuple[Field, str]]:
    ground = Ground(topology, cast.members, cast.source)
    for index, fault in enumerate(experiment.timeline):
        found = aim.complaint(fault, ground, cast.peers)
        if found:
            yield ("timeline", index, found[0]), found[1]
        elif fault.action == "restart" and fault.aim == cast.source != SOURCE:
            yield ("timeline", index, "target"), f"accepted for the source itself: {SOURCE}"
    clash = fixtures.complaint(experiment.timeline)
    if clash:
        yield ("timeline", clash[0], "target"), clash[1]


def _expected(experiment: Experiment, cast: Cast, topology: Topology) -> Iterator[tuple[Field, str]]:
    symmetric = all(link.ab.delay_ms == link.ba.delay_ms for link in topology.links)
    here = ranges.in_experiment(len(cast.peers), len(cast.backups), symmetric)
    for index, one in enumerate(experiment.expect):
        if ranges.pointless(one.metric, one.op, one.limit):
            continue  # that is told without knowing the members
        if why := ranges.pointless(one.metric, one.op, one.limit, here.get(one.metric)):
            yield ("expect", index, "limit"), why


def unmeasured(document: PlacedYaml, experiment: Experiment) -> list[ConfigError]:
    """Return what is wrong with expectations of faults that this file's timeline does not have.

    A drawn timeline (chaos) may have them.
    """
    faults = dict(experiment.faults)
    wrong = []
    for index, one in enumerate(experiment.expect):
        about = [fault for name, fault in faults.items() if one.fault in (None, name)]
        why = None
        if one.metric in OF_FAULTS and not about:
            why = "the timeline is empty" if one.fault is None else None
        elif one.metric == "back_ms" and all(fault.heals_after_s is None for fault in about):
            why = "no fault is healed"
        elif one.metric == "reason_given" and not any(fault.takes_away for fault in about):
            why = "no fault takes a member away"
        elif one.metric == "media_readable" and not isinstance(experiment.stream, MediaStream):
            why = "the stream is no video"
        if why and "timeline" not in document.kept:
            wrong.append(document.error(("expect", index, "metric"), f"{one.metric} is never measured, for {why}"))
    return wrong


def castable(topology: Topology) -> tuple[Host, ...]:
    """Return the hosts that may play a part."""
    return tuple(Host(node.name, node.role, node.site) for node in topology.hosts())
