"""The course of one run on real hosts: look, map, prepare, stream with faults, gather, remove.

Owns: the order of things and their time limits. Refuses: to decide what is done (``orders``, ``deeds``), and to
conclude (``recorded``).

Invariants: nothing is changed on a host before all of them are known to fit; whatever ends a run, it is removed from
the hosts, and where this program can no longer do that, a timer of each host does; a fault is armed with its heal
before it.
"""

from __future__ import annotations

import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from overlaycast.errors import LabError, OverlaycastError
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.faults.faults import Fault
from overlaycast.lab.faults.tree import Tree
from overlaycast.lab.hosts import aiming, clocks, deeds, fitting, orders, recorded
from overlaycast.lab.hosts.clocks import Clock, Exchange
from overlaycast.lab.hosts.files import Sent
from overlaycast.lab.hosts.gathered import Gathered, Struck
from overlaycast.lab.hosts.hands import Hands, HostsError, Stopped
from overlaycast.lab.hosts.inventory import InventoryHost
from overlaycast.lab.hosts.mapping import mapped
from overlaycast.lab.hosts.noted import Noted, Trees
from overlaycast.lab.hosts.orders import Order, Site
from overlaycast.lab.recording import journals
from overlaycast.lab.recording.recording import Recording
from overlaycast.lab.run import media
from overlaycast.lab.run.control import parse_tree
from overlaycast.lab.run.programs import COORDINATOR, Folders
from overlaycast.lab.run.progress import RunProgress

HEAR_S: Final = 2.0
SLACK_S: Final = 2.0
LEAST_LEAD_S: Final = 4.0
WAIT_S: Final = 0.2
LARGEST: Final = 256 << 20
"""A journal or log of a host may have so many bytes."""


