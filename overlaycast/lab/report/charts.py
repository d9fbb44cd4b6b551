"""Small charts as SVG: a receiver's rate over time, what entered a site, copies of the stream on a link. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 420.0
HEIGHT: Final = 26.0
BARS: Final = 300.0
LONG_MS: Final = 500.0
"""A silence of so long is drawn over the whole height."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A fault on a time axis: its number, when, and when the last receiver was fed again (None: never)."""

    number: int
    at_s: float
    until_s: float | None


def timeline(
    rates: Sequence[float],
    gaps: Sequence[float | None],
    step_s: float,
    full_mbit: float,
    marks: Sequence[Mark],
    silence_ms: float,
) -> str:
    """Return a receiver's rate as an area, fault lines across it, and its silences as red strokes, longer ones taller.

    Args:
        rates: Mbit/s per step.
        gaps: the longest silence of each step, ms.
        step_s: seconds per step.
        full_mbit: the rate that fills the height.
        marks: faults.
        silence_ms: silences longer than this are shown.
    """
    length = max(1, len(rates)) * step_s
    bands = "".join(_band(mark, length, HEIGHT) for mark in marks)
    area = _area(rates, full_mbit, HEIGHT)
    silences = "".join(
        _silence((index + 0.5) * step_s, gap, length)
        for index, gap in enumerate(gaps)
        if gap is not None and gap >= silence_ms
    )
    box = f"0 0 {WIDTH:g} {HEIGHT:g}"
    return (
        f'<svg class="line" viewBox="{box}" preserveAspectRatio="none" aria-hidden="true">{area}{bands}{silences}</svg>'
    )


def _area(rates: Sequence[float], full_mbit: float, height: float) -> str:
    if not rates:
        return ""
    step = WIDTH / len(rates)
    points = []
    for index, rate in enumerate(rates):
        y = height - 1 - (height - 3) * min(1.0, rate / full_mbit if full_mbit else 0.0)
        points.append(f"{index * step:.1f} {y:.1f}L{(index + 1) * step:.1f} {y:.1f}")
    line = "L".join(points)
    return f'<path class="area" d="M0 {height:g}L{line}L{WIDTH:g} {height:g}Z"/><path class="rate" d="M{line}"/>'


def _band(mark: Mark, length: float, height: float) -> str:
    x = WIDTH * mark.at_s / length
    until = length if mark.until_s is None else mark.until_s
    wide = max(1.5, WIDTH * (until - mark.at_s) / length)
    return f'<rect class="band" x="{x:.1f}" y="0" width="{wide:.1f}" height="{height:g}"/>'


def _silence(at_s: float, gap: float, length: float) -> str:
    x = WIDTH * at_s / length
    wide = max(2.4, WIDTH * gap / 1000 / length)
    tall = min(HEIGHT, 2 + HEIGHT * gap / LONG_MS)
    return (
        f'<rect class="gap" x="{x - wide / 2:.1f}" y="0" width="{wide:.1f}" height="{tall:.1f}">'
        f"<title>{gap:.0f} ms without a record</title></rect>"
    )


def axis(length_s: float, marks: Sequence[Mark]) -> str:
    """Return the seconds above the timelines, with the faults' numbers."""
    every = next(step for step in (1, 2, 5, 10, 30, 60, 300, 600, 3600, 86400) if length_s / step <= 9)
    ticks = "".join(
        f'<text x="{WIDTH * second / length_s:.1f}" y="24">{second}{" s" if second == 0 else ""}</text>'
        for second in range(0, int(length_s) + 1, every)
        if second < length_s * 0.98
    )
    flags = "".join(
        f'<g class="flag"><circle cx="{WIDTH * mark.at_s / length_s:.1f}" cy="7.5" r="7"/>'
        f'<text x="{WIDTH * mark.at_s / length_s:.1f}" y="11">{mark.number}</text></g>'
        for mark in marks
    )
    return f'<svg class="axis" viewBox="0 0 {WIDTH:g} 28" aria-hidden="true">{ticks}{flags}</svg>'


def copies_bar(copies: float | None, star: int, most: float) -> str:
    """Return a bar of copies on a scale up to ``most``, with multicast's 1 as a line and the star's need as a ring."""
    scale = BARS / max(most, 1.0)
    one = f'<line class="one" x1="{scale:.1f}" x2="{scale:.1f}" y1="0" y2="18"/>'
    wide = scale * min(copies or 0.0, most)
    ring = f'<circle class="star" cx="{min(BARS - 5, scale * star):.1f}" cy="9" r="4"/>' if star else ""
    bar = f'<rect class="bar" x="0" y="4" width="{wide:.1f}" height="10" rx="2"/>'
    return f'<svg class="bars" viewBox="0 0 {BARS:g} 18" aria-hidden="true">{bar}{one}{ring}</svg>'
