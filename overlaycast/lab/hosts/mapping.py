"""Which host of the inventory stands for which host of the experiment. Pure.

Owns: the choice, and what is said where there is none. In this order: the host's variable ``overlaycast_lab_host``; the
same name; and else its part in the deployment (coordinator, sources, backups, peers), peers site by site. Where the
inventory has no sites, hosts whose first router is the same are one. Ties break by name.

Invariant: no two hosts of the experiment are the same host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from overlaycast.errors import ConfigError, MistakesError
from overlaycast.lab.experiment.experiment import Cast
from overlaycast.lab.hosts.inventory import LAB_HOST, InventoryHost
from overlaycast.lab.topology.topology import Topology

GROUP_OF: Final = {"coordinator": "coordinator", "source": "sources", "backup": "backups", "peer": "peers"}
BY_VARIABLE: Final = f"by {LAB_HOST}"
BY_NAME: Final = "by name"


@dataclass(frozen=True, slots=True)
class Mapped:
    """A host of the experiment, and the inventory's host that it is.

    ``how``: why this one. ``found``: the site that the inventory names, or the first router on its way out.
    """

    host: str
    part: str
    site: str | None
    real: InventoryHost
    how: str
    found: str | None = None


@dataclass(slots=True)
class _Choice:
    """The hosts that are left, and what was chosen."""

    free: dict[str, InventoryHost]
    found: Mapping[str, str | None]
    chosen: dict[str, tuple[InventoryHost, str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def take(self, host: str, real: str, how: str) -> None:
        self.chosen[host] = (self.free.pop(real), how)


def mapped(
    cast: Cast,
    topology: Topology,
    real: Sequence[InventoryHost],
    routers: Mapping[str, Sequence[str | None]],
    where: str,
) -> tuple[Mapped, ...]:
    """Return the choice, in the order coordinator, source, backups, peers.

    Args:
        cast: the hosts that take part.
        topology: of the experiment.
        real: the inventory's hosts.
        routers: inventory's name -> the routers that were found on its way out, nearest first.
        where: the inventory, for complaints.

    Raises:
        MistakesError: all hosts and sites for which there is none, one line each.
    """
    parts = parts_of(cast)
    choice = _Choice({one.name: one for one in real}, {one.name: _site(one, routers) for one in real})
    _by_variable(choice, parts, real, topology)
    for host in parts:
        if host not in choice.chosen and host in choice.free and choice.free[host].lab_host is None:
            choice.take(host, host, BY_NAME)
    _by_part(choice, parts)
    _by_site(choice, parts, topology)
    if choice.wrong:
        raise MistakesError([ConfigError(f"{where}: {line}") for line in choice.wrong])
    return tuple(
        Mapped(host, part, topology.site_of(host), *choice.chosen[host], choice.found[choice.chosen[host][0].name])
        for host, part in parts.items()
    )


def parts_of(cast: Cast) -> dict[str, str]:
    """Return ``{host: coordinator, source, backup or peer}``."""
    return {
        cast.coordinator: "coordinator",
        cast.source: "source",
        **dict.fromkeys(cast.backups, "backup"),
        **dict.fromkeys(cast.peers, "peer"),
    }


def _site(one: InventoryHost, routers: Mapping[str, Sequence[str | None]]) -> str | None:
    """Return the site of a real host: as the inventory has it, else its first router."""
    if one.site is not None:
        return one.site
    return next((router for router in routers.get(one.name, ())[:1] if router is not None), None)


def _by_variable(choice: _Choice, parts: Mapping[str, str], real: Sequence[InventoryHost], topology: Topology) -> None:
    known = {node.name for node in topology.hosts()}
    for one in real:
        if one.lab_host is None:
            continue
        if one.lab_host not in known:
            accepted = ", ".join(parts)
            choice.wrong.append(f"host {one.name}: {LAB_HOST}: no host {one.lab_host!r}; accepted: {accepted}")
        elif one.lab_host in choice.chosen:
            other = choice.chosen[one.lab_host][0].name
            choice.wrong.append(f"host {one.name}: {LAB_HOST}: {one.lab_host} is {other} already")
        elif one.lab_host in parts:
            choice.take(one.lab_host, one.name, BY_VARIABLE)


def _by_part(choice: _Choice, parts: Mapping[str, str]) -> None:
    """Choose coordinator, source and backups."""
    for host, part in parts.items():
        if host in choice.chosen or part == "peer":
            continue
        left = [one for one in choice.free.values() if GROUP_OF[part] in one.groups and one.lab_host is None]
        if left:
            choice.take(host, left[0].name, f"by its group {GROUP_OF[part]}")
        else:
            choice.wrong.append(_nobody(host, part, f"the group {GROUP_OF[part]} has no host that is free"))


def _nobody(host: str, part: str, why: str) -> str:
    return f"no host for {host} ({part}): {why}; accepted: a host of that name, or one with {LAB_HOST}: {host}"


def _by_site(choice: _Choice, parts: Mapping[str, str], topology: Topology) -> None:
    """Choose the peers: the largest site of the experiment first, each in the smallest real site that has room."""
    missing: dict[str | None, list[str]] = {}
    for host, part in parts.items():
        if part == "peer" and host not in choice.chosen:
            missing.setdefault(topology.site_of(host), []).append(host)
    ordered = sorted(missing, key=lambda site: (site is None, -len(missing[site]), site or ""))
    used: dict[str, str] = {}
    for host, (real, _) in choice.chosen.items():
        found, site = choice.found[real.name], topology.site_of(host)
        if found is not None and site is not None:
            used[found] = site
    for site in ordered:
        _fill(choice, site, missing[site], used)


def _fill(choice: _Choice, site: str | None, hosts: Sequence[str], used: dict[str, str]) -> None:
    left = [one for one in choice.free.values() if "peers" in one.groups and one.lab_host is None]
    if site is None:
        _each(choice, hosts, left, "by its group peers")
        return
    rooms: dict[str, list[InventoryHost]] = {}
    for one in left:
        if (found := choice.found[one.name]) is not None and used.get(found, site) == site:
            rooms.setdefault(found, []).append(one)
    enough = [found for found, here in rooms.items() if len(here) >= len(hosts)]
    if not enough:
        has = ", ".join(f"{found} {len(here)}" for found, here in sorted(rooms.items())) or "none"
        count = f"{len(hosts)} peer{'s' if len(hosts) > 1 else ''} without a host"
        named = ", ".join(hosts)
        choice.wrong.append(
            f"site {site} of the experiment has {count} ({named}), and no free site of the inventory has as many "
            f"(free: {has}); accepted: peers with {LAB_HOST}"
        )
        return
    room = min(enough, key=lambda found: (used.get(found) != site, len(rooms[found]), found))
    used[room] = site
    _each(choice, hosts, rooms[room], f"by site {room}")


def _each(choice: _Choice, hosts: Iterable[str], left: Sequence[InventoryHost], how: str) -> None:
    free = list(left)
    for host in hosts:
        if free:
            choice.take(host, free.pop(0).name, how)
        else:
            choice.wrong.append(_nobody(host, "peer", "the group peers has no host that is free"))


def differences(found: Sequence[Mapped]) -> tuple[str, ...]:
    """Return where the real sites are not those of the experiment, in one line each."""
    lines = []
    sites: dict[str, set[str]] = {}
    rooms: dict[str, set[str]] = {}
    for one in found:
        if one.site is not None and one.found is not None:
            sites.setdefault(one.site, set()).add(one.found)
            rooms.setdefault(one.found, set()).add(one.site)
    for site, real in sites.items():
        if len(real) > 1:
            lines.append(f"site {site} of the experiment is in {len(real)} real sites: {', '.join(sorted(real))}")
    for room, here in rooms.items():
        if len(here) > 1:
            lines.append(f"sites {', '.join(sorted(here))} of the experiment are in one real site: {room}")
    return tuple(lines)
