"""The suite as a page for readers: each experiment with its verdict and figures from real runs. Pure.

Owns: ``docs/experiments.md``, whole, comparisons with other systems too. Refuses: to fill a gap; an experiment without
a run says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from overlaycast.lab.analysis.compare import Comparison, Figures
from overlaycast.lab.experiment.experiment import Experiment
from overlaycast.lab.report import words
from overlaycast.lab.results.fault_seen import FaultSeen
from overlaycast.lab.results.metrics import METRICS
from overlaycast.lab.results.result import Judged, Result

HEAD: Final = """\
# The experiments

`{command}` wrote this page; do not edit it.

Each experiment ran with the real programs on an emulated network. To write one, see
[writing-experiments.md](writing-experiments.md).

{passed} of {count} passed, in {minutes:.1f} minutes in all{machine}.

- *Receivers whole*: how many of the surviving receivers have the stream without a loss, byte for byte. A receiver
  survives if no fault took it away for good.
- *Longest silence*: the longest time without a record at a surviving receiver.
- *Cut off*: how many receivers the fault cut off. *Recovered*: the time until the last of them received again. *Moved*:
  how many members changed their parent.
- A dash: not measured.
"""
RIGHT: Final = "---:"


@dataclass(frozen=True, slots=True)
class Entry:
    """One experiment: its file, what it asks, and its newest result."""

    file: str
    experiment: Experiment
    result: Result | None


def markdown(entries: Sequence[Entry], command: str, comparisons: Sequence[Comparison] = ()) -> str:
    """Return the page.

    Args:
        entries: the experiments.
        command: what makes the page.
        comparisons: what ``lab compare`` wrote.
    """
    results = [entry.result for entry in entries if entry.result is not None]
    machine = sorted({f"{one.versions.get('machine')}, kernel {one.versions.get('kernel')}" for one in results})
    head = HEAD.format(
        command=command,
        passed=sum(one.verdict == "passed" for one in results),
        count=len(entries),
        minutes=sum(one.duration_s for one in results) / 60,
        machine=f" ({'; '.join(machine)})" if machine else "",
    )
    sections = [line for entry in entries for line in _section(entry)]
    return "\n".join([head, *_overview(entries), "", *_comparisons(comparisons), *sections])


def _comparisons(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the tables of overlay, star and IP multicast on the same networks; nothing if none was made."""
    if not comparisons:
        return []
    lines = [
        "## Beside a star and IP multicast",
        "",
        "Made by `overlaycast lab compare`, with the same network, stream and counters for each system. Copies are",
        "bytes on the wire ÷ bytes of the stream. What a star needs is what it would send if the links carried it. In",
        "time is what reached a receiver while the source was sending, or within a second after.",
        "",
    ]
    for one in comparisons:
        lines += [f"**{one.title}** (`{one.topology}`, seed {one.seed})", ""]
        lines += ["| system | receivers whole | in time | most copies into a site | on a link | median latency |"]
        lines += [f"|---|{RIGHT}|{RIGHT}|{RIGHT}|{RIGHT}|{RIGHT}|", *map(_system, one.systems), ""]
    return lines


def _system(one: Figures) -> str:
    name = one.system if one.valid else f"{one.system} (invalid: the machine did not keep up)"
    needs = one.system == "unicast"
    site = f"{one.site_copies:.2f}" + (f" (needs {one.star_into_site})" if needs else "")
    link = f"{one.link_copies:.2f}" + (f" (needs {one.star_on_link})" if needs else "")
    whole = f"{one.whole} of {one.receivers}"
    delay = words.number(one.latency_p50_ms, "ms")
    return f"| {name} | {whole} | {one.in_time_share:.0%} | {site} | {link} | {delay} |"


def _overview(entries: Sequence[Entry]) -> list[str]:
    rows = [
        "| experiment | faults | verdict | receivers whole | longest silence | took |",
        f"|---|---|---|{RIGHT}|{RIGHT}|{RIGHT}|",
    ]
    for entry in entries:
        actions = ", ".join(dict.fromkeys(fault.action for _, fault in entry.experiment.faults)) or "–"
        verdict, *rest = figures(entry.result)
        cells = [actions, verdict if entry.result is None else f"**{verdict}**", *rest]
        rows.append(f"| [{entry.experiment.name}](#{entry.experiment.name}) | {' | '.join(cells)} |")
    return rows


def figures(result: Result | None) -> tuple[str, str, str, str]:
    """Return a run's verdict, how many receivers are whole, the longest silence, and how long the run took."""
    if result is None:
        return "not run", "–", "–", "–"
    survivors = result.survivors()
    whole = sum(one.sha256_ok and not one.lost for one in survivors)
    gaps = [one.longest_gap_ms for one in survivors if one.longest_gap_ms is not None]
    gap = words.number(max(gaps) if gaps else None, "ms")
    return result.verdict, f"{whole} of {len(survivors)}", gap, words.number(result.duration_s, "s")


def _section(entry: Entry) -> list[str]:
    one = entry.experiment
    lines = [f"## {one.name}", "", f"**{one.title}.** {one.about}".strip(), "", f"[`{entry.file}`](../{entry.file})"]
    if entry.result is None:
        return [*lines, "", "Not run.", ""]
    lines += [f", seed {entry.result.seed}, on `{entry.result.topology}`.", ""]
    lines[-3:-1] = ["".join(lines[-3:-1])]
    for note in entry.result.notes:
        lines += [f"Note: {note}.", ""]
    if entry.result.faults:
        lines += [*_faults(entry.result.faults), ""]
    return [*lines, *_expectations(entry.result.expectations), ""]


def _faults(faults: Sequence[FaultSeen]) -> list[str]:
    rows = ["| at | what happened | verified by | cut off | recovered | moved |"]
    rows.append(f"|{RIGHT}|---|---|{RIGHT}|{RIGHT}|{RIGHT}|")
    for fault in faults:
        affected, moved = (str(count) if fault.measured else "–" for count in (fault.affected, fault.moved))
        figures = f"{affected} | {words.number(fault.recovered_ms, 'ms')} | {moved}"
        rows.append(f"| {words.number(fault.at_s, 's')} | {words.fault_title(fault)} | {fault.evidence} | {figures} |")
    return rows


def _expectations(expectations: Sequence[Judged]) -> list[str]:
    rows = ["| expectation | after fault | asked | measured | |", f"|---|---|{RIGHT}|{RIGHT}|---|"]
    for one in expectations:
        mark = "ok" if one.ok else "**failed**"
        meaning = METRICS[one.metric].words
        rows.append(f"| {meaning} | {one.fault or ''} | {words.asked(one)} | {words.measured(one)} | {mark} |")
    return rows
