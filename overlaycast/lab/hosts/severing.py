"""What a fault of the network means for hosts: which of them must not hear which. Pure.

Real routers are not the experiment's to touch. So a fault of a link, a router or a site is carried out at the hosts:
the experiment's topology says whose packets cross it, and these hosts treat these packets as the link would. All else
on the hosts goes on: only packets between ports of this run are meant.

Owns: the pairs of hosts, the fewest hosts that can part them, and the rules of nftables and tc.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.topology.topology import Topology

Pair = tuple[str, str]
AHEAD: Final = -10
"""Priority of a fault's chains: before the run's counters, so that what is dropped does not count as arrived."""
BURST_S: Final = 0.05
"""What may come at once where a rate is held: as a link's queue would take it in."""
MILLION: Final = 1_000_000
UNLIMITED: Final = "100gbit"
SLOW: Final = "1:4"
ROOT: Final = (
    ("qdisc", "add", "dev", "DEVICE", "root", "handle", "1:", "htb", "default", "1"),
    ("class", "add", "dev", "DEVICE", "parent", "1:", "classid", "1:1", "htb", "rate", UNLIMITED),
)
"""Commands of tc: a queue of classes, and one that all goes through but what is led into another."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where one host of the run is met: its address and the TCP port of its program."""

    address: str
    port: int

    @property
    def family(self) -> str:
        """Return the word of nftables for the version of IP."""
        return "ip6" if ":" in self.address else "ip"


def pairs(topology: Topology, hit: Hit, hosts: Sequence[str]) -> tuple[Pair, ...]:
    """Return the pairs of hosts whose packets cross what is hit."""
    inside = set(hit.inside)
    found = []
    for a, b in combinations(hosts, 2):
        if (inside and (a in inside) != (b in inside)) or _crosses(topology, a, b, hit.links):
            found.append((a, b))
    return tuple(found)


def _crosses(topology: Topology, a: str, b: str, links: Iterable[Pair]) -> bool:
    names = {link.name for pair in links for link in topology.links_between(*pair)}
    return bool(names & {*topology.path(a, b), *topology.path(b, a)})


def fewest(apart: Sequence[Pair]) -> dict[str, tuple[str, ...]]:
    """Return ``{host: those that it must not hear}`` over few hosts, so that each pair is parted at one end."""
    left, found = list(apart), dict[str, tuple[str, ...]]()
    while left:
        counts = Counter(host for pair in left for host in pair)
        host = min(counts, key=lambda one: (-counts[one], one))
        found[host] = tuple(b if a == host else a for a, b in left if host in (a, b))
        left = [pair for pair in left if host not in pair]
    return found


def both_ends(apart: Sequence[Pair]) -> dict[str, tuple[str, ...]]:
    """Return ``{host: those at the other ends}``, each pair from both sides."""
    found: dict[str, tuple[str, ...]] = {}
    for a, b in apart:
        found[a] = (*found.get(a, ()), b)
        found[b] = (*found.get(b, ()), a)
    return found


def silence(host: str, others: Iterable[str], doors: Mapping[str, Door]) -> str:
    """Return rules that drop all packets of the run between a host and others, both ways."""
    known = tuple(others)
    return "\n".join(
        [
            *_chain("in", "input", [f"{one} counter drop" for one in _from(doors[host], known, doors)]),
            *_chain("out", "output", [f"{one} counter drop" for one in _to(doors[host], known, doors)]),
        ]
    )


def lossy(host: str, others: Iterable[str], doors: Mapping[str, Door], share: float) -> str:
    """Return rules that drop some of what comes from others, at random."""
    drop = f"numgen random mod {MILLION} < {round(share * MILLION)} counter drop"
    return "\n".join(_chain("in", "input", [f"{one} {drop}" for one in _from(doors[host], others, doors)]))


