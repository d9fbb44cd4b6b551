"""From what the hosts noted to a recording, which is judged and reported like that of an emulated run. Pure.

Owns: what of a recording has another source on real hosts, and what is said to differ there. Refuses: to fill in what
was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from overlaycast.errors import LabError
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.hosts import differing, noted
from overlaycast.lab.hosts.gathered import Gathered, deeds_of, did, healed
from overlaycast.lab.hosts.orders import Site
from overlaycast.lab.recording.recording import (
    FaultDone,
    FileSeen,
    NetworkSeen,
    NodeSeen,
    Passed,
    Recording,
)
from overlaycast.wire.journal import Begun

BEFORE_NEXT_S: Final = 0.3
LAST_S: Final = 8.0
START_S: Final = 0.5
"""The tree of the beginning is the one that is there so soon after it."""


def recording(
    site: Site, got: Gathered, sent: FileSeen, versions: Mapping[str, str], started: float, ended: float
) -> Recording:
    """Return the recording of a run.

    Raises:
        LabError: the stream never began, or a fault did not happen.
    """
    plan = site.plan
    begin = got.journals[plan.cast.source].last(Begun)
    if begin is None:
        raise LabError("the source did not begin")
    began_at = got.journals[plan.cast.source].all(Begun)[0].t
    passed = _passed(plan, got)
    faults, gone = _faults(plan, got, began_at, passed)
    sites = {one.host: one.site for one in site.hosts}
    metrics = got.metrics or {}
    return Recording(
        experiment=plan.experiment,
        cast=plan.cast,
        system=plan.system,
        seed=plan.seed,
        command=plan.command,
        versions={**versions, "installed": _installed(site, got)},
        started=started,
        ended=ended,
        network=_network(site, sites),
        shaping={"place": "real hosts", "links": differing.SHAPED if site.shaped else differing.UNSHAPED, "means": {}},
        fidelity=differing.round_trips(site, got),
        multicast_blocked=got.multicast,
        journals=got.journals,
        counters=noted.traffic(list(got.noted.values()), sites, site.numbers) if site.counted else (),
        start_tree=got.trees.at(began_at + START_S),
        faults=faults,
        sent=sent,
        received=got.received,
        troubles=_troubles(plan, got, gone),
        control_bytes=metrics.get("control_bytes"),
        control_messages=metrics.get("control_messages"),
        notes=plan.notes,
        cpu_s=_cpu(plan, got),
        left=frozenset(gone),
        passed=passed,
        footprints=[one for each in got.noted.values() for one in each.footprints()],
        stalls=[one for each in got.noted.values() for one in each.stalls()],
        hosts=differing.real_hosts(site, got, began_at),
    )


def _installed(site: Site, got: Gathered) -> str:
    if site.artefact is not None:
        return site.artefact.name
    return ", ".join(sorted({str(one["version"]) for one in got.facts.values()}))


def _network(site: Site, sites: Mapping[str, str | None]) -> NetworkSeen:
    """Return the network as far as hosts can tell: which host is at which site."""
    topology, members = site.plan.topology, site.plan.members
    routers = [noted.OUTSIDE, *(f"{noted.OUTSIDE}{one}" for one in dict.fromkeys(sites.values()) if one is not None)]
    nodes = [NodeSeen(name, "router") for name in routers]
    nodes += [NodeSeen(host, "host", there, topology.node(host).role) for host, there in sites.items()]
    pairs = [(a, b) for a in members for b in members if a != b]
    return NetworkSeen(tuple(nodes), noted.links(sites), {pair: _path(*pair, sites) for pair in pairs})


def _path(a: str, b: str, sites: Mapping[str, str | None]) -> tuple[str, ...]:
    if sites[a] == sites[b]:
        return a, b
    own, other = ([f"uplink of {sites[end]}"] if sites[end] is not None else [] for end in (a, b))
    return a, *own, *other, b


def _passed(plan: Plan, got: Gathered) -> list[Passed]:
    """Return when peers came and went, as their hosts did it."""
    found = []
    for number, passage in enumerate(plan.arrivals.later):
        name = f"passage-{number}-{passage.what}"
        for done in deeds_of(got, passage.host, name, undone=False):
            found.append(Passed(done.at, passage.host, passage.what))
    return sorted(found, key=lambda one: one.at)


def _faults(
    plan: Plan, got: Gathered, began_at: float, passed: Sequence[Passed]
) -> tuple[list[FaultDone], dict[str, str | None]]:
    """Return what happened, and who was away at the end."""
    happened = [(struck, did(got, struck)) for struck in got.struck]
    ends = [first.at for _, first in happened[1:]]
    last = plan.experiment.sent_by_s
    ends.append(happened[-1][1].at + LAST_S if last is None and happened else began_at + (last or 0.0))
    found, gone = [], dict[str, str | None]()
    moves: list[tuple[float, str, str]] = [(one.at, one.host, one.what) for one in passed]
    absent = set(plan.cast.peers) - set(plan.arrivals.first)
    gone |= {host: plan.topology.site_of(host) for host in sorted(absent)}
    for (struck, done), until in zip(happened, ends, strict=False):
        moves = _passages(plan, gone, moves, done.at)
        gone |= {host: plan.topology.site_of(host) for host in struck.hit.away}
        healed_at = healed(got, struck)
        after = got.trees.settled(done.at, until - BEFORE_NEXT_S, gone)
        found.append(
            FaultDone(
                struck.name,
                struck.fault.action,
                struck.fault.aim,
                struck.hit.label,
                done.at,
                done.evidence,
                struck.hit.away,
                struck.hit.silenced,
                healed_at,
                before=got.trees.at(done.at),
                after=after,
            )
        )
        if healed_at is not None:
            for host in struck.hit.away:
                gone.pop(host, None)
    _passages(plan, gone, moves, float("inf"))
    return found, gone


def _passages(
    plan: Plan, gone: dict[str, str | None], moves: Sequence[tuple[float, str, str]], until: float
) -> list[tuple[float, str, str]]:
    """Take in who came and went until a moment; return what is left."""
    for at, host, what in moves:
        if at > until:
            continue
        if what == "come":
            gone.pop(host, None)
        else:
            gone[host] = plan.topology.site_of(host)
    return [one for one in moves if one[0] > until]


def _troubles(plan: Plan, got: Gathered, gone: Mapping[str, str | None]) -> tuple[str, ...]:
    """Return the programs that failed though nothing was meant for them."""
    found = []
    for host in plan.members:
        code = got.units.get(host, {}).get("ExecMainStatus", "0")
        if code not in ("0", "") and host not in gone and got.units[host].get("MainPID", "0") == "0":
            found.append(f"{host} ended with {code}: {got.last_words.get(host, '')}")
    return tuple(found)


def _cpu(plan: Plan, got: Gathered) -> dict[str, float]:
    found = {}
    for host in plan.members:
        used = got.units.get(host, {}).get("CPUUsageNSec", "")
        if used.isdigit():
            found[host] = round(int(used) / 1e9, 2)
    return found
