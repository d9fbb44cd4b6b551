"""What a run prints while it goes on: steps and events as lines, and on a terminal one live line below them.

Owns: what they look like. Refuses: to print them (``live``), and anything that a program would parse; that is
``result.json``.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from overlaycast.live import LiveLines, PlainLines

PLAIN_EVERY_S: Final = 5.0


class RunProgress(Protocol):
    """Where a run says what it is doing."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def step(self, text: str) -> None:
        """Say what is being done from now on."""

    def event(self, text: str, bad: bool = False) -> None:
        """Say what happened."""

    def state(self, text: str, share: float | None = None) -> None:
        """Say how far it is; ``share`` from 0 to 1."""


class PlainProgress(PlainLines):
    """Lines for logs and CI."""

    def __init__(self) -> None:
        super().__init__()
        self._stated = 0.0

    def step(self, text: str) -> None:
        """Say what is being done from now on."""
        self.line(text)

    def event(self, text: str, bad: bool = False) -> None:
        """Say what happened."""
        self.line(f"! {text}" if bad else text)

    def state(self, text: str, share: float | None = None) -> None:
        """Say how far it is, every few seconds."""
        if time.monotonic() - self._stated >= PLAIN_EVERY_S:
            self._stated = time.monotonic()
            self.line(text)


class LiveProgress(LiveLines):
    """The same on a terminal, with a live line at the bottom."""

    def __init__(self, console: Console) -> None:
        self._step, self._state, self._share = "", "", None  # type: tuple[str, str, float | None]
        self._spinner = Spinner("dots", style="cyan")
        super().__init__(console, self._render)

    def step(self, text: str) -> None:
        """Say what is being done from now on."""
        self.line(text)
        self._step, self._state, self._share = text, "", None

    def event(self, text: str, bad: bool = False) -> None:
        """Say what happened."""
        self.line(text, "bold yellow" if bad else "")

    def state(self, text: str, share: float | None = None) -> None:
        """Say how far it is."""
        self._state, self._share = text, share

    def _render(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        bar = [] if self._share is None else [ProgressBar(total=1.0, completed=self._share, width=28)]
        grid.add_row(self._spinner, *bar, Text(self._state or self._step))
        return grid


def progress() -> RunProgress:
    """Return what suits standard error."""
    console = Console(stderr=True)
    return LiveProgress(console) if console.is_terminal else PlainProgress()
