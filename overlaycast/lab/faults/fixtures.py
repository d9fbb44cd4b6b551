"""What members must stand on so that a timeline can hit them: readers, disks and clocks of their own, rogues. Pure.

Owns: which host needs what, from the faults alone; these faults name their hosts, for all this exists before the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from overlaycast.lab.faults.faults import ROGUES, Fault


@dataclass(frozen=True, slots=True)
class Fixtures:
    """Hosts by what they need; ``rogues``: host -> its kind of misdeed."""

    readers: frozenset[str] = frozenset()
    disks: frozenset[str] = frozenset()
    clocks: frozenset[str] = frozenset()
    rogues: dict[str, str] = field(default_factory=dict)


def fixtures(faults: Iterable[Fault]) -> Fixtures:
    """Return what the hosts of these faults need."""
    known = tuple(faults)

    def hosts(action: str) -> frozenset[str]:
        return frozenset(fault.aim for fault in known if fault.action == action)

    rogues: dict[str, str] = {fault.aim: fault.action for fault in known if fault.action in ROGUES}
    return Fixtures(hosts("slow-reader"), hosts("disk-full"), hosts("clock-step"), rogues)


def complaint(faults: Iterable[Fault]) -> tuple[int, str] | None:
    """Return the number of a fault and why its host cannot have what it needs beside what others need; or None."""
    seen: dict[str, str] = {}
    for number, fault in enumerate(faults):
        if fault.action not in (*ROGUES, "slow-reader", "disk-full"):
            continue
        before = seen.setdefault(fault.aim, fault.action)
        if before != fault.action:
            return number, f"{fault.aim} is prepared for {before} already; accepted: another host"
    return None
