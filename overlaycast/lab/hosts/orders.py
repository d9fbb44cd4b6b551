"""What hosts are ordered to do: folders, programs, counters, and when everything ends by itself. Pure.

Owns: the orders of one run and the words of its programs, which are those of an emulated run with the deployment's own
program, ports and addresses. Refuses: to carry them out (``hands``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from overlaycast.lab.experiment import systems
from overlaycast.lab.experiment.experiment import Experiment, FileStream, MediaStream, SyntheticStream
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.faults.fixtures import fixtures
from overlaycast.lab.hosts import severing, shaping
from overlaycast.lab.hosts.deeds import DISK, Deed
from overlaycast.lab.hosts.mapping import Mapped
from overlaycast.lab.hosts.severing import Door
from overlaycast.lab.run import programs
from overlaycast.lab.run.programs import COORDINATOR, PROGRAM, Folders, Membership

DEPLOYED: Final = Path("/opt/overlaycast")
ARTEFACT: Final = "artefact.tar"
PROGRAM_FOLDER: Final = "program"
"""Below the run's folder, where the program is not the deployment's."""
INSTALLED_MIB: Final = 300
DATA: Final = Path("/var/lib/overlaycast-lab")
PORTS: Final = (8600, 8699)
"""A run's ports are the first free ones of these; those of the deployment are below."""
STAGGER_S: Final = 0.25
"""From one member's start to the next one's, so that they join in the plan's order."""
SETUP_S: Final = 300.0
"""For all that is done before the stream and after it, by whoever runs the experiment."""
DISK_SLACK_MIB: Final = 64
UNKNOWN_S: Final = 3600.0
"""A stream whose length is not known may take so long."""

Order = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """Where a run takes place: the hosts, as mapped, and the ports that were found free on each.

    Attributes:
        run: its name on the hosts.
        plan: the experiment.
        hosts: in the order coordinator, source, backups, peers.
        doors: host -> the address and port of its program.
        clock_port: of the source's host, where others ask for the time.
        loops: hosts that can have a file system in a loop file.
        counted: every host can count packets.
        shaped: the topology's rates, delays and losses are made at the hosts.
        artefact: what the program is installed from for this run; None: it is the deployment's.
    """

    run: str
    plan: Plan
    hosts: tuple[Mapped, ...]
    doors: Mapping[str, Door]
    clock_port: int
    loops: frozenset[str]
    counted: bool
    shaped: bool = False
    artefact: Path | None = None

    @property
    def folders(self) -> Folders:
        """Return the folders of the run on each host."""
        return Folders(DATA / self.run, DATA / self.run / "state")

    @property
    def binary(self) -> str:
        """Return the program on each host."""
        prefix = DEPLOYED if self.artefact is None else self.folders.out / PROGRAM_FOLDER
        return str(prefix / "current" / "bin" / "overlaycast")

    @property
    def numbers(self) -> dict[str, int]:
        """Return a number for each host, for names that nftables accepts."""
        return {one.host: number for number, one in enumerate(self.hosts)}

    @property
    def real(self) -> dict[str, str]:
        """Return ``{host of the experiment: the inventory's}``."""
        return {one.host: one.real.name for one in self.hosts}

    def output(self, host: str) -> str:
        """Return where a receiver's stream ends, below the run's folder."""
        disks = fixtures(fault for _, fault in self.plan.experiment.faults).disks
        return f"{DISK}/{host}" if host in disks else f"received/{host}"


def longest_s(plan: Plan) -> float:
    """Return after how many seconds a run ends by itself on every host, whatever becomes of its controller."""
    experiment = plan.experiment
    streamed = experiment.sent_by_s if experiment.sent_by_s is not None else UNKNOWN_S
    heals = max((fault.at_s + (fault.heals_after_s or 0.0) for _, fault in experiment.faults), default=0.0)
    return SETUP_S + experiment.limits.start_s + max(streamed, heals) + experiment.limits.end_s


