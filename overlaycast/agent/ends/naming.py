"""How a receiver's output is called: a name with the date in it, and where a long recording is cut. Pure.

Owns: what ``--output news-%Y%m%dT%H%M%S.ts`` and ``--segment 10m`` mean. Refuses: the disk.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

STAMP: Final = "-%Y%m%dT%H%M%S"
"""What a segment's name gets before its suffix if it has no date of its own."""
_SEGMENT: Final = re.compile(r"^(\d+(?:\.\d+)?)([smhdkKMG])$")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES: Final = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True, slots=True)
class Segment:
    """Where a recording is cut: after so many seconds, or before more than so many bytes. One of the two is set."""

    seconds: float | None = None
    bytes: int | None = None

    def full(self, seconds: float, size: int, more: int) -> bool:
        """Is the part over that has lasted ``seconds`` and holds ``size`` bytes, with ``more`` bytes to come?"""
        if self.seconds is not None:
            return seconds >= self.seconds
        return self.bytes is not None and size > 0 and size + more > self.bytes


def read_segment(text: Any) -> Any:
    """Return the ``Segment`` that a text such as ``10m`` (minutes) or ``100M`` (megabytes) means.

    Raises:
        ValueError: it means none.
    """
    if text is None or isinstance(text, Segment):
        return text
    found = _SEGMENT.match(str(text))
    number, unit = (float(found[1]), found[2]) if found else (0.0, "s")
    if not 0 < number * _SECONDS.get(unit, _BYTES.get(unit, 0.0)) < 1e15:
        raise ValueError("accepted is a time or a size above 0: s, m, h, d, or k, M, G, as in 10m or 100M")
    return Segment(seconds=number * _SECONDS[unit]) if unit in _SECONDS else Segment(bytes=int(number * _BYTES[unit]))


def named(template: str, at: time.struct_time, *, cut: bool = False) -> str:
    """Return the name that a template means at a time; a name without ``%`` is what it is.

    Args:
        template: as in ``strftime``; ``%%`` is a per cent sign.
        at: the local time.
        cut: the recording is cut, so its parts need names of their own.
    """
    if cut and "%" not in template:
        path = Path(template)
        template = str(path.with_name(path.stem + STAMP + path.suffix))
    return time.strftime(template, at) if "%" in template else template


def another(name: str, number: int) -> str:
    """Return the name of the ``number``-th part that began in the same second: ``a.ts``, ``a-2.ts``, …"""
    path = Path(name)
    return name if number == 1 else str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
