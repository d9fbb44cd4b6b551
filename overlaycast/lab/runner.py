"""One experiment, run for real: network, coordinator, members, stream, faults, and everything observed on the way.

Owns: the order of things and their time limits. Refuses: to judge (``judge``), to choose targets (``targets``), to
touch the programs other than a user would. Runs only inside ``isolation.run_isolated``.

Invariants: whatever ends a run, what it started is ended with it; a network that fails its check is never streamed
over; a fault that did not happen ends the run with ``LabError``.
"""

from __future__ import annotations

import asyncio
import os
import platform
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from overlaycast import __version__
from overlaycast.errors import LabError, OverlaycastError
from overlaycast.lab import fidelity, injection, journals, media, processes, programs, targets
from overlaycast.lab.control import Control
from overlaycast.lab.experiment import Cast, Experiment, Fault
from overlaycast.lab.network import Network
from overlaycast.lab.observe import network_seen
from overlaycast.lab.processes import Program
from overlaycast.lab.programs import Folders, Membership
from overlaycast.lab.progress import Progress
from overlaycast.lab.recording import CounterSample, FaultDone, FileSeen, LinkCount, Recording
from overlaycast.lab.targets import EMPTY, Tree
from overlaycast.lab.topology import Topology
from overlaycast.lab.watch import Watch

COUNT_EVERY_S: Final = 0.2
LOOK_EVERY_S: Final = 0.25
CALM_S: Final = 1.0
"""The tree is settled once nobody hangs on the dead and no order was given for so long."""
COORDINATOR_S: Final = 20.0
GROUP_S: Final = 20.0
END_S: Final = 8.0
STATE: Final = Path("/run/overlaycast")
"""In the private /run of the run: gone with it, and short enough for a socket's name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, checked: the experiment and its network, who plays what, where results go."""

    file: Path
    experiment: Experiment
    topology: Topology
    cast: Cast
    out: Path
    seed: int
    command: str


