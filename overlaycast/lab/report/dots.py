"""One figure per receiver, as dots on an axis, so that outliers show. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from overlaycast.lab.report import words

WIDTH: Final = 460.0
SIDE: Final = 14.0
RADIUS: Final = 4.0
MOST: Final = 9
"""So many dots are stacked; more lie on one another."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A receiver's figure. ``kind`` is a class of the style sheet."""

    label: str
    value: float
    kind: str = "dot"


@dataclass(frozen=True, slots=True)
class _Axis:
    """The axis below the dots, from its first mark to its last."""

    marks: Sequence[float]
    unit: str
    log: bool

    def x(self, value: float) -> float:
        """Return where a value lies."""
        left, right = self.marks[0], self.marks[-1]
        if right <= left:
            return WIDTH / 2
        share = math.log(value / left) / math.log(right / left) if self.log else (value - left) / (right - left)
        return SIDE + (WIDTH - 2 * SIDE) * share

    def svg(self) -> str:
        """Return the line, its marks and their labels."""
        drawn = f'<line class="base" x1="0" x2="{WIDTH:g}" y1="0" y2="0"/>'
        for mark in self.marks:
            x, last = self.x(mark), mark == self.marks[-1]
            label = short(mark) + (words.NO_BREAK + self.unit if last and self.unit else "")
            end = ' style="text-anchor:end"' if last else ""
            drawn += f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="4"/>'
            drawn += f'<text class="when" x="{x + (SIDE if last else 0):.1f}" y="17"{end}>{label}</text>'
        return drawn


def draw(dots: Sequence[Dot], unit: str, low: float | None = None, log: bool = False, high: float | None = None) -> str:
    """Return an SVG element; ``low`` and ``high`` are the ends of the axis; by default the extreme values.

    Args:
        dots: at least one.
        unit: what the axis counts.
        low: left end.
        log: a logarithmic axis (all values above 0).
        high: right end.
    """
    values = [dot.value for dot in dots]
    left = min([low if low is not None else min(values), *values])
    right = max([high if high is not None else max(values), *values])
    axis = _Axis(ticks(left, right, log), unit, log)
    stacks: dict[int, int] = defaultdict(int)
    drawn, tallest = [], 1
    for dot in sorted(dots, key=lambda dot: (dot.value, dot.label)):
        x = axis.x(dot.value)
        column = round(x / (2 * RADIUS))
        level = min(stacks[column], MOST - 1)
        stacks[column] += 1
        tallest = max(tallest, level + 1)
        text = escape(f"{dot.label}: {words.number(dot.value, unit)}")
        at = f'cx="{x:.1f}" cy="{-RADIUS - 2 - level * 2 * RADIUS:.1f}" r="{RADIUS:g}"'
        drawn.append(f'<circle class="{dot.kind}" {at}><title>{text}</title></circle>')
    top = 2 * RADIUS * tallest + 6
    box = f"-4 {-top:.1f} {WIDTH + 8:g} {top + 22:.1f}"
    return f'<svg class="dots" viewBox="{box}">{axis.svg()}{"".join(drawn)}</svg>'


def short(value: float) -> str:
    """Return a tick's label."""
    return f"{value:,.0f}".replace(",", words.NARROW) if value >= 1000 else f"{value:g}"


def ticks(left: float, right: float, log: bool = False) -> list[float]:
    """Return some round numbers from just below ``left`` to just above ``right``."""
    if log:
        first, last = math.floor(math.log10(left)), math.ceil(math.log10(right)) + 1
        steps = [float(f"{times * 10.0**power:.6g}") for power in range(first, last) for times in (1, 2, 5)]
        below = max((index for index, step in enumerate(steps) if step <= left * (1 + 1e-9)), default=0)
        above = min((index for index, step in enumerate(steps) if step >= right * (1 - 1e-9)), default=len(steps) - 1)
        found = steps[below : max(above, below + 1) + 1]
        few = (tick for tick in found[1:-1] if len(found) <= 7 or f"{tick:e}"[0] == "1")
        return [found[0], *few, found[-1]]
    span = next(size for size in (right - left, abs(right), 1.0) if size > 1e-9)
    step = 10.0 ** math.floor(math.log10(span / 3))
    step = next(step * times for times in (1, 2, 5, 10) if span / (step * times) <= 6)
    first, last = math.floor(left / step + 1e-9), math.ceil(right / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, max(last, first + 1) + 1)]
