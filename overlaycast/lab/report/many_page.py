"""``study.html``: many runs of one experiment in one self-contained file. Pure.

Owns: a small chart per metric. What was swept first is the axis; further swept fields are lines of their own colour;
without a sweep the axis is empty and the dots are the runs. Figures come from ``many``.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

from overlaycast.lab.analysis.many import Measured, Point, Sample, Spread, Study
from overlaycast.lab.report import dots, words
from overlaycast.lab.report.dots import Dot
from overlaycast.lab.report.page import page

WIDTH: Final = 460.0
HEIGHT: Final = 170.0
LEFT: Final = 50.0
BOTTOM: Final = 24.0
COLOURS: Final = 6
"""Lines of different colour; further ones repeat them."""


def render(study: Study, command: str) -> str:
    """Return the page; ``command`` repeats the study."""
    varied = [one for one in study.measured if one.varies]
    return page(
        "many.html.j2",
        study=study,
        good=study.passed == len(study.samples),
        lead=_lead(study),
        lines=_legend(study),
        charts=[{"one": one, "svg": _chart(one, study), "said": _said(one, study)} for one in varied],
        constant=[(one, _figure(one, one.spreads[0].values[0])) for one in study.measured if not one.varies],
        columns=varied,
        table=[_row(point, varied) for point in study.points],
        runs=[_run(sample) for sample in study.samples],
        command=command,
    )


def _lead(study: Study) -> str:
    total = len(study.samples)
    text = f"{study.passed} of {words.counted(total, 'run')} met every expectation."
    invalid = sum(sample.verdict == "invalid" for sample in study.samples)
    none = sum(sample.verdict == "none" for sample in study.samples)
    if invalid:
        text += f" Of {invalid} the network was late: they prove nothing."
    if none:
        text += f" {none} came to no result."
    return text


def _said(one: Measured, study: Study) -> str:
    asked = "asked " + " and ".join(words.asked(each) for each in one.asked) if one.asked else ""
    if study.fields:
        return asked
    spread = one.spreads[0]
    ends = f"from {words.number(spread.low)} to {words.number(spread.high)}"
    middle = f"median {words.number(spread.median, one.unit)}, {ends}"
    return f"{middle}; {asked}" if asked else middle


def _figure(one: Measured, value: float) -> str:
    return words.number(bool(value)) if one.flag else words.number(value, one.unit)


def _chart(one: Measured, study: Study) -> str:
    if study.fields:
        return chart(one, study.points)
    runs = zip(one.spreads[0].values, one.spreads[0].seeds, strict=True)
    low = 0.0 if one.spreads[0].low < 0.7 * one.spreads[0].high else None
    return dots.draw([Dot(f"seed {seed}", value) for value, seed in runs], one.unit, low)


def _label(point: Point) -> str:
    return ", ".join(f"{field.rpartition('.')[2]} {value}" for field, value in point) or "all runs"


def _rest(point: Point) -> Point:
    """Return the values that choose the line: all but the one on the axis."""
    return point[1:]


def _legend(study: Study) -> list[tuple[int, str]]:
    rests = list(dict.fromkeys(_rest(point) for point in study.points))
    return [(number % COLOURS, _label(rest)) for number, rest in enumerate(rests)] if len(rests) > 1 else []


def _row(point: Point, columns: Sequence[Measured]) -> dict[str, Any]:
    found = ({spread.point: spread for spread in one.spreads}.get(point) for one in columns)
    return {"point": _label(point), "cells": [_cell(spread) for spread in found]}


def _cell(spread: Spread | None) -> tuple[str, str]:
    if spread is None:
        return "–", ""
    ends = "" if spread.low == spread.high else f"{words.number(spread.low)} … {words.number(spread.high)}"
    return words.number(spread.median), ends


def _run(sample: Sample) -> dict[str, Any]:
    failed = [] if sample.result is None else [one.metric for one in sample.result.expectations if not one.ok]
    return {"sample": sample, "point": _label(sample.point) if sample.point else "", "failed": failed}


# --- charts --------------------------------------------------------------------------------------------------------


def chart(one: Measured, points: Sequence[Point]) -> str:
    """Return one metric over what was swept: a dot per run, a line through the medians."""
    axis = list(dict.fromkeys(point[0][1] for point in points if point))
    rests = list(dict.fromkeys(_rest(point) for point in points))
    values = [value for spread in one.spreads for value in spread.values]
    ticks = dots.ticks(*_range(min(values), max(values)))
    low, high = ticks[0], ticks[-1]

    def x(point: Point) -> float:
        step = (WIDTH - LEFT) / max(1, len(axis))
        return LEFT + step * (axis.index(point[0][1]) + 0.5 if point else 0.5)

    def y(value: float) -> float:
        return 8 + (HEIGHT - BOTTOM - 8) * (1 - (value - low) / (high - low))

    parts = [_grid(value, y(value)) for value in ticks]
    parts += [_name(axis, value, x(((("", value)),))) for value in axis]
    for number, rest in enumerate(rests):
        spreads = [spread for spread in one.spreads if _rest(spread.point) == rest]
        parts.append(_line(number % COLOURS, [(x(spread.point), y(spread.median)) for spread in spreads]))
        shift = (number - (len(rests) - 1) / 2) * 5
        for spread in spreads:
            parts += [_dot(number % COLOURS, x(spread.point) + shift, y(value), value, one) for value in spread.values]
    label = escape(one.words)
    return (
        f'<svg class="study" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _range(low: float, high: float) -> tuple[float, float]:
    """Small figures are shown from zero; what varies little compared to its size is not blown up out of proportion."""
    return (0.0 if low >= 0 and low < 0.7 * high else low), high


def _grid(value: float, y: float) -> str:
    line = f'<line class="tick" x1="{LEFT:g}" x2="{WIDTH:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text class="name" x="{LEFT - 6:g}" y="{y + 4:.1f}">{dots.short(value)}</text>'


def _name(axis: Sequence[Any], value: Any, x: float) -> str:
    if len(axis) > 8 and axis.index(value) % 2:
        return ""
    text = escape(str(value)[:10])
    return f'<text class="when" x="{x:.1f}" y="{HEIGHT - 6:g}" style="text-anchor:middle">{text}</text>'


def _line(colour: int, points: Sequence[tuple[float, float]]) -> str:
    if len(points) < 2:
        return ""
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="line c{colour}" d="M{path}"/>'


def _dot(colour: int, x: float, y: float, value: float, one: Measured) -> str:
    text = escape(words.number(value, one.unit))
    return f'<circle class="c{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.6"><title>{text}</title></circle>'
