"""Doing what the timeline says, and proving that it happened: a fault that did not happen fails the run.

Owns: which primitive does a fault, and which heals it. Refuses: to choose the target; ``aim`` does. The primitives are
``members`` (processes), ``links`` (cables and routers) and ``machines`` (readers, disks, clocks, rogues).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from overlaycast.errors import LabError
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.faults.faults import Fault
from overlaycast.lab.injection import links, machines, members
from overlaycast.lab.injection.stage import Cables, Injected, Stage

__all__ = ["Cables", "Injected", "Stage", "heal", "inject"]

DO: Final[dict[str, Callable[[Stage, Any, Hit], Awaitable[Injected]]]] = {
    "kill": members.kill,
    "leave": members.leave,
    "freeze": members.freeze,
    "restart": members.kill,
    "coordinator-kill": members.kill_coordinator,
    "coordinator-freeze": members.freeze_coordinator,
    "coordinator-restart": members.stop_coordinator,
    "link-down": links.cut,
    "link-flap": links.cut,
    "router-down": links.cut,
    "link-loss": links.lose,
    "link-delay": links.delay,
    "link-rate": links.narrow,
    "partition": links.part,
    "slow-reader": machines.stop_reader,
    "disk-full": machines.fill_disk,
    "clock-step": machines.step_clock,
    "tamper": machines.start_rogue,
    "mute": machines.start_rogue,
    "lie": machines.start_rogue,
}

UNDO: Final[dict[str, Callable[[Stage, Any, Hit], Awaitable[None]]]] = {
    "freeze": members.thaw,
    "restart": members.start_again,
    "coordinator-kill": members.start_coordinator,
    "coordinator-freeze": members.thaw_coordinator,
    "coordinator-restart": members.start_coordinator,
    "link-down": links.mend,
    "link-flap": links.flap_on,
    "router-down": links.mend,
    "link-loss": links.restore,
    "link-delay": links.restore,
    "link-rate": links.restore,
    "partition": links.join,
    "slow-reader": machines.resume_reader,
    "disk-full": machines.make_room,
    "clock-step": machines.step_back,
    "tamper": machines.stop_rogue,
    "mute": machines.stop_rogue,
    "lie": machines.stop_rogue,
}


async def inject(stage: Stage, fault: Fault, hit: Hit) -> Injected:
    """Inject the fault, and return once it is proven.

    Raises:
        LabError: it did not happen.
    """
    return await DO[fault.action](stage, fault, hit)


async def heal(stage: Stage, fault: Fault, hit: Hit) -> float:
    """Undo a fault and return the time from which it was undone (wall seconds).

    Raises:
        LabError: it did not work, or the fault has no heal.
    """
    undo = UNDO.get(fault.action)
    if undo is None:
        raise LabError(f"fault {fault.action} has no heal")
    await undo(stage, fault, hit)
    return time.time()
