"""Faults of machines and of honesty: a reader that stops, a full disk, a clock that jumps, a rogue member."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from overlaycast.errors import LabError
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.faults.faults import ClockStep, Fault
from overlaycast.lab.injection import members
from overlaycast.lab.injection.stage import Injected, Stage, proven

CLOCK_PROOF_S: Final = 6.0
NEAR_S: Final = 30.0
"""A member's clock counts as stepped when its newest sample is so near to where it should be."""
MISDEED_S: Final = 6.0
TRIES: Final = 20
SLACK_BYTES: Final = 8 * 1024 * 1024
"""More than a member writes while its disk is being resized."""
BLOCK: Final = bytes(4096)
BALLAST: Final = ".ballast"
ROOM: Final = "75%"


async def stop_reader(stage: Stage, fault: Fault, hit: Hit) -> Injected:
    """Stop the process that reads the member's output."""
    done = await members.stopped([stage.readers[hit.members[0]]])
    return Injected(done.at, f"the reader of {hit.label}, {done.evidence}")


async def resume_reader(stage: Stage, fault: Fault, hit: Hit) -> None:
    """Let it read on."""
    await members.resumed([stage.readers[hit.members[0]]])


async def fill_disk(stage: Stage, fault: Fault, hit: Hit) -> Injected:
    """Shrink the file system to little more than what is on it, then fill the rest: not a byte is left.

    Some room must stay at first: the member goes on writing while the size is set, and a size below use is refused.
    """
    disk = stage.disks[hit.members[0]]
    for _ in range(TRIES):
        seen = os.statvfs(disk)
        used = (seen.f_blocks - seen.f_bfree) * seen.f_frsize
        await asyncio.to_thread(_resize, disk, str(used + SLACK_BYTES))
        at = time.time()
        if os.statvfs(disk).f_blocks * seen.f_frsize <= used + SLACK_BYTES:
            await asyncio.to_thread(_fill, disk / BALLAST)
        seen = os.statvfs(disk)
        if seen.f_bavail == 0:
            return Injected(at, f"the disk of {hit.label} has no block left of {seen.f_blocks}")
    raise LabError(f"fault disk-full: {disk} still has room")


def _fill(ballast: Path) -> None:
    """Write until nothing more fits."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        for _ in range(2 * SLACK_BYTES // len(BLOCK)):
            file.write(BLOCK)


async def make_room(stage: Stage, fault: Fault, hit: Hit) -> None:
    """Let the file system grow again."""
    disk = stage.disks[hit.members[0]]
    await asyncio.to_thread(_resize, disk, ROOM)
    (disk / BALLAST).unlink(missing_ok=True)
    if os.statvfs(disk).f_bavail == 0:
        raise LabError(f"fault disk-full: {disk} is still full")


def _resize(disk: Path, size: str) -> None:
    # with its type and name, for otherwise mount repeats the options that it finds: of those the owner's number has no
    # meaning in an ordinary user's namespace, and the kernel refuses it
    words = ["mount", "-t", "tmpfs", "-o", f"remount,size={size}", "tmpfs", str(disk)]
    subprocess.run(words, capture_output=True, check=False)


async def step_clock(stage: Stage, fault: ClockStep, hit: Hit) -> Injected:
    """Move the wall clock of a host; proven by what its member writes from then on."""
    at = time.time()
    await _set_clock(stage, hit.members[0], fault.by_s)
    return Injected(at, f"{hit.label} dates its samples {fault.by_s:+g} s off")


async def step_back(stage: Stage, fault: ClockStep, hit: Hit) -> None:
    """Set the clock right."""
    await _set_clock(stage, hit.members[0], 0.0)


async def _set_clock(stage: Stage, host: str, off_s: float) -> None:
    stage.clocks[host].write_text(f"{off_s:+.3f}\n")

    def stepped() -> bool:
        newest = stage.last_sample_at(host)
        return newest is not None and abs(newest - time.time() - off_s) < NEAR_S

    await proven(stepped, f"the clock of {host} did not step by {off_s:+g} s", CLOCK_PROOF_S)


async def start_rogue(stage: Stage, fault: Fault, hit: Hit) -> Injected:
    """Order a rogue to begin; proven by its own count of misdeeds."""
    host = hit.members[0]
    before = misdeeds(stage.rogues[host])
    at = time.time()
    stage.programs[host].signal(signal.SIGUSR1)
    await proven(
        lambda: misdeeds(stage.rogues[host]) > before,
        f"{fault.action}: {host} did nothing wrong: it has no children, or is not fed",
        MISDEED_S,
    )
    return Injected(at, f"{host} has done it {misdeeds(stage.rogues[host]) - before} times already")


async def stop_rogue(stage: Stage, fault: Fault, hit: Hit) -> None:
    """Order a rogue to be honest again."""
    stage.programs[hit.members[0]].signal(signal.SIGUSR2)


def misdeeds(report: Path) -> int:
    """Return what a rogue has counted so far."""
    try:
        return int(report.read_text() or 0)
    except (OSError, ValueError):
        return 0
