"""From what the hosts noted to a recording, which is judged and reported like that of an emulated run. Pure.

Owns: what of a recording has another source on real hosts, and what is said to differ there. Refuses: to fill in what
was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from overlaycast.errors import LabError
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.faults.faults import Fault, LinkFlap
from overlaycast.lab.hosts import mapping, noted
from overlaycast.lab.hosts.mapping import Mapped
from overlaycast.lab.hosts.noted import Done, Noted, Trees
from overlaycast.lab.hosts.orders import Site
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import (
    FaultDone,
    FileSeen,
    NetworkSeen,
    NodeSeen,
    Passed,
    Recording,
)
from overlaycast.lab.results.result import RealHost, RealHosts
from overlaycast.wire.journal import Begun

BEFORE_NEXT_S: Final = 0.3
LAST_S: Final = 8.0
START_S: Final = 0.5
"""The tree of the beginning is the one that is there so soon after it."""
LINKS: Final = "the delays of real links are not known"
QUEUES: Final = "frames that found a queue full are counted in routers and switches"
NO_COUNTERS: Final = "not every host has nftables, which counts what enters a site"
NO_MULTICAST: Final = "IPv4 multicast did not leave the source's host, or every host is in its network"
UNSHAPED: Final = "links are as they are: no rate, delay or loss of the topology was made"
SHAPED: Final = (
    "each pair of hosts got the delay, the loss and the least rate of its path, at the sender; a link that several "
    "pairs share has its rate for each of them"
)
LATE_S: Final = 0.25
APART_MS: Final = 2.0
"""A round trip counts as another one than the experiment's beyond this and half of it."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that was armed: what it hit, and which hosts have a deed for it."""

    name: str
    fault: Fault
    hit: Hit
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that came from the hosts.

    Attributes:
        facts: host -> what it has.
        journals: by host, dated by the source's clock.
        noted: by host.
        units: host -> how its program was just before the end.
        last_words: host -> the last line of its log.
        received: host -> its file.
        trees: the coordinator's, over time.
        struck: the faults that were armed, in the order of time.
        metrics: the coordinator's figures, if it answered.
        multicast: whether multicast passed no router; None: it could not be told.
        disks: host -> what kind of file system was filled.
    """

    facts: Mapping[str, Mapping[str, Any]]
    journals: Mapping[str, Journal]
    noted: Mapping[str, Noted]
    units: Mapping[str, Mapping[str, str]]
    last_words: Mapping[str, str]
    received: Mapping[str, FileSeen]
    trees: Trees
    struck: Sequence[Struck]
    metrics: Mapping[str, Any] | None = None
    multicast: bool | None = None
    disks: Mapping[str, str] = field(default_factory=dict)


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
        versions={**versions, "installed": ", ".join(sorted({str(one["version"]) for one in got.facts.values()}))},
        started=started,
        ended=ended,
        network=_network(site, sites),
        shaping={"place": "real hosts", "links": SHAPED if site.shaped else UNSHAPED, "means": {}},
        fidelity=_trips(site, got),
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
        hosts=real_hosts(site, got, began_at),
    )


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
        for done in _of(got, passage.host, name, undone=False):
            found.append(Passed(done.at, passage.host, passage.what))
    return sorted(found, key=lambda one: one.at)


def _of(got: Gathered, host: str, name: str, *, undone: bool) -> list[Done]:
    """Return what a host did for a deed, or how it undid it.

    Raises:
        LabError: that did not work.
    """
    found = [one for one in got.noted[host].done() if one.name == name and one.undone == undone]
    for one in found:
        if not one.ok:
            raise LabError(f"fault {name}: {host}: {one.evidence}")
    return found


def _faults(
    plan: Plan, got: Gathered, began_at: float, passed: Sequence[Passed]
) -> tuple[list[FaultDone], dict[str, str | None]]:
    """Return what happened, and who was away at the end."""
    happened = [(struck, _did(got, struck)) for struck in got.struck]
    ends = [first.at for _, first in happened[1:]]
    last = plan.experiment.sent_by_s
    ends.append(happened[-1][1].at + LAST_S if last is None and happened else began_at + (last or 0.0))
    found, gone = [], dict[str, str | None]()
    moves: list[tuple[float, str, str]] = [(one.at, one.host, one.what) for one in passed]
    absent = set(plan.cast.peers) - set(plan.arrivals.first)
    gone |= {host: plan.topology.site_of(host) for host in sorted(absent)}
    for (struck, did), until in zip(happened, ends, strict=False):
        moves = _passages(plan, gone, moves, did.at)
        gone |= {host: plan.topology.site_of(host) for host in struck.hit.away}
        healed_at = _healed(got, struck)
        after = got.trees.settled(did.at, until - BEFORE_NEXT_S, gone)
        found.append(
            FaultDone(
                struck.name,
                struck.fault.action,
                struck.fault.aim,
                struck.hit.label,
                did.at,
                did.evidence,
                struck.hit.away,
                struck.hit.silenced,
                healed_at,
                before=got.trees.at(did.at),
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


def _did(got: Gathered, struck: Struck) -> Done:
    """Return what the hosts did for a fault, as one deed: from the first of them on.

    Raises:
        LabError: a host did not do it.
    """
    found = []
    for host in struck.hosts:
        done = _of(got, host, struck.name, undone=False)
        if not done:
            raise LabError(f"fault {struck.name}: {host} did not do it: its timer has not fired")
        found.append((host, done[0]))
    first = min(done.at for _, done in found)
    said = [done.evidence for _, done in found]
    several = len(found) > 1
    evidence = (
        f"{len(found)} hosts: {said[0]}"
        if several and len(set(said)) == 1
        else ", ".join(f"{host}: {done.evidence}" if several else done.evidence for host, done in found)
    )
    undone = [one.evidence for host in struck.hosts for one in _of(got, host, struck.name, undone=True)]
    dropped = [text for text in undone if text.endswith("had been dropped")]
    if dropped:
        evidence += f"; {sum(int(text.split()[0]) for text in dropped)} packets were dropped"
    return Done(struck.name, False, first, True, evidence)


def _healed(got: Gathered, struck: Struck) -> float | None:
    """Return when the last host had undone it; None: it lasted to the end."""
    if struck.fault.heals_after_s is None:
        return None
    name = struck.name
    if isinstance(struck.fault, LinkFlap) and struck.fault.times > 1:
        name = f"{struck.name}-{struck.fault.times}"
    found = []
    for host in struck.hosts:
        undone = [one for one in _of(got, host, name, undone=True) if not one.at_end]
        if not undone:
            return None
        found.append(undone[-1].at)
    return max(found)


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


def _trips(site: Site, got: Gathered) -> list[dict[str, Any]]:
    """Return, for each host, the round trip to the source that the experiment asks for and the one that was found."""
    source, topology = site.plan.cast.source, site.plan.topology
    found = []
    for one in site.hosts:
        exchanges = got.noted[one.host].clock.exchanges
        if one.host == source or not exchanges:
            continue
        asked = topology.delay_ms(source, one.host) + topology.delay_ms(one.host, source)
        rtt = min(each.rtt_ms for each in exchanges)
        near = asked == 0 or abs(rtt - asked) <= max(APART_MS, asked / 2)
        found.append(
            {
                "link": f"{source} to {one.host} and back",
                "asked": {"rtt_ms": round(asked, 3)},
                "measured": {"rtt_ms": round(rtt, 3)},
                "ok": near,
            }
        )
    return found


def real_hosts(site: Site, got: Gathered, began_at: float) -> RealHosts:
    """Return what a reader has to know of the hosts."""
    return RealHosts(
        tuple(_real(one, got) for one in site.hosts),
        not_measured(site, got),
        (*mapping.differences(site.hosts), *_differences(site, got, began_at)),
    )


def _real(one: Mapped, got: Gathered) -> RealHost:
    clock, facts = got.noted[one.host].clock, got.facts[one.host]
    first = clock.exchanges[0] if clock.exchanges else None
    return RealHost(
        host=one.host,
        real=one.real.name,
        address=one.real.address,
        part=one.part,
        site=one.site,
        found=one.found,
        how=one.how,
        version=str(facts["version"]),
        kernel=str(facts["kernel"]),
        rtt_ms=None if first is None else round(min(each.rtt_ms for each in clock.exchanges), 3),
        clock_ahead_ms=0.0 if first is None else round(first.offset_ms, 3) + 0.0,
        clock_uncertainty_ms=round(clock.uncertainty_ms, 3),
        clock_drift_ms=round(clock.drift_ms, 3) + 0.0,
    )


def not_measured(site: Site, got: Gathered) -> dict[str, str]:
    """Return the metrics that nothing measured, and why."""
    found = {"queue_overflow": QUEUES, "stretch_mean": LINKS, "stretch_p95": LINKS}
    if not site.counted:
        found |= dict.fromkeys(("inbound_copies_per_site", "inbound_copies_after"), NO_COUNTERS)
    if got.multicast is None:
        found["multicast_blocked"] = NO_MULTICAST
    return found


def _differences(site: Site, got: Gathered, began_at: float) -> list[str]:
    """Return what is not as on an emulated network, beside the sites."""
    lines = [SHAPED if site.shaped else UNSHAPED]
    far = [row for row in _trips(site, got) if not row["ok"]]
    if far:
        asked = max(far, key=lambda row: abs(row["asked"]["rtt_ms"] - row["measured"]["rtt_ms"]))
        lines.append(
            f"round trips to the source differ from the experiment's for {len(far)} hosts, most for {asked['link']}: "
            f"{asked['asked']['rtt_ms']:g} ms asked, {asked['measured']['rtt_ms']:g} ms found"
        )
    lines += _of_faults(got, began_at)
    if site.counted:
        lines.append("copies into a site were counted at its hosts' interfaces, not on its uplink")
    beside = {host: facts["beside"] for host, facts in got.facts.items() if facts.get("beside")}
    if beside:
        units = sorted({unit for some in beside.values() for unit in some})
        lines.append(f"{', '.join(units)} ran beside it on {len(beside)} hosts")
    uncertain = max((one.clock.uncertainty_ms for one in got.noted.values()), default=0.0)
    lines.append(f"latencies compare two clocks: their offsets were taken off, with up to {uncertain:.2f} ms of error")
    lines.append("processor seconds count from each program's start")
    if site.plan.topology.nats:
        lines.append("no NAT was made: members behind one in the topology can be reached, if their host can")
    return lines


def _of_faults(got: Gathered, began_at: float) -> list[str]:
    """Return what is another thing about the faults."""
    lines = []
    for struck in got.struck:
        late_s = _did(got, struck).at - (began_at + struck.fault.at_s)
        if late_s > LATE_S:
            lines.append(f"fault {struck.name} took effect {late_s:.1f} s later than asked: orders took so long")
    if any(struck.hit.links or struck.hit.borders for struck in got.struck):
        lines.append(
            "faults of links were carried out at the hosts: they drop or hold packets of this run only, between the "
            "hosts whose path in the topology crosses the link"
        )
    actions = {struck.fault.action for struck in got.struck}
    if "link-rate" in actions:
        lines.append("a lower rate drops what comes in above it; only what goes out waits in a queue")
    if "link-delay" in actions:
        lines.append("a longer delay is added to the real one")
    lines += [f"the full disk of {host} was {kind}" for host, kind in sorted(got.disks.items())]
    return lines
