"""Lines on a terminal, and what is live below them."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from rich.text import Text

from overlaycast.lab.run.progress import LiveProgress
from overlaycast.live import LiveLines, PlainLines


def terminal() -> tuple[io.StringIO, Console]:
    written = io.StringIO()
    return written, Console(file=written, force_terminal=True, width=60, color_system="standard")


def test_the_style_of_a_line_is_not_that_of_what_is_below_it() -> None:
    written, console = terminal()
    with LiveLines(console, lambda: Text("below")) as shown:
        shown.line("it failed", "bold red")
    [coloured] = re.findall(r"\x1b\[1;31m([^\x1b]*)", written.getvalue())
    assert coloured == "it failed"


def test_a_runs_bad_news_do_not_colour_its_live_line() -> None:
    written, console = terminal()
    with LiveProgress(console) as shown:
        shown.step("the stream plays")
        shown.event("202a was killed", bad=True)
    [coloured] = re.findall(r"\x1b\[1;33m([^\x1b]*)", written.getvalue())
    assert coloured == "202a was killed"


def test_markup_in_a_line_is_no_markup() -> None:
    written, console = terminal()
    with LiveProgress(console) as shown:
        shown.event("[red]x[/red]")
        shown.state("[bold]y[/bold]", 0.5)
    assert "[red]x[/red]" in written.getvalue()
    assert "[bold]y[/bold]" in written.getvalue()


def test_elsewhere_a_line_has_seconds_and_no_style(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainLines() as shown:
        shown.line("it failed", "bold red")
    assert re.fullmatch(r" +0\.\d s  it failed\n", capsys.readouterr().err)
