"""All that was observed in one run, and no conclusions. Pure values.

Owns: the shapes between the runner, which fills them, and ``judge.build``, which judges them. Times are wall seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from overlaycast.lab.experiment.arrivals import Going
from overlaycast.lab.experiment.experiment import Cast, Experiment
from overlaycast.lab.faults.tree import EMPTY, Tree
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.located import Located, Way
from overlaycast.lab.results.real_hosts import RealHosts


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node of the network: ``kind`` is host or router."""

    name: str
    kind: str
    site: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """A link: what was asked of each direction (None: unlimited), which site it leads to, what shapes it.

    ``into_site`` is the direction, ab or ba, that enters the site.
    """

    name: str
    a: str
    b: str
    rate_mbit: float | None = None
    delay_ms: float = 0
    loss: float = 0
    site: str | None = None
    into_site: str | None = None
    shaping: str = "none"


@dataclass(frozen=True, slots=True)
class NetworkSeen:
    """The network that was built.

    Attributes:
        nodes: hosts and routers.
        links: the cables between them.
        paths: for two members' hosts, the names of the links from the first to the second.
        delays: for two members' hosts, the one-way delay asked of that path, in ms.
        ways: for each receiver, the true way from the coordinator.
    """

    nodes: tuple[NodeSeen, ...]
    links: tuple[LinkSeen, ...]
    paths: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    delays: Mapping[tuple[str, str], float] = field(default_factory=dict)
    ways: Mapping[str, Way] = field(default_factory=dict)

    def site_of(self, host: str) -> str | None:
        """Return the site of a host."""
        return next((node.site for node in self.nodes if node.name == host), None)

    def route(self, a: str, b: str) -> tuple[str, ...]:
        """Return the nodes from a to b, both included; only a when the path is not known."""
        ends = {link.name: (link.a, link.b) for link in self.links}
        nodes = [a]
        for name in self.paths.get((a, b), ()):
            left, right = ends[name]
            nodes.append(right if nodes[-1] == left else left)
        return tuple(nodes)


@dataclass(frozen=True, slots=True)
class LinkTraffic:
    """Kernel counters of one link, each direction: bytes and packets since it was made."""

    bytes_ab: int
    packets_ab: int
    bytes_ba: int
    packets_ba: int


@dataclass(frozen=True, slots=True)
class CounterSample:
    """All links' counters at one moment."""

    t: float
    links: Mapping[str, LinkTraffic]


@dataclass(frozen=True, slots=True)
class FaultDone:
    """A fault that did happen.

    Attributes:
        id: its name in the experiment.
        action: what was done.
        asked: the target expression.
        target: the hosts (or other things) that it meant, for people.
        at: when it took effect.
        evidence: how it was verified at injection.
        away: members that could not serve while it lasted; for good unless it was healed.
        silenced: members whose children got nothing from them; those away among them.
        healed_at: when it was healed, or None.
        before: the tree at injection.
        after: the tree once repairs had settled; None if that was never seen.
    """

    id: str
    action: str
    asked: str
    target: str
    at: float
    evidence: str
    away: tuple[str, ...] = ()
    silenced: tuple[str, ...] = ()
    healed_at: float | None = None
    before: Tree = EMPTY
    after: Tree | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """A peer that came, left or was killed by the plan of arrivals, and when."""

    at: float
    host: str
    what: Going


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one program held at a moment: resident bytes and open descriptors. ``pid`` tells its starts apart."""

    t: float
    host: str
    pid: int
    rss_bytes: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Stall:
    """A program that waited for a processor for ``waited_ms`` between two moments; without a host, the machine did."""

    begin: float
    end: float
    host: str | None
    waited_ms: float


@dataclass(frozen=True, slots=True)
class FileSeen:
    """A receiver's file as it lies on the disk, looked at by the lab itself.

    ``media`` is what ffprobe counted, ``((codec, packets), …)``; None if it could not read the file or was not asked.
    ``fits``: bit for bit what was sent, or its end (of a late joiner), or, if that is longer, its beginning and then
    all of it (of a source that started again).
    """

    size: int
    sha256: str
    media: tuple[tuple[str, int], ...] | None = None
    fits: bool | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """One run, as observed.

    Attributes:
        notes: what was left out of the experiment, and why.
        cpu_s: host -> processor seconds that its member used since the stream began.
        captures: how much was captured per link; None: nothing was asked for.
        overflowed: link -> frames that found its queue full since the stream began, from a to b and back.
        left: members that were away at the end, by faults or by the plan of arrivals; None: by the faults alone.
        passed: what the plan of arrivals did.
        footprints: of every program, as long as it ran.
        stalls: when a program waited long for a processor.
        hosts: the real hosts that it ran on; None: the network was emulated.
        located: what the coordinator knew of the receivers, at last.
    """

    experiment: Experiment
    cast: Cast
    system: str
    seed: int
    command: str
    versions: Mapping[str, str]
    started: float
    ended: float
    network: NetworkSeen
    shaping: Mapping[str, Any]
    fidelity: Sequence[Mapping[str, Any]]
    multicast_blocked: bool | None
    journals: Mapping[str, Journal]
    counters: Sequence[CounterSample]
    start_tree: Tree
    faults: Sequence[FaultDone]
    sent: FileSeen
    received: Mapping[str, FileSeen]
    troubles: Sequence[str] = ()
    control_bytes: int | None = None
    control_messages: int | None = None
    notes: Sequence[str] = ()
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    captures: Mapping[str, Any] | None = None
    overflowed: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    left: frozenset[str] | None = None
    passed: Sequence[Passed] = ()
    footprints: Sequence[Footprint] = ()
    stalls: Sequence[Stall] = ()
    hosts: RealHosts | None = None
    located: Mapping[str, Located] = field(default_factory=dict)

    def absent(self) -> frozenset[str]:
        """Return the members that were away at the end, to which nothing was promised."""
        if self.left is not None:
            return self.left
        return frozenset(host for fault in self.faults if fault.healed_at is None for host in fault.away)


@dataclass(frozen=True, slots=True)
class Curve:
    """A cumulative count over time, read between its points by straight lines."""

    times: tuple[float, ...]
    values: tuple[float, ...]

    def at(self, t: float) -> float:
        """Return the count at ``t``; before the first and after the last point it stays."""
        if not self.times:
            return 0.0
        index = bisect_right(self.times, t)
        if index == 0:
            return self.values[0]
        if index == len(self.times):
            return self.values[-1]
        t0, t1 = self.times[index - 1], self.times[index]
        v0, v1 = self.values[index - 1], self.values[index]
        return v0 + (v1 - v0) * (t - t0) / (t1 - t0)

    def between(self, t0: float, t1: float) -> float:
        """Return how much was added from t0 to t1."""
        return self.at(t1) - self.at(t0)
