"""The course of a run over IP multicast: the same order of things, without a coordinator and without a tree.

Owns: what differs from ``course.Run``: routers that forward, receivers that join by IGMP, a sender that knows nobody.
Faults, counters, limits and files are the same code. Invariant: nobody sends before every receiver of the start has
joined, as the overlay waits for its members.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from overlaycast.errors import LabError
from overlaycast.lab.experiment import systems
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.faults.tree import Seat, Tree
from overlaycast.lab.network.network import Network
from overlaycast.lab.run import multicast_routes
from overlaycast.lab.run.course import Run
from overlaycast.lab.run.multicast_routes import GROUP
from overlaycast.lab.run.programs import Membership
from overlaycast.lab.run.progress import Progress

PORT: Final = 5004
RECORD: Final = 7896
"""The size of records where the experiment says nothing: overlaycast's own."""


class Star:
    """In place of a coordinator: who is fed by whom is known, and nobody is asked."""

    def __init__(self, plan: Plan) -> None:
        self.ids = {host: number for number, host in enumerate((plan.cast.source, *plan.cast.peers), 1)}
        sites = {node.name: node.site for node in plan.topology.nodes}
        source = Seat(1, plan.cast.source, "source", sites[plan.cast.source], None)
        peers = (
            Seat(self.ids[host], host, "peer", sites[host], 1, primary=True, depth=1, state="streaming")
            for host in plan.cast.peers
        )
        self._tree = Tree(1, (source, *peers))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def tree(self) -> Tree:
        """Return everybody below the source: that is whose datagrams they get."""
        return self._tree

    async def connected(self) -> int:
        """Return how many members there are."""
        return len(self.ids)

    async def traffic(self) -> tuple[int | None, int | None]:
        """There is no control plane but IGMP, which stays within the LANs."""
        return 0, 0


class MulticastRun(Run):
    """One run over multicast in progress."""

    def __init__(self, plan: Plan, network: Network, progress: Progress) -> None:
        """Take over a network that is up and checked."""
        super().__init__(plan, network, progress)
        self._star = Star(plan)
        self.control = self._star  # type: ignore[assignment]
        self.timeline.trees = self._star

    async def play(self, file: Path) -> None:
        """Lay the routes, and go through the whole run."""
        with ExitStack() as stack:
            entered = multicast_routes.laid(self.network, self.plan.cast.source, self.plan.cast.peers)
            routers = stack.enter_context(entered)
            self.progress.step(f"{routers} routers forward the multicast group {GROUP}")
            await super().play(file)

    async def start_coordinator(self) -> None:
        """There is none."""

    async def _create_group(self) -> Membership:
        return Membership(GROUP, "", "")

    async def _start_members(self) -> None:
        first = self.arrivals.first
        self.progress.step(f"starting {len(first)} receivers; {self.file.name} will be sent")
        for host in first:
            self.crew.start(host)
        await self._all_joined(first)
        self.crew.start(self.plan.cast.source)

    def _command(self, host: str) -> list[str]:
        plan, cast = self.plan, self.plan.cast
        if host != cast.source:
            return self._words("join", host, ["--output", str(self.crew.output(host))])
        rate = systems.multicast_rate_mbit(plan.experiment, plan.topology, cast.source, cast.peers)
        words = ["--file", str(self.file), "--rate", str(round(rate * 1e6))]
        words += ["--record-size", str(plan.experiment.stream.record_size or RECORD)]
        return self._words("send", host, words)

    async def _start_again(self, host: str) -> None:
        self.crew.forget(host)
        self.crew.start(host)
        await self._all_joined((host,))

    async def _all_joined(self, hosts: Sequence[str]) -> None:
        limit = self.plan.experiment.limits.start_s
        try:
            async with asyncio.timeout(limit):
                await self.watch.until(lambda: all(self.watch.seen[host].joined for host in hosts))
        except TimeoutError:
            raise LabError(f"not all receivers joined the multicast group within {limit:g} s") from None

    def _words(self, role: str, host: str, more: list[str]) -> list[str]:
        words = [
            sys.executable,
            "-m",
            "overlaycast.lab.actors.multicast_node",
            role,
            "--group",
            GROUP,
            "--port",
            str(PORT),
        ]
        words += ["--interface", self.plan.topology.address(host), "--name", host]
        words += ["--member", str(self._star.ids[host]), "--journal", str(self.folders.journal(host))]
        return words + more
