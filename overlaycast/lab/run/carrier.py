"""What carries the stream of a run: the part of its course that differs between the overlay and IP multicast."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from overlaycast.lab.faults.tree import Tree
from overlaycast.lab.network.processes import Program
from overlaycast.wire.views import MemberView


class Carrier(Protocol):
    """One way to carry the stream. While it is entered, the network is set up for it."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def start_first(self, file: Path) -> None:
        """Start everything up to the members that are there from the beginning; ``file`` will be sent."""

    async def start_member(self, host: str) -> None:
        """Start a host's member, again or for the first time, and return once it is a member."""

    async def start_coordinator(self) -> None:
        """Start the coordinator, again or for the first time, and return once it answers."""

    def coordinator(self) -> Program:
        """Return the coordinator's process."""

    async def tree(self) -> Tree:
        """Return each member and its parent."""

    async def members(self) -> tuple[MemberView, ...]:
        """Return all that is known of each member; nothing, where nobody finds out about them."""

    async def traffic(self) -> tuple[int | None, int | None]:
        """Return bytes and messages of the control plane so far."""

    async def end(self) -> None:
        """End what is not a member."""
