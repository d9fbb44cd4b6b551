"""Whether hosts fit an experiment, and where it takes place on them. Pure.

Owns: what is asked of each host first, the table of what was mapped to what, the complaints, and the ports. Refuses: a
host that lacks what the experiment needs, by name, before anything is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from overlaycast.errors import ConfigError, MistakesError
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.hosts import deeds, orders, shaping
from overlaycast.lab.hosts.inventory import InventoryHost
from overlaycast.lab.hosts.mapping import Mapped
from overlaycast.lab.hosts.orders import PYTHON, Order, Site
from overlaycast.lab.hosts.severing import Door

TOOLS: Final = ("nft", "tc", "netem", "loop")
PORTS_NEEDED: Final = 2
LEAST_ROOM_MIB: Final = 50
SEND_S: Final = 25.0
"""How long the source's host sends multicast: others listen meanwhile."""

Facts = Mapping[str, Mapping[str, Any]]


def look(plan: Plan, one: InventoryHost, real: Sequence[InventoryHost]) -> Order:
    """Return the first order of a host: say what you have. Routers are traced to a source's host, or from it."""
    sources = [other for other in real if "sources" in other.groups] or list(real)
    others = [other for other in (*sources, *real) if other.name != one.name]
    return {
        "verb": "facts",
        "ports": list(orders.PORTS),
        "count": PORTS_NEEDED,
        "towards": others[0].address if others else None,
        "need": list(TOOLS),
        "ends_after_s": orders.longest_s(plan),
    }


def table(hosts: Sequence[Mapped], facts: Facts) -> list[str]:
    """Return what was mapped to what, in lines that stand below each other."""
    rows = [("host", "part", "site", "is", "address", "found at", "version", "why")]
    rows += [
        (
            one.host,
            one.part,
            one.site or "–",
            one.real.name,
            one.real.address,
            one.found or "–",
            str(facts[one.host].get("version") or "none"),
            one.how,
        )
        for one in hosts
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def check(
    plan: Plan, hosts: Sequence[Mapped], facts: Facts, where: str, *, shaped: bool = False, installs: bool = False
) -> None:
    """Return if every host has what the experiment needs.

    Args:
        plan: the experiment.
        hosts: as mapped.
        facts: host -> what it has.
        where: the inventory, for complaints.
        shaped: the topology's rates and delays will be made.
        installs: the program will be installed for the run.

    Raises:
        MistakesError: one line for each host and thing.
    """
    names = [one.host for one in hosts]
    for_shape = shaping.needs(plan.topology, names) if shaped else frozenset()
    wrong = [
        ConfigError(f"{where}: host {one.real.name} ({one.host}): {line}")
        for one in hosts
        for line in (*_lacks(plan, facts[one.host], installs), *_lacks_for_shape(for_shape, facts[one.host]))
    ]
    if wrong:
        raise MistakesError(wrong)


def _lacks(plan: Plan, has: Mapping[str, Any], installs: bool) -> Iterator[str]:
    if has.get("version") is None and not installs:
        yield "/opt/overlaycast/current is not there; accepted: overlaycast deploy up installs it, or --artefact FILE"
    if len(has.get("ports", ())) < PORTS_NEEDED:
        first, last = orders.PORTS
        yield f"fewer than {PORTS_NEEDED} TCP ports of {first} to {last} are free"
    needs = orders.INSTALLED_MIB if installs else 0
    needs += (orders.stream_bytes(plan.experiment) or 0) * 2 >> 20
    if int(has.get("room_mib", 0)) < needs + LEAST_ROOM_MIB:
        yield f"{has.get('room_mib')} MiB are free in /var/lib; needed: {needs + LEAST_ROOM_MIB}"
    lacks = has.get("lacks", {})
    for tool in sorted(deeds.needs(fault for _, fault in plan.experiment.faults)):
        if tool in lacks:
            faults = sorted({f.action for _, f in plan.experiment.faults if tool in deeds.NEEDS.get(f.action, ())})
            yield f"{', '.join(faults)} cannot be done there: {lacks[tool]}; accepted: install it, or --no-faults"


def _lacks_for_shape(tools: frozenset[str], has: Mapping[str, Any]) -> Iterator[str]:
    for tool in sorted(tools & has.get("lacks", {}).keys()):
        yield f"shape: {has['lacks'][tool]}; accepted: without --shape"


def site(
    run: str, plan: Plan, hosts: Sequence[Mapped], facts: Facts, shaped: bool = False, artefact: Path | None = None
) -> Site:
    """Return where the run takes place, with the ports that are free there."""
    return Site(
        run=run,
        plan=plan,
        hosts=tuple(hosts),
        doors={one.host: Door(one.real.address, int(facts[one.host]["ports"][0])) for one in hosts},
        clock_port=int(facts[plan.cast.source]["ports"][1]),
        loops=frozenset(one.host for one in hosts if "loop" not in facts[one.host]["lacks"]),
        counted=not any("nft" in facts[one.host]["lacks"] for one in hosts),
        shaped=shaped,
        artefact=artefact,
    )


def sending(site: Site, towards: str) -> Order:
    """Return the order that has the source's host send multicast for a while."""
    hand = ["sh", "-c", f'{PYTHON} exec "$p" -I /run/overlaycast-lab/{site.run}/hand.pyz "$@"', "sh", site.run]
    words = [*hand, "multicast", towards, f"{SEND_S:g}"]
    return {"verb": "start", "name": "multicast", "program": {"root": True, "words": words}}


def blocked(site: Site, heard: Mapping[str, int], routers: Mapping[str, Sequence[Any]]) -> bool | None:
    """Return whether no router passed the multicast on; None: that could not be told.

    Args:
        site: the run's.
        heard: host -> how many of the source's datagrams it heard.
        routers: host -> the routers on its way to the source's host. Hosts without one share its network.
    """
    source = site.plan.cast.source
    behind = [host for host in heard if host != source and routers.get(host)]
    if not heard.get(source) or not behind:
        return None
    return not any(heard[host] for host in behind)
