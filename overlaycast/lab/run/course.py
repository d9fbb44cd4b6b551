"""The course of one run: members, stream, faults, end, with everything counted on the way.

Owns: the order of things and their time limits. Refuses: to judge, to choose targets, to touch the programs other than
a user would, and whatever depends on the system that carries the stream (``carrier``). Invariant: a program that ends
before the stream begins ends the run, and its last words are in the error.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from overlaycast.errors import LabError
from overlaycast.lab.experiment.arrivals import Passage
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.faults.fixtures import fixtures
from overlaycast.lab.faults.tree import EMPTY
from overlaycast.lab.injection import Stage
from overlaycast.lab.injection.cabling import NetworkCables
from overlaycast.lab.network.network import Network
from overlaycast.lab.network.processes import Program
from overlaycast.lab.recording.recording import CounterSample, LinkTraffic, Passed
from overlaycast.lab.run.carrier import Carrier
from overlaycast.lab.run.members import Members
from overlaycast.lab.run.meter import Meter
from overlaycast.lab.run.multicast import MulticastCarrier
from overlaycast.lab.run.overlay import OverlayCarrier
from overlaycast.lab.run.programs import COORDINATOR, Folders
from overlaycast.lab.run.progress import RunProgress
from overlaycast.lab.run.timeline import Timeline
from overlaycast.lab.run.watch import Watch
from overlaycast.lab.run.whereabouts import Whereabouts

COUNT_EVERY_S: Final = 0.2
LOOK_EVERY_S: Final = 0.25
END_S: Final = 8.0
STATE: Final = Path("/run/overlaycast")
"""In the run's private /run: removed with it, and short enough for a socket's name."""


class Run:
    """One run in progress."""

    def __init__(self, plan: Plan, network: Network, progress: RunProgress) -> None:
        """Take over a network that is up and checked."""
        self.plan = plan
        self.network = network
        self.progress = progress
        self.folders = Folders(plan.out, STATE)
        self.counters: list[CounterSample] = []
        self.troubles: list[str] = []
        self.start_tree = EMPTY
        self.began_at = 0.0
        self.traffic: tuple[int | None, int | None] = (None, None)
        self.overflowed: dict[str, tuple[int, int]] = {}
        self.cpu_s: dict[str, float] = {}
        self.arrivals = plan.arrivals
        self.passed: list[Passed] = []
        self.meter = Meter(self._pids)
        self.watch = Watch({host: self.folders.journal(host) for host in plan.members})
        needs = fixtures(fault for _, fault in plan.experiment.faults)
        self.members = Members(network, self.folders, self.watch, needs, self._started)
        self.programs = self.members.programs
        kind = MulticastCarrier if plan.system == "multicast" else OverlayCarrier
        self.carrier: Carrier = kind(plan, network, self.members, progress)
        site_of = plan.topology.site_of
        self.whereabouts = Whereabouts(self.carrier, plan.topology)
        self.timeline = Timeline(self._stage(), self.carrier, progress, site_of, plan.ground, plan.seed)
        absent = set(plan.cast.peers) - set(self.arrivals.first)
        self.timeline.gone |= {host: site_of(host) for host in sorted(absent)}
        self._overflowed_before: dict[str, tuple[int, int]] = {}
        self._watching: list[asyncio.Task[None]] = []
        self._last_passage: dict[str, asyncio.Task[None]] = {}
        self._side: asyncio.TaskGroup | None = None

    def _stage(self) -> Stage:
        members = self.members
        return Stage(
            programs=self.programs,
            cables=NetworkCables(self.network),
            coordinator=self.carrier.coordinator,
            start_coordinator=self.carrier.start_coordinator,
            start_member=self._start_again,
            source=self.plan.cast.source,
            readers=members.readers,
            disks=members.disks,
            clocks=members.clocks,
            last_sample_at=members.last_sample_at,
            rogues=members.rogues,
        )

    # -- the course of a run -------------------------------------------------------------------------------------

    async def play(self, file: Path) -> None:
        """Go through the whole run, to the end of the last receiver."""
        self.members.prepare()
        async with self.carrier, asyncio.TaskGroup() as side:
            self._side = side
            tasks = [side.create_task(self.watch.run()), side.create_task(self._count())]
            await self.carrier.start_first(file)
            async with asyncio.TaskGroup() as faults:
                await self._wait_for_begin()
                tasks += [side.create_task(self.meter.run()), side.create_task(self.whereabouts.run())]
                for program in list(self.programs.values()):
                    self._started(program)
                passages = faults.create_task(self._come_and_go())
                experiment = self.plan.experiment
                await self.timeline.play(
                    experiment.faults, self._streamed_until, self.began_at, experiment.sent_by_s, faults
                )
                await passages
                await self._wait_for_end()
            for task in (*tasks, *self._watching):
                task.cancel()
            await self.whereabouts.look()
            await self._last_look()

    def _started(self, program: Program) -> None:
        """Watch every process from the beginning of the stream on."""
        if self._side is None or not self.began_at:
            return
        self.cpu_s.setdefault(program.host, 0.0)
        self._watching.append(self._side.create_task(self._note_failure(program)))

    async def _start_again(self, host: str) -> None:
        """Start a host's member again, and return once it is a member."""
        self.members.forget(host)
        self.cpu_s[host] = 0.0
        await self.carrier.start_member(host)

    async def _come_and_go(self) -> None:
        """Start the peers that come later, and stop those that leave, each at its time."""
        for passage in self.arrivals.later:
            await self._streamed_until(passage.at_s)
            assert self._side is not None
            task = self._side.create_task(self._pass(passage, self._last_passage.get(passage.host)))
            self._last_passage[passage.host] = task
            self._watching.append(task)

    async def _pass(self, passage: Passage, earlier: asyncio.Task[None] | None) -> None:
        host = passage.host
        if earlier is not None:  # a peer that leaves soon after it comes leaves once it has come
            await asyncio.wait((earlier,))
        if passage.what == "come":
            self.progress.event(f"{host} comes")
            if host in self.programs:  # the earlier process may not have ended yet
                await self.programs[host].wait()
            await self._start_again(host)
            self.timeline.gone.pop(host, None)
            self.passed.append(Passed(time.time(), host, passage.what))
            return
        self.progress.event(f"{host} {'leaves' if passage.what == 'leave' else 'dies'}")
        self.timeline.gone[host] = self.plan.topology.site_of(host)
        self.passed.append(Passed(time.time(), host, passage.what))
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
        self.start_tree = await self.carrier.tree()
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
        """Return so long after the source began; until then show the progress."""
        total = self.plan.experiment.stream_s
        while (left := self.began_at + seconds - time.time()) > 0:
            share = min(1.0, (time.time() - self.began_at) / total) if total else None
            self.progress.state(self._rates(), share)
            await asyncio.sleep(min(left, LOOK_EVERY_S))

    def _rates(self) -> str:
        rates = [self.watch.seen[host].rate_mbit for host in self._receiving()]
        if not rates:
            return "no receiver is left"
        seconds = time.time() - self.began_at
        return f"{seconds:.0f} s  {len(rates)} receivers at {min(rates):.1f} to {max(rates):.1f} Mbit/s"

    def _receiving(self) -> list[str]:
        gone = set(self.timeline.gone) - self.timeline.coming_back
        return [host for host in self.plan.cast.peers if host not in gone]

    def _is_over(self, host: str) -> bool:
        if host in self.timeline.coming_back:
            return False
        return self.watch.seen[host].ended or self.programs[host].returncode is not None

    async def _note_failure(self, program: Program) -> None:
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
                    return  # receivers cannot get what the source did not send
                await self.watch.until(lambda: all(self._is_over(host) for host in self._receiving()))
            self.progress.step("the stream has ended; members are leaving")
        except TimeoutError:
            late = [host for host in self._receiving() if not self._is_over(host)]
            self.progress.event(f"not ended in time: {', '.join(late) or source}", bad=True)
        finally:
            telling.cancel()

    async def _last_look(self) -> None:
        """Note what the control plane cost, then end all programs: members first, so that they leave properly."""
        with suppress(LabError):
            self.traffic = await self.carrier.traffic()
        self.counters.append(self._counted())
        for name, (ab, ba) in self.network.shaper.overflowed().items():
            ab_before, ba_before = self._overflowed_before[name]
            self.overflowed[name] = ab - ab_before, ba - ba_before
        for host, program in self.programs.items():
            self.cpu_s[host] = round(self.cpu_s.get(host, 0.0) + program.cpu_s(), 2)
        async with asyncio.TaskGroup() as side:
            for host, program in self.programs.items():
                side.create_task(self._end(host, program))
            for reader in self.members.readers.values():
                reader.signal(signal.SIGCONT)
                side.create_task(reader.wait())
        await self.carrier.end()

    async def _end(self, host: str, program: Program) -> None:
        if host in self.timeline.gone:  # the coordinator does not hear it leave
            program.signal(signal.SIGCONT)
            await program.end(1.0)
        else:
            await program.end(END_S)

    def _pids(self) -> dict[str | None, int]:
        """Return the processes that run now, by host; the coordinator's under its own name, the wire's under none."""
        found: dict[str | None, int] = {}
        if self.plan.system != "multicast":
            found[COORDINATOR] = self.carrier.coordinator().pid
        found |= {host: program.pid for host, program in self.programs.items() if program.returncode is None}
        if (wire := self.network.shaper.wire_pid) is not None:
            found[None] = wire
        return found

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
