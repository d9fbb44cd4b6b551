"""What is printed while Ansible works: on a terminal a live table of hosts, elsewhere lines; and tables at the end.

Owns: how they look. Refuses: to know what a line means (``progress``), and to print while it goes on (``live``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console, Group
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from overlaycast.deploy.progress import Progress
from overlaycast.live import Lines, LiveLines, PlainLines

STYLES: Final = {"failed": "bold red", "not reached": "bold red", "works": "cyan", "done": "green"}


class Hosts:
    """Where each host stands now, below what is done now."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._spinner = Spinner("dots", style="cyan")

    def __call__(self) -> Group:
        """Return it as it is now."""
        self._spinner.update(text=Text(self._progress.play or "Ansible starts"))
        grid = Table.grid(padding=(0, 2))
        # what a terminal has no room for, rich leaves out; hosts that work or failed are worth more than others
        hosts = sorted(self._progress.hosts.items(), key=lambda one: one[1].state not in STYLES)
        for name, host in hosts[: max(1, self._console.height - 4)]:
            tries = f" (try {host.tries + 1})" if host.tries else ""
            task = host.task + tries if host.state not in ("waits", "done") else ""
            grid.add_row("", Text(name), Text(host.state, STYLES.get(host.state, "dim")), Text(task))
        return Group(self._spinner, grid)


def screen(progress: Progress) -> Lines:
    """Return what suits standard error."""
    console = Console(stderr=True)
    return LiveLines(console, Hosts(console, progress)) if console.is_terminal else PlainLines()


def style(line: str) -> str:
    """Return how a line of ``progress`` looks: what failed, what changed, and what is done now."""
    return "bold red" if line.startswith("!") else "" if line.startswith(" ") else "bold"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as text, each column as wide as its widest; the last one is not filled up."""
    every = [tuple(columns), *map(tuple, rows)]
    widths = [max(len(row[place]) for row in every) for place in range(len(columns))]
    lines = ("  ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip() for row in every)
    return "\n".join(lines)
