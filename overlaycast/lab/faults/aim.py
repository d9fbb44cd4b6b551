"""From a fault's target to what it hits: members, links, routers, and the members that it cuts off. Pure.

Owns: the notation for links (``uplink:SITE``, ``link:A/B``), and which members are away while a link, a router or a
site is cut. Refuses: names that the network does not have (``complaint``), and faults that would hit no member
(``LabError``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

import networkx as nx

from overlaycast.errors import LabError
from overlaycast.lab.faults import targets
from overlaycast.lab.faults.faults import Fault, Partition
from overlaycast.lab.faults.tree import Tree
from overlaycast.lab.results.fault_seen import SEVERAL
from overlaycast.lab.topology.topology import Topology

UPLINK: Final = "uplink:"
LINK: Final = "link:"
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Hit:
    """What a fault hits.

    Attributes:
        label: what it hits, for people.
        members: hosts whose programs it acts on.
        links: pairs of nodes whose links it acts on.
        borders: routers that separate what is cut off from the rest (partition).
        inside: all hosts on the far side of these.
        away: members that cannot serve while it lasts.
        silenced: members whose children get nothing from them; ``away`` among them.
    """

    label: str
    members: tuple[str, ...] = ()
    links: tuple[Pair, ...] = ()
    borders: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    away: tuple[str, ...] = ()
    silenced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ground:
    """What aiming needs to know of a run: its network, its members, and where the source is."""

    topology: Topology
    members: tuple[str, ...]
    source: str

    def access(self, host: str) -> Pair:
        """Return the two ends of a host's access link."""
        link = self.topology.links_of(host)[0]
        return link.a, link.b

    def link(self, target: str) -> Pair | None:
        """Return the ends of the link that an expression names by itself; None if it names a member."""
        if target.startswith(UPLINK):
            ends = self._uplink(target.removeprefix(UPLINK))
            return ends
        if target.startswith(LINK):
            a, _, b = target.removeprefix(LINK).partition("/")
            return (a, b)
        return None

    def _uplink(self, site: str) -> Pair:
        link = self.topology.link(self.topology.uplinks_of(site)[0].link)
        return link.a, link.b

    def links_of_router(self, router: str) -> tuple[Pair, ...]:
        """Return the links of a router."""
        return tuple((link.a, link.b) for link in self.topology.links_of(router))

    def cut_off(self, cut: tuple[Pair, ...]) -> tuple[str, ...]:
        """Return the members that cannot reach the source while these links are down."""
        links: nx.Graph[str] = nx.Graph((link.a, link.b) for link in self.topology.links)
        links.remove_edges_from(cut)
        reached = nx.node_connected_component(links, self.source)
        return tuple(member for member in self.members if member not in reached)

    def borders(self, sites: tuple[str, ...]) -> tuple[str, ...]:
        """Return the routers at the inner end of these sites' uplinks."""
        found = []
        for site in sites:
            for uplink in self.topology.uplinks_of(site):
                link = self.topology.link(uplink.link)
                found.append(link.b if uplink.inbound == "ab" else link.a)
        return tuple(dict.fromkeys(found))


