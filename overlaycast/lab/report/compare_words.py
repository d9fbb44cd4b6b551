"""A comparison in words and rows: what the table at the terminal and the page share. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from overlaycast.lab.analysis.compare import Comparison, Figures
from overlaycast.lab.experiment.systems import WORDS
from overlaycast.lab.report.words import NO_BREAK, number

ROWS: Final[tuple[tuple[str, Callable[[Figures], str]], ...]] = (
    ("most copies into a site", lambda one: f"{one.site_copies:.2f}"),
    ("most copies on any link", lambda one: f"{one.link_copies:.2f}"),
    ("the same, needed by a star", lambda one: _needed(one)),
    ("copies over all links together", lambda one: number(one.all_copies)),
    ("receivers that got everything", lambda one: f"{one.whole}/{one.receivers}"),
    ("lost by the end of the run", lambda one: share(one.lost_share)),
    ("came in time, worst receiver", lambda one: share(one.in_time_worst)),
    ("rate in time, median receiver", lambda one: number(one.rate_mbit, "Mbit/s")),
    ("rate in time, worst receiver", lambda one: number(one.rate_worst_mbit, "Mbit/s")),
    ("latency, median", lambda one: number(one.latency_p50_ms, "ms")),
    ("latency, 99th percentile of the worst", lambda one: number(one.latency_p99_ms, "ms")),
    ("longest silence", lambda one: number(one.longest_gap_ms, "ms")),
    ("processor time of all members", lambda one: number(one.cpu_s, "s")),
    ("control messages", lambda one: number(None if one.control_bytes is None else one.control_bytes / 1e3, "kB")),
)

NOTHING: Final = "nothing came"


def _needed(one: Figures) -> str:
    return f"{one.star_into_site} and {one.star_on_link}" if one.system == "unicast" else ""


def late(comparison: Comparison) -> str:
    """Return what must be said before anything else, if it must."""
    names = [_over(one.system) for one in comparison.systems if not one.valid]
    if not names:
        return ""
    return f"This machine was too slow for the emulated network in the run {_listed(names)}: it proves nothing."


def missing(comparison: Comparison) -> tuple[str, ...]:
    """Return what a reader must know before the figures: which system gave nothing, and what it could not have."""
    nothing = [_empty(one) for one in comparison.systems if one.got_nothing]
    return (*nothing, *(f"{note[0].upper()}{note[1:]}." for note in comparison.notes))


def nothing_came(one: Figures) -> bool:
    """Return whether no receiver got anything."""
    return 0 < one.receivers <= one.got_nothing


def _empty(one: Figures) -> str:
    if nothing_came(one):
        return f"Nothing came {_over(one.system)} to any receiver: this system proves nothing here."
    some = f"{one.got_nothing} of {one.receivers} receivers"
    return f"Nothing came {_over(one.system)} to {some}; delays and silences are those of the others."


def cell(read: Callable[[Figures], str], one: Figures) -> str:
    """Return a row's figure, or that there is nothing to take it from."""
    return NOTHING if nothing_came(one) else read(one)


def into_site(comparison: Comparison, site: str, system: str) -> str:
    """Return the copies that entered a site, or that its receivers got nothing of them."""
    if site in comparison.empty_sites[system]:
        return NOTHING
    return f"{comparison.sites[site][system]:.2f}"


def share(value: float) -> str:
    """Return a share in percent."""
    return f"{number(round(100 * value, 2))}{NO_BREAK}%"


def name(system: str) -> str:
    """Return what people call a system."""
    return WORDS.get(system, system)


def lead(comparison: Comparison) -> str:
    """Return the sentence that the page begins with."""
    parts = [f"{one.site_copies:.2f} {_over(one.system)}" for one in comparison.systems if not nothing_came(one)]
    if not parts:
        return "Nothing came over any system."
    return f"Most copies of the stream into a site: {_listed(parts)}."


def second(comparison: Comparison) -> str:
    """Return what became of the receivers."""
    parts = [f"{share(one.in_time_worst)} {_over(one.system)}" for one in comparison.systems if not nothing_came(one)]
    if not parts:
        return ""
    return f"Of the stream, the worst-served receiver had in time: {_listed(parts)}."


def _over(system: str) -> str:
    return {"overlay": "over the overlay", "unicast": "by unicast from the source"}.get(system, f"over {name(system)}")


def _listed(parts: list[str]) -> str:
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