def narrow(host: str, others: Iterable[str], doors: Mapping[str, Door], rate_mbit: float) -> str:
    """Return rules that drop what comes from others above a rate."""
    rate = round(rate_mbit * 125_000)
    limit = f"limit rate over {rate} bytes/second burst {max(10_000, round(rate * BURST_S))} bytes"
    # one bound for all of them together: a named limit is shared by the rules that name it
    named = f"limit slow {{\n{limit.removeprefix('limit ')}\n}}"
    rules = [f"{one} limit name slow counter drop" for one in _from(doors[host], others, doors)]
    return "\n".join([named, *_chain("in", "input", rules)])


def counting(host: str, others: Sequence[str], doors: Mapping[str, Door], numbers: Mapping[str, int]) -> str:
    """Return rules that count what comes from each other host and goes to it, by the hosts' numbers."""
    lines = [f"counter {way}_{numbers[other]} {{ }}" for other in others for way in ("from", "to")]
    inbound, outbound = [], []
    for other in others:
        inbound += [f"{one} counter name from_{numbers[other]}" for one in _from(doors[host], (other,), doors)]
        outbound += [f"{one} counter name to_{numbers[other]}" for one in _to(doors[host], (other,), doors)]
    return "\n".join([*lines, *_chain("in", "input", inbound, 0), *_chain("out", "output", outbound, 0)])


def slower(host: str, others: Iterable[str], doors: Mapping[str, Door], queue: Sequence[str]) -> list[Sequence[str]]:
    """Return the commands of tc that have what goes to others pass a queue. ``DEVICE`` stands for the device.

    Args:
        host: where.
        others: to whom.
        doors: addresses and ports.
        queue: the words of the queue, such as ``netem delay 50ms``.
    """
    commands: list[Sequence[str]] = [
        *ROOT,
        ["class", "add", "dev", "DEVICE", "parent", "1:", "classid", SLOW, "htb", "rate", UNLIMITED],
        ["qdisc", "add", "dev", "DEVICE", "parent", SLOW, "handle", "40:", *queue],
    ]
    for other in others:
        commands += matching(doors[host], doors[other], SLOW)
    return commands


def matching(own: Door, there: Door, class_: str) -> list[list[str]]:
    """Return the commands of tc that lead what this host sends to another in the run into a class."""
    six = there.family == "ip6"
    to = ["match", there.family, "dst", f"{there.address}/{128 if six else 32}"]
    # filters of one priority are of one protocol
    of = ["ipv6", "prio", "2", "u32"] if six else ["ip", "prio", "1", "u32"]
    begin = ["filter", "add", "dev", "DEVICE", "parent", "1:", "protocol", *of, *to]
    return [
        [*begin, "match", there.family, end, str(port), "0xffff", "flowid", class_]
        for end, port in (("sport", own.port), ("dport", there.port))
    ]


def _chain(name: str, hook: str, rules: Sequence[str], priority: int = AHEAD) -> list[str]:
    return [f"chain {name} {{", f"type filter hook {hook} priority {priority}; policy accept;", *rules, "}"]


def _from(own: Door, others: Iterable[str], doors: Mapping[str, Door]) -> list[str]:
    """Return matches for what comes from others: to this program's port, or from theirs."""
    return _between(own, others, doors, "saddr", "dport", "sport")


def _to(own: Door, others: Iterable[str], doors: Mapping[str, Door]) -> list[str]:
    """Return matches for what goes to others: from this program's port, or to theirs."""
    return _between(own, others, doors, "daddr", "sport", "dport")


def _between(
    own: Door, others: Iterable[str], doors: Mapping[str, Door], address: str, here: str, there: str
) -> list[str]:
    """Return matches by the others' address; ``here`` and ``there`` name the ports of the two ends in a packet."""
    found = []
    for other in map(doors.__getitem__, others):
        packets = f"{other.family} {address} {other.address} tcp"
        found.append(f"{packets} {here} {own.port}")
        found.append(f"{packets} {there} {other.port} tcp {here} != {own.port}")
    return found