def complaint(fault: Fault, ground: Ground, receivers: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the field and what is wrong with what a fault aims at, on this network; or None."""
    topology = ground.topology
    if isinstance(fault, Partition):
        return _sites_complaint(fault, ground)
    if fault.aims_at == "coordinator":
        return None
    wrong: str | None
    if fault.aims_at == "router":
        routers = [node.name for node in topology.routers]
        wrong = None if fault.aim in routers else f"no router {fault.aim!r}; accepted: {', '.join(routers)}"
    elif fault.aims_at == "host":
        known = ", ".join(receivers)
        wrong = None if fault.aim in receivers else f"{fault.aim!r} is no receiver's host; accepted: {known}"
    elif fault.aims_at == "link":
        wrong = _link_complaint(fault, ground)
    else:
        wrong = _member_complaint(fault.aim, topology)
    return None if wrong is None else ("target", wrong)


def _member_complaint(target: str, topology: Topology) -> str | None:
    return targets.complaint(target, [node.name for node in topology.hosts()], topology.sites)


def _sites_complaint(fault: Partition, ground: Ground) -> tuple[str, str] | None:
    known = [site for site in ground.topology.sites if ground.topology.uplinks_of(site)]
    for site in fault.sites:
        if site not in known:
            return "sites", f"no site {site!r} with an uplink; accepted: {', '.join(known) or 'none here'}"
    if ground.topology.node(ground.source).site in fault.sites:
        return "sites", "the source's site cannot be cut off; name the other side"
    return None


def _link_complaint(fault: Fault, ground: Ground) -> str | None:
    target, topology = fault.aim, ground.topology
    if target.startswith(UPLINK):
        site = target.removeprefix(UPLINK)
        known = [one for one in topology.sites if topology.uplinks_of(one)]
        return None if site in known else f"no site {site!r} with an uplink; accepted: {', '.join(known)}"
    if target.startswith(LINK):
        pair = ground.link(target)
        ends = [{link.a, link.b} for link in topology.links]
        return None if pair and set(pair) in ends else f"no link {target!r}; accepted: {LINK}A/B with two neighbours"
    if fault.action.startswith("link-") and not fault.takes_away and target not in ground.members:
        # what shapes a link is chosen when the network is built, so it must be known by then
        return f"{target!r}; accepted: a member's host, {UPLINK}SITE, {LINK}A/B"
    wrong = _member_complaint(target, topology)
    return wrong and f"{wrong}; or {UPLINK}SITE, {LINK}A/B"


def aim(fault: Fault, ground: Ground, tree: Tree, gone: Mapping[str, str | None], draw: Random) -> Hit:
    """Return what a fault hits now.

    Raises:
        LabError: no member fits.
    """
    match fault.aims_at:
        case "coordinator":
            return Hit("coordinator")
        case "sites":
            return _sites(fault, ground)
        case "router":
            links = ground.links_of_router(fault.aim)
            away = ground.cut_off(links)
            return Hit(fault.aim, links=links, away=away, silenced=away)
        case "link":
            return _link(fault, ground, tree, gone, draw)
        case _:
            hosts = targets.resolve(fault.aim, tree, gone, draw)
            away = hosts if fault.takes_away else ()
            silenced = hosts if fault.takes_away or fault.silences else ()
            return Hit(SEVERAL.join(hosts), members=hosts, away=away, silenced=silenced)


def _link(fault: Fault, ground: Ground, tree: Tree, gone: Mapping[str, str | None], draw: Random) -> Hit:
    pair, pairs = ground.link(fault.aim), tuple[Pair, ...]()
    if pair is not None:
        label, pairs = "-".join(pair), (pair,)
    else:
        hosts = targets.resolve(fault.aim, tree, gone, draw)
        label, pairs = SEVERAL.join(hosts), tuple(ground.access(host) for host in hosts)
    away = ground.cut_off(pairs) if fault.takes_away else ()
    return Hit(label, links=pairs, away=away, silenced=away)


def _sites(fault: Fault, ground: Ground) -> Hit:
    if not isinstance(fault, Partition):
        raise LabError(f"fault {fault.action} does not aim at sites")
    inside = tuple(host.name for site in fault.sites for host in ground.topology.hosts(site=site))
    away = tuple(host for host in inside if host in ground.members)
    return Hit(fault.aim, borders=ground.borders(fault.sites), inside=inside, away=away, silenced=away)


def changeable(faults: tuple[Fault, ...], ground: Ground) -> tuple[Pair, ...]:
    """Return the links whose shape the timeline will change: they must be built so that they can."""
    found = []
    for fault in faults:
        if fault.aims_at == "link" and not fault.takes_away:
            found.append(ground.link(fault.aim) or ground.access(fault.aim))
    return tuple(dict.fromkeys(found))
