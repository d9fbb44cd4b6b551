"""A result in words: the verdict, the figures that matter, what each fault did. Pure.

Owns: the sentences that the report and the terminal share. Refuses: to praise; a sentence says what was measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from overlaycast.lab.results.fault_seen import FaultSeen
from overlaycast.lab.results.metrics import CLOSE, METRICS
from overlaycast.lab.results.result import Delivery, Judged, LinkUse, Result

NO_BREAK: Final = "\u00a0"
NARROW: Final = "\u202f"
ACTIONS: Final = {
    "kill": "{target} {was} killed",
    "leave": "{target} left",
    "freeze": "{target} {was} frozen",
    "restart": "{target} {was} killed and started again",
    "link-down": "the link of {target} went down",
    "link-flap": "the link of {target} went down and up again, several times",
    "link-loss": "the link of {target} lost frames",
    "link-delay": "the link of {target} got a longer delay",
    "link-rate": "the link of {target} got a lower rate",
    "partition": "{target} {was} cut off from the rest",
    "router-down": "router {target} went down",
    "coordinator-kill": "the coordinator was killed",
    "coordinator-freeze": "the coordinator was frozen",
    "coordinator-restart": "the coordinator was stopped and started again",
    "slow-reader": "the reader of {target} stopped",
    "disk-full": "the disk of {target} was full",
    "clock-step": "the clock of {target} jumped",
    "tamper": "{target} changed the records that it forwarded",
    "mute": "{target} forwarded nothing, but its heartbeats claimed progress",
    "lie": "{target} reported that its parent sent nothing",
}

BAND: Final = (
    "An orange band begins with a fault and ends when it was healed; without a heal, when all that it cut off received "
    "again. A thin line is a fault that cut off nobody."
)
"""What the band from a fault on means in the pictures."""

MOST_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """One number at the top of the report."""

    value: str
    words: str
    good: bool | None = None


def number(value: float | None, unit: str = "") -> str:
    """Return a figure for people: few digits, a unit that stays on its line, a dash for what is not known."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    size = abs(value)
    text = f"{value:,.0f}" if size >= 100 or value == int(value) else f"{value:.1f}" if size >= 10 else f"{value:z.2f}"
    text = text.replace(",", NARROW)
    return f"{text}{NO_BREAK}{unit}" if unit else text


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return ``1 record``, ``2 records``."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def verdict(result: Result) -> str:
    """Return the sentence that the report begins with."""
    survivors = result.survivors()
    if result.verdict == "invalid":
        why = result.shaping.get("why") or "it lost frames or delayed them beyond what was asked"
        return f"The emulated network did not keep up, so this run shows nothing about the system: {why}."
    on = "On real hosts: " if result.hosts is not None else ""
    return on + _outcome(result, survivors)


def _outcome(result: Result, survivors: Sequence[Delivery]) -> str:
    if not result.source_finished:
        return "The source did not reach the end of its stream."
    whole = sum(one.sha256_ok and one.lost == 0 for one in survivors)
    if whole == len(survivors):
        text = f"All {len(survivors)} surviving receivers have the stream, bit for bit."
    else:
        text = f"{whole} of {len(survivors)} surviving receivers have the stream, bit for bit."
    gaps = [one.longest_gap_ms for one in survivors if one.longest_gap_ms is not None and one.received]
    if gaps:
        text += f" The longest silence at any of them was {number(max(gaps), 'ms')}."
    return text


def failures(result: Result) -> tuple[str, ...]:
    """Return one line for each expectation that was not met."""
    return tuple(
        f"{METRICS[one.metric].words}: not measured on real hosts: {one.why}"
        if one.why is not None
        else f"{METRICS[one.metric].words}: {asked(one)}, measured {measured(one)}"
        for one in broken(result)
    )


def unexplained(result: Result) -> tuple[str, ...]:
    """Return a line for each silence that nothing explains, where an expectation about them was not met."""
    if "unexplained_gaps" not in {one.metric for one in broken(result)}:
        return ()
    found = [gap for gap in result.gaps if gap.cause is None]
    lines = [
        f"{gap.host} was silent for {number(gap.gap_ms, 'ms')} until {gap.at_s:.1f} s" for gap in found[:MOST_SHOWN]
    ]
    return (*lines, *[f"and {len(found) - MOST_SHOWN} more"] * (len(found) > MOST_SHOWN))


def grown(result: Result) -> tuple[str, ...]:
    """Return a line for each program that was watched for growth, the largest first."""
    ordered = sorted(result.footprints, key=lambda one: -one.grown_mib)
    return tuple(
        f"{one.host}: {number(one.rss_mib, 'MiB')}, {number(one.grown_mib, 'MiB')} more, and"
        f" {number(one.descriptors)} descriptors, {number(one.grown_descriptors)} more, in {number(one.watched_s, 's')}"
        for one in ordered
    )


def misread(result: Result) -> tuple[str, ...]:
    """Return a line for each receiver whose path or rate the coordinator did not find out, as far as it was asked."""
    lines = []
    for one in result.located:
        said = [] if one.complete else [f"found {_path(one.routers)} instead of {_path(one.true_routers)}"]
        if one.true_mbit is not None and (one.rate_error is None or one.rate_error > CLOSE):
            shown = "no rate" if one.rate_mbit is None else number(one.rate_mbit, "Mbit/s")
            said.append(f"{shown} on {number(one.true_mbit, 'Mbit/s')}")
        lines += [f"{one.host}: {', '.join(said)}"] if said else []
    return (*lines[:MOST_SHOWN], *[f"and {len(lines) - MOST_SHOWN} more"] * (len(lines) > MOST_SHOWN))


