"""One file, many runs: ``repeat`` and ``sweep`` spelled out. Pure.

Owns: the order of the runs, their seeds, and the documents in which a field has another value. Refuses: fields that are
no path into an experiment, and too many runs. Invariants: the same document gives the same runs;
a variant's document still knows its lines, so that an error in a swept value names file and line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from overlaycast.document.placed_yaml import Field, PlacedYaml

MOST: Final = 1000
_STEP: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]")
_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*|\[\d+\])*")
Point = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """One run of a file.

    Attributes:
        number: from 1, in the order of running.
        count: how many there are.
        seed: of this run.
        point: the swept fields with their values here.
        document: the file as this run reads it.
    """

    number: int
    count: int
    seed: int
    point: Point
    document: PlacedYaml

    @property
    def label(self) -> str:
        """Return a name for its folder: its number, and what is special about it."""
        width = len(str(self.count))
        values = [re.sub(r"[^A-Za-z0-9.]+", "-", f"{field.split('.')[-1]}-{value}") for field, value in self.point]
        return "_".join([f"{self.number:0{width}}", *values, f"seed-{self.seed}"])[:100]


def expand(document: PlacedYaml, seed: int | None = None) -> tuple[Variant, ...]:
    """Return the runs that a document asks for: every combination of swept values, each ``repeat`` times.

    Args:
        document: an experiment as read, not yet checked.
        seed: the first seed; the document's own, or 1, by default. Repetitions count on from it.

    Raises:
        ConfigError: a swept field is no path, has no values, or there are too many runs.
    """
    values: Mapping[str, Any] = document.values if isinstance(document.values, dict) else {}
    sweep, repeat = _sweep(document, values.get("sweep", {})), values.get("repeat", 1)
    repeats = repeat if isinstance(repeat, int) and not isinstance(repeat, bool) else 1
    own = values.get("seed", 1)
    first = seed if seed is not None else own if isinstance(own, int) else 1
    points = [tuple(zip(sweep, combination, strict=True)) for combination in product(*sweep.values())]
    count = len(points) * max(1, repeats)
    if count > MOST:
        raise document.error(("repeat",), f"{count} runs; accepted: up to {MOST}")
    found: list[Variant] = []
    for point in points:
        changed = _with(document, point)
        for turn in range(max(1, repeats)):
            found.append(Variant(len(found) + 1, count, first + turn, point, changed))
    return tuple(found)


def _sweep(document: PlacedYaml, sweep: Any) -> dict[str, list[Any]]:
    if not isinstance(sweep, dict):
        raise document.error(("sweep",), "accepted is a mapping of fields to lists of values")
    for name, values in sweep.items():
        if not isinstance(name, str) or not _PATH.fullmatch(name) or name.split(".")[0] in ("sweep", "repeat", "seed"):
            raise document.error(("sweep", str(name)), "accepted is a field, as in group.default_out_degree")
        if not isinstance(values, list) or not values:
            raise document.error(("sweep", name), "accepted is a list of one value or more")
    return sweep


def _with(document: PlacedYaml, point: Point) -> PlacedYaml:
    if not point:
        return document
    values, lines = deepcopy(document.values), dict(document.lines)
    for name, value in point:
        path = _path(name)
        _put(document, values, name, path, value)
        lines[path] = document.lines.get(("sweep", name), 1)
    return PlacedYaml(document.path, values, lines)


def _path(name: str) -> Field:
    return tuple(int(index) if index else word for word, index in _STEP.findall(name))


def _put(document: PlacedYaml, values: Any, name: str, path: Field, value: Any) -> None:
    here = values
    for part in path[:-1]:
        here = here.setdefault(part, {}) if isinstance(here, dict) else here[_index(document, here, name, part)]
    if isinstance(here, dict):
        here[path[-1]] = value
    else:
        here[_index(document, here, name, path[-1])] = value


def _index(document: PlacedYaml, here: Any, name: str, part: str | int) -> int:
    if isinstance(here, list) and isinstance(part, int) and part < len(here):
        return part
    raise document.error(("sweep", name), f"the file has no {part!r} there")
