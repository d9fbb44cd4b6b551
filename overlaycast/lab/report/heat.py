"""All receivers over time in one picture: a row each, a colour for how much came, red for silence. Pure.

Owns: what a step of 200 ms looks like. Neighbouring steps that look alike are one rectangle, so that a long run of many
receivers stays a small picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Final

from overlaycast.lab.analysis.series import Receiver, Series
from overlaycast.lab.report.charts import Mark

WIDTH: Final = 1000.0
NAMES: Final = 112.0
AXIS: Final = 30.0
GAP: Final = 5.0
"""Between sites."""
_SLOW, _SHORT, _LATE, _FAST = 0.05, 0.5, 0.85, 1.2
_WORDS: Final = {
    "h0": "nothing",
    "h1": "less than half",
    "h2": "less than it should be",
    "h3": "the stream's rate",
    "h4": "catching up",
    "hx": "away",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A receiver and its site."""

    receiver: Receiver
    site: str | None
    survived: bool = True


def rows(series: Series, sites: dict[str, str | None], survived: dict[str, bool]) -> tuple[Row, ...]:
    """Return the rows of a run, by site and name."""
    found = (Row(one, sites.get(one.host), survived.get(one.host, True)) for one in series.receivers)
    return tuple(sorted(found, key=lambda row: (row.site or "", row.receiver.host)))


def draw(series: Series, shown: Sequence[Row], rate_mbit: float, marks: Sequence[Mark], silence_ms: float) -> str:
    """Return one SVG element.

    Args:
        series: for the steps and what the source sent.
        shown: the rows.
        rate_mbit: the stream's rate; what the colours are about.
        marks: faults.
        silence_ms: silences from here on are red strokes.
    """
    tall = 14.0 if len(shown) <= 30 else 9.0 if len(shown) <= 60 else max(2.0, 540 / len(shown))
    steps = max(1, len(series.source_mbit))
    wide = (WIDTH - NAMES) / steps
    sending = [rate > 0 for rate in series.source_mbit]
    last = max((index for index, on in enumerate(sending) if on), default=steps - 1)
    parts, y, site = [], AXIS, None
    for number, row in enumerate(shown):
        if number and row.site != site:
            y += GAP
        if row.site != site or not number:
            parts.append(_site(row.site, y + min(tall, 14.0) - 3.5))
        site = row.site
        if tall >= 9:
            name = escape(row.receiver.host[:10])
            size, up = ("", 3.0) if tall > 12 else (' style="font-size:8px"', 1.8)
            parts.append(f'<text class="name" x="{NAMES - 6:g}" y="{y + tall - up:.1f}"{size}>{name}</text>')
        parts += _cells(row, y, tall - 1, wide, rate_mbit, last)
        parts += _silences(row, y, tall - 1, wide, series.step_s, silence_ms)
        y += tall
    length = steps * series.step_s
    frame = f'viewBox="0 0 {WIDTH:g} {y + 2:.1f}" role="img" aria-label="rate at every receiver over time"'
    return f'<svg class="heat" {frame}>{"".join(parts)}{_marks(marks, length, y)}{_axis(length)}</svg>'


def look(rate: float, full: float) -> str:
    """Return the class of a step in which ``rate`` came of ``full`` Mbit/s."""
    share = rate / full if full > 0 else 1.0
    limits = ((_SLOW, "h0"), (_SHORT, "h1"), (_LATE, "h2"), (_FAST, "h3"))
    return next((name for limit, name in limits if share < limit), "h4")


def _cells(row: Row, y: float, tall: float, wide: float, full: float, last: int) -> list[str]:
    """Steps before the first record and after the end of the stream are left blank."""
    rates = row.receiver.rate_mbit
    came = [index for index, rate in enumerate(rates) if rate > 0]
    if not came:
        return []
    looks: list[str] = []
    over = came[-1] if last - 1 <= came[-1] else last  # the source's last step is but a part of one
    for index, rate in enumerate(rates[: max(over, came[-1]) + 1]):
        if index < came[0]:
            looks.append("")
        elif index >= came[-1] and not row.survived:
            looks.append("hx")
        elif index in (came[0], last) or index > last:  # only a part of these steps had anything to send
            looks.append("h3" if rate > 0 or index > came[-1] else "h0")
        else:
            looks.append(look(rate, full))
    if came[-1] < last - 1 and row.survived:
        looks[came[-1] + 1 :] = ["h0"] * (len(looks) - came[-1] - 1)
    return _rectangles(looks, y, tall, wide)


def _rectangles(looks: Sequence[str], y: float, tall: float, wide: float) -> list[str]:
    parts, at = [], 0
    for name, group in groupby(looks):
        count = len(list(group))
        if name:
            x = NAMES + at * wide
            size = f'x="{x:.1f}" y="{y:.1f}" width="{count * wide + 0.15:.2f}" height="{tall:.1f}"'
            parts.append(f'<rect class="{name}" {size}><title>{_WORDS[name]}</title></rect>')
        at += count
    return parts


def _silences(row: Row, y: float, tall: float, wide: float, step_s: float, silence_ms: float) -> list[str]:
    parts = []
    for index, gap in enumerate(row.receiver.gap_ms):
        if gap is not None and gap >= silence_ms:
            size = max(2.2, wide * gap / 1000 / step_s)
            x = NAMES + (index + 0.5) * wide - size / 2
            text = escape(f"{row.receiver.host}: {gap:.0f} ms without a record")
            rect = f'<rect class="silence" x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{tall:.1f}">'
            parts.append(f"{rect}<title>{text}</title></rect>")
    return parts


def _site(site: str | None, y: float) -> str:
    return f'<text class="where" x="2" y="{y:.1f}">{escape((site or "")[:10])}</text>'


def _marks(marks: Sequence[Mark], length: float, bottom: float) -> str:
    parts = []
    for mark in marks:
        x = NAMES + (WIDTH - NAMES) * mark.at_s / length
        until = length if mark.until_s is None else min(mark.until_s, length)
        wide = max(1.5, (WIDTH - NAMES) * (until - mark.at_s) / length)
        band = f'<rect class="span" x="{x:.1f}" y="{AXIS - 4:g}" width="{wide:.1f}" height="{bottom - AXIS + 4:.1f}"/>'
        flag = f'<g class="flag"><circle cx="{x:.1f}" cy="9" r="8"/><text x="{x:.1f}" y="13">{mark.number}</text></g>'
        parts.append(band + flag)
    return "".join(parts)


def _axis(length: float) -> str:
    every = next(step for step in (1, 2, 5, 10, 30, 60, 300, 600, 3600, 86400) if length / step <= 12)
    scale = (WIDTH - NAMES) / length
    return "".join(
        f'<text class="when" x="{NAMES + scale * second:.1f}" y="25">{second}{" s" if second == 0 else ""}</text>'
        for second in range(0, int(length) + 1, every)
        if second < length * 0.985
    )
