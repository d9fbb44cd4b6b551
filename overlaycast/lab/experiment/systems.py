"""What an experiment can be run with: the overlay, a unicast star, IP multicast. Pure.

Owns: how a plan changes for a baseline, so that network, stream, receivers and measurement stay the same. The star runs
the programs of the overlay in a group whose settings attach every member to the source; multicast is a pair of small
programs of the lab (``multicast_node``) and routers that forward (``multicast_routes``).

A fault whose target a baseline does not have (a primary, a forwarder, a coordinator) is left out and noted. What
``expect`` says about such a fault stays, and fails, because it was not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from overlaycast.errors import ConfigError
from overlaycast.lab.experiment.experiment import Experiment, FileStream
from overlaycast.lab.experiment.system import System
from overlaycast.lab.results.fault_seen import SEVERAL
from overlaycast.lab.results.metrics import OF_FAULTS

if TYPE_CHECKING:
    from overlaycast.lab.experiment.plan import Plan
    from overlaycast.lab.faults.faults import Fault
from overlaycast.lab.topology.topology import Topology

WORDS: Final[dict[str, str]] = {
    "overlay": "overlay",
    "unicast": "unicast from the source",
    "multicast": "IP multicast",
}

STAR: Final = {
    "depth_limit": 1,
    "source_out_degree": 4096,
    "rate_mbit": 0.01,  # the coordinator plans for this rate, so no link is too thin for another copy
    "rate_threshold": 0.0,
    "silence_ms": 60_000,  # there is no other parent to turn to
    "lost_after_s": 600.0,
    "slow_after_s": 600.0,
}
"""Group settings that make the overlay a star: the source feeds every member, whatever the links carry."""

_PARTS: Final = re.compile("primar|forwarder|backup")
_ANYWHERE: Final = ("kill", "leave", "freeze", "link-", "router-", "partition")
"""What can happen to receivers and networks whatever carries the stream."""

MULTICAST_SHARE: Final = 0.9
"""Part of the thinnest link that a file is sent at over multicast, which nothing slows down."""


def adapted(plan: Plan, system: System) -> Plan:
    """Return the plan for a system.

    Raises:
        ConfigError: multicast, on a network without IPv4.
    """
    if system == "overlay":
        return plan
    if system == "multicast" and 4 not in plan.topology.families:
        raise ConfigError(
            f"{plan.file}: topology {plan.topology.name} speaks IPv6 only, and the multicast baseline runs over IPv4;"
            " accepted: ip=4 or ip=both after the topology's name"
        )
    kept: list[tuple[str, Fault]] = []
    left_out: list[tuple[str, Fault]] = []
    for name, fault in plan.experiment.faults:
        (kept if _has_part(system, fault) else left_out).append((name, fault))
    # names are by number: what is kept keeps the name it had
    timeline = tuple(fault.model_copy(update={"id": name}) for name, fault in kept)
    notes = tuple(f"fault {name} was left out: {WORDS[system]} has nothing like it" for name, fault in left_out)
    return replace(
        plan,
        system=system,
        experiment=plan.experiment.model_copy(update={"timeline": timeline}),
        cast=replace(plan.cast, backups=()),
        notes=(*plan.notes, *notes),
        command=f"{plan.command} --system {system}",
    )


def aimed_alike(plan: Plan, struck: Mapping[str, str]) -> Plan:
    """Return the plan with targets as an earlier system's run resolved them, so that the same hosts are struck.

    Args:
        plan: of another system, on the same network.
        struck: fault -> what it hit, as results name it. What is not receivers only stays an expression.
    """
    hosts = set(plan.cast.peers)
    faults = tuple(
        fault.model_copy(update={"id": name, "target": struck[name]})
        if name in struck and hosts.issuperset(struck[name].split(SEVERAL))
        else fault.model_copy(update={"id": name})
        for name, fault in plan.experiment.faults
    )
    return replace(plan, experiment=plan.experiment.model_copy(update={"timeline": faults}))


def without_faults(plan: Plan) -> Plan:
    """Return the plan with nothing going wrong, and without what the experiment expects of what goes wrong."""
    expect = tuple(one for one in plan.experiment.expect if one.fault is None and one.metric not in OF_FAULTS)
    experiment = plan.experiment.model_copy(update={"timeline": (), "expect": expect})
    return replace(plan, experiment=experiment, command=f"{plan.command} --no-faults")


def _has_part(system: System, fault: Fault) -> bool:
    if _PARTS.search(fault.aim):
        return False
    return system == "unicast" or fault.action.startswith(_ANYWHERE)


def grouped(system: System, experiment: Experiment) -> Experiment:
    """Return the experiment whose group the coordinator is asked to make."""
    if system != "unicast":
        return experiment
    star = experiment.group.model_copy(update=STAR)
    return experiment.model_copy(update={"group": star})


def multicast_rate_mbit(experiment: Experiment, topology: Topology, source: str, peers: Iterable[str]) -> float:
    """Return the rate to send at: the stream's own; for a file without one what the thinnest link on the way carries.

    A link without a limit counts as 1000 Mbit/s.
    """
    if not isinstance(experiment.stream, FileStream):
        return experiment.stream.rate_mbit
    if experiment.stream.rate_mbit is not None:
        return experiment.stream.rate_mbit
    rates = []
    for peer in peers:
        here = source
        for name in topology.path(source, peer):
            link = topology.link(name)
            rates.append(link.egress(here).rate_mbit or 1000.0)
            here = link.other(here)
    return MULTICAST_SHARE * min(rates, default=1000.0)
