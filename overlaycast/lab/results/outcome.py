"""How one run of an experiment ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run.

    Attributes:
        name: the experiment, with what tells its runs apart.
        file: its file.
        result: its ``result.json``; None if it came to none.
        complaint: why not.
        seconds: how long it took, if there is no result that says it.
    """

    name: str
    file: str
    result: Mapping[str, Any] | None
    complaint: str = ""
    seconds: float = 0.0