def _path(routers: tuple[str | None, ...]) -> str:
    return " → ".join(name or "?" for name in routers) or "nothing"


def explained(result: Result) -> str:
    """Return how often each kind of reason explains a long silence; empty if there was none, or none was looked for."""
    kinds = Counter(gap.cause or "unexplained" for gap in result.gaps)
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items()))


def broken(result: Result) -> tuple[Judged, ...]:
    """Return the expectations that were not met."""
    return tuple(one for one in result.expectations if not one.ok)


def asked(one: Judged) -> str:
    """Return what was asked, ``≤ 1 000 ms`` or ``= yes``."""
    sign = {"==": "=", "!=": "≠", "<=": "≤", ">=": "≥"}.get(one.op, one.op)
    return f"{sign} {number(one.limit, one.unit)}"


def measured(one: Judged) -> str:
    """Return what was measured."""
    if one.why is not None:
        return "not measured"
    return "nothing to measure" if one.value is None else number(one.value, one.unit)


def figures(result: Result) -> tuple[Figure, ...]:
    """Return the numbers at the top of the report."""
    survivors = result.survivors()
    whole = sum(one.sha256_ok and one.lost == 0 for one in survivors)
    lost, twice = sum(one.lost for one in survivors), sum(one.duplicated for one in survivors)
    gaps = [one.longest_gap_ms for one in survivors if one.longest_gap_ms is not None]
    entered = [site.inbound_copies for site in result.sites if site.inbound_copies is not None]
    found = [
        Figure(f"{whole}/{len(survivors)}", "surviving receivers whole", whole == len(survivors)),
        Figure(number(lost), "records lost", lost == 0),
        Figure(number(twice), "records twice", twice == 0),
        Figure(number(max(gaps) if gaps else None, "ms"), "longest silence"),
    ]
    if entered:
        found.append(Figure(f"{max(entered):.2f}", "most copies into a site before the first fault"))
    return tuple(found)


def fault_title(fault: FaultSeen) -> str:
    """Return what was done, ``202a was killed``."""
    was = "were" if ", " in fault.target else "was"
    return ACTIONS.get(fault.action, fault.action + " {target}").format(target=fault.target, was=was)


def fault_story(fault: FaultSeen) -> str:
    """Return what became of it in a few sentences."""
    if not fault.measured:
        return "Nothing was measured after it: there was no time until everything had arrived. "
    if fault.action.startswith("coordinator"):
        back = f"It was back {number(fault.recovered_ms, 'ms')} later. " if fault.recovered_ms is not None else ""
        return f"{back}{_moves(fault)}"
    return f"{_silences(fault)}{_away(fault)}{_moves(fault)}{_heirs(fault) if fault.affected else ''}"


def _silences(fault: FaultSeen) -> str:
    if not fault.affected:
        return "No surviving receiver was cut off. "
    text = f"{counted(fault.affected, 'receiver')} behind it fell silent"
    acted = f"the first one acted after {number(fault.detected_ms, 'ms')}; " if fault.detected_ms is not None else ""
    if fault.recovered_ms is None:
        return f"{text}; {acted}not all received again. "
    return f"{text}; {acted}all received again after {number(fault.recovered_ms, 'ms')}. "


def _away(fault: FaultSeen) -> str:
    """Say of those that could not be served when they were back; of those killed for good the title says enough."""
    beyond = [host for host in fault.away if host not in fault.hit]
    text = ""
    if beyond and fault.healed_s is None:
        text = f"{counted(len(beyond), 'member')} beyond it {'was' if len(beyond) == 1 else 'were'} cut off for good. "
    if fault.back_ms is not None:
        text += f"After the repair all received again within {number(fault.back_ms, 'ms')}. "
    return text


def _moves(fault: FaultSeen) -> str:
    if not fault.moved:
        return "No member changed its parent. "
    rest = []
    if fault.moved_below_top:
        rest.append(f"{fault.moved_below_top} of them below a branch's top")
    if fault.moved_while_well:
        rest.append(f"{fault.moved_while_well} of them with a living parent")
    return f"{counted(fault.moved, 'member')} changed parent{', ' + ', '.join(rest) if rest else ''}. "


def _heirs(fault: FaultSeen) -> str:
    parts = []
    for group in fault.orphans:
        if group.heir is None:
            parts.append(f"In {group.site} no single heir took over. ")
        elif len(group.hosts) == 1:
            parts.append(f"In {group.site} {group.heir} is fed by {group.heir_fed_by}. ")
        else:
            others = "and feeds its siblings" if group.siblings_by_heir else "but does not feed all its siblings"
            parts.append(f"In {group.site} the heir {group.heir} is fed by {group.heir_fed_by}, {others}. ")
    return "".join(parts)


def link_order(link: LinkUse) -> tuple[bool, float, str]:
    """Return the order of links in a list: sites' uplinks first, then by use."""
    return link.site_uplink is None, -max(link.copies_ab or 0.0, link.copies_ba or 0.0), link.name
