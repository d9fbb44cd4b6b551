"""The fidelity check: is the network that was built the one that was asked for? It comes before every run, and a wrong
network is refused.

Owns: what is checked, the tolerances, and the verdict; the datagrams are ``probes.py``'s. Refuses with
``LabError``, naming the link or the pair: hosts that do not reach each other or are reached behind a NAT,
multicast that passes a router, settings that read back wrongly, delay, rate or loss off by more than the
tolerance in five attempts.

Which links are measured: every uplink, and of the others up to eight of each class (same means, same shape but for
the delay, delays within a factor of two) that a wire or netem shapes, two of each that the kernel's tbf or nothing
shapes. All are read back.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any, Final

from overlaycast.errors import LabError
from overlaycast.lab.fidelity import probes, reach
from overlaycast.lab.fidelity.probes import HEADERS, Way
from overlaycast.lab.fidelity.reach import MulticastFinding
from overlaycast.lab.network.network import Network
from overlaycast.lab.network.shaping import SLOW_MBIT, Means
from overlaycast.lab.network.wireclient import Direction
from overlaycast.lab.topology.shape import FRAME_BYTES, Shape

ATTEMPTS: Final = 5
_OF_EACH_CLASS: Final[dict[Means, int]] = {"wire": 8, "netem": 8, "tbf": 2, "none": 2}
_TRAIN_S: Final = 0.04
_TRAIN_FRAMES: Final = 24
_AT_ONCE_MBIT: Final = 200.0
_ALONE_MBIT: Final = 1.0
_DELAYS_AT_ONCE: Final = 64
_LOSS_PROBES: Final = 400
_LOSS_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far off a link may be.

    Attributes:
        delay_ms: median one-way delay against the asked, either way; jitter comes on top.
        rate: relative, for links below ``SLOW_MBIT``.
        fast_rate: relative, for those above, where the machine itself is in the way.
        sigmas: of the binomial, for loss and duplication.
    """

    delay_ms: float = 1.0
    rate: float = 0.05
    fast_rate: float = 0.25
    sigmas: float = 5.0