def stream_bytes(experiment: Experiment) -> int | None:
    """Return the size of a stream that a seed gives; None: it is a file of the controller's."""
    stream = experiment.stream
    if isinstance(stream, SyntheticStream):
        return round(stream.seconds * stream.rate_mbit * 125_000)
    if isinstance(stream, FileStream) and stream.path is None:
        return round(stream.size_mib * (1 << 20))
    return None


def prepare(site: Site, sizes: Mapping[str, int]) -> dict[str, list[Order]]:
    """Return the first orders of each host: folders, the end of everything, counters, clock, what notes footprints.

    Args:
        site: the run's.
        sizes: host -> MiB of the file system that will be filled.
    """
    found: dict[str, list[Order]] = {}
    experiment, cast = site.plan.experiment, site.plan.cast
    for one in site.hosts:
        order: Order = {"verb": "prepare"}
        if site.counted:
            others = [other.host for other in site.hosts if other.host != one.host]
            order["counters"] = severing.counting(one.host, others, site.doors, site.numbers)
        if one.host in sizes:
            order["disk"] = {"folder": DISK, "size_mib": sizes[one.host], "loop": one.host in site.loops}
        if one.host == cast.source and (size := stream_bytes(experiment)) is not None:
            order["bytes"] = {"seed": site.plan.seed, "size": size}
        own = COORDINATOR if one.host == cast.coordinator else one.host
        found[one.host] = [order, _serving(site, "meter", ["meter", own])]
        if one.host == cast.source:
            found[one.host].append(_serving(site, "clock", ["clock", str(site.clock_port)]))
    return found


def shape(site: Site) -> dict[str, list[Order]]:
    """Return the orders that shape what each host sends to the others, until the run ends."""
    hosts = [one.host for one in site.hosts]
    found = {}
    for host in hosts:
        others = [other for other in hosts if other != host]
        order = arm(shaping.shape(site.plan.topology, host, others, site.doors), 0.0, 0.0)
        found[host] = [{**order, "lasts_s": longest_s(site.plan)}]
    return found


def _serving(site: Site, name: str, words: Sequence[str]) -> Order:
    """Return the order to start a part of the hand, as root."""
    hand = ["sh", "-c", f'{PYTHON} exec "$p" -I /run/overlaycast-lab/{site.run}/hand.pyz "$@"', "sh", site.run]
    return {"verb": "start", "name": name, "program": {"root": True, "words": [*hand, *words]}}


PYTHON: Final = "p=/opt/overlaycast/current/bin/python; [ -x $p ] || p=python3;"
"""Shell: which Python runs the hand. The deployment's own; else the system's."""


def disk_sizes(plan: Plan) -> dict[str, int]:
    """Return ``{host: MiB}`` of file systems to be filled: the stream has room there until it is."""
    rate = plan.experiment.group.rate_mbit
    size = stream_bytes(plan.experiment) or round((plan.experiment.stream_s or 60.0) * rate * 125_000)
    disks = fixtures(fault for _, fault in plan.experiment.faults).disks
    return {host: (size >> 20) + DISK_SLACK_MIB for host in sorted(disks)}


def start_coordinator(site: Site) -> list[Order]:
    """Return the orders that start the coordinator, make the group and note its trees."""
    plan = site.plan
    port = site.doors[plan.cast.coordinator].port
    six = any(door.family == "ip6" for door in site.doors.values())
    words = programs.coordinator(site.folders, six=six, port=port)
    raw = ["AmbientCapabilities=CAP_NET_RAW", "CapabilityBoundingSet=CAP_NET_RAW"]
    first = len(plan.arrivals.first)
    group = programs.create_group(systems.grouped(plan.system, plan.experiment), site.folders, first, port)
    return [
        {"verb": "start", "name": COORDINATOR, "program": {"words": _installed(site, words), "properties": raw}},
        {"verb": "ready", "patience_s": 30.0},
        {"verb": "group", "words": _installed(site, group)},
        _serving(site, "trees", ["trees", plan.experiment.name]),
    ]