@dataclass(slots=True)
class RealRun:
    """One run in progress.

    Attributes:
        plan: what to run.
        hands: on the hosts.
        progress: where it is shown.
        stop: whether the user asked to stop.
        shaped: the topology's rates, delays and losses are to be made at the hosts.
        artefact: the program is to be installed from it for this run; None: it is the deployment's.
        struck: the faults that were armed.
        lead_s: how long before its time a fault is aimed, so that it can be armed in time.
        clocks: host -> its clock against the source's.
        routers: host -> the routers on its way to the source's host.
        began_at: when the source began, by its own clock.
        ahead_s: what the source's clock is ahead of this machine's, to a second or two: enough to wait by.
    """

    plan: Plan
    hands: Hands
    progress: RunProgress
    stop: Callable[[], bool]
    shaped: bool = False
    artefact: Path | None = None
    struck: list[Struck] = field(default_factory=list)
    lead_s: float = LEAST_LEAD_S
    clocks: dict[str, Clock] = field(default_factory=dict)
    routers: dict[str, Sequence[Any]] = field(default_factory=dict)
    began_at: float = 0.0
    ahead_s: float = 0.0

    def look(self, run: str, real: Sequence[InventoryHost], where: str) -> tuple[Site, dict[str, dict[str, Any]]]:
        """Look at all hosts, and return where the run takes place, with what each host has. Changes nothing but /run.

        Raises:
            MistakesError: hosts do not fit; one line for each problem.
        """
        self.progress.step(f"looking at {len(real)} hosts")
        self.hands.carry([one.name for one in real])
        before = time.time()
        answers = self._asked({one.name: [fitting.look(self.plan, one, real)] for one in real})
        now = (before + time.time()) / 2
        found = {name: each[0] for name, each in answers.items()}
        routers = {name: facts["routers"] for name, facts in found.items()}
        hosts = mapped(self.plan.cast, self.plan.topology, real, routers, where)
        facts = {one.host: found[one.real.name] for one in hosts}
        for line in fitting.table(hosts, facts):
            self.progress.event(line)
        installs = self.artefact is not None
        fitting.check(self.plan, hosts, facts, where, shaped=self.shaped, installs=installs)
        self.routers = {host: one["routers"] for host, one in facts.items()}
        self.ahead_s = facts[self.plan.cast.source]["clock"] - now
        return fitting.site(run, self.plan, hosts, facts, self.shaped, self.artefact), facts

    # -- before the stream ---------------------------------------------------------------------------------------

    def prepare(self, site: Site, file: Path) -> tuple[dict[str, str], bool | None]:
        """Make folders, start what serves the run, measure clocks.

        Return what kind of file system is filled, by host, and whether multicast is blocked.
        """
        self.progress.step("preparing the hosts")
        made = self._ask(site, orders.prepare(site, orders.disk_sizes(self.plan)))
        disks = {host: one["disk"] for host, each in made.items() for one in each if "disk" in one}
        if site.artefact is not None:
            self.progress.step(f"installing {site.artefact.name} for this run")
            self.hands.give(list(site.real.values()), site.artefact, str(site.folders.out / orders.ARTEFACT))
            order = {"verb": "install", "file": orders.ARTEFACT, "to": orders.PROGRAM_FOLDER}
            self._ask(site, {host: [order] for host in site.doors})
        if orders.stream_bytes(self.plan.experiment) is None:
            self.progress.step(f"carrying {file.name} to the source's host")
            self.hands.give([site.real[self.plan.cast.source]], file, str(site.folders.out / "stream"))
        self.progress.step("measuring clocks, and whether multicast passes")
        blocked = self._multicast(site)
        began = time.monotonic()
        self._measure_clocks(site)
        if site.shaped:
            self.progress.step("shaping what the hosts send to each other")
            self._ask(site, orders.shape(site))
        self.lead_s = max(LEAST_LEAD_S, 2 * (time.monotonic() - began) + SLACK_S)
        return disks, blocked

    def _multicast(self, site: Site) -> bool | None:
        """Return whether no router forwards multicast; None: that cannot be told here."""
        source = self.plan.cast.source
        towards = {host: next(d.address for h, d in site.doors.items() if h != host) for host in site.doors}
        if any(door.family == "ip6" for door in site.doors.values()):
            return None
        send = fitting.sending(site, towards[source])
        hear = {host: [{"verb": "hear", "towards": towards[host], "seconds": HEAR_S}] for host in site.doors}
        answers = self._ask(site, {source: [send]}, hear)
        heard = {host: each[-1]["heard"] for host, each in answers.items()}
        return fitting.blocked(site, heard, self.routers)

    def _measure_clocks(self, site: Site) -> None:
        source = self.plan.cast.source
        door = site.doors[source]
        order = {"verb": "clock", "address": door.address, "port": site.clock_port}
        answers = self._ask(site, {one.host: [order] for one in site.hosts if one.host != source})
        self.clocks.setdefault(source, clocks.REFERENCE)
        for host, [one] in answers.items():
            seen = Exchange(one["at"], one["offset_ms"], one["uncertainty_ms"], one["rtt_ms"])
            self.clocks[host] = Clock((*self.clocks.get(host, clocks.REFERENCE).exchanges, seen))

    def start(self, site: Site) -> None:
        """Start coordinator, group and members, and return once the source has begun."""
        cast, first = self.plan.cast, self.plan.arrivals.first
        self.progress.step("starting the coordinator")
        self._ask(site, {cast.coordinator: orders.start_coordinator(site)})
        self.hands.share_token(site.real[cast.coordinator], [site.real[host] for host in cast.members])
        self.progress.step(f"starting {len(first)} receivers, {len(cast.backups)} backup, the source")
        self._ask(site, orders.start_members(site))
        patience_s = self.plan.experiment.limits.start_s
        wait = {"verb": "wait", "name": cast.source, "what": "begun", "patience_s": patience_s}
        [answer] = self._ask(site, {cast.source: [wait]})[cast.source]
        self.began_at = answer["t"]
        self.progress.step(f"streaming to {len(first)} receivers")

    # -- the stream ----------------------------------------------------------------------------------------------

    def stream(self, site: Site) -> None:
        """Arm all faults, each with its heal, and return when every receiver has come to its end."""
        experiment = self.plan.experiment
        early = [one for one in experiment.faults if aiming.known(self.plan, one[1])]
        at_once: dict[str, list[Order]] = orders.arrivals(site, self.began_at)
        at_once = {host: [self._own(host, order) for order in some] for host, some in at_once.items()}
        for name, fault in early:
            self._add(at_once, self._struck(site, name, fault, None))
        if at_once:
            self._ask(site, at_once)
        for name, fault in experiment.faults:
            if aiming.known(self.plan, fault):
                continue
            self._until(self.began_at + fault.at_s - self.lead_s)
            armed: dict[str, list[Order]] = {}
            self._add(armed, self._struck(site, name, fault, self._tree(site)))
            self._ask(site, armed)
        self.struck.sort(key=lambda one: one.fault.at_s)
        self._wait_for_end(site)

    def _struck(self, site: Site, name: str, fault: Fault, tree: Tree | None) -> dict[str, list[Order]]:
        """Aim a fault, remember it, and return the orders that arm it."""
        gone = aiming.gone_at(self.plan, self.struck, fault.at_s)
        hit = aiming.hit(self.plan, name, fault, tree, gone)
        done = deeds.deeds(fault, name, hit, self.plan.topology, site.doors, self.plan.cast.coordinator)
        self.struck.append(Struck(name, fault, hit, tuple(done)))
        at = self.began_at + fault.at_s
        hosts = f"{len(done)} host{'s' if len(done) > 1 else ''}"
        self.progress.event(f"fault {name} at {fault.at_s:g} s: {fault.action} {hit.label}, armed on {hosts}")
        last = self.began_at + self._length_s() + self.plan.experiment.limits.end_s + orders.SETUP_S / 2
        return {host: [self._own(host, orders.arm(one, at, last)) for one in some] for host, some in done.items()}

    def _own(self, host: str, order: Order) -> Order:
        """Return an order with its times as the host's own clock shows them."""
        clock = self.clocks[host]
        return {**order, "at": clock.own(order["at"]), "undo_at": clock.own(order["undo_at"])}

    @staticmethod
    def _add(to: dict[str, list[Order]], more: Mapping[str, Sequence[Order]]) -> None:
        for host, some in more.items():
            to.setdefault(host, []).extend(some)

    def _tree(self, site: Site) -> Tree:
        order = {"verb": "look", "group": self.plan.experiment.name}
        coordinator = self.plan.cast.coordinator
        try:
            [answer] = self._ask(site, {coordinator: [order]})[coordinator]
        except HostsError:
            if not self.struck:
                raise
            raise LabError(
                "the coordinator does not answer, so a fault that aims at the tree cannot be aimed"
            ) from None
        return parse_tree(answer["tree"], self.plan.topology.site_of)

    def _length_s(self) -> float:
        """Return how long the stream lasts, with all that happens in it."""
        experiment = self.plan.experiment
        heals = [fault.at_s + (fault.heals_after_s or 0.0) for _, fault in experiment.faults]
        later = [one.at_s for one in self.plan.arrivals.later]
        return max([experiment.sent_by_s or 0.0, *heals, *later])

    def _wait_for_end(self, site: Site) -> None:
        experiment, cast = self.plan.experiment, self.plan.cast
        self._until(self.began_at + self._length_s())
        gone = aiming.gone_at(self.plan, self.struck, float("inf"))
        patience_s = experiment.limits.end_s if experiment.sent_by_s is not None else orders.UNKNOWN_S
        hosts = [host for host in (cast.source, *cast.peers) if host not in gone]
        wait = {host: [{"verb": "wait", "name": host, "what": "over", "patience_s": patience_s}] for host in hosts}
        answers = self._ask(site, wait)
        late = [host for host, each in answers.items() if each[0].get("late")]
        if late:
            self.progress.event(f"not ended in time: {', '.join(late)}", bad=True)
        self.progress.step("the stream has ended; members are leaving")

    def _until(self, t: float) -> None:
        """Return at a time of the source's clock; this machine's may differ by less than a fault's lead."""
        total = self._length_s()
        while (left := t - self._now()) > 0:
            if self.stop():
                raise Stopped("stopped")
            passed = self._now() - self.began_at
            self.progress.state(f"{passed:.0f} s", min(1.0, passed / total) if total else None)
            time.sleep(min(left, WAIT_S))

    def _now(self) -> float:
        return time.time() + self.ahead_s

    # -- after it ------------------------------------------------------------------------------------------------

    def gather(self, site: Site, facts: Mapping[str, Any], sent: Sent, to: Folders) -> Gathered:
        """End the programs, and bring home what was noted."""
        self.progress.step("gathering journals")
        coordinator = self.plan.cast.coordinator
        metrics = self._ask(site, {coordinator: [{"verb": "metrics", "group": self.plan.experiment.name}]})
        with suppress(HostsError):
            self._measure_clocks(site)
        ends = orders.gather(site)
        last = {coordinator: ends.pop(coordinator)}
        answers = {host: each[-1] for host, each in self._ask(site, ends, last).items()}
        archives = to.out / "hosts"
        archives.mkdir(parents=True, exist_ok=True)
        self.hands.fetch(list(site.real.values()), archives)
        noted = {host: self._noted(host, archives / f"{real}.tar.gz", to) for host, real in site.real.items()}
        known = {host: journals.read(host, to.journal(host)) for host in self.plan.members}
        return Gathered(
            facts=facts,
            journals={host: clocks.set_right(one, self.clocks[host]) for host, one in known.items()},
            noted=noted,
            units={host: next(iter(one["units"].values())) for host, one in answers.items()},
            last_words={host: next(iter(one["last_words"].values())) for host, one in answers.items()},
            received={host: sent.received(**one["received"]) for host, one in answers.items() if one["received"]},
            trees=Trees(noted[coordinator].tree_changes(lambda one: parse_tree(one, self.plan.topology.site_of))),
            struck=tuple(self.struck),
            metrics=metrics[coordinator][0]["metrics"],
        )

    def _noted(self, host: str, archive: Path, to: Folders) -> Noted:
        """Unpack what a host gathered: journals and logs go where those of an emulated run are."""
        texts: dict[str, str] = {}
        with tarfile.open(archive) as opened:
            for member in opened.getmembers():
                file = opened.extractfile(member) if member.isfile() else None
                if file is None:
                    continue
                if member.size > LARGEST:
                    raise LabError(f"{host}: {member.name[:100]} is larger than {LARGEST >> 20} MiB")
                folder, _, name = member.name.rpartition("/")
                if folder in ("journals", "logs") and name.startswith((host, COORDINATOR)) and "/" not in name:
                    (to.out / folder / name).write_bytes(file.read())
                elif not folder:
                    texts[name.removesuffix(".jsonl")] = file.read().decode(errors="replace")
        archive.unlink()
        parts = {name: texts.get(name, "") for name in ("deeds", "meter", "trees")}
        return Noted(host, self.clocks.get(host, clocks.REFERENCE), **parts)

    # -- asking --------------------------------------------------------------------------------------------------

    def _ask(self, site: Site, *rounds: Mapping[str, Sequence[Order]]) -> dict[str, list[dict[str, Any]]]:
        """Ask by the experiment's names."""
        named = {real: host for host, real in site.real.items()}
        answers = self._asked(*({site.real[host]: some for host, some in one.items()} for one in rounds if one))
        return {named[real]: each for real, each in answers.items()}

    def _asked(self, *rounds: Mapping[str, Sequence[Order]]) -> dict[str, list[dict[str, Any]]]:
        if self.stop():
            raise Stopped("stopped")
        return self.hands.ask(*rounds)


