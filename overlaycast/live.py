"""What a command says while it works: lines with the seconds since it began; on a terminal, something live below them.

Owns: standard error while it goes on. Refuses: what is said, and anything that a program would parse.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text


class Lines(Protocol):
    """Where a command says what it does."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def line(self, text: str, style: str = "") -> None:
        """Print a line; ``style`` is rich's, for a terminal."""


class PlainLines:
    """Lines for logs and CI."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def line(self, text: str, style: str = "") -> None:
        """Print a line."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", file=sys.stderr, flush=True)


class LiveLines:
    """The same lines on a terminal, and below them what is the case now, which goes at the end.

    Args:
        below: returns it; called a few times a second, in a thread of its own.
    """

    def __init__(self, console: Console, below: Callable[[], RenderableType]) -> None:
        self._began = time.monotonic()
        self._console = console
        self._live = Live(console=console, get_renderable=below, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def line(self, text: str, style: str = "") -> None:
        """Print a line above it."""
        elapsed = time.monotonic() - self._began
        # a style of the whole print would be that of what is below, too
        self._console.print(Text.assemble((f"{elapsed:6.1f} s", "dim"), "  ", (text, style)))
