"""The report: one HTML file with everything in it, no file or address beside it. Pure.

Owns: what the template is given. The template owns looks and order, ``words`` the sentences, ``picture`` and ``charts``
the drawings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from overlaycast.lab.analysis.series import Picture, Series
from overlaycast.lab.analysis.stretch import stretches
from overlaycast.lab.recording.recording import NetworkSeen
from overlaycast.lab.report import charts, dots, heat, words
from overlaycast.lab.report.charts import Mark
from overlaycast.lab.report.dots import Dot
from overlaycast.lab.report.layout import lay_out
from overlaycast.lab.report.picture import draw
from overlaycast.lab.report.strokes import shortest_silence_ms
from overlaycast.lab.report.tree_frames import tree_frames
from overlaycast.lab.results.fault_seen import FaultSeen
from overlaycast.lab.results.metrics import METRICS
from overlaycast.lab.results.result import Delivery, Result

_Strip = tuple[str, str, float | None, bool, Mapping[str, float | None]]
"""Title, unit, left end, logarithmic, figures by host."""
IDLE: Final = 0.02
"""Links that carried less than this of a copy are counted, not listed."""


def render(result: Result, series: Series, network: NetworkSeen) -> str:
    """Return the report's HTML."""
    marks = marks_of(result)
    length = len(series.source_mbit) * series.step_s
    silence_ms = shortest_silence_ms(result, series)
    return page(
        "report.html.j2",
        result=result,
        passed=result.verdict == "passed",
        verdict=words.verdict(result),
        failures=(*words.failures(result), *words.unexplained(result)),
        figures=words.figures(result),
        expectations=_expectations(result),
        pictures=_pictures(result, series, network),
        animation=_animation(result, series, network),
        flags=_flags(marks, length),
        heat=heat_map(result, series, marks),
        delays=_delays(result, network),
        joins=_joins(series),
        axis=charts.axis(length, marks),
        receivers=_receivers(result, series, marks, silence_ms),
        uplinks=_uplinks(result, series, marks, silence_ms),
        faults=[_fault(number, fault) for number, fault in enumerate(result.faults, 1)],
        links=[row for row in _links(result) if row["link"].site_uplink],
        other_links=[row for row in _links(result) if not row["link"].site_uplink],
        idle_links=sum(not _used(link) for link in result.links),
        fidelity=[_fidelity(entry) for entry in result.fidelity],
        shaping=json.dumps(result.shaping, indent=1),
        silence_ms=silence_ms,
        band=words.BAND,
        grown=words.grown(result),
        misread=words.misread(result),
        explained=words.explained(result),
        busiest=max(result.cpu_s, key=lambda host: result.cpu_s[host], default=None),
    )


