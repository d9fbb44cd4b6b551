"""IP multicast as the carrier of a run: routers that forward, receivers that join by IGMP, no coordinator, no tree.

Owns: the routes and the commands of the members. Invariant: the source starts only after every receiver of the start
has joined and its LAN knows, as the overlay waits for its members.
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
from overlaycast.lab.network.processes import Program
from overlaycast.lab.run import multicast_routes
from overlaycast.lab.run.members import Members
from overlaycast.lab.run.multicast_routes import GROUP
from overlaycast.lab.run.progress import RunProgress
from overlaycast.lab.run.watch import PAUSE_S
from overlaycast.wire.views import MemberView

PORT: Final = 5004
RECORD: Final = 7896
"""The size of records where the experiment says nothing: overlaycast's own."""


def member_ids(plan: Plan) -> dict[str, int]:
    """Return a number for each host that takes part."""
    return {host: number for number, host in enumerate((plan.cast.source, *plan.cast.peers), 1)}


def star(plan: Plan) -> Tree:
    """Return all receivers below the source: it sends the datagrams that they get."""
    ids, site_of = member_ids(plan), plan.topology.site_of
    source = Seat(1, plan.cast.source, "source", site_of(plan.cast.source), None)
    peers = (
        Seat(ids[host], host, "peer", site_of(host), 1, primary=True, depth=1, state="streaming")
        for host in plan.cast.peers
    )
    return Tree(1, (source, *peers))


class MulticastCarrier:
    """Multicast routes, and programs that send and receive over them."""

    def __init__(self, plan: Plan, network: Network, members: Members, progress: RunProgress) -> None:
        """Take the parts of a run; nothing is started yet."""
        self._plan = plan
        self._network = network
        self._members = members
        self._progress = progress
        self._ids = member_ids(plan)
        self._tree = star(plan)
        self._file = plan.file
        self._routes = ExitStack()

    async def __aenter__(self) -> Self:
        laid = multicast_routes.laid(self._network, self._plan.cast.source, self._plan.cast.peers)
        routers = self._routes.enter_context(laid)
        self._progress.step(f"{routers} routers forward the multicast group {GROUP}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._routes.close()

    async def start_first(self, file: Path) -> None:
        """Start the first receivers, and once they have joined the source."""
        self._file = file
        first = self._plan.arrivals.first
        self._progress.step(f"starting {len(first)} receivers; {file.name} will be sent")
        for host in first:
            self._members.start(host, self._command(host))
        await self._all_joined(first)
        source = self._plan.cast.source
        self._members.start(source, self._command(source))

    async def start_member(self, host: str) -> None:
        """Start a host's member, and return once it has joined."""
        self._members.start(host, self._command(host))
        await self._all_joined((host,))

    async def start_coordinator(self) -> None:
        """There is none."""

    def coordinator(self) -> Program:
        """There is none, and faults of a coordinator are left out."""
        raise LabError("IP multicast has no coordinator")

    async def tree(self) -> Tree:
        """Return all receivers below the source."""
        return self._tree

    async def members(self) -> tuple[MemberView, ...]:
        """Nobody finds out where receivers are: routers know by themselves."""
        return ()

    async def traffic(self) -> tuple[int | None, int | None]:
        """There is no control plane but IGMP, which stays within the LANs."""
        return 0, 0

    async def end(self) -> None:
        """There is nothing but members."""

    def _command(self, host: str) -> list[str]:
        plan, cast = self._plan, self._plan.cast
        if host != cast.source:
            return self._words("join", host, ["--output", str(self._members.output(host))])
        rate = systems.multicast_rate_mbit(plan.experiment, plan.topology, cast.source, cast.peers)
        words = ["--file", str(self._file), "--rate", str(round(rate * 1e6))]
        words += ["--record-size", str(plan.experiment.stream.record_size or RECORD)]
        return self._words("send", host, words)

    def _words(self, role: str, host: str, more: list[str]) -> list[str]:
        words = [sys.executable, "-m", "overlaycast.lab.actors.multicast_node", role]
        words += ["--group", GROUP, "--port", str(PORT)]
        words += ["--interface", self._plan.topology.address(host), "--name", host]
        words += ["--member", str(self._ids[host]), "--journal", str(self._members.folders.journal(host))]
        return words + more

    async def _all_joined(self, hosts: Sequence[str]) -> None:
        limit, watch = self._plan.experiment.limits.start_s, self._members.watch
        try:
            async with asyncio.timeout(limit):
                await watch.until(lambda: all(watch.seen[host].joined for host in hosts))
                while multicast_routes.unheard(self._network, hosts):  # noqa: ASYNC110 - a bridge tells no events
                    await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            raise LabError(f"not all receivers joined the multicast group within {limit:g} s") from None
