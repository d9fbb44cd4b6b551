"""Faults of processes: killed, stopped, asked to leave, started again; members' and the coordinator's alike."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from typing import Final

from overlaycast.errors import LabError
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.faults.faults import Fault
from overlaycast.lab.injection import stage as stages
from overlaycast.lab.injection.stage import Injected, Stage, proven
from overlaycast.lab.network.processes import Program

LEAVE_S: Final = 10.0


def _programs(stage: Stage, hit: Hit) -> list[Program]:
    missing = [host for host in hit.members if host not in stage.programs]
    if missing:
        raise LabError(f"fault: nothing was started in {', '.join(missing)}")
    return [stage.programs[host] for host in hit.members]


async def kill(stage: Stage, fault: Fault, hit: Hit) -> Injected:
    """SIGKILL, all at once."""
    return await _kill(_programs(stage, hit))


async def kill_coordinator(stage: Stage, fault: Fault, hit: Hit) -> Injected:
    """SIGKILL."""
    return await _kill([stage.coordinator()])


async def _kill(programs: Sequence[Program]) -> Injected:
    at = time.time()
    for program in programs:
        program.signal(signal.SIGKILL)
    for program in programs:
        try:
            async with asyncio.timeout(stages.PROOF_S):
                code = await program.wait()
        except TimeoutError:
            raise LabError(f"fault kill: process {program.pid} in {program.host} outlived SIGKILL") from None
        if code != -signal.SIGKILL:
            raise LabError(f"fault kill: {program.host} had ended by itself with {code}: {program.last_words()}")
    return Injected(at, f"{_named(programs)} ended by signal 9")


def _named(programs: Sequence[Program]) -> str:
    pids = ", ".join(str(program.pid) for program in programs)
    return f"process {pids}" if len(programs) == 1 else f"processes {pids}"


async def leave(stage: Stage, fault: Fault, hit: Hit) -> Injected:
    """SIGTERM, and each has ended well by itself."""
    return await _leave(_programs(stage, hit))


async def stop_coordinator(stage: Stage, fault: Fault, hit: Hit) -> Injected:
    """SIGTERM, and it has ended well by itself."""
    return await _leave([stage.coordinator()])


async def _leave(programs: Sequence[Program]) -> Injected:
    at = time.time()
    for program in programs:
        if program.returncode is not None:
            raise LabError(f"fault leave: {program.host} had ended before with {program.returncode}")
        program.signal(signal.SIGTERM)
    for program in programs:
        try:
            async with asyncio.timeout(LEAVE_S):
                code = await program.wait()
        except TimeoutError:
            raise LabError(f"fault leave: {program.host} was still there {LEAVE_S:g} s after SIGTERM") from None
        if code != 0:
            raise LabError(f"fault leave: {program.host} ended with {code}: {program.last_words()}")
    return Injected(at, f"{_named(programs)} left {time.time() - at:.1f} s after SIGTERM, with 0")


async def freeze(stage: Stage, fault: Fault, hit: Hit) -> Injected:
    """SIGSTOP."""
    return await stopped(_programs(stage, hit))


async def freeze_coordinator(stage: Stage, fault: Fault, hit: Hit) -> Injected:
    """SIGSTOP."""
    return await stopped([stage.coordinator()])


async def stopped(programs: Sequence[Program]) -> Injected:
    """Stop processes and return once the kernel says that they are."""
    at = time.time()
    for program in programs:
        program.signal(signal.SIGSTOP)
    for program in programs:
        await proven(
            lambda program=program: program.state() in "Tt",  # type: ignore[misc]
            f"{program.host} did not stop after SIGSTOP",
            stages.PROOF_S,
        )
    return Injected(at, f"{_named(programs)} {'is' if len(programs) == 1 else 'are'} stopped")


async def thaw(stage: Stage, fault: Fault, hit: Hit) -> None:
    """SIGCONT."""
    await resumed(_programs(stage, hit))


async def thaw_coordinator(stage: Stage, fault: Fault, hit: Hit) -> None:
    """SIGCONT."""
    await resumed([stage.coordinator()])


async def resumed(programs: Sequence[Program]) -> None:
    """Let stopped processes go on."""
    for program in programs:
        program.signal(signal.SIGCONT)
        await proven(
            lambda program=program: program.state() not in "Tt",  # type: ignore[misc]
            f"{program.host} did not go on after SIGCONT",
            stages.PROOF_S,
        )


async def start_again(stage: Stage, fault: Fault, hit: Hit) -> None:
    """Start the same commands; all are members again when this returns."""
    async with asyncio.TaskGroup() as group:
        for host in hit.members:
            group.create_task(_start(stage, host))


async def _start(stage: Stage, host: str) -> None:
    await stage.start_member(host)


async def start_coordinator(stage: Stage, fault: Fault, hit: Hit) -> None:
    """Start it again on the same state; it answers when this returns."""
    await stage.start_coordinator()
