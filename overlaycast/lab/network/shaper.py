"""The shaping of a built network, whatever shapes each link: apply, change, cut, read back, and account for it.

Owns: which means each link has, and the shape it has now. Refuses: a change that the link's means cannot make
(``LabError`` that says how to ask for it beforehand), and tc's refusals. The decisions are ``shaping.py``'s.
"""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from overlaycast.errors import LabError
from overlaycast.lab.network.namespaces import Namespace
from overlaycast.lab.network.shaping import Means, tc_commands, tc_differences, tc_overflowed
from overlaycast.lab.network.wireclient import Direction, WireProcess
from overlaycast.lab.topology.graph import Link
from overlaycast.lab.topology.shape import Shape, shape
from overlaycast.lab.topology.topology import Topology

BUSIEST: Final = 0.9
"""Share of a second that the wire may compute; near 0.95 the kernel halts real-time processes (sched_rt_runtime_us)."""
LATE_P99_MS: Final = 5.0
"""A run in which the wire was later than this for one frame in a hundred was not on the network that it asked for."""


class Shaper:
    """The shaping of one network."""

    def __init__(
        self,
        topology: Topology,
        means: Mapping[str, Means],
        namespaces: Mapping[str, Namespace],
        wire: WireProcess | None,
    ) -> None:
        """Take over a network whose interfaces are there; ``wire`` carries the links whose means say so already."""
        self._topology = topology
        self._namespaces = namespaces
        self._wire = wire
        self.means = dict(means)
        self._now: dict[tuple[str, Direction], Shape] = {}
        for link in topology.links:
            self._now[link.name, "ab"], self._now[link.name, "ba"] = link.ab, link.ba

    @property
    def wire_pid(self) -> int | None:
        """The process that carries links, if there is one."""
        return self._wire.pid if self._wire is not None else None

    def asked(self, link: str, direction: Direction) -> Shape:
        """Return the shape a direction shall have now."""
        return self._now[link, direction]

    def apply(self) -> None:
        """Give every kernel-shaped link its shape.

        Raises:
            LabError: tc's complaint.
        """
        lines: dict[str, list[str]] = defaultdict(list)
        for link in self._topology.links:
            for node, wish in ((link.a, link.ab), (link.b, link.ba)):
                name = self._topology.interface(link.name, node).name
                lines[node] += tc_commands(self.means[link.name], name, wish)
        _tc_batch({node: text for node, text in lines.items() if text}, self._namespaces)

    def change(self, link: Link, direction: Direction, **wishes: Any) -> Shape:
        """Change what is named of one direction's shape; return the new one, which holds from now on.

        Raises:
            LabError: this link's means cannot.
            ConfigError: a value out of bounds.
        """
        before = {field.name: getattr(self._now[link.name, direction], field.name) for field in fields(Shape)}
        wish = shape(f"link {link.name}", **{**before, **wishes})
        means = self.means[link.name]
        if means == "wire" and self._wire is not None:
            self._wire.change(link.name, direction, wish)
        elif means == "netem" or (means == "tbf" and not wish.impaired and wish.rate_mbit):
            source = link.a if direction == "ab" else link.b
            name = self._topology.interface(link.name, source).name
            _tc_batch({source: tc_commands(means, name, wish)}, self._namespaces)
        elif wish != self._now[link.name, direction]:
            raise LabError(
                f"link {link.name}: shaped by {means}, which cannot become {wish.as_dict()};"
                " name the link as changeable when the network is built"
            )
        self._now[link.name, direction] = wish
        return wish

    def set_down(self, link: str, down: bool) -> None:
        """Cut or mend a link of the wire; frames on their way are lost. The interfaces are the network's business."""
        if self.means[link] == "wire" and self._wire is not None:
            self._wire.set_down(link, down)

    def read_back(self) -> list[str]:
        """Return what differs between what was asked and what the kernel and the wire say; empty where nothing does."""
        differences: list[str] = []
        shown = self._tc_shown()
        carried = self._carried()
        for link in self._topology.links:
            means = self.means[link.name]
            for node, direction in ((link.a, "ab"), (link.b, "ba")):
                wish = self._now[link.name, direction]  # type: ignore[index]
                name = self._topology.interface(link.name, node).name
                if means == "netem" or (means == "tbf" and wish.rate_mbit):
                    found = tc_differences(means, name, wish, shown[node])
                    differences += [f"link {link.name}: {text}" for text in found]
                elif means == "wire" and Shape(**carried[link.name][direction]["shape"]) != replace(wish):
                    differences.append(f"link {link.name}: {direction}: the wire has another shape than asked")
        return differences

    def overflowed(self) -> dict[str, tuple[int, int]]:
        """Return by link how many frames found its queue full since it was made: from a to b, and back."""
        shown = self._tc_shown()
        carried = self._carried()
        found = {}
        for link in self._topology.links:
            means = self.means[link.name]
            if means == "wire":
                ab, ba = (int(carried[link.name][way]["dropped_queue"]) for way in ("ab", "ba"))
            elif means == "none":
                ab = ba = 0
            else:
                ends = ((end, self._topology.interface(link.name, end).name) for end in (link.a, link.b))
                ab, ba = (tc_overflowed(means, name, shown[end]) for end, name in ends)
            found[link.name] = ab, ba
        return found

    def _carried(self) -> dict[str, Any]:
        links: dict[str, Any] = self._wire.status()["links"] if self._wire is not None else {}
        return links

    def _tc_shown(self) -> dict[str, str]:
        shaped = {name for name, means in self.means.items() if means in ("netem", "tbf")}
        nodes = {end.node for end in self._topology.interfaces if end.link in shaped}
        running = {}
        for node in sorted(nodes):
            with self._namespaces[node].entered():
                running[node] = subprocess.Popen(["tc", "-s", "-j", "qdisc", "show"], stdout=subprocess.PIPE, text=True)
        return {node: process.communicate()[0] for node, process in running.items()}

    def status(self) -> dict[str, Any]:
        """Return how the shaping went: the means of each link, the wire's own account, and whether it was ``valid``.

        Where it was not, ``why`` says in a line what was exceeded.
        """
        wire = self._wire.status() if self._wire is not None else None
        why = _why_invalid(wire) if wire is not None else ""
        return {"means": dict(self.means), "wire": wire, "valid": not why, "why": why}

    def reset(self) -> None:
        """Start the wire's account of lateness and load anew (the fidelity check is no part of the run)."""
        if self._wire is not None:
            self._wire.reset()

    def close(self) -> None:
        """End the wire."""
        if self._wire is not None:
            self._wire.close()


