"""What faults become on real hosts: for each host, what its hand does, and how that is undone. Pure.

Owns: which faults can be carried out there at all, what each needs of a host, and the steps. Refuses: faults that make
no sense on hosts that are not the experiment's own, by name, before anything starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from overlaycast.errors import LabError
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.faults.faults import Fault, LinkDelay, LinkFlap, LinkLoss, LinkRate
from overlaycast.lab.hosts import severing
from overlaycast.lab.hosts.severing import Door
from overlaycast.lab.run.programs import COORDINATOR
from overlaycast.lab.topology.topology import Topology

DISK: Final = "disk"
"""Folder of the file system that is filled, below the run's own."""
IMPOSSIBLE: Final[Mapping[str, str]] = {
    "clock-step": "the hosts' clocks are left alone",
    "slow-reader": "a member writes to a file there, and no reader can be stopped",
    "tamper": "no rogue program is let loose on real hosts",
    "mute": "no rogue program is let loose on real hosts",
    "lie": "no rogue program is let loose on real hosts",
}
NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "link-down": ("nft",),
    "link-flap": ("nft",),
    "link-loss": ("nft",),
    "link-delay": ("netem",),
    "link-rate": ("nft", "tc"),
    "partition": ("nft",),
    "router-down": ("nft",),
}
"""What hosts must have for a fault."""

QUEUES: Final = ("link-delay", "link-rate")
"""Faults that put a queue at a host's device, which has one."""
ENDS: Final[Mapping[str, str]] = {
    "kill": "KILL",
    "restart": "KILL",
    "leave": "TERM",
    "coordinator-kill": "KILL",
    "coordinator-restart": "TERM",
}
"""Faults that end a program, and the signal that does it."""
FREEZES: Final = ("freeze", "coordinator-freeze")

Step = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Deed:
    """What one host does.

    Attributes:
        name: of the fault, with a number where it is done several times.
        after_s: how long after the fault's own time.
        lasts_s: until it is undone; None: until the run's end.
        steps: what is done.
        undo: how it is undone; empty: it cannot be.
    """

    name: str
    steps: tuple[Step, ...]
    undo: tuple[Step, ...] = ()
    after_s: float = 0.0
    lasts_s: float | None = None


def impossible(faults: Iterable[tuple[int, Fault]], shaped: bool = False) -> Iterator[tuple[int, str]]:
    """Return ``(index in the timeline, why)`` for faults that cannot be carried out on real hosts."""
    for index, fault in faults:
        if shaped and fault.action in QUEUES:
            yield index, f"{fault.action} is not done with --shape: both need the same queue; accepted: one of them"
        elif why := IMPOSSIBLE.get(fault.action):
            yield index, f"{fault.action} is not done on real hosts: {why}; accepted: another fault, or --no-faults"


def needs(faults: Iterable[Fault]) -> frozenset[str]:
    """Return what faults need of hosts."""
    return frozenset(tool for fault in faults for tool in NEEDS.get(fault.action, ()))


def deeds(
    fault: Fault, name: str, hit: Hit, topology: Topology, doors: Mapping[str, Door], coordinator: str
) -> dict[str, list[Deed]]:
    """Return what each host does for a fault.

    Args:
        fault: from the timeline.
        name: its id.
        hit: what it hits now.
        topology: the experiment's, whose paths say which hosts a link is between.
        doors: host -> where it is met, of all hosts of the run.
        coordinator: the host of the coordinator.

    Raises:
        LabError: it would hit nothing.
    """
    lasts_s = fault.heals_after_s
    if fault.aims_at == "coordinator":
        return {coordinator: [_of_process(fault.action, name, COORDINATOR, lasts_s)]}
    if fault.action == "disk-full":
        return {host: [Deed(name, ({"kind": "fill", "folder": DISK},))] for host in hit.members}
    if hit.members:
        return {host: [_of_process(fault.action, name, host, lasts_s)] for host in hit.members}
    apart = severing.pairs(topology, hit, tuple(doors))
    if not apart:
        raise LabError(f"fault {name}: no packets between hosts of the run cross {hit.label}")
    return _of_network(fault, name, apart, doors)