def page(template: str, **values: Any) -> str:
    """Return a page of this package, rendered."""
    environment = Environment(
        loader=PackageLoader("overlaycast.lab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = words.number
    return environment.get_template(template).render(**values)


def as_script(value: Any) -> str:
    """Return JSON that may stand inside a script element, whatever its strings hold."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _animation(result: Result, series: Series, network: NetworkSeen) -> str | None:
    if len(series.moments) < 2:
        return None  # nothing ever moved: the picture says it all
    faults_s = [fault.at_s for fault in result.faults]
    layout, merged = lay_out(network, result.source), result.system == "multicast"
    return as_script(tree_frames(network, layout, series.moments, faults_s, series, merged))


def _flags(marks: Sequence[Mark], length: float) -> list[dict[str, Any]]:
    """Return where the faults are on the slider, in percent."""
    return [{"number": mark.number, "at": round(100 * mark.at_s / length, 2)} for mark in marks]


def heat_map(result: Result, series: Series, marks: Sequence[Mark]) -> str:
    """Return all receivers over time."""
    sites = {one.host: one.site for one in result.delivery}
    shown = heat.rows(series, sites, {one.host: one.survived for one in result.delivery})
    sent = [rate for rate in series.source_mbit if rate > 0]
    return heat.draw(series, shown, median(sent) if sent else 0.0, marks, shortest_silence_ms(result, series))


def _delays(result: Result, network: NetworkSeen) -> list[dict[str, Any]]:
    """Return what one wants to know of delays, a strip of dots for each."""
    edges = {member.host: member.parent_host for member in result.members if member.parent_host is not None}
    hosts = [one.host for one in result.delivery]
    ratios = stretches(network, edges, result.source, hosts)
    strips: list[_Strip] = [
        ("Delay along the tree ÷ delay of the direct path", "×", 1.0, False, ratios),
        ("Median latency, source to sink", "ms", None, True, {one.host: one.latency_ms.p50 for one in result.delivery}),
        ("99th percentile of the latency", "ms", None, True, {one.host: one.latency_ms.p99 for one in result.delivery}),
    ]
    return [made for strip in strips if (made := _strip(*strip)) is not None]


def _joins(series: Series) -> list[dict[str, Any]]:
    took = {one.host: one.took_s for one in series.joins}
    late = {
        one.host: one.first_s - one.started_s
        for one in series.joins
        if one.first_s is not None and one.started_s is not None and one.started_s > 0
    }
    strips: list[_Strip] = [
        ("From the start of the program until it had a parent", "s", 0.0, False, took),
        ("Receivers that came in mid-stream: time until their first record", "s", 0.0, False, late),
    ]
    return [made for strip in strips if (made := _strip(*strip)) is not None]


def _strip(
    title: str, unit: str, low: float | None, log: bool, figures: Mapping[str, float | None]
) -> dict[str, Any] | None:
    found = [Dot(host, value) for host, value in figures.items() if value is not None and (value > 0 or not log)]
    if not found:
        return None
    ordered = sorted(dot.value for dot in found)
    middle, worst = ordered[len(ordered) // 2], ordered[-1]
    said = f"median {words.number(middle, unit)}, worst {words.number(worst, unit)}, over {len(found)} receivers"
    return {"title": title, "said": said, "svg": dots.draw(found, unit, low, log)}


def marks_of(result: Result) -> tuple[Mark, ...]:
    """Return the faults on a time axis."""
    found = []
    for index, fault in enumerate(result.faults, 1):
        until = fault.healed_s
        if until is None and fault.recovered_ms is not None:
            until = fault.at_s + fault.recovered_ms / 1000
        elif until is None and not fault.affected and not fault.action.startswith("coordinator"):
            until = fault.at_s
        found.append(Mark(index, fault.at_s, until))
    return tuple(found)


def _expectations(result: Result) -> list[dict[str, Any]]:
    return [
        {
            "words": METRICS[one.metric].words,
            "metric": one.metric,
            "fault": one.fault,
            "asked": words.asked(one),
            "measured": words.measured(one),
            "ok": one.ok,
        }
        for one in sorted(result.expectations, key=lambda one: one.ok)
    ]


def _pictures(result: Result, series: Series, network: NetworkSeen) -> list[dict[str, Any]]:
    layout = lay_out(network, result.source)
    before: Picture | None = None
    found = []
    for picture in series.pictures:
        moved = 0 if before is None else sum(before.edges.get(one) != by for one, by in picture.edges.items())
        found.append(
            {
                "label": picture.label,
                "at_s": picture.at_s,
                "svg": draw(network, layout, picture, before, result.system == "multicast"),
                "box": f"0 0 {layout.width:g} {layout.height:g}",
                "moved": moved,
            }
        )
        before = picture
    return found


def _receivers(result: Result, series: Series, marks: Sequence[Mark], silence_ms: float) -> list[dict[str, Any]]:
    lines = {receiver.host: receiver for receiver in series.receivers}
    full = 1.6 * max(result.rate_mbit, 0.001)
    parents = {member.host: member.parent_host for member in result.members}
    primaries = {member.host for member in result.members if member.primary}
    found = []
    for one in sorted(result.delivery, key=lambda one: (one.site or "", one.host)):
        line = lines[one.host]
        chart = charts.timeline(line.rate_mbit, line.gap_ms, series.step_s, full, marks, silence_ms)
        found.append(
            {
                "one": one,
                "parent": parents.get(one.host),
                "primary": one.host in primaries,
                "chart": chart,
                "state": _state(one, result.faults),
            }
        )
    return found


def _state(one: Delivery, faults: Sequence[FaultSeen]) -> str:
    if not one.survived:
        hit = next((str(number) for number, fault in enumerate(faults, 1) if one.host in fault.away), "?")
        return f"fault {hit}"
    if one.error:
        return one.error
    return "whole" if one.sha256_ok and one.lost == 0 else "not whole" if one.finished else "did not finish"


def _uplinks(result: Result, series: Series, marks: Sequence[Mark], silence_ms: float) -> list[dict[str, Any]]:
    full = 2.2 * max(result.rate_mbit, 0.001)
    by_site = {site.site: site for site in result.sites}
    return [
        {
            "site": site,
            "use": by_site.get(site),
            "after": [
                (number, fault.inbound_copies[site])
                for number, fault in enumerate(result.faults, 1)
                if site in fault.inbound_copies
            ],
            "chart": charts.timeline(rates, (), series.step_s, full, marks, silence_ms),
        }
        for site, rates in sorted(series.uplinks.items())
    ]


def _fault(number: int, fault: FaultSeen) -> dict[str, Any]:
    return {
        "number": number,
        "fault": fault,
        "title": words.fault_title(fault),
        "story": words.fault_story(fault),
    }


def _used(link: Any) -> bool:
    return max(link.copies_ab or 0.0, link.copies_ba or 0.0) > IDLE


def _links(result: Result) -> list[dict[str, Any]]:
    used = sorted((link for link in result.links if _used(link)), key=words.link_order)
    numbers = [value for link in used for value in (link.copies_ab or 0, link.copies_ba or 0)]
    most = max([2.0, *numbers, *(max(link.unicast_ab, link.unicast_ba) for link in used if link.site_uplink)])
    rows = []
    for link in used:
        for start, end, copies, star in (
            (link.a, link.b, link.copies_ab, link.unicast_ab),
            (link.b, link.a, link.copies_ba, link.unicast_ba),
        ):
            if (copies or 0.0) > IDLE:
                bar = charts.copies_bar(copies, star, most)
                rows.append(
                    {"link": link, "start": start, "end": end, "copies": copies, "star": star, "bar": bar}
                )  # fmt: skip
    return rows


def _fidelity(entry: dict[str, Any]) -> dict[str, Any]:
    def said(values: Any) -> str:
        if not isinstance(values, dict):
            return str(values)
        return ", ".join(f"{name} {words.number(value) if isinstance(value, int | float) else value}"
                         for name, value in values.items() if value is not None)  # fmt: skip

    return {
        "link": entry.get("link", "–"),
        "asked": said(entry.get("asked", "")),
        "measured": said(entry.get("measured", "")),
        "ok": bool(entry.get("ok", True)),
    }