def _why_invalid(wire: Mapping[str, Any]) -> str:
    late, busy = wire["lateness_ms"]["p99"], wire["peak_busy"]
    if late > LATE_P99_MS:
        return f"the wire was {late:.1f} ms late for one frame in a hundred; accepted: {LATE_P99_MS:g} ms"
    if busy > BUSIEST:
        return f"the wire was busy {busy:.0%} of a second; accepted: {BUSIEST:.0%}"
    return ""


def netem_works() -> bool:
    """Return whether the kernel has netem, by trying it on ``lo`` of a namespace of its own."""
    scratch = Namespace("probe")
    try:
        with scratch.entered():
            tried = subprocess.run(
                ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"], capture_output=True, check=False
            )
    finally:
        scratch.close()
    return tried.returncode == 0


def _tc_batch(lines: Mapping[str, list[str]], namespaces: Mapping[str, Namespace]) -> None:
    running: list[tuple[str, subprocess.Popen[str]]] = []
    for node in lines:
        with namespaces[node].entered():
            process = subprocess.Popen(
                ["tc", "-batch", "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert process.stdin is not None
        process.stdin.write("\n".join(lines[node]) + "\n")
        process.stdin.close()
        process.stdin = None
        running.append((node, process))
    refused = [(node, process.communicate()[1].strip(), process.returncode) for node, process in running]
    for node, complaint, code in refused:
        if code:
            raise LabError(f"{node}: tc: {json.dumps(complaint.splitlines()[:1])} for {lines[node]}")