class Run:
    """One run in progress."""

    def __init__(self, plan: Plan, network: Network, progress: Progress) -> None:
        """Take over a network that is up and checked."""
        self.plan = plan
        self.network = network
        self.progress = progress
        self.folders = Folders(plan.out, STATE)
        self.programs: dict[str, Program] = {}
        self.coordinator: Program | None = None
        self.counters: list[CounterSample] = []
        self.faults: list[FaultDone] = []
        self.gone: dict[str, str | None] = {}
        self.start_tree = EMPTY
        self.began_at = 0.0
        members = (plan.cast.source, *plan.cast.backups, *plan.cast.peers)
        self.watch = Watch({host: self.folders.journal(host) for host in members})
        self.control = Control(self.folders, plan.experiment.name, self._site_of)
        self._random = random.Random(plan.seed)

    def _site_of(self, host: str) -> str | None:
        return next((node.site for node in self.plan.topology.nodes if node.name == host), None)

    # -- the course of a run -------------------------------------------------------------------------------------

    async def play(self, file: Path) -> None:
        """Go through the whole run, to the end of the last receiver."""
        async with self.control, asyncio.TaskGroup() as side:
            tasks = [side.create_task(self.watch.run()), side.create_task(self._count())]
            await self.start_coordinator()
            membership = await self._create_group()
            async with asyncio.TaskGroup() as faults:
                await self._start_members(membership, file)
                await self._wait_for_begin()
                await self._timeline(faults)
                await self._wait_for_end()
            await self._last_look()
            for task in tasks:
                task.cancel()

    async def start_coordinator(self) -> None:
        """Start the coordinator (again) and return once it answers."""
        host = self.plan.cast.coordinator
        log = self.folders.logs / "coordinator.log"
        words = programs.coordinator(self.folders)
        self.coordinator = processes.start(self.network.host(host), host, words, log)
        ready = asyncio.create_task(self.control.ready(COORDINATOR_S))
        over = asyncio.create_task(self.coordinator.wait())
        await asyncio.wait((ready, over), return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not ready.done() or ready.exception() is not None:
            ready.cancel()
            raise LabError(f"the coordinator does not answer: {self.coordinator.last_words()}")

    async def _create_group(self) -> Membership:
        plan, host = self.plan, self.plan.cast.coordinator
        self.progress.step("creating the group")
        words = programs.create_group(plan.experiment, plan.cast, self.folders)
        log = self.folders.logs / "group.log"
        token = (await processes.output_of(self.network.host(host), host, words, log, GROUP_S)).strip()
        if not token or len(token.splitlines()) != 1:
            raise LabError("'overlaycast group create' did not print a join token alone")
        address = f"http://{plan.topology.address(host)}:{programs.PORT}"
        return Membership(plan.experiment.name, address, token)

    async def _start_members(self, membership: Membership, file: Path) -> None:
        plan, cast = self.plan, self.plan.cast
        self.progress.step(
            f"starting {len(cast.peers)} receivers, {len(cast.backups)} backup, the source; {file.name} will be sent"
        )
        for host in cast.backups:
            self._start(host, programs.backup(host, membership, self.folders))
        self._start(cast.source, programs.send(plan.experiment, cast.source, membership, self.folders, file))
        for host, pause in self._arrivals():
            await asyncio.sleep(pause)
            self._start(host, programs.join(host, membership, self.folders))

    def _arrivals(self) -> Iterator[tuple[str, float]]:
        """Yield each peer with the pause before it; the order is the seed's."""
        peers = list(self.plan.cast.peers)
        arrival = self.plan.experiment.arrival
        if arrival.kind == "at-once":
            yield from ((host, 0.0) for host in peers)
            return
        self._random.shuffle(peers)
        pause = arrival.over_s / max(1, len(peers) - 1)
        yield from ((host, pause if index else 0.0) for index, host in enumerate(peers))

    def _start(self, host: str, words: list[str]) -> None:
        log = self.folders.logs / f"{host}.log"
        self.programs[host] = processes.start(self.network.host(host), host, words, log)

    async def _wait_for_begin(self) -> None:
        source, limit = self.plan.cast.source, self.plan.experiment.limits.start_s
        try:
            async with asyncio.timeout(limit), asyncio.TaskGroup() as side:
                telling = side.create_task(self._tell_joined())
                early = [side.create_task(self._not_before(host)) for host in self.programs]
                await self.watch.until(lambda: self.watch.seen[source].begin is not None)
                for task in (telling, *early):
                    task.cancel()
        except TimeoutError:
            raise LabError(f"the source did not begin within {limit:g} s: {self._why_not()}") from None
        begin = self.watch.seen[source].begin
        assert begin is not None
        self.began_at = begin.t
        self.start_tree = await self.control.tree()
        depth = max((place.depth for place in self.start_tree.places), default=0)
        self.progress.step(f"streaming to {len(self.plan.cast.peers)} receivers; the tree is {depth} levels deep")

    async def _tell_joined(self) -> None:
        expected = len(self.programs)
        while True:
            with suppress(LabError):
                connected = await self.control.connected()
                self.progress.state(f"{connected} of {expected} members joined", connected / expected)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _not_before(self, host: str) -> None:
        code = await self.programs[host].wait()
        raise LabError(f"{host} ended with {code} before the stream began: {self.programs[host].last_words()}")

    def _why_not(self) -> str:
        silent = [host for host, seen in self.watch.seen.items() if seen.error]
        return f"{silent[0]}: {self.watch.seen[silent[0]].error}" if silent else "see the logs"

    # -- faults --------------------------------------------------------------------------------------------------

    async def _timeline(self, group: asyncio.TaskGroup) -> None:
        faults = self.plan.experiment.faults
        following = [*[fault.at_s for _, fault in faults[1:]], self.plan.experiment.stream_s][: len(faults)]
        for (name, fault), until_s in zip(faults, following, strict=True):
            await self._streamed_until(self.began_at + fault.at_s)
            before = await self._tree_or_last()
            target = targets.resolve(fault.aim, before, self.gone)
            if fault.takes_away:
                self.gone[target] = self._site_of(target)
            group.create_task(self._fault(name, fault, target, before, until_s))

    async def _fault(self, name: str, fault: Fault, target: str, before: Tree, until_s: float | None) -> None:
        stage = injection.Stage(
            self.programs, self.network, self._access, self._the_coordinator, self.start_coordinator
        )
        self.progress.event(f"fault {name}: {fault.action} {target}", bad=True)
        done = await injection.inject(stage, fault, target)
        self.progress.event(f"fault {name}: {done.evidence}", bad=True)
        seen = FaultDone(
            name, fault.action, fault.aim, target, done.at, done.evidence, fault.takes_away, None, before
        )  # fmt: skip
        index = len(self.faults)
        self.faults.append(seen)
        deadline = self.began_at + until_s - 0.3 if until_s is not None else time.time() + END_S
        async with asyncio.TaskGroup() as side:
            if fault.heals_after_s is not None:
                side.create_task(self._heal(stage, fault, target, index))
            after = await self._settled(deadline)
        self.faults[index] = replace(self.faults[index], after=after)

    async def _heal(self, stage: injection.Stage, fault: Fault, target: str, index: int) -> None:
        await asyncio.sleep(fault.heals_after_s or 0.0)
        healed_at = await injection.heal(stage, fault, target)
        self.gone.pop(target, None)
        self.faults[index] = replace(self.faults[index], healed_at=healed_at)
        self.progress.event(f"healed: {fault.action} {target}")

    def _access(self, host: str) -> tuple[str, str]:
        link = self.plan.topology.links_of(host)[0]
        return link.a, link.b

    def _the_coordinator(self) -> Program:
        assert self.coordinator is not None
        return self.coordinator

    async def _tree_or_last(self) -> Tree:
        try:
            return await self.control.tree()
        except LabError:  # the coordinator itself may be what was taken away
            known = [fault.after or fault.before for fault in self.faults]
            return known[-1] if known else self.start_tree

    async def _settled(self, deadline: float) -> Tree | None:
        """Return the tree once repairs are over, or what it is at ``deadline``."""
        calm_since, last = time.time(), EMPTY
        while time.time() < deadline:
            await asyncio.sleep(LOOK_EVERY_S)
            with suppress(LabError):
                tree = await self.control.tree()
                if tree.epoch != last.epoch or self._hanging(tree):
                    calm_since = time.time()
                last = tree
                if time.time() - calm_since >= CALM_S:
                    return tree
        return last if last is not EMPTY else None

    def _hanging(self, tree: Tree) -> bool:
        """Return whether somebody alive is still fed by the dead, or by nobody."""
        edges = tree.edges()
        living = [place for place in tree.places if place.host not in self.gone and place.role != "source"]
        return any(edges.get(place.host) in self.gone or place.parent is None for place in living)

    # -- the end -------------------------------------------------------------------------------------------------

    async def _streamed_until(self, wall: float) -> None:
        total = self.plan.experiment.stream_s
        while (left := wall - time.time()) > 0:
            self.progress.state(self._rates(), self._share(total))
            await asyncio.sleep(min(left, LOOK_EVERY_S))

    def _share(self, total: float | None) -> float | None:
        return min(1.0, (time.time() - self.began_at) / total) if total else None

    def _rates(self) -> str:
        alive = [host for host in self.plan.cast.peers if host not in self.gone]
        rates = [self.watch.seen[host].rate_mbit for host in alive]
        if not rates:
            return "nobody is left"
        seconds = time.time() - self.began_at
        return f"{seconds:.0f} s  {len(alive)} receivers at {min(rates):.1f} to {max(rates):.1f} Mbit/s"

    async def _wait_for_end(self) -> None:
        experiment, source = self.plan.experiment, self.programs[self.plan.cast.source]
        patience = (experiment.stream_s or 0.0) + experiment.limits.end_s - (time.time() - self.began_at)
        peers = self.plan.cast.peers
        try:
            async with asyncio.timeout(max(0.0, patience) if experiment.stream_s else None):
                telling = asyncio.create_task(self._streamed_until(float("inf")))
                try:
                    await self.watch.until(
                        lambda: self.watch.seen[self.plan.cast.source].ended or source.returncode is not None
                    )
                    await self.watch.until(
                        lambda: all(
                            self.watch.seen[host].ended or self.programs[host].returncode is not None
                            for host in peers
                            if host not in self.gone
                        )
                    )
                finally:
                    telling.cancel()
            self.progress.step("the stream has ended; looking at what was received")
        except TimeoutError:
            late = [host for host in peers if host not in self.gone and not self.watch.seen[host].ended]
            self.progress.event(f"not ended in time: {', '.join(late) or 'the source'}", bad=True)

    async def _last_look(self) -> None:
        """Note the control plane's cost, then end what is still there: members first, so that they leave properly."""
        self.traffic: tuple[int | None, int | None] = (None, None)
        with suppress(LabError):
            self.traffic = await self.control.traffic()
        self.counters.append(self._counted())
        async with asyncio.TaskGroup() as side:
            for host, program in self.programs.items():
                side.create_task(self._end(host, program))
        if self.coordinator is not None:
            await self.coordinator.end(END_S)

    async def _end(self, host: str, program: Program) -> None:
        if host in self.gone:  # nobody hears it say good-bye
            program.signal(signal.SIGCONT)
            await program.end(1.0)
        else:
            await program.end(END_S)

    async def _count(self) -> None:
        while True:
            self.counters.append(self._counted())
            await asyncio.sleep(COUNT_EVERY_S)

    def _counted(self) -> CounterSample:
        links = {
            name: LinkCount(count.ab.bytes, count.ab.packets, count.ba.bytes, count.ba.packets)
            for name, count in self.network.counters().items()
        }
        return CounterSample(time.time(), links)


async def run(plan: Plan, progress: Progress) -> Recording:
    """Run one experiment and return what was observed.

    Raises:
        LabError: the network is wrong, a fault did not happen, or the stream never began.
        MissingError: this machine lacks something.
    """
    started = time.time()
    file = media.prepared(plan.experiment.stream, plan.seed, plan.file, progress.step)
    # a video is looked at as such; of bytes ffprobe knows nothing
    is_media = plan.experiment.stream.kind == "media"
    progress.step(f"building {plan.topology.name}: {len(plan.topology.nodes)} nodes, {len(plan.topology.links)} links")
    async with AsyncExitStack() as stack:
        network = stack.enter_context(Network(plan.topology, seed=plan.seed))
        progress.step("checking that it is the network that was asked for")
        checked = await asyncio.to_thread(fidelity.check, network)
        one = Run(plan, network, progress)
        one.folders.make()
        with _one_error():
            await one.play(file)
        progress.step("reading journals and files")
        sent, received = await _files(one, file, is_media)
        return _recording(one, checked, started, sent, received)


@contextmanager
def _one_error() -> Iterator[None]:
    """Of a group of errors, raise the first one that says something to a user."""
    try:
        yield
    except BaseExceptionGroup as group:
        ours = _leaves(group)
        known = [error for error in ours if isinstance(error, OverlaycastError)]
        if known:
            raise known[0] from group
        raise


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _files(one: Run, file: Path, is_media: bool) -> tuple[FileSeen, dict[str, FileSeen]]:
    sent = await asyncio.to_thread(media.look_at, file, is_media)
    received = {}
    for host in one.plan.cast.peers:
        received[host] = await asyncio.to_thread(media.look_at, one.folders.output(host), is_media)
    return sent, received


def _recording(
    one: Run, checked: fidelity.Fidelity, started: float, sent: FileSeen, received: dict[str, FileSeen]
) -> Recording:
    plan = one.plan
    shaping = one.network.shaper.status()
    members = (plan.cast.source, *plan.cast.backups, *plan.cast.peers)
    return Recording(
        experiment=plan.experiment,
        cast=plan.cast,
        system="overlay",
        seed=plan.seed,
        command=plan.command,
        versions=versions(),
        started=started,
        ended=time.time(),
        network=network_seen(plan.topology, plan.cast, shaping["means"]),
        shaping=_without_shapes(shaping),
        fidelity=[dict(row) for row in checked.as_dict()["links"]],
        multicast_blocked=checked.multicast_blocked,
        journals={host: journals.read(host, one.folders.journal(host)) for host in members},
        counters=one.counters,
        start_tree=one.start_tree,
        faults=one.faults,
        sent=sent,
        received=received,
        exit_codes={host: program.returncode for host, program in one.programs.items()},
        control_bytes=one.traffic[0],
        control_messages=one.traffic[1],
    )


def _without_shapes(status: dict[str, Any]) -> dict[str, Any]:
    """The shapes are in the topology and in the fidelity check; what is left is how the shaping went."""
    wire = status.get("wire")
    if not isinstance(wire, dict):
        return status
    links = {
        name: {way: {key: value for key, value in counts.items() if key != "shape"} for way, counts in ways.items()}
        for name, ways in wire.get("links", {}).items()
    }
    return {**status, "wire": {**wire, "links": links}}


def versions() -> dict[str, str]:
    """Return what ran."""
    found = {"overlaycast": __version__, "python": platform.python_version(), "kernel": platform.release()}
    for program in ("ffmpeg",):
        if shutil.which(program):
            found[program] = os.path.realpath(shutil.which(program) or program)
    found["machine"] = f"{os.cpu_count()} × {platform.machine()}"
    found["platform"] = sys.platform
    return found
