"""What faults may act on, and how a proof is awaited. Owns no state of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from overlaycast.errors import LabError
from overlaycast.lab.network.processes import Program

PROOF_S: Final = 2.0


class Cables(Protocol):
    """The part of a network that faults touch. ``cabling.NetworkCables`` is the real one."""

    def link_down(self, a: str, b: str) -> None: ...
    def link_up(self, a: str, b: str) -> None: ...
    def link_is_up(self, a: str, b: str) -> bool: ...

    def reshape(self, a: str, b: str, **wishes: Any) -> None:
        """Change both directions of a link; raises ``LabError`` where that cannot be, or is not so afterwards."""

    def restore(self, a: str, b: str) -> None:
        """Give a link the shape that its topology asks for."""

    async def one_way_ms(self, a: str, b: str) -> float:
        """Measure the delay from a to b with a few datagrams; median."""

    async def lost_share(self, a: str, b: str) -> float:
        """Measure the share of datagrams lost from a to b."""

    async def part(self, borders: Sequence[str], inside: Sequence[str]) -> None:
        """Have routers drop what crosses between these hosts and all others."""

    async def join(self, borders: Sequence[str]) -> None:
        """Undo ``part``."""

    async def passes(self, a: str, b: str) -> bool:
        """Return whether a datagram from host a arrives at host b."""


async def _no_start(_: str) -> None:
    raise LabError("no member can be started here")


@dataclass(frozen=True, slots=True)
class Stage:
    """What faults may act on.

    Attributes:
        programs: host -> the member's process there.
        cables: the network.
        coordinator: its process.
        start_coordinator: starts it again on its state and returns once it answers.
        start_member: starts the member of a host again and returns once it is a member.
        source: the source's host.
        readers: host -> the process that reads the member's output.
        disks: host -> the file system of its own for its output.
        clocks: host -> the file that moves its wall clock.
        last_sample_at: host -> the wall clock of its newest sample, or None.
        rogues: host -> the file where a rogue counts its misdeeds.
    """

    programs: Mapping[str, Program]
    cables: Cables
    coordinator: Callable[[], Program]
    start_coordinator: Callable[[], Awaitable[None]]
    start_member: Callable[[str], Awaitable[None]] = _no_start
    source: str = "source"
    readers: Mapping[str, Program] = field(default_factory=dict)
    disks: Mapping[str, Path] = field(default_factory=dict)
    clocks: Mapping[str, Path] = field(default_factory=dict)
    last_sample_at: Callable[[str], float | None] = lambda _: None
    rogues: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that took effect at ``at`` (wall seconds), with the proof in words."""

    at: float
    evidence: str


async def proven(condition: Callable[[], bool], otherwise: str, patience_s: float = PROOF_S) -> None:
    """Return once a condition holds; the kernel says nothing of such changes, so it is asked, a few times.

    Raises:
        LabError: it never did.
    """
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"fault: {otherwise}")
        await asyncio.sleep(0.002)
