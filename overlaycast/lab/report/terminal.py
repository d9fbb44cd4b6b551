"""The end of a run for people at a terminal: receivers, faults, expectations, verdict.

Owns: tables only. The sentences are ``report.words``'.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from overlaycast.lab.report import words
from overlaycast.lab.results.outcome import Outcome
from overlaycast.lab.results.real_hosts import RealHosts
from overlaycast.lab.results.result import Delivery, Result

_LOOKS = {"passed": "bold green", "failed": "bold red", "invalid": "bold yellow"}


def show(result: Result, report: Path, console: Console) -> None:
    """Print the outcome of a run."""
    console.print()
    console.print(receivers(result))
    if result.faults:
        console.print()
        console.print(faults(result))
    console.print()
    console.print(expectations(result))
    console.print()
    if result.hosts is not None:
        _show_hosts(result.hosts, console)
    for trouble in (*result.troubles, *words.unexplained(result)):
        console.print(trouble, style="bold red", highlight=False, markup=False)
    verdict = Text(f"{result.verdict}  ", style=_LOOKS[result.verdict])
    console.print(verdict.append(words.verdict(result), style="default not bold"))
    console.print(f"report: {report}", highlight=False, soft_wrap=True)


def _show_hosts(hosts: RealHosts, console: Console) -> None:
    """Print which hosts they were, and what a reader has to know of them."""
    console.print(real_hosts(hosts))
    for line in hosts.differs:
        console.print(f"differs: {line}", highlight=False, markup=False)
    for metric, why in hosts.not_measured.items():
        console.print(f"not measured: {metric}: {why}", highlight=False, markup=False)
    console.print()


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        name = column.lstrip(">")
        table.add_column(name, justify="right" if column.startswith(">") else "left", no_wrap=name != "what")
    return table


def receivers(result: Result) -> Table:
    """Return a line for every receiver."""
    table = _table("site", "host", "fed by", ">records", ">lost", ">twice", ">gap", ">p50", "file")
    fed_by = {member.host: member for member in result.members}
    for one in sorted(result.delivery, key=lambda one: (one.site or "", one.host)):
        member = fed_by.get(one.host)
        parent = member.parent_host or "–" if member else "–"
        counts = (words.number(one.received), str(one.lost), str(one.duplicated))
        times = (words.number(one.longest_gap_ms, "ms"), words.number(one.latency_ms.p50, "ms"))
        table.add_row(one.site or "–", one.host, parent, *counts, *times, _file(one), style=_style(one))
    return table


def _style(one: Delivery) -> str:
    return "dim" if not one.survived else "" if one.sha256_ok and one.lost == 0 else "red"


def _file(one: Delivery) -> str:
    if not one.survived:
        return "taken away"
    return one.error or ("whole" if one.sha256_ok else "differs" if one.finished else "unfinished")


def real_hosts(hosts: RealHosts) -> Table:
    """Return a line for every real host: what it was, where it is, and how its clock stood to the source's."""
    table = _table("host", "is", "address", "site", "found at", ">round trip", ">clock ahead", ">±")
    for one in hosts.hosts:
        clock = (words.number(one.clock_ahead_ms, "ms"), words.number(one.clock_uncertainty_ms, "ms"))
        where = (one.address, one.site or "–", one.found or "–")
        table.add_row(one.host, one.real, *where, words.number(one.rtt_ms, "ms"), *clock)
    return table


def faults(result: Result) -> Table:
    """Return a line for every fault."""
    table = _table(">at", "what", ">behind it", ">detected", ">recovered", ">moved", ">lost")
    for fault in result.faults:
        when = words.number(fault.at_s, "s")
        took = (words.number(fault.detected_ms, "ms"), words.number(fault.recovered_ms, "ms"))
        what = words.fault_title(fault)
        counts = [str(count) if fault.measured else "–" for count in (fault.affected, fault.moved, fault.lost)]
        table.add_row(when, what, counts[0], *took, *counts[1:])
    return table


def expectations(result: Result) -> Table:
    """Return a line for every expectation."""
    table = _table("", "expectation", "after", ">asked", ">measured")
    for one in result.expectations:
        failed = "failed" if one.why is None else "unknown"
        mark = Text("ok", style="green") if one.ok else Text(failed, style="bold red")
        table.add_row(mark, one.metric, one.fault or "", words.asked(one), words.measured(one))
    return table


def roundup(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print a line for every run of several, and how many passed."""
    table = _table("", "experiment", ">took", "what failed")
    passed = 0
    for one in outcomes:
        verdict = one.result.verdict if one.result else "failed"
        passed += verdict == "passed"
        seconds = one.result.duration_s if one.result else one.seconds
        failed = [each.metric for each in words.broken(one.result)] if one.result else []
        why = ", ".join(failed) or ("" if one.result else one.complaint)
        why = str(one.result.shaping.get("why") or why) if one.result and verdict == "invalid" else why
        table.add_row(Text(verdict, style=_LOOKS[verdict]), one.name, words.number(seconds, "s"), why)
    console.print()
    console.print(table)
    total = sum(one.seconds for one in outcomes)
    text = f"{passed} of {len(outcomes)} passed, in {words.number(total, 's')}"
    console.print(Text(text, style=_LOOKS["passed" if passed == len(outcomes) else "failed"]))
