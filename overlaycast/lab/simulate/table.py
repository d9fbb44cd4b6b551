"""A study's result for people: tables at the terminal. Owns the layout; computes nothing."""

from __future__ import annotations

from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

COLUMNS: Final = (
    ("stress", "stress_mean"),
    ("max", "stress_max"),
    ("in", "inbound_per_site_max"),
    ("out", "outbound_per_site_max"),
    ("str.", "stretch_median"),
    ("p95", "stretch_p95"),
    ("depth", "depth"),
    ("deg.", "out_degree_max"),
    ("cost", "cost_ratio"),
    ("load", "load_max"),
    ("rate", "planned_rate_mbit"),
)
CAPTION: Final = (
    "stress: copies per router link, mean and max; in, out: most copies across a site's uplink; str.: stretch, the"
    " delay over the direct path's, median and p95; cost: all link copies, IP multicast is 1; load: of the fullest"
    " link; rate: Mbit/s that the slowest gets if links share evenly"
)


def show(document: dict[str, Any], console: Console) -> None:
    """Print a study's result."""
    head = (
        f"{document['topology']}: {document['members']} members in {document['sites']} sites, seed {document['seed']}"
    )
    console.print(head, style="bold")
    for note in document["notes"]:
        console.print(f"  {note}", style="dim")
    console.print(_systems(document))
    for key, title in (("churn", "Churn"), ("kill", "Killed at once")):
        if key in document:
            console.print(_events(title, document[key]))
    for goal in document["goals"]:
        mark = "[green]ok[/]" if goal["ok"] else "[red]missed[/]"
        console.print(f"  {mark}  {goal['metric']} {goal['value']} (goal: {goal['op']} {goal['limit']})")


def _systems(document: dict[str, Any]) -> Table:
    table = Table(caption=CAPTION, caption_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
    table.add_column("system", no_wrap=True)
    rows = {**document["systems"], **document["also"]}
    for phase in ("churn", "kill"):
        if phase in document:
            rows[f"after {phase}"] = document[phase]["tree"]
    columns = [(title, key) for title, key in COLUMNS if any(row.get(key) is not None for row in rows.values())]
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for name, row in rows.items():
        cells = (row.get(key) for _, key in columns)
        texts = ["" if cell is None else _short(cell) if isinstance(cell, float) else str(cell) for cell in cells]
        table.add_row(name.replace("_", " "), *texts, style="bold" if name == "overlay" else None)
    return table


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _events(title: str, phase: dict[str, Any]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=box.SIMPLE, padding=(0, 1))
    gap = phase["gap_ms"]
    rows = {
        "joined, left, crashed": f"{phase['joins']}, {phase['leaves']}, {phase['crashes']}",
        "crashed with children": phase["forwarder_crashes"],
        "moves": f"{phase['moves']} ({phase['moves_per_failure']} per member that went)",
        "needed, following, improving, of the well": (
            f"{phase['moves_needed']}, {phase['moves_following']}, {phase['moves_improving']}, {phase['moves_of_well']}"
        ),
        "orders per change": phase["orders_per_change"],
        "errors sent": phase["errors"],
        "time without data p50, p99, longest": f"{gap['p50']}, {gap['p99']}, {gap['max']} ms ({phase['gaps']} times)",
        "all members fed again after": f"{phase['fed_again_s']} s",
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table
