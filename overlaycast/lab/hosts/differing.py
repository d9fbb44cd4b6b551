"""What a reader of a run on real hosts has to know: who they were, what nothing measured, and what differs. Pure.

Owns: the lines of the report's section on real hosts. Refuses: to excuse; each line says what is so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from overlaycast.lab.hosts import mapping
from overlaycast.lab.hosts.gathered import Gathered, did
from overlaycast.lab.hosts.mapping import Mapped
from overlaycast.lab.hosts.orders import Site
from overlaycast.lab.results.real_hosts import RealHost, RealHosts

LINKS: Final = "the delays of real links are not known"
WAYS: Final = "the true routers and rates between real hosts are not known, so nothing tells what was found of them"
QUEUES: Final = "frames that found a queue full are counted in routers and switches"
NO_COUNTERS: Final = "not every host has nftables, which counts what enters and leaves a site"
NO_MULTICAST: Final = "IPv4 multicast did not leave the source's host, or every host is in its network"
UNSHAPED: Final = "links are as they are: no rate, delay or loss of the topology was made"
SHAPED: Final = (
    "each pair of hosts got the delay, the loss and the least rate of its path, at the sender; a link that several "
    "pairs share has its rate for each of them"
)
COUNTED: Final = ("inbound_copies_per_site", "inbound_copies_after", "uplink_copies_in", "uplink_copies_out")
LATE_S: Final = 0.25
APART_MS: Final = 2.0
"""A round trip counts as another one than the experiment's beyond this and half of it."""


def round_trips(site: Site, got: Gathered) -> list[dict[str, Any]]:
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
        tuple(_real(one, got, site.artefact) for one in site.hosts),
        not_measured(site, got),
        (*mapping.differences(site.hosts), *_differences(site, got, began_at)),
    )


def _real(one: Mapped, got: Gathered, artefact: Path | None) -> RealHost:
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
        version=str(facts["version"]) if artefact is None else artefact.name,
        kernel=str(facts["kernel"]),
        rtt_ms=None if first is None else round(min(each.rtt_ms for each in clock.exchanges), 3),
        clock_ahead_ms=0.0 if first is None else round(first.offset_ms, 3) + 0.0,
        clock_uncertainty_ms=round(clock.uncertainty_ms, 3),
        clock_drift_ms=round(clock.drift_ms, 3) + 0.0,
    )


def not_measured(site: Site, got: Gathered) -> dict[str, str]:
    """Return the metrics that nothing measured, and why."""
    found = {"queue_overflow": QUEUES, "stretch_mean": LINKS, "stretch_p95": LINKS}
    found |= dict.fromkeys(("complete_paths", "rate_error", "rates_close"), WAYS)
    if not site.counted:
        found |= dict.fromkeys(COUNTED, NO_COUNTERS)
    if got.multicast is None:
        found["multicast_blocked"] = NO_MULTICAST
    return found


def _differences(site: Site, got: Gathered, began_at: float) -> list[str]:
    """Return what is not as on an emulated network, beside the sites."""
    lines = [SHAPED if site.shaped else UNSHAPED]
    far = [row for row in round_trips(site, got) if not row["ok"]]
    if far:
        asked = max(far, key=lambda row: abs(row["asked"]["rtt_ms"] - row["measured"]["rtt_ms"]))
        lines.append(
            f"round trips to the source differ from the experiment's for {len(far)} hosts, most for {asked['link']}: "
            f"{asked['asked']['rtt_ms']:g} ms asked, {asked['measured']['rtt_ms']:g} ms found"
        )
    lines += _of_faults(got, began_at)
    if site.counted:
        lines.append("copies into and out of a site were counted at its hosts' interfaces, not on its uplink")
    if site.artefact is not None:
        lines.append(f"the program was installed from {site.artefact.name} for this run alone")
    beside = {host: facts["beside"] for host, facts in got.facts.items() if facts.get("beside")}
    if beside:
        units = sorted({unit for some in beside.values() for unit in some})
        lines.append(f"{', '.join(units)} ran beside it on {len(beside)} hosts")
    uncertain = max((one.clock.uncertainty_ms for one in got.noted.values()), default=0.0)
    lines.append(
        "latencies, first_record_s, member_first_record_s and delivered_s compare two clocks: their offsets were taken "
        f"off, with up to {uncertain:.2f} ms of error"
    )
    lines.append("processor seconds count from each program's start")
    if site.plan.topology.nats:
        lines.append("no NAT was made: members behind one in the topology can be reached, if their host can")
    return lines


def _of_faults(got: Gathered, began_at: float) -> list[str]:
    """Return what is another thing about the faults."""
    lines = []
    for struck in got.struck:
        late_s = did(got, struck).at - (began_at + struck.fault.at_s)
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
