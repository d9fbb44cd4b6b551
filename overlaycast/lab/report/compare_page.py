"""``compare.html``: several systems on one network, in one self-contained file. Pure.

Owns: what the template is given, and the bars of copies. Figures come from ``compare``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import median
from typing import Any, Final

from overlaycast.lab.analysis.compare import Comparison, Copies, StoredRun
from overlaycast.lab.report import compare_words, dots, heat, words
from overlaycast.lab.report.dots import Dot
from overlaycast.lab.report.page import marks_of, page
from overlaycast.lab.report.strokes import shortest_silence_ms

WIDTH: Final = 560.0
NUMBERS: Final = 46.0
BAR: Final = 9.0


def render(comparison: Comparison, runs: Sequence[StoredRun], command: str) -> str:
    """Return the page."""
    systems = [run.system for run in runs]
    return page(
        "compare.html.j2",
        comparison=comparison,
        lead=compare_words.lead(comparison),
        late=compare_words.late(comparison),
        missing=compare_words.missing(comparison),
        second=compare_words.second(comparison),
        systems=[(system, compare_words.name(system)) for system in systems],
        rows=[
            (text, [compare_words.cell(read, one) for one in comparison.systems]) for text, read in compare_words.ROWS
        ],
        sites=_bars(comparison.sites, systems, _needed_into_sites(comparison), comparison.empty_sites),
        links=_bars(
            {_way(one): one.by_system for one in comparison.links if one.site is None},
            systems,
            {_way(one): one.star for one in comparison.links},
            {},
        ),
        maps=[{"name": compare_words.name(run.system), "svg": heat_of(run)} for run in runs],
        strips=_strips(comparison),
        runs=[
            {"system": run.system, "verdict": run.result.verdict, "report": f"{run.system}/report.html"} for run in runs
        ],
        result=runs[0].result,
        command=command,
        silences=_silences(runs),
        band=words.BAND if comparison.faults else "",
    )


def _silences(runs: Sequence[StoredRun]) -> str:
    """Return from which length on a silence is drawn, in words; systems may send records of different sizes."""
    bounds = [shortest_silence_ms(run.result, run.series) for run in runs]
    one = words.number(min(bounds), "ms")
    return one if min(bounds) == max(bounds) else f"{one} to {words.number(max(bounds), 'ms')}, by the system,"


def _way(link: Copies) -> str:
    return f"{link.start} → {link.end}"


def _needed_into_sites(comparison: Comparison) -> dict[str, int]:
    found: dict[str, int] = {}
    for link in comparison.links:
        if link.site is not None:
            found[link.site] = found.get(link.site, 0) + link.star
    return found


def _bars(
    copies: Mapping[str, Mapping[str, float]],
    systems: Sequence[str],
    star: Mapping[str, int],
    empty: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    """Return a row for each site or link, with a bar for each system, all on one scale.

    Multicast's 1 is a line, what a star needs an outline round the star's bar. Where nothing came over a system
    (``empty``) it has no bar.
    """
    most = max([2.0, *(value for by_system in copies.values() for value in by_system.values())])
    most = max([most, *(star.get(where, 0) for where in copies)]) if "unicast" in systems else most
    scale = (WIDTH - NUMBERS) / most
    rows = []
    for where, by_system in copies.items():
        parts = [f'<line class="one" x1="{scale:.1f}" x2="{scale:.1f}" y1="0" y2="{len(systems) * (BAR + 3):g}"/>']
        for number, system in enumerate(systems):
            value, y = by_system.get(system, 0.0), number * (BAR + 3) + 1.5
            if where in empty.get(system, ()):
                parts.append(f'<text class="when" x="5" y="{y + BAR - 0.5:g}">{compare_words.NOTHING}</text>')
                continue
            wide = max(1.0, scale * value)
            if system == "unicast" and star.get(where, 0) > value + 0.05:
                need = f'width="{scale * star[where]:.1f}" height="{BAR:g}" rx="1.5"'
                parts.append(f'<rect class="need" x="0" y="{y:g}" {need}/>')
            parts.append(
                f'<rect class="{system}" x="0" y="{y:g}" width="{wide:.1f}" height="{BAR:g}" rx="1.5"/>'
                f'<text class="when" x="{wide + 5:.1f}" y="{y + BAR - 0.5:g}">{value:.2f}</text>'
            )
        box = f"0 0 {WIDTH:g} {len(systems) * (BAR + 3):g}"
        label = escape(", ".join(f"{one} {_said(by_system, one, where, empty)}" for one in systems))
        svg = f'<svg class="duel" viewBox="{box}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
        rows.append({"where": where, "svg": svg})
    return rows


def _said(by_system: Mapping[str, float], system: str, where: str, empty: Mapping[str, Sequence[str]]) -> str:
    return compare_words.NOTHING if where in empty.get(system, ()) else f"{by_system.get(system, 0.0):.2f}"


def heat_of(run: StoredRun) -> str:
    """Return all receivers of a run over time."""
    delivery = run.result.delivery
    shown = heat.rows(
        run.series, {one.host: one.site for one in delivery}, {one.host: one.survived for one in delivery}
    )
    sent = [rate for rate in run.series.source_mbit if rate > 0]
    silence_ms = shortest_silence_ms(run.result, run.series)
    return heat.draw(run.series, shown, median(sent) if sent else 0.0, marks_of(run.result), silence_ms)


def _strips(comparison: Comparison) -> list[dict[str, Any]]:
    """Return latencies, a strip per system, all on the same axis."""
    strips = []
    for title, index in (("Median latency of each receiver", 0), ("99th percentile at each receiver", 1)):
        found = {
            system: [
                Dot(host, value, system)
                for host, both in hosts.items()
                if (value := both[index]) is not None and value > 0
            ]
            for system, hosts in comparison.latencies.items()
        }
        values = [dot.value for some in found.values() for dot in some]
        if values:
            low, high = min(values), max(values)
            drawn = [
                (compare_words.name(one), dots.draw(some, "ms", low, log=True, high=high))
                for one, some in found.items()
                if some
            ]
            strips.append({"title": title, "drawn": drawn})
    return strips
