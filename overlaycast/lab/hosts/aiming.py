"""When a fault's target can be known, and who is away at a moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.faults import aim
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.faults.faults import Fault
from overlaycast.lab.faults.targets import PLAIN, SOURCE
from overlaycast.lab.faults.tree import Seat, Tree
from overlaycast.lab.hosts.gathered import Struck


def known(plan: Plan, fault: Fault) -> bool:
    """Return whether what a fault hits is known before the run, whatever the tree will be."""
    if fault.aims_at in ("coordinator", "sites", "router", "host") or fault.aim == SOURCE:
        return True
    if fault.aims_at == "link" and plan.ground.link(fault.aim) is not None:
        return True
    if fault.aim in PLAIN:  # a host may be called so too: the expression counts
        return False
    hosts = {node.name for node in plan.topology.hosts()}
    return all(part.strip() in hosts for part in fault.aim.split(","))


def hit(plan: Plan, name: str, fault: Fault, tree: Tree | None, gone: dict[str, str | None]) -> Hit:
    """Return what a fault hits; ``tree`` may be None where that is known before.

    Raises:
        LabError: no member fits.
    """
    source = Seat(0, plan.cast.source, "source", plan.topology.site_of(plan.cast.source), None)
    return aim.aim(fault, plan.ground, tree or Tree(0, (source,)), gone, Random(f"{plan.seed} {name}"))


def gone_at(plan: Plan, struck: Iterable[Struck], at_s: float) -> dict[str, str | None]:
    """Return the hosts that are away so many seconds after the stream began, with their sites."""
    found = {host: plan.topology.site_of(host) for host in set(plan.cast.peers) - set(plan.arrivals.first)}
    for passage in plan.arrivals.later:
        if passage.at_s <= at_s:
            if passage.what == "come":
                found.pop(passage.host, None)
            else:
                found[passage.host] = plan.topology.site_of(passage.host)
    for one in sorted(struck, key=lambda one: one.fault.at_s):
        lasts_s = one.fault.heals_after_s
        if one.fault.at_s <= at_s and (lasts_s is None or at_s < one.fault.at_s + lasts_s):
            found |= {host: plan.topology.site_of(host) for host in one.hit.away}
    return found
