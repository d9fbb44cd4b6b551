"""What a run prepares so that faults can act on it later: readers, disks and clocks of members' own, rogues. Pure.

Owns: which host needs which fixture, from the faults alone. These faults name their hosts, because the fixtures must
exist before the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from overlaycast.lab.faults.faults import ROGUES, Fault


@dataclass(frozen=True, slots=True)
class Fixtures:
    """Hosts by the fixture they need; ``rogues``: host -> its kind of misdeed."""

    readers: frozenset[str] = frozenset()
    disks: frozenset[str] = frozenset()
    clocks: frozenset[str] = frozenset()
    rogues: dict[str, str] = field(default_factory=dict)


def fixtures(faults: Iterable[Fault]) -> Fixtures:
    """Return the fixtures that these faults need."""
    known = tuple(faults)

    def hosts(action: str) -> frozenset[str]:
        return frozenset(fault.aim for fault in known if fault.action == action)

    rogues: dict[str, str] = {fault.aim: fault.action for fault in known if fault.action in ROGUES}
    return Fixtures(hosts("slow-reader"), hosts("disk-full"), hosts("clock-step"), rogues)


def complaint(faults: Iterable[Fault]) -> tuple[int, str] | None:
    """Return the number of a fault and why its host cannot have its fixture beside that of another fault; or None."""
    seen: dict[str, str] = {}
    for number, fault in enumerate(faults):
        if fault.action not in (*ROGUES, "slow-reader", "disk-full"):
            continue
        before = seen.setdefault(fault.aim, fault.action)
        if before != fault.action:
            return number, f"{fault.aim} is prepared for {before} already; accepted: another host"
    return None
