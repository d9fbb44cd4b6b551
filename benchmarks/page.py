"""``docs/benchmarks.md``, one section per benchmark, each written by the benchmark itself. No figure is typed by hand.

A section is what stands between its two marks; a benchmark that writes again replaces its own and no other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_HEAD = """# Benchmarks

The command at the end of each section wrote its figures, on the machine named there. Other programs ran on that machine
too. So ratios within a section mean more than seconds.
"""


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; the first column is text, the others are figures."""
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def machine(facts: dict[str, Any]) -> str:
    """Return in a line what it ran on (``machine.described``)."""
    what = f"{facts['processors']} processors ({facts['architecture']}), Linux {facts['kernel']}"
    return f"{what}, Python {facts['python']}, load {facts['load_1min']} at the end."


def write(name: str, command: str, text: str, results: dict[str, Any]) -> None:
    """Put a section into the page, and its raw results beside it (``docs/benchmarks/NAME.json``)."""
    raw = PAGE.parent / "benchmarks" / f"{name}.json"
    raw.parent.mkdir(exist_ok=True)
    raw.write_text(json.dumps(results, indent=1) + "\n")
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    where = f"`{command}`; raw results in [benchmarks/{raw.name}](benchmarks/{raw.name})."
    section = f"{start}\n{text.strip()}\n\n{where} {machine(results['machine'])}\n{end}"
    before = PAGE.read_text() if PAGE.exists() else _HEAD
    if start in before:
        head, _, rest = before.partition(start)
        page = head + section + rest.partition(end)[2]
    else:
        page = f"{before.rstrip()}\n\n{section}\n"
    PAGE.write_text(page)
