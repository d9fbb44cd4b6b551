"""What is printed while Ansible works: on a terminal a live table of hosts, elsewhere lines; and tables at the end.

Owns: standard error while it goes on. Refuses: to know what a line means (``progress``).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from overlaycast.deploy.progress import Progress

STYLES: Final = {"failed": "bold red", "not reached": "bold red", "works": "cyan", "done": "green"}


class Lines:
    """Lines with the seconds since the start, for logs and CI."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def line(self, text: str) -> None:
        """Print a line."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", file=sys.stderr, flush=True)


class LiveTable:
    """The same lines on a terminal, and below them where each host stands now."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._began = time.monotonic()
        self._console = console
        self._progress = progress
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def line(self, text: str) -> None:
        """Print a line above the table."""
        style = "bold red" if text.startswith("!") else "" if text.startswith(" ") else "bold"
        elapsed = time.monotonic() - self._began
        # a style of the whole print would be that of the table below, too
        self._console.print(Text.assemble((f"{elapsed:6.1f} s", "dim"), "  ", (text, style)))

    def _render(self) -> Group:
        self._spinner.update(text=Text(self._progress.play or "Ansible starts"))
        grid = Table.grid(padding=(0, 2))
        # what a terminal has no room for, rich leaves out; hosts that work or failed are worth more than others
        hosts = sorted(self._progress.hosts.items(), key=lambda one: one[1].state not in STYLES)
        for name, host in hosts[: max(1, self._console.height - 4)]:
            tries = f" (try {host.tries + 1})" if host.tries else ""
            task = host.task + tries if host.state not in ("waits", "done") else ""
            grid.add_row("", Text(name), Text(host.state, STYLES.get(host.state, "dim")), Text(task))
        return Group(self._spinner, grid)


def screen(progress: Progress) -> Lines | LiveTable:
    """Return what suits standard error."""
    console = Console(stderr=True)
    return LiveTable(console, progress) if console.is_terminal else Lines()


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as text, each column as wide as its widest; the last one is not filled up."""
    every = [tuple(columns), *map(tuple, rows)]
    widths = [max(len(row[place]) for row in every) for place in range(len(columns))]
    lines = ("  ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip() for row in every)
    return "\n".join(lines)