@dataclass(frozen=True, slots=True)
class LinkFidelity:
    """One direction of a link, asked against measured (delay_ms, rate_mbit, loss, duplicate, as far as asked)."""

    link: str
    direction: Direction
    means: Means
    asked: dict[str, Any]
    measured: dict[str, float]
    ok: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The whole check.

    Attributes:
        links: per measured direction.
        hosts: how many reached each other.
        multicast_blocked: True if no multicast passed a router, and the control was heard in every LAN.
        multicast_forwarding: routers whose kernel forwards multicast.
        tolerance: what was allowed.
    """

    links: tuple[LinkFidelity, ...]
    hosts: int
    multicast_blocked: bool
    multicast_forwarding: tuple[str, ...]
    tolerance: Tolerance

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def check(network: Network, tolerance: Tolerance | None = None, *, multicast_blocked: bool = True) -> Fidelity:
    """Check a network that was just built; takes a few seconds at most for some dozens of links.

    Args:
        network: built, with all links up.
        tolerance: how far off it may be.
        multicast_blocked: False for the baseline whose routers shall forward multicast.

    Raises:
        LabError: the network is not the one that was asked for; names the first thing that is wrong.
    """
    allowed = tolerance or Tolerance()
    differences = network.shaper.read_back()
    if differences:
        raise LabError(f"fidelity: {differences[0]}")
    for family in network.topology.families:
        _refuse_unicast(reach.unicast(network, family))
    forwarding = _forwarding(network)
    found = _multicast(network)
    if multicast_blocked:
        _refuse_multicast(found, forwarding)
    links = measure(network, allowed)
    wrong = [row for row in links if not row.ok]
    if wrong:
        raise LabError(f"fidelity: link {wrong[0].link} ({wrong[0].direction}, {wrong[0].means}): {wrong[0].why}")
    network.reset_account()
    hosts = len(network.topology.hosts())
    return Fidelity(links, hosts, not found.leaks and not found.deaf, forwarding, allowed)


def _refuse_unicast(found: reach.UnicastFinding) -> None:
    for pairs, what in (
        (found.missing, "do not reach each other"),
        (found.trespassing, "reach each other although a NAT is between"),
        (found.untranslated, "see each other's own address although a NAT is between"),
    ):
        if pairs:
            raise LabError(f"fidelity: {len(pairs)} pairs of hosts {what}, first {pairs[0]}")


def _multicast(network: Network) -> MulticastFinding:
    """Probe every family; return the findings of all of them."""
    each = [reach.multicast(network, family) for family in network.topology.families]
    deaf = dict.fromkeys(router for found in each for router in found.deaf)
    return MulticastFinding(tuple(deaf), tuple(sorted({leak for found in each for leak in found.leaks})))


def _forwarding(network: Network) -> tuple[str, ...]:
    """Return the routers whose kernel forwards multicast."""
    keys = [f"ipv{family}/conf/all/mc_forwarding" for family in network.topology.families]
    return tuple(
        router.name
        for router in network.topology.routers
        if any(network.namespace(router.name).read_sysctl(key) != "0" for key in keys)
    )


def _refuse_multicast(found: MulticastFinding, forwarding: Sequence[str]) -> None:
    if forwarding:
        raise LabError(f"fidelity: router {forwarding[0]} forwards multicast (mc_forwarding)")
    if found.deaf:
        raise LabError(f"fidelity: no multicast probe came through even within the LAN of {found.deaf[0]}")
    if found.leaks:
        raise LabError(f"fidelity: multicast from the LAN of {found.leaks[0][0]} reached that of {found.leaks[0][1]}")


def measure(network: Network, tolerance: Tolerance) -> tuple[LinkFidelity, ...]:
    """Measure the links that ``representatives`` names; those off are measured again, up to ``ATTEMPTS`` times."""
    rows = _measure(network, representatives(network), tolerance, _AT_ONCE_MBIT)
    for _ in range(ATTEMPTS - 1):
        wrong = [number for number, row in enumerate(rows) if not row.ok]
        if wrong:  # again, with little else going on: the machine may have been busy
            ways = [_way(network, rows[number].link, rows[number].direction) for number in wrong]
            again = _measure(network, ways, tolerance, _ALONE_MBIT)
            for number, row in zip(wrong, again, strict=True):
                rows[number] = row
    return tuple(rows)


def _way(network: Network, link: str, direction: Direction) -> Way:
    return probes.way(network, network.topology.link(link), direction)


def representatives(network: Network) -> list[Way]:
    """Return the directions to measure."""
    seen: dict[tuple[object, ...], int] = defaultdict(int)
    chosen = []
    for link in network.topology.links:
        means = network.shaper.means[link.name]
        kind = (means, *_kind(link.ab), *_kind(link.ba))
        seen[kind] += 1
        if link.uplink_of or seen[kind] <= _OF_EACH_CLASS[means]:
            chosen += [probes.way(network, link, "ab"), probes.way(network, link, "ba")]
    return [each for each in chosen if network.shaper.asked(each.link, each.direction).loss < 1.0]


def _kind(wish: Shape) -> tuple[Shape, int]:
    """Return what links have in common that are measured for each other: on a map no two delays are the same."""
    return replace(wish, delay_ms=0.0), math.frexp(wish.delay_ms)[1]


def _measure(network: Network, ways: Sequence[Way], tolerance: Tolerance, at_once: float) -> list[LinkFidelity]:
    asked = [network.shaper.asked(each.link, each.direction) for each in ways]
    measured: list[dict[str, float]] = []
    for start in range(0, len(ways), _DELAYS_AT_ONCE):
        delays = probes.delays_ms(network, ways[start : start + _DELAYS_AT_ONCE])
        measured += [{"delay_ms": round(median(d), 3)} if d else {} for d in delays]
    _measure_losses(network, ways, asked, measured)
    for group in rate_groups(asked, at_once):
        trains = [train_frames(asked[number]) for number in group]
        found = probes.rates_mbit(network, [ways[number] for number in group], trains)
        for number, rate in zip(group, found, strict=True):
            measured[number]["rate_mbit"] = round(rate, 3)
    rows = []
    for each, wish, values in zip(ways, asked, measured, strict=True):
        why = judge(wish, values, tolerance)
        means = network.shaper.means[each.link]
        rows.append(LinkFidelity(each.link, each.direction, means, wish.as_dict(), values, not why, why))
    return rows


def _measure_losses(
    network: Network, ways: Sequence[Way], asked: Sequence[Shape], measured: Sequence[dict[str, float]]
) -> None:
    lossy = [number for number, wish in enumerate(asked) if wish.loss or wish.duplicate]
    if not lossy:
        return
    counts = [loss_probes(asked[number]) for number in lossy]
    found = probes.losses(network, [ways[number] for number in lossy], counts)
    for number, sent, (arrived, doubled) in zip(lossy, counts, found, strict=True):
        measured[number].update(
            loss=round(1 - arrived / sent, 4), duplicate=round(doubled / max(1, arrived), 4), probes=float(sent)
        )


def loss_probes(wish: Shape) -> int:
    """Return how many small datagrams are sent to see a loss: fewer where the rate is low."""
    if wish.rate_mbit is None:
        return _LOSS_PROBES
    return max(20, min(_LOSS_PROBES, int(wish.rate_mbit * 1e6 / 8 * _LOSS_SECONDS / 100)))


def train_frames(wish: Shape) -> int:
    """Return the length of a rate probe in full frames: some 40 ms of it, no more than most of the queue."""
    rate = wish.rate_mbit or 0.0
    frames = max(_TRAIN_FRAMES, int(rate * 125_000 * _TRAIN_S / FRAME_BYTES))
    return max(8, min(frames, int(0.8 * wish.queue / FRAME_BYTES)))


def rate_groups(asked: Sequence[Shape], at_once: float) -> list[list[int]]:
    """Return which directions are measured at the same time: up to this many Mbit/s in sum, and at least one."""
    groups: list[list[int]] = []
    room = 0.0
    for number, wish in enumerate(asked):
        if wish.rate_mbit is None:
            continue
        if not groups or wish.rate_mbit > room:
            groups.append([])
            room = at_once
        groups[-1].append(number)
        room -= wish.rate_mbit
    return groups


def judge(wish: Shape, measured: dict[str, float], tolerance: Tolerance) -> str:
    """Return what is off by more than the tolerance, in one line; empty if nothing is."""
    if "delay_ms" not in measured:
        return "no probe came through"
    # what a probe itself takes to be sent is part of the delay
    itself = 8e-3 * (16 + HEADERS[4]) / wish.rate_mbit if wish.rate_mbit else 0.0
    off = measured["delay_ms"] - wish.delay_ms - itself
    if abs(off) > tolerance.delay_ms + wish.jitter_ms:
        return f"delay asked {wish.delay_ms:g} ms, measured {measured['delay_ms']:g}"
    for name in ("loss", "duplicate"):
        probability, sent = getattr(wish, name), measured.get("probes", 0.0)
        spread = tolerance.sigmas * math.sqrt(probability * (1 - probability) * sent) + 1
        if sent and abs(measured[name] - probability) * sent > spread:
            return f"{name} asked {probability:g}, measured {measured[name]:g} over {sent:g} probes"
    if wish.rate_mbit is not None:
        return _judge_rate(wish.rate_mbit, wish.loss, measured.get("rate_mbit", 0.0), tolerance)
    return ""


def _judge_rate(asked: float, loss: float, measured: float, tolerance: Tolerance) -> str:
    relative = tolerance.rate if asked < SLOW_MBIT else tolerance.fast_rate
    expected = asked * (1 - loss) if loss < 0.5 else None
    # a lost frame does not use the line, so with loss the rate of what arrives lies between the two
    low = (expected or 0.0) * (1 - relative) if loss else asked * (1 - relative)
    if not low <= measured <= asked * (1 + relative):
        return f"rate asked {asked:g} Mbit/s, measured {measured:g}"
    return ""