def run(
    plan: Plan,
    real: Sequence[InventoryHost],
    hands: Hands,
    name: str,
    where: str,
    progress: RunProgress,
    stop: Callable[[], bool],
    versions: Mapping[str, str],
    *,
    shaped: bool = False,
    artefact: Path | None = None,
) -> Recording:
    """Run one experiment on real hosts and return what was observed.

    Args:
        plan: what to run.
        real: the inventory's hosts.
        hands: on them.
        name: of the run, there.
        where: the inventory, for complaints.
        progress: where it is shown.
        stop: whether the user asked to stop.
        versions: of this machine.
        shaped: make the topology's rates, delays and losses at the hosts.
        artefact: install the program from it for this run.

    Raises:
        LabError: a host was lost, a fault did not happen, or the stream never began.
        MistakesError: hosts do not fit; one line for each problem.
    """
    started = time.time()
    file = media.prepared(plan.experiment.stream, plan.seed, plan.file, progress.step)
    sent = Sent(file, orders.media_of(plan))
    one = RealRun(plan, hands, progress, stop, shaped, artefact)
    to = Folders(plan.out, plan.out)
    to.make(plan.members)
    try:
        site, facts = one.look(name, real, where)
        disks, blocked = one.prepare(site, file)
        one.start(site)
        one.stream(site)
        got = replace(one.gather(site, facts, sent, to), disks=disks, multicast=blocked)
    finally:
        _remove(hands, progress)
    return recorded.recording(site, got, sent.seen, versions, started, time.time())


def _remove(hands: Hands, progress: RunProgress) -> None:
    """Remove the run from all hosts; say where that did not work, for there a timer will."""
    progress.step("removing the run from the hosts")
    try:
        hands.remove()
    except HostsError as error:
        for line in error.all:
            progress.event(f"not removed, which its own timer will do: {line}", bad=True)
    except OverlaycastError as error:
        progress.event(f"not removed, which the hosts' own timers will do: {error}", bad=True)
