"""What the hosts noted while a run went on, read back and dated by one clock. Pure.

Owns: the lines that the hand writes. Refuses: a line that is not what the hand writes, by host and file. An unfinished
last line is passed over, for its writer may have been ended in the middle.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from overlaycast.errors import LabError
from overlaycast.lab.faults.tree import EMPTY, Tree
from overlaycast.lab.hosts.clocks import Clock
from overlaycast.lab.recording.recording import CounterSample, Curve, Footprint, LinkSeen, LinkTraffic, Stall

ETHERNET: Final = 14
"""What a host's counters lack of what a link's would have, for each packet."""
COUNT_EVERY_S: Final = 1.0
CALM_S: Final = 1.0
LOOK_EVERY_S: Final = 0.25
OUTSIDE: Final = "@"
"""All that is between the sites; ``@SITE`` is what is between a site's hosts."""


@dataclass(frozen=True, slots=True)
class Done:
    """A deed that was done or undone on a host. ``at_end``: it was undone only because the run was over."""

    name: str
    undone: bool
    at: float
    ok: bool
    evidence: str
    at_end: bool = False


@dataclass(frozen=True, slots=True)
class Noted:
    """What one host noted."""

    host: str
    clock: Clock
    deeds: str = ""
    meter: str = ""
    trees: str = ""

    def done(self) -> tuple[Done, ...]:
        """Return what was done, in order."""
        return tuple(
            Done(
                str(one["deed"]),
                one["what"] == "undo",
                self.clock.right(one["at"]),
                bool(one["ok"]),
                str(one["evidence"]),
                one.get("why", "asked") != "asked",
            )
            for one in self._lines(self.deeds, "deeds.jsonl")
        )

    def footprints(self) -> tuple[Footprint, ...]:
        """Return what the program held."""
        return tuple(
            Footprint(self.clock.right(one["t"]), str(one["host"]), int(one["pid"]), int(one["rss"]), int(one["fds"]))
            for one in self._lines(self.meter, "meter.jsonl")
            if "rss" in one
        )

    def stalls(self) -> tuple[Stall, ...]:
        """Return when the program waited long for a processor."""
        return tuple(
            Stall(self.clock.right(one["begin"]), self.clock.right(one["end"]), str(one["stall"]), float(one["ms"]))
            for one in self._lines(self.meter, "meter.jsonl")
            if "stall" in one
        )

    def counters(self) -> dict[str, tuple[Curve, Curve]]:
        """Return ``{counter: (bytes, packets) over time}``."""
        points: dict[str, list[tuple[float, float, float]]] = {}
        for one in self._lines(self.meter, "meter.jsonl"):
            for name, (size, packets) in one.get("counters", {}).items():
                points.setdefault(name, []).append((self.clock.right(one["t"]), float(size), float(packets)))
        return {
            name: (
                Curve(tuple(t for t, _, _ in found), tuple(size for _, size, _ in found)),
                Curve(tuple(t for t, _, _ in found), tuple(count for _, _, count in found)),
            )
            for name, found in points.items()
        }

    def tree_changes(self, parse: Callable[[object], Tree]) -> tuple[tuple[float, Tree], ...]:
        """Return each tree with the time from which it was so."""
        return tuple((self.clock.right(one["t"]), parse(one["tree"])) for one in self._lines(self.trees, "trees.jsonl"))

    def _lines(self, text: str, file: str) -> Iterator[dict[str, Any]]:
        for number, line in enumerate(text.splitlines(keepends=True), 1):
            if not line.endswith("\n"):
                return
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            if not isinstance(value, dict):
                raise LabError(f"{self.host}: {file}:{number}: not a line of the hand: {line[:80]!r}")
            yield value


@dataclass(frozen=True, slots=True)
class Trees:
    """The tree over time, as the coordinator had it."""

    changes: Sequence[tuple[float, Tree]]

    def at(self, t: float) -> Tree:
        """Return the tree at a moment; before the first one an empty one."""
        found = EMPTY
        for since, tree in self.changes:
            if since > t:
                break
            found = tree
        return found

    def settled(self, since: float, deadline: float, gone: Mapping[str, str | None]) -> Tree | None:
        """Return the tree once repairs are over, or what it is at ``deadline``; None if there was no time to look."""
        calm_since, last, t = since, EMPTY, since
        while (t := t + LOOK_EVERY_S) < deadline:
            tree = self.at(t)
            if tree.epoch != last.epoch or _has_orphans(tree, gone):
                calm_since = t
            last = tree
            if t - calm_since >= CALM_S:
                return tree
        return last if last is not EMPTY else None


def _has_orphans(tree: Tree, gone: Mapping[str, str | None]) -> bool:
    edges = tree.edges()
    living = [seat for seat in tree.seats if seat.host not in gone and seat.role != "source"]
    return any(edges.get(seat.host) in gone or seat.parent is None for seat in living)


def links(sites: Mapping[str, str | None]) -> tuple[LinkSeen, ...]:
    """Return the links that hosts can count for: each host's own, and what enters and leaves each site.

    Args:
        sites: host -> site, of all hosts.
    """
    named = dict.fromkeys(site for site in sites.values() if site is not None)
    uplinks = [
        LinkSeen(f"uplink of {site}", OUTSIDE, f"{OUTSIDE}{site}", site=site, into_site="ab", shaping="nothing")
        for site in named
    ]
    own = [LinkSeen(host, f"{OUTSIDE}{site or ''}", host, shaping="nothing") for host, site in sites.items()]
    return (*uplinks, *own)


def traffic(
    noted: Sequence[Noted], sites: Mapping[str, str | None], numbers: Mapping[str, int]
) -> tuple[CounterSample, ...]:
    """Return the counters of these links, from what each host counted.

    What a host got from a host of another site entered its site; so the hosts of a site together know what entered it.
    """
    by_host = {one.host: one.counters() for one in noted}
    times = [curve.times for counters in by_host.values() for curve, _ in counters.values() if curve.times]
    if not times:
        return ()
    begin, end = min(each[0] for each in times), max(each[-1] for each in times)
    steps = [begin + COUNT_EVERY_S * number for number in range(int((end - begin) / COUNT_EVERY_S) + 2)]
    whose = {
        **{
            f"uplink of {site}": [
                (host, [other for other, there in sites.items() if there != site])
                for host, here in sites.items()
                if here == site
            ]
            for site in dict.fromkeys(site for site in sites.values() if site is not None)
        },
        **{host: [(host, [other for other in sites if other != host])] for host in sites},
    }
    return tuple(
        CounterSample(t, {link: _sum(by_host, parts, numbers, t) for link, parts in whose.items()}) for t in steps
    )


def _sum(
    by_host: Mapping[str, Mapping[str, tuple[Curve, Curve]]],
    parts: Sequence[tuple[str, Sequence[str]]],
    numbers: Mapping[str, int],
    t: float,
) -> LinkTraffic:
    found = {"from": [0.0, 0.0], "to": [0.0, 0.0]}
    for host, others in parts:
        for way, sums in found.items():
            for other in others:
                size, packets = by_host.get(host, {}).get(f"{way}_{numbers[other]}", (None, None))
                if size is not None and packets is not None:
                    count = packets.at(t)
                    sums[0] += size.at(t) + ETHERNET * count
                    sums[1] += count
    into, out = found["from"], found["to"]
    return LinkTraffic(round(into[0]), round(into[1]), round(out[0]), round(out[1]))
