"""The overlay as the carrier of a run: a coordinator, a group, and members that join it. A unicast star is one too.

Owns: the coordinator's process, the group, and the commands of its members. Refuses: when; the course says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from overlaycast.errors import LabError
from overlaycast.lab.experiment import systems
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.faults.tree import Tree
from overlaycast.lab.network import processes
from overlaycast.lab.network.network import Network
from overlaycast.lab.network.processes import Program
from overlaycast.lab.run import programs
from overlaycast.lab.run.control import Control
from overlaycast.lab.run.members import Members
from overlaycast.lab.run.programs import Membership
from overlaycast.lab.run.progress import RunProgress
from overlaycast.wire.views import MemberView

COORDINATOR_S: Final = 20.0
GROUP_S: Final = 20.0
AGAIN_S: Final = 20.0
END_S: Final = 8.0


class OverlayCarrier:
    """The coordinator and the group of one run."""

    def __init__(self, plan: Plan, network: Network, members: Members, progress: RunProgress) -> None:
        """Take the parts of a run; nothing is started yet."""
        self._plan = plan
        self._network = network
        self._members = members
        self._folders = members.folders
        self._progress = progress
        self._control = Control(self._folders, plan.experiment.name, plan.topology.site_of)
        self._coordinator: Program | None = None
        self._membership = Membership(plan.experiment.name, "", "")
        self._file = plan.file

    async def __aenter__(self) -> Self:
        await self._control.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._control.__aexit__(kind, error, trace)

    async def start_first(self, file: Path) -> None:
        """Start coordinator, group and the first members, which join in the order of the plan."""
        self._file = file
        await self.start_coordinator()
        self._membership = await self._create_group()
        plan, cast, receivers = self._plan, self._plan.cast, self._plan.arrivals.first
        first = (cast.source, *cast.backups, *receivers)
        many = f"{len(receivers)} receivers, {len(cast.backups)} backup, the source"
        self._progress.step(f"starting {many}; {file.name} will be sent")
        for host in first:
            self._start(host)
        if plan.experiment.arrival.together:
            await self._admit(first[: -len(receivers) or None])
            secrets = {host: self._secret(host) for host in receivers}
            await self._members.admit_together(secrets, plan.experiment.limits.start_s)
            return
        await self._admit(first)

    async def _admit(self, hosts: Sequence[str]) -> None:
        """Let members in one by one."""
        for number, host in enumerate(hosts, 1):
            await self._members.admit(host, self._secret(host), self._plan.experiment.limits.start_s)
            self._progress.state(f"{number} of {len(hosts)} members joined", number / len(hosts))

    async def start_member(self, host: str) -> None:
        """Start a host's member, and return once it has joined."""
        self._start(host)
        await self._members.admit(host, self._secret(host), AGAIN_S)

    async def start_coordinator(self) -> None:
        """Start the coordinator (again) and return once it answers."""
        host = self._plan.cast.coordinator
        log = self._folders.log(programs.COORDINATOR)
        words = programs.coordinator(self._folders, six=6 in self._plan.topology.families)
        self._coordinator = processes.start(self._network.host(host), host, words, log)
        ready = asyncio.create_task(self._control.ready(COORDINATOR_S))
        over = asyncio.create_task(self._coordinator.wait())
        await asyncio.wait((ready, over), return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not ready.done() or ready.exception() is not None:
            ready.cancel()
            raise LabError(f"the coordinator does not answer: {self._coordinator.last_words()}")

    def coordinator(self) -> Program:
        """Return the coordinator's process."""
        assert self._coordinator is not None
        return self._coordinator

    async def tree(self) -> Tree:
        """Return each member and its parent, as the coordinator says."""
        return await self._control.tree()

    async def members(self) -> tuple[MemberView, ...]:
        """Return all that the coordinator knows of each member."""
        return await self._control.members()

    async def traffic(self) -> tuple[int | None, int | None]:
        """Return bytes and messages of the control links so far."""
        return await self._control.traffic()

    async def end(self) -> None:
        """End the coordinator."""
        if self._coordinator is not None:
            await self._coordinator.end(END_S)

    async def _create_group(self) -> Membership:
        plan, host = self._plan, self._plan.cast.coordinator
        self._progress.step("creating the group")
        words = programs.create_group(
            systems.grouped(plan.system, plan.experiment), self._folders, len(plan.arrivals.first)
        )
        log = self._folders.log(programs.GROUP)
        token = (await processes.output_of(self._network.host(host), host, words, log, GROUP_S)).strip()
        if not token or len(token.splitlines()) != 1:
            raise LabError("'overlaycast group create' did not print a join token alone")
        return Membership(plan.experiment.name, programs.url(plan.topology.address(host)), token)

    def _start(self, host: str) -> None:
        self._members.start(host, self._command(host))

    def _command(self, host: str) -> list[str]:
        """Return the command of a host's member, with what its user would have to say about the host."""
        cast, experiment = self._plan.cast, self._plan.experiment
        own = [] if self._plan.topology.reaches(cast.coordinator, host) else ["--no-reachable"]
        if (upload := experiment.members.upload_mbit.get(host)) is not None:
            own += ["--upload-mbit", f"{upload:g}"]
        if experiment.members.congestion is not None:
            own += ["--congestion", experiment.members.congestion]
        gate = self._members.gate(host)
        if host == cast.source:
            return programs.send(experiment, host, self._membership, self._folders, self._file, gate) + own
        if host in cast.backups:
            return programs.backup(host, self._membership, self._folders, gate) + own
        output = "-" if host in self._members.fixtures.readers else str(self._members.output(host))
        return programs.join(host, self._membership, self._folders, gate, output) + own

    def _secret(self, host: str) -> str:
        """Return what a member reads at its gate: the token, in the table of its command."""
        cast = self._plan.cast
        table = "send" if host == cast.source else "relay" if host in cast.backups else "join"
        return f'[{table}]\ntoken = "{self._membership.token}"\n'
