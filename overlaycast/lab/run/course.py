"""The course of one run: coordinator, group, members, stream, faults, end, with everything counted on the way.

Owns: the order of things and their time limits. Refuses: to judge, to choose targets, to touch the programs other than
a user would. Invariant: a program that ends before the stream begins ends the run, and its last words are told.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from overlaycast.errors import LabError
from overlaycast.lab.experiment import systems
from overlaycast.lab.experiment.arrivals import Passage
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.faults.fixtures import fixtures
from overlaycast.lab.faults.tree import EMPTY
from overlaycast.lab.injection import Stage
from overlaycast.lab.injection.cabling import NetworkCables
from overlaycast.lab.network import processes
from overlaycast.lab.network.network import Network
from overlaycast.lab.network.processes import Program
from overlaycast.lab.recording.recording import CounterSample, LinkTraffic
from overlaycast.lab.run import programs
from overlaycast.lab.run.control import Control
from overlaycast.lab.run.crew import AGAIN_S, Crew
from overlaycast.lab.run.programs import Folders, Membership
from overlaycast.lab.run.progress import Progress
from overlaycast.lab.run.timeline import Timeline
from overlaycast.lab.run.watch import Watch

COUNT_EVERY_S: Final = 0.2
LOOK_EVERY_S: Final = 0.25
COORDINATOR_S: Final = 20.0
GROUP_S: Final = 20.0
END_S: Final = 8.0
STATE: Final = Path("/run/overlaycast")
"""In the private /run of the run: gone with it, and short enough for a socket's name."""


