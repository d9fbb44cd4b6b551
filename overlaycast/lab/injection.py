"""Doing what the timeline says, and proving that it happened: a fault that did not happen fails the run.

Owns: the primitives of faults and their heals. Refuses: to choose whom to hit; ``targets`` does.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from overlaycast.errors import LabError
from overlaycast.lab.experiment import Fault
from overlaycast.lab.processes import Program

PROOF_S: Final = 2.0
LEAVE_S: Final = 10.0


class Cables(Protocol):
    """The part of a network that faults touch."""

    def link_down(self, a: str, b: str) -> None: ...
    def link_up(self, a: str, b: str) -> None: ...
    def link_is_up(self, a: str, b: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """What faults may act on.

    Attributes:
        programs: host -> the member's process there.
        cables: the network.
        access: host -> the two ends of its access link.
        restart_coordinator: starts it again on its state and returns once it answers.
    """

    programs: Mapping[str, Program]
    cables: Cables
    access: Callable[[str], tuple[str, str]]
    coordinator: Callable[[], Program]
    restart_coordinator: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that took effect at ``at`` (wall seconds), with the proof in words."""

    at: float
    evidence: str


async def inject(stage: Stage, fault: Fault, target: str) -> Injected:
    """Do it, and return once it is proven.

    Raises:
        LabError: it did not happen.
    """
    match fault.action:
        case "kill":
            return await _kill(stage.programs[target])
        case "coordinator-kill":
            return await _kill(stage.coordinator())
        case "leave":
            return await _leave(stage.programs[target])
        case "freeze":
            return await _freeze(stage.programs[target])
        case "link-down":
            return _cut(stage, target)


async def heal(stage: Stage, fault: Fault, target: str) -> float:
    """Undo a fault and return when that held (wall seconds).

    Raises:
        LabError: it did not work.
    """
    match fault.action:
        case "freeze":
            stage.programs[target].signal(signal.SIGCONT)
            await _proven(lambda: stage.programs[target].state() not in "Tt", f"{target} did not go on after SIGCONT")
        case "link-down":
            a, b = stage.access(target)
            stage.cables.link_up(a, b)
            if not stage.cables.link_is_up(a, b):
                raise LabError(f"fault link-down: {a}-{b} did not come up again")
        case "coordinator-kill":
            await stage.restart_coordinator()
        case _:
            raise LabError(f"fault {fault.action} has no heal")
    return time.time()


async def _kill(program: Program) -> Injected:
    at = time.time()
    program.signal(signal.SIGKILL)
    try:
        async with asyncio.timeout(PROOF_S):
            code = await program.wait()
    except TimeoutError:
        raise LabError(f"fault kill: process {program.pid} in {program.host} outlived SIGKILL") from None
    if code != -signal.SIGKILL:
        raise LabError(f"fault kill: {program.host} had ended by itself with {code}: {program.last_words()}")
    return Injected(at, f"process {program.pid} ended by signal 9")


async def _leave(program: Program) -> Injected:
    at = time.time()
    if program.returncode is not None:
        raise LabError(f"fault leave: {program.host} had ended before with {program.returncode}")
    program.signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(LEAVE_S):
            code = await program.wait()
    except TimeoutError:
        raise LabError(f"fault leave: {program.host} was still there {LEAVE_S:g} s after SIGTERM") from None
    if code != 0:
        raise LabError(f"fault leave: {program.host} ended with {code}: {program.last_words()}")
    return Injected(at, f"process {program.pid} left {time.time() - at:.1f} s after SIGTERM, with 0")


async def _freeze(program: Program) -> Injected:
    at = time.time()
    program.signal(signal.SIGSTOP)
    await _proven(lambda: program.state() in "Tt", f"{program.host} did not stop after SIGSTOP")
    return Injected(at, f"process {program.pid} is stopped")


def _cut(stage: Stage, target: str) -> Injected:
    a, b = stage.access(target)
    if not stage.cables.link_is_up(a, b):
        raise LabError(f"fault link-down: {a}-{b} was down before")
    at = time.time()
    stage.cables.link_down(a, b)
    if stage.cables.link_is_up(a, b):
        raise LabError(f"fault link-down: {a}-{b} is still up")
    return Injected(at, f"{a}-{b} has no carrier")


async def _proven(condition: Callable[[], bool], otherwise: str) -> None:
    # the kernel says nothing when a process stops, so it is asked, a few times
    deadline = time.monotonic() + PROOF_S
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"fault: {otherwise}")
        await asyncio.sleep(0.002)