def _of_process(action: str, name: str, unit: str, lasts_s: float | None) -> Deed:
    if action in FREEZES:
        return Deed(name, (_signal(unit, "STOP"),), (_signal(unit, "CONT"),), lasts_s=lasts_s)
    ends = _signal(unit, ENDS[action])
    again: tuple[Step, ...] = ({"kind": "start", "unit": unit},) if lasts_s is not None else ()
    return Deed(name, (ends,), again, lasts_s=lasts_s)


def _signal(unit: str, signal: str) -> Step:
    return {"kind": "signal", "unit": unit, "signal": signal}


def _of_network(
    fault: Fault, name: str, apart: Sequence[severing.Pair], doors: Mapping[str, Door]
) -> dict[str, list[Deed]]:
    if isinstance(fault, LinkLoss):
        return {
            host: [_nft(name, severing.lossy(host, others, doors, fault.loss), f"{fault.loss:.1%} are dropped", fault)]
            for host, others in severing.both_ends(apart).items()
        }
    if isinstance(fault, LinkDelay):
        netem = ["netem", "delay", f"{fault.delay_ms:g}ms", *([f"{fault.jitter_ms:g}ms"] if fault.jitter_ms else [])]
        return {
            host: [_queue(name, host, others, doors, netem, f"{fault.delay_ms:g} ms are added", fault)]
            for host, others in severing.both_ends(apart).items()
        }
    if isinstance(fault, LinkRate):
        return {host: _rate(fault, name, host, others, doors) for host, others in severing.fewest(apart).items()}
    cut = severing.fewest(apart)
    return {host: _cuts(fault, name, severing.silence(host, others, doors), others) for host, others in cut.items()}


def _rate(fault: LinkRate, name: str, host: str, others: Sequence[str], doors: Mapping[str, Door]) -> list[Deed]:
    rate = f"{fault.rate_mbit:g}mbit"
    said = f"held to {fault.rate_mbit:g} Mbit/s"
    out = _queue(name, host, others, doors, ["tbf", "rate", rate, "burst", "16kb", "latency", "100ms"], said, fault)
    into = _nft(name, severing.narrow(host, others, doors, fault.rate_mbit), said, fault)
    return [Deed(name, (*out.steps, *into.steps), (*out.undo, *into.undo), lasts_s=fault.heals_after_s)]


def _cuts(fault: Fault, name: str, rules: str, others: Sequence[str]) -> list[Deed]:
    what = f"packets of the run to and from {len(others)} host{'s' if len(others) > 1 else ''} are dropped"
    first = _nft(name, rules, what, fault)
    if not isinstance(fault, LinkFlap):
        return [first]
    period = fault.down_s + fault.up_s
    return [
        Deed(name if number == 0 else f"{name}-{number + 1}", first.steps, first.undo, number * period, fault.down_s)
        for number in range(fault.times)
    ]


def _nft(name: str, rules: str, said: str, fault: Fault) -> Deed:
    step = {"kind": "nft", "rules": rules, "said": said}
    return Deed(name, (step,), ({"kind": "nft-off"},), lasts_s=fault.heals_after_s)


def _queue(
    name: str,
    host: str,
    others: Sequence[str],
    doors: Mapping[str, Door],
    queue: Sequence[str],
    said: str,
    fault: Fault,
) -> Deed:
    toward = doors[others[0]].address
    commands = severing.slower(host, others, doors, queue)
    step = {"kind": "tc", "toward": toward, "qdisc": queue[0], "commands": commands, "said": said}
    return Deed(name, (step,), ({"kind": "tc-off", "toward": toward},), lasts_s=fault.heals_after_s)
