"""An experiment made from an inventory: a synthetic stream through a deployed group's hosts, beside that group. Pure.

Owns: the experiment, its network (sites as the inventory has them, nothing asked of links), and who takes part: the
group's source, backups and peers. The group itself is not touched: this stream has a group, a coordinator and ports of
its own, and ends by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from overlaycast.errors import ConfigError, MistakesError
from overlaycast.lab.experiment.experiment import Cast, Experiment
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.hosts.inventory import InventoryHost
from overlaycast.lab.topology.graph import NAME, Link, Node
from overlaycast.lab.topology.shape import Shape
from overlaycast.lab.topology.topology import Topology
from overlaycast.wire.group import GroupSettings

OVERHEAD: Final = 1.05
"""Of frames and packets, on top of the stream's rate."""
LEFT_OUT: Final = ("start_members", "mode", "rate_mbit")
"""Settings of the group that a rehearsal has of its own."""
EXPECT: Final = (
    ("receivers_finished", "==", 1),
    ("lost", "==", 0),
    ("duplicated", "==", 0),
    ("sha256_ok", "==", True),
    ("longest_gap_ms", "<=", 1000),
    ("troubles", "==", 0),
)
_ROLES: Final = {"coordinator": "coordinator", "source": "server", "backup": "backup", "peer": "client"}


def rehearsal(
    listing: Mapping[str, Any],
    real: Sequence[InventoryHost],
    inventory: Path,
    out: Path,
    *,
    rate_mbit: float,
    seconds: float,
    group: str | None,
    seed: int,
) -> tuple[Plan, tuple[InventoryHost, ...]]:
    """Return the plan, and the hosts, each with the name that it has there.

    Args:
        listing: what ``ansible-inventory --list`` printed.
        real: its hosts.
        inventory: where it is.
        out: folder for results.
        rate_mbit: of the stream.
        seconds: of the stream.
        group: whose settings and hosts; None: the first that is declared.
        seed: of the stream's bytes.

    Raises:
        MistakesError: there is no such group, or a part has no host; one line each.
    """
    variables: Mapping[str, Mapping[str, Any]] = listing.get("_meta", {}).get("hostvars", {})
    name, settings = _group(variables, group, inventory)
    parts = _parts(variables, real, name, inventory)
    named = _named(parts)
    experiment = Experiment.model_validate(
        {
            "name": re.sub("[^a-z0-9]+", "-", f"rehearse-{name}".lower()).strip("-"),
            "title": f"Rehearsal: {rate_mbit:g} Mbit/s through the hosts of group {name}",
            "about": "A synthetic stream in a group of its own, on the hosts of a deployed group, beside it.",
            "topology": {"file": str(inventory), "name": "inventory"},
            "seed": seed,
            "group": {**settings, "mode": "live", "rate_mbit": rate_mbit * OVERHEAD},
            "stream": {"kind": "synthetic", "seconds": seconds, "rate_mbit": rate_mbit},
            "expect": [{"metric": metric, "op": op, "limit": limit} for metric, op, limit in EXPECT],
        }
    )
    by_part = {part: tuple(named[one.name] for one, its in parts if its == part) for part in _ROLES}
    cast = Cast(by_part["source"][0], by_part["coordinator"][0], by_part["peer"], by_part["backup"])
    plan = Plan(
        file=inventory,
        experiment=experiment,
        topology=_topology(parts, named),
        cast=cast,
        out=out,
        seed=seed,
        command=f"overlaycast lab run --rehearse {rate_mbit:g} --rehearse-s {seconds:g} --rehearse-group {name}",
        notes=(f"a rehearsal on the hosts of group {name}, which was not touched",),
    )
    return plan, tuple(replace(one, lab_host=named[one.name]) for one, _ in parts)


def _group(
    variables: Mapping[str, Mapping[str, Any]], asked: str | None, inventory: Path
) -> tuple[str, dict[str, Any]]:
    """Return the group's name, and those of its settings that a rehearsal takes over."""
    found = (own.get("overlaycast_groups") for own in variables.values())
    declared: Mapping[str, Any] = next((one for one in found if isinstance(one, Mapping) and one), {})
    name = asked or next(iter(declared), "live")
    if asked is not None and declared and asked not in declared:
        raise ConfigError(f"{inventory}: overlaycast_groups: no group {asked!r}; accepted: {', '.join(declared)}")
    settings = (declared.get(name) or {}).get("settings") or {}
    known = set(GroupSettings.model_fields) - set(LEFT_OUT)
    return name, {key: value for key, value in settings.items() if key in known}


def _parts(
    variables: Mapping[str, Mapping[str, Any]], real: Sequence[InventoryHost], group: str, inventory: Path
) -> tuple[tuple[InventoryHost, str], ...]:
    """Return who takes part as what: each host once."""
    found: dict[str, tuple[InventoryHost, str]] = {}
    wrong = []
    for part, of, only in (
        ("coordinator", "coordinator", 1),
        ("source", "sources", 1),
        ("backup", "backups", None),
        ("peer", "peers", None),
    ):
        its = {"source": "source", "backup": "relay", "peer": "peer"}.get(part)
        here = [
            one
            for one in real
            if of in one.groups and one.name not in found and _takes_part(variables.get(one.name, {}), its, group)
        ][:only]
        if not here and part != "backup":
            wrong.append(ConfigError(f"{inventory}: the group {of} has no free host for a rehearsal of {group}"))
        found |= {one.name: (one, part) for one in here}
    if wrong:
        raise MistakesError(wrong)
    return tuple(found.values())


def _takes_part(own: Mapping[str, Any], its: str | None, group: str) -> bool:
    groups = own.get(f"overlaycast_{its}_groups")
    return not isinstance(groups, list) or group in groups


def _named(parts: Sequence[tuple[InventoryHost, str]]) -> dict[str, str]:
    """Return a name for each host that topologies accept: its own without what they do not, or a number."""
    found: dict[str, str] = {}
    for number, (one, _) in enumerate(parts, 1):
        short = re.sub("[^A-Za-z0-9_]", "", one.name)
        fits = NAME.fullmatch(short) and short not in found.values()
        found[one.name] = short if fits else f"host{number}"
    return found


def _topology(parts: Sequence[tuple[InventoryHost, str]], named: Mapping[str, str]) -> Topology:
    """Return the sites of the inventory around one router; nothing is asked of its links."""
    sites = [site for site in dict.fromkeys(one.site for one, part in parts if part == "peer") if site is not None]
    routers = {site: f"r{number}" for number, site in enumerate(sites, 1)}
    taken, plain = set(named.values()), Shape()
    core = next(name for name in ("core", "core0", "core1", "core2") if name not in taken)
    nodes = [Node(core, "router"), *(Node(name, "router") for name in routers.values())]
    links = [Link(core, routers[site], plain, plain, uplink_of=site) for site in sites]
    for one, part in parts:
        site = one.site if part == "peer" else None
        nodes.append(Node(named[one.name], "host", site, _ROLES[part]))
        links.append(Link(named[one.name], routers[site] if site is not None else core, plain, plain))
    return Topology.of("inventory", nodes, links)
