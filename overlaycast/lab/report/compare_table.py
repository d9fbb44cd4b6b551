"""A comparison for people at a terminal. Owns: tables only."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from overlaycast.lab.analysis.compare import Comparison
from overlaycast.lab.report import compare_words


def show(comparison: Comparison, page: Path, console: Console) -> None:
    """Print the figures, the copies into each site, and where the page is."""
    console.print()
    late = compare_words.late(comparison)
    for line in (*([late] if late else []), *compare_words.missing(comparison)):
        console.print(line, style="bold yellow", highlight=False)
    console.print(_figures(comparison))
    if comparison.sites:
        console.print()
        console.print(_sites(comparison))
    console.print()
    console.print(compare_words.lead(comparison), highlight=False)
    console.print(f"report: {page}", highlight=False, soft_wrap=True)


def _table(first: str, comparison: Comparison) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(first)
    for one in comparison.systems:
        table.add_column(one.system, justify="right", no_wrap=True)
    return table


def _figures(comparison: Comparison) -> Table:
    table = _table(f"{comparison.experiment} on {comparison.topology}", comparison)
    for words, read in compare_words.ROWS:
        table.add_row(words, *(compare_words.cell(read, one) for one in comparison.systems))
    return table


def _sites(comparison: Comparison) -> Table:
    table = _table("copies into site", comparison)
    for site in comparison.sites:
        table.add_row(site, *(compare_words.into_site(comparison, site, one.system) for one in comparison.systems))
    return table
