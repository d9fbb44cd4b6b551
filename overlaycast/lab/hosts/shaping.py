"""The topology's rates, delays and losses, made at the hosts, for who asks for them. Pure.

Owns: what each pair of hosts gets: the delay, the loss and the least rate of its path. Refuses: what hosts cannot make:
a link that several pairs share has its rate for each of them, and no queue in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from overlaycast.lab.hosts.deeds import Deed
from overlaycast.lab.hosts.severing import ROOT, UNLIMITED, Door, matching
from overlaycast.lab.topology.topology import Topology

QUEUE: Final = 10_000
"""Packets that wait out their delay."""
FIRST_CLASS: Final = 16
NAME: Final = "shape"


def shape(topology: Topology, host: str, others: Sequence[str], doors: Mapping[str, Door]) -> Deed:
    """Return what a host does to what it sends to others in the run; nothing else that it sends is touched."""
    commands: list[Sequence[str]] = [*ROOT]
    for number, other in enumerate(others, FIRST_CLASS):
        rate, delay_ms, loss = path(topology, host, other)
        class_ = f"1:{number:x}"
        asked = f"{rate:g}mbit" if rate is not None else UNLIMITED
        commands.append(["class", "add", "dev", "DEVICE", "parent", "1:", "classid", class_, "htb", "rate", asked])
        if delay_ms or loss:
            netem = ["netem", "limit", str(QUEUE), "delay", f"{delay_ms:g}ms", "loss", f"{100 * loss:g}%"]
            commands.append(["qdisc", "add", "dev", "DEVICE", "parent", class_, *netem])
        commands += matching(doors[host], doors[other], class_)
    toward = doors[others[0]].address
    step: dict[str, Any] = {"kind": "tc", "toward": toward, "qdisc": "htb", "commands": commands, "said": "shaped"}
    return Deed(NAME, (step,), ({"kind": "tc-off", "toward": toward},))


def path(topology: Topology, a: str, b: str) -> tuple[float | None, float, float]:
    """Return the least rate (Mbit/s; None: unlimited), the delay (ms) and the loss of the way from a to b."""
    here, rates, delay_ms, kept = a, list[float](), 0.0, 1.0
    for name in topology.path(a, b):
        link = topology.link(name)
        egress = link.egress(here)
        rates += [] if egress.rate_mbit is None else [egress.rate_mbit]
        delay_ms += egress.delay_ms
        kept *= 1 - egress.loss
        here = link.other(here)
    return min(rates, default=None), delay_ms, 1 - kept


def needs(topology: Topology, hosts: Sequence[str]) -> frozenset[str]:
    """Return what hosts must have for it."""
    paths = [path(topology, a, b) for a in hosts for b in hosts if a != b]
    return frozenset({"tc", "netem"} if any(delay_ms or loss for _, delay_ms, loss in paths) else {"tc"})