def _installed(site: Site, words: Sequence[str]) -> list[str]:
    """Return a command of the lab's as one of the program that is installed."""
    return [site.binary, *words[len(PROGRAM) :]]


def start_members(site: Site) -> dict[str, list[Order]]:
    """Return the orders that start the first members one after the other, and prepare those that come later."""
    plan = site.plan
    first = (plan.cast.source, *plan.cast.backups, *plan.arrivals.first)
    found: dict[str, list[Order]] = {}
    for host in plan.cast.members:
        program = {"words": member(site, host), "token": True}
        if host not in first:
            found[host] = [{"verb": "prepared", "name": host, "program": program}]
            continue
        after_s = 1.0 + first.index(host) * STAGGER_S
        wait = {"verb": "wait", "name": host, "what": "joined", "patience_s": plan.experiment.limits.start_s + after_s}
        start = {"verb": "start", "name": host, "program": program, "after_s": after_s}
        found[host] = [start, {**wait, "starts_after_s": after_s}]
    return found


def member(site: Site, host: str) -> list[str]:
    """Return the command of a host's member."""
    plan, cast, folders = site.plan, site.plan.cast, site.folders
    experiment, door = plan.experiment, site.doors[host]
    coordinator = site.doors[cast.coordinator]
    url = programs.url(coordinator.address, coordinator.port)
    group = Membership(experiment.name, url, "", "${CREDENTIALS_DIRECTORY}/token")
    listen = f"[::]:{door.port}" if door.family == "ip6" else f"0.0.0.0:{door.port}"
    own = ["--listen", listen, "--advertise", door.address]
    if (upload := experiment.members.upload_mbit.get(host)) is not None:
        own += ["--upload-mbit", f"{upload:g}"]
    if experiment.members.congestion is not None:
        own += ["--congestion", experiment.members.congestion]
    unused = folders.state  # the token is in a credential of systemd
    if host == cast.source:
        words = programs.send(experiment, host, group, folders, folders.out / "stream", unused)
    elif host in cast.backups:
        words = programs.backup(host, group, folders, unused)
    else:
        words = programs.join(host, group, folders, unused, str(folders.out / site.output(host)))
    return [*_installed(site, words), *own]


def arrivals(site: Site, began_at: float) -> dict[str, list[Order]]:
    """Return the orders for peers that come and go: all are armed when the stream begins. Times are the source's."""
    found: dict[str, list[Order]] = {}
    for number, passage in enumerate(site.plan.arrivals.later):
        step = {
            "come": {"kind": "start", "unit": passage.host},
            "leave": {"kind": "signal", "unit": passage.host, "signal": "TERM"},
            "kill": {"kind": "signal", "unit": passage.host, "signal": "KILL"},
        }[passage.what]
        deed = Deed(f"passage-{number}-{passage.what}", (step,))
        found.setdefault(passage.host, []).append(arm(deed, began_at + passage.at_s, 0.0))
    return found


def arm(deed: Deed, at: float, until: float) -> Order:
    """Return the order that arms a deed.

    Args:
        deed: what.
        at: when the fault is to happen (wall seconds of the host).
        until: when it is undone at the latest.
    """
    begins = at + deed.after_s
    ends = until if deed.lasts_s is None else begins + deed.lasts_s
    return {
        "verb": "arm",
        "name": deed.name,
        "do": list(deed.steps),
        "undo": list(deed.undo),
        "at": begins,
        "undo_at": ends,
    }


def gather(site: Site) -> dict[str, list[Order]]:
    """Return the last orders but one: what was recorded goes into one file."""
    found: dict[str, list[Order]] = {}
    cast = site.plan.cast
    for one in site.hosts:
        names = [COORDINATOR] if one.host == cast.coordinator else [one.host]
        order: Order = {"verb": "gather", "names": names}
        if one.host in cast.peers:
            order["output"] = site.output(one.host)
        found[one.host] = [order]
    return found


def media_of(plan: Plan) -> bool:
    """Return whether the stream is a video, whose file is carried to the source's host."""
    return isinstance(plan.experiment.stream, MediaStream)