class Run:
    """One run in progress."""

    def __init__(self, plan: Plan, network: Network, progress: Progress) -> None:
        """Take over a network that is up and checked."""
        self.plan = plan
        self.network = network
        self.progress = progress
        self.folders = Folders(plan.out, STATE)
        self.coordinator: Program | None = None
        self.counters: list[CounterSample] = []
        self.troubles: list[str] = []
        self.start_tree = EMPTY
        self.began_at = 0.0
        self.traffic: tuple[int | None, int | None] = (None, None)
        self.overflowed: dict[str, tuple[int, int]] = {}
        self.cpu_s: dict[str, float] = {}
        self.arrivals = plan.arrivals
        self.membership = Membership(plan.experiment.name, "", "")
        self.file = plan.file
        self.watch = Watch({host: self.folders.journal(host) for host in plan.members})
        needs = fixtures(fault for _, fault in plan.experiment.faults)
        self.crew = Crew(network, self.folders, self.watch, needs, self._command, self._started)
        self.programs = self.crew.programs
        self.control = Control(self.folders, plan.experiment.name, self._site_of)
        self.timeline = Timeline(self._stage(), self.control, progress, self._site_of, plan.ground, plan.seed)
        absent = set(plan.cast.peers) - set(self.arrivals.first)
        self.timeline.gone |= {host: self._site_of(host) for host in sorted(absent)}
        self._overflowed_before: dict[str, tuple[int, int]] = {}
        self._minds: list[asyncio.Task[None]] = []
        self._passing: dict[str, asyncio.Task[None]] = {}
        self._side: asyncio.TaskGroup | None = None

    def _stage(self) -> Stage:
        crew = self.crew
        return Stage(
            programs=self.programs,
            cables=NetworkCables(self.network),
            coordinator=self._the_coordinator,
            start_coordinator=self.start_coordinator,
            start_member=self._start_again,
            source=self.plan.cast.source,
            readers=crew.readers,
            disks=crew.disks,
            clocks=crew.clocks,
            last_sample_at=crew.newest,
            rogues=crew.rogues,
        )

    def _the_coordinator(self) -> Program:
        assert self.coordinator is not None
        return self.coordinator

    def _site_of(self, host: str) -> str | None:
        return next((node.site for node in self.plan.topology.nodes if node.name == host), None)

    # -- the course of a run -------------------------------------------------------------------------------------

    async def play(self, file: Path) -> None:
        """Go through the whole run, to the end of the last receiver."""
        self.file = file
        self.crew.prepare()
        async with self.control, asyncio.TaskGroup() as side:
            self._side = side
            tasks = [side.create_task(self.watch.run()), side.create_task(self._count())]
            await self.start_coordinator()
            self.membership = await self._create_group()
            async with asyncio.TaskGroup() as faults:
                await self._start_members()
                await self._wait_for_begin()
                for program in list(self.programs.values()):
                    self._started(program)
                passages = faults.create_task(self._come_and_go())
                experiment = self.plan.experiment
                await self.timeline.play(
                    experiment.faults, self._streamed_until, self.began_at, experiment.sent_by_s, faults
                )
                await passages
                await self._wait_for_end()
            for task in (*tasks, *self._minds):
                task.cancel()
            await self._last_look()

    async def start_coordinator(self) -> None:
        """Start the coordinator (again) and return once it answers."""
        host = self.plan.cast.coordinator
        log = self.folders.log(programs.COORDINATOR)
        words = programs.coordinator(self.folders, six=6 in self.plan.topology.families)
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
        words = programs.create_group(
            systems.grouped(plan.system, plan.experiment), self.folders, len(self.arrivals.first)
        )
        log = self.folders.log(programs.GROUP)
        token = (await processes.output_of(self.network.host(host), host, words, log, GROUP_S)).strip()
        if not token or len(token.splitlines()) != 1:
            raise LabError("'overlaycast group create' did not print a join token alone")
        return Membership(plan.experiment.name, programs.url(plan.topology.address(host)), token)

    async def _start_members(self) -> None:
        """Start all who are there from the beginning; they join in the order of the plan."""
        plan, cast = self.plan, self.plan.cast
        first = (cast.source, *cast.backups, *self.arrivals.first)
        many = f"{len(self.arrivals.first)} receivers, {len(cast.backups)} backup, the source"
        self.progress.step(f"starting {many}; {self.file.name} will be sent")
        for host in first:
            self.crew.gate(host)
            self.crew.start(host)
        for number, host in enumerate(first, 1):
            await self.crew.admit(host, self._secret(host), plan.experiment.limits.start_s)
            self.progress.state(f"{number} of {len(first)} members joined", number / len(first))

    def _command(self, host: str) -> list[str]:
        """Return the words of a host's member, with what its user would have to say about the host."""
        cast, experiment = self.plan.cast, self.plan.experiment
        own = [] if self.plan.topology.reaches(cast.coordinator, host) else ["--no-reachable"]
        if (upload := experiment.members.upload_mbit.get(host)) is not None:
            own += ["--upload-mbit", f"{upload:g}"]
        if experiment.members.congestion is not None:
            own += ["--congestion", experiment.members.congestion]
        gate = self.crew.gate(host)
        if host == cast.source:
            return programs.send(experiment, host, self.membership, self.folders, self.file, gate) + own
        if host in cast.backups:
            return programs.backup(host, self.membership, self.folders, gate) + own
        output = "-" if host in self.crew.fixtures.readers else str(self.crew.output(host))
        return programs.join(host, self.membership, self.folders, gate, output) + own

    def _secret(self, host: str) -> str:
        """Return what a member reads at its gate: the token, in the table of its command."""
        cast = self.plan.cast
        table = "send" if host == cast.source else "relay" if host in cast.backups else "join"
        return f'[{table}]\ntoken = "{self.membership.token}"\n'

    def _started(self, program: Program) -> None:
        """Mind every process from the beginning of the stream on."""
        if self._side is None or not self.began_at:
            return
        self.cpu_s.setdefault(program.host, 0.0)
        self._minds.append(self._side.create_task(self._mind(program)))

    async def _start_again(self, host: str) -> None:
        """Start a host's member once more, and return once it is one again."""
        self.crew.forget(host)
        self.cpu_s[host] = 0.0
        self.crew.start(host)
        await self.crew.admit(host, self._secret(host), AGAIN_S)

    async def _come_and_go(self) -> None:
        """Have the peers that come later come, and those that go, go."""
        for passage in self.arrivals.later:
            await self._streamed_until(passage.at_s)
            assert self._side is not None
            task = self._side.create_task(self._pass(passage, self._passing.get(passage.host)))
            self._passing[passage.host] = task
            self._minds.append(task)

    async def _pass(self, passage: Passage, earlier: asyncio.Task[None] | None) -> None:
        host = passage.host
        if earlier is not None:  # who is to go soon after coming goes once it has come
            await asyncio.wait((earlier,))
        if passage.what == "come":
            self.progress.event(f"{host} comes")
            if host in self.programs:  # its farewell may not be over
                await self.programs[host].wait()
            await self._start_again(host)
            self.timeline.gone.pop(host, None)
            return
        self.progress.event(f"{host} {'leaves' if passage.what == 'leave' else 'dies'}")
        self.timeline.gone[host] = self._site_of(host)
        self.programs[host].signal(signal.SIGTERM if passage.what == "leave" else signal.SIGKILL)

    async def _wait_for_begin(self) -> None:
        source, limit = self.plan.cast.source, self.plan.experiment.limits.start_s
        try:
            async with asyncio.timeout(limit), asyncio.TaskGroup() as side:
                early = [side.create_task(self._not_before(host)) for host in self.programs]
                await self.watch.until(lambda: self.watch.seen[source].begin is not None)
                for task in early:
                    task.cancel()
        except TimeoutError:
            raise LabError(f"the source did not begin within {limit:g} s: {self._why_not()}") from None
        begin = self.watch.seen[source].begin
        assert begin is not None
        self.began_at = begin.t
        self._overflowed_before = self.network.shaper.overflowed()
        self.cpu_s = {host: -program.cpu_s() for host, program in self.programs.items()}
        self.start_tree = await self.control.tree()
        depth = max((seat.depth for seat in self.start_tree.seats), default=0)
        self.progress.step(f"streaming to {len(self.arrivals.first)} receivers; the tree is {depth} levels deep")

    async def _not_before(self, host: str) -> None:
        code = await self.programs[host].wait()
        raise LabError(f"{host} ended with {code} before the stream began: {self.programs[host].last_words()}")

    def _why_not(self) -> str:
        silent = [host for host, seen in self.watch.seen.items() if seen.error]
        return f"{silent[0]}: {self.watch.seen[silent[0]].error}" if silent else "see the logs"

    # -- the end -------------------------------------------------------------------------------------------------

    async def _streamed_until(self, seconds: float) -> None:
        """Return so long after the source began, and tell how it goes until then."""
        total = self.plan.experiment.stream_s
        while (left := self.began_at + seconds - time.time()) > 0:
            share = min(1.0, (time.time() - self.began_at) / total) if total else None
            self.progress.state(self._rates(), share)
            await asyncio.sleep(min(left, LOOK_EVERY_S))

    def _rates(self) -> str:
        rates = [self.watch.seen[host].rate_mbit for host in self._receiving()]
        if not rates:
            return "nobody is left"
        seconds = time.time() - self.began_at
        return f"{seconds:.0f} s  {len(rates)} receivers at {min(rates):.1f} to {max(rates):.1f} Mbit/s"

    def _receiving(self) -> list[str]:
        gone = set(self.timeline.gone) - self.timeline.coming_back
        return [host for host in self.plan.cast.peers if host not in gone]

    def _is_over(self, host: str) -> bool:
        if host in self.timeline.coming_back:
            return False
        return self.watch.seen[host].ended or self.programs[host].returncode is not None

    async def _mind(self, program: Program) -> None:
        """Note a program that fails in mid-stream though no fault was meant for it."""
        code = await program.wait()
        if code != 0 and program.host not in self.timeline.gone:
            self.troubles.append(f"{program.host} ended with {code}: {program.last_words()}")
            self.progress.event(self.troubles[-1], bad=True)

    async def _wait_for_end(self) -> None:
        experiment, source = self.plan.experiment, self.plan.cast.source
        last = self.began_at + (experiment.sent_by_s or 0.0) + experiment.limits.end_s
        limit = max(0.0, last - time.time())
        telling = asyncio.create_task(self._streamed_until(float("inf")))
        try:
            async with asyncio.timeout(limit):
                await self.watch.until(lambda: self._is_over(source))
                if not self.watch.seen[source].finished:
                    return  # what it has not sent, nobody will get
                await self.watch.until(lambda: all(self._is_over(host) for host in self._receiving()))
            self.progress.step("the stream has ended; members are leaving")
        except TimeoutError:
            late = [host for host in self._receiving() if not self._is_over(host)]
            self.progress.event(f"not ended in time: {', '.join(late) or source}", bad=True)
        finally:
            telling.cancel()

    async def _last_look(self) -> None:
        """Note the control plane's cost, then end what is still there: members first, so that they leave properly."""
        with suppress(LabError):
            self.traffic = await self.control.traffic()
        self.counters.append(self._counted())
        for name, (ab, ba) in self.network.shaper.overflowed().items():
            ab_before, ba_before = self._overflowed_before[name]
            self.overflowed[name] = ab - ab_before, ba - ba_before
        for host, program in self.programs.items():
            self.cpu_s[host] = round(self.cpu_s.get(host, 0.0) + program.cpu_s(), 2)
        async with asyncio.TaskGroup() as side:
            for host, program in self.programs.items():
                side.create_task(self._end(host, program))
            for reader in self.crew.readers.values():
                reader.signal(signal.SIGCONT)
                side.create_task(reader.wait())
        if self.coordinator is not None:
            await self.coordinator.end(END_S)

    async def _end(self, host: str, program: Program) -> None:
        if host in self.timeline.gone:  # nobody hears it say good-bye
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
            name: LinkTraffic(count.ab.bytes, count.ab.packets, count.ba.bytes, count.ba.packets)
            for name, count in self.network.counters().items()
        }
        return CounterSample(time.time(), links)
