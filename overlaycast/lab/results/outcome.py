"""How one run of an experiment ended."""

from __future__ import annotations

from dataclasses import dataclass

from overlaycast.lab.results.result import Result


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run.

    Attributes:
        name: the experiment, with what its runs differ in.
        file: its file.
        result: what it concluded; None if it came to no result.
        complaint: why there is no result.
        seconds: how long it took, if there is no result that says it.
    """

    name: str
    file: str
    result: Result | None
    complaint: str = ""
    seconds: float = 0.0
