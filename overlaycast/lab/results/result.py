"""``result.json``: what a run concluded, as one model that its writer and every reader share.

Owns: names and units of everything that is published, field by field; of what faults did in ``fault_seen``, of real
hosts in ``real_hosts``. Figures come from ``judge``; nothing here computes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator

from overlaycast.lab.results import stored
from overlaycast.lab.results.fault_seen import FaultSeen, FeedSeen
from overlaycast.lab.results.real_hosts import RealHosts

MOST_GAPS: Final = 500

_EARLIER_METRICS: Final = {"told_why": "reason_given"}
MetricName = Annotated[str, AfterValidator(lambda name: _EARLIER_METRICS.get(name, name))]
"""A metric's name. Files of before may have its earlier name."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the source's clock to the receiver's sink."""

    p50: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class MemberSeen:
    """A member as placed when the stream began."""

    id: int
    host: str
    role: str
    site: str | None
    rank: int | None
    parent: int | None
    parent_host: str | None
    primary: bool
    depth: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one receiver got.

    ``survived``: no fault took it away for good; only such receivers are promised anything. ``digest_ok``: own check
    of the source's digest, None without all of the stream. ``startup_ms``: from its start to its first record.
    ``first_record_s``: from its subscription, or the stream's begin if that came later, to its first record.
    ``links_failed``: its links to possible parents that failed, ``asked_in_vain``: parents that brought none of the
    data asked for; both over all its starts.
    """

    member: int | None
    host: str
    site: str | None
    survived: bool
    finished: bool
    expected: int
    received: int
    lost: int
    duplicated: int
    reordered: int
    sha256_ok: bool
    media_readable: bool | None
    latency_ms: Latency
    longest_gap_ms: float | None
    longest_gap_at_s: float | None
    bytes: int
    error: str | None
    digest_ok: bool | None = None
    startup_ms: float | None = None
    links_failed: int = 0
    asked_in_vain: int = 0
    first_record_s: float | None = None


@dataclass(frozen=True, slots=True)
class LinkUse:
    """What crossed a link while the stream ran. ``site_uplink`` names the site behind it; copies as in ``copies``.

    ``overflow_ab`` and ``overflow_ba`` are frames that found the queue of their direction full, and were dropped.
    ``unicast_ab`` and ``unicast_ba`` are what a star would need: the receivers that the source reaches over this link.
    Multicast needs one copy wherever a star needs any.
    """

    name: str
    a: str
    b: str
    site_uplink: str | None
    into_site: str | None
    shaping: str
    bytes_ab: int
    bytes_ba: int
    copies_ab: float | None
    copies_ba: float | None
    unicast_ab: int
    unicast_ba: int
    overflow_ab: int = 0
    overflow_ba: int = 0


@dataclass(frozen=True, slots=True)
class SiteUse:
    """Copies that entered a site before the first fault: by the kernel's counters, and by the tree."""

    site: str
    inbound_copies: float | None
    inbound_by_tree: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Delay along the tree ÷ delay of the direct path from the source, over the members."""

    mean: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class TreeSeen:
    """The tree when the stream began."""

    epoch: int
    depth: int
    primaries: int
    stretch: Stretch


@dataclass(frozen=True, slots=True)
class GapSeen:
    """A long silence at a receiver, and what explains it.

    Attributes:
        host: the receiver.
        at_s: when it ended, after the stream began.
        gap_ms: how long it was.
        cause: ``fault``, ``left``, ``killed``, ``joined``, ``moved`` (by the coordinator) or ``processors`` (they were
            busy); None: nothing explains it.
        of: the fault, the member that it happened to, or how long was waited.
    """

    host: str
    at_s: float
    gap_ms: float
    cause: str | None = None
    of: str = ""


@dataclass(frozen=True, slots=True)
class FootprintSeen:
    """How one start of a program grew while it was watched, its warm-up left out.

    Attributes:
        host: where it ran; the coordinator is named as such.
        watched_s: for how long.
        rss_mib, descriptors: the median of the last tenth of that time.
        grown_mib, grown_descriptors: the trend (Theil and Sen) over that time; less than 0 counts as 0.
    """

    host: str
    watched_s: float
    rss_mib: float
    grown_mib: float
    descriptors: float
    grown_descriptors: float


@dataclass(frozen=True, slots=True)
class LocatedSeen:
    """Where the coordinator took a receiver to be, beside where it was.

    Attributes:
        host: the receiver.
        routers: on the path that the coordinator knew last, from there on; None: one that did not answer.
        true_routers: on the way that it compares best with; None: one that never answers.
        complete: the path is a true way, with all routers that answer.
        rate_mbit: what its echo showed; None: nothing, or no limit.
        true_mbit: of the thinnest link on the way; None: none has a limit.
    """

    host: str
    routers: tuple[str | None, ...]
    true_routers: tuple[str | None, ...]
    complete: bool
    rate_mbit: float | None
    true_mbit: float | None

    @property
    def rate_error(self) -> float | None:
        """By which share of the true rate the echo is off; None where one of both is not known."""
        if self.rate_mbit is None or self.true_mbit is None:
            return None
        return abs(self.rate_mbit / self.true_mbit - 1)


@dataclass(frozen=True, slots=True)
class ControlTraffic:
    """What the control plane cost, as the coordinator counts it."""

    bytes: int | None
    messages: int | None


@dataclass(frozen=True, slots=True)
class Judged:
    """An expectation and what became of it.

    ``value`` None: there was nothing to measure, which fails it. ``why``: it cannot be measured where this run was.
    """

    metric: MetricName
    op: str
    limit: float | bool
    unit: str
    fault: str | None
    value: float | bool | None
    ok: bool
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One run, concluded.

    Attributes:
        source_finished: it sent everything; else it is not known what receivers should have.
        notes: what was left out of the experiment, and why.
        cpu_s: host -> processor seconds that its member used since the stream began.
        captures: how much was captured per link; None: nothing was asked for.
        troubles: programs that failed though no fault was meant for them.
        lost_by_any: records lost in one life of a receiver, up to its end; the most of all lives.
        gaps: the long silences, those that nothing explains first; no more than ``MOST_GAPS``.
        unexplained_gaps: how many of all are not explained; None: not measured.
        footprints: programs that ran long enough to be judged.
        hosts: the real hosts that it ran on; None: it ran on an emulated network.
        located: where the coordinator took the receivers to be; empty: nobody found out.
        delivered_s: from the source's begin until the last surviving receiver had everything; None: one never had.
        first_record_s: from the subscription of the last receiver before the stream began to the moment when all of
            these had a record; None: one never had any.
        verdict: ``passed``, ``failed``, or ``invalid`` (the emulated network was late; nothing is proven).
    """

    experiment: str
    title: str
    about: str
    topology: str
    system: str
    seed: int
    command: str
    versions: dict[str, str]
    started: str
    duration_s: float
    stream_s: float
    source_finished: bool
    troubles: tuple[str, ...]
    records: int
    payload_bytes: int
    rate_mbit: float
    source: str
    shaping: dict[str, Any]
    fidelity: tuple[dict[str, Any], ...]
    multicast_blocked: bool | None
    members: tuple[MemberSeen, ...]
    delivery: tuple[Delivery, ...]
    links: tuple[LinkUse, ...]
    sites: tuple[SiteUse, ...]
    tree: TreeSeen
    faults: tuple[FaultSeen, ...]
    control: ControlTraffic
    feeding: tuple[FeedSeen, ...] = ()
    notes: tuple[str, ...] = ()
    cpu_s: dict[str, float] = field(default_factory=dict)
    captures: dict[str, Any] | None = None
    lost_by_any: int | None = None
    gaps: tuple[GapSeen, ...] = ()
    unexplained_gaps: int | None = None
    footprints: tuple[FootprintSeen, ...] = ()
    hosts: RealHosts | None = None
    located: tuple[LocatedSeen, ...] = ()
    delivered_s: float | None = None
    first_record_s: float | None = None
    expectations: tuple[Judged, ...] = ()
    verdict: str = "failed"

    def as_json(self) -> dict[str, Any]:
        """Return plain values, ready for ``json.dumps``."""
        return asdict(self)

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "result.json") -> Self:
        """Return the result that a JSON text holds. Raises ``ConfigError``, which names ``where`` and the field."""
        return stored.from_json(cls, text, where)

    @classmethod
    def read(cls, file: Path) -> Self:
        """Return the result that a file holds. Raises ``ConfigError``, which names the file and the field."""
        return stored.read(cls, file)

    def survivors(self) -> tuple[Delivery, ...]:
        """Return the receivers that are promised everything."""
        return tuple(delivery for delivery in self.delivery if delivery.survived)
