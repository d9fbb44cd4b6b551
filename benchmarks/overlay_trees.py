"""How good the overlay's trees are on maps of real networks, and what churn does to them.

Runs ``overlaycast lab simulate`` in virtual time: members placed together (Fig. 5) and one by one (Fig. 4, measured
after ten minutes of improvement) on every map and seed, and one large group under churn. ``--page`` writes its section
of ``docs/benchmarks.md``. Virtual time: a busy machine changes nothing but how long it takes.

    python -m benchmarks.overlay_trees MAP=MEMBERS ... [--seeds 1 2 3 4 5] [--together MAP=MEMBERS ...] \\
        [--churn MAP=MEMBERS ...] [--page]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import page
from benchmarks.machine import described

SINGLY = ("--arrival", "singly", "--settle", "600")
CHURN = ("--churn", "5", "--lifetime", "600", "--duration", "120")
METRICS = ("stress_mean", "inbound_per_site_max", "stretch_median", "stretch_p95", "depth", "out_degree_max")
GOALS = {"stress_mean": 1.25, "inbound_per_site_max": 1, "stretch_median": 1.5, "stretch_p95": 3.0, "depth": 10}


def simulate(where: str, seed: int, *options: str) -> dict[str, Any]:
    """Return one study's document. ``where``: MAP=MEMBERS."""
    topology, _, members = where.partition("=")
    command = [sys.executable, "-m", "overlaycast.cli", "lab", "simulate", topology]
    command += ["--members", members, "--seed", str(seed), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def study(where: str, options: tuple[str, ...], seed: int) -> dict[str, Any]:
    """Return one study's document, the seed last, to be spread over seeds."""
    return simulate(where, seed, *options)


def _bare(where: str) -> str:
    """Return MAP=MEMBERS without the folder that the map is in here."""
    path, _, members = where.partition("=")
    return f"{Path(path).name}={members}"


def tree_row(where: str, how: str, found: list[dict[str, Any]]) -> list[object]:
    """Return a row: the median of each figure over the seeds, and the worst."""
    row: list[object] = [f"{found[0]['topology']}, {found[0]['members']}, {how}"]
    for metric in METRICS:
        values = [one["systems"]["overlay"][metric] for one in found]
        text = f"{median(values):.2f} ({max(values):.2f})" if isinstance(values[0], float) else f"{max(values)}"
        row.append(f"{text} missed" if max(values) > GOALS.get(metric, max(values)) else text)
    row.append(max(one["start"]["moves_of_well"] for one in found))
    print(where, how, row[1:], flush=True)
    return row


def churn_row(where: str) -> tuple[list[object], dict[str, Any]]:
    """Return a row of what churn did."""
    document = simulate(where, 1, *CHURN)
    found = document["churn"]
    changes = found["joins"] + found["leaves"] + found["crashes"]
    tree = found["tree"]
    row: list[object] = [
        f"{document['topology']}, {document['members']}",
        changes,
        found["forwarder_crashes"],
        found["orders_per_change"],
        found["moves"],
        found["moves_improving"],
        found["moves_of_well"],
        f"{found['gap_ms']['p99']} ({found['gap_ms']['max']})",
        f"{document['systems']['overlay']['stress_mean']:.2f} to {tree['stress_mean']:.2f}",
        tree["inbound_per_site_mean"],
        tree["depth"],
    ]
    print(where, "churn", row[1:], flush=True)
    return row, found


def main() -> int:
    """Run all maps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("maps", nargs="*", metavar="MAP=MEMBERS")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--together", nargs="*", default=[], metavar="MAP=MEMBERS", help="not one by one")
    parser.add_argument("--churn", nargs="*", default=[], metavar="MAP=MEMBERS")
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    trees, stormy = [], []
    raw: dict[str, Any] = {"machine": described(), "trees": [], "churn": []}
    wanted = [(where, how, more) for where in options.maps for how, more in (("together", ()), ("one by one", SINGLY))]
    for where, how, more in [*wanted, *((where, "together", ()) for where in options.together)]:
        with ThreadPoolExecutor(2) as two:
            found = list(two.map(partial(study, where, more), options.seeds))
        trees.append(tree_row(where, how, found))
        raw["trees"] += [
            {"topology": one["topology"], "seed": one["seed"], "how": how, **one["systems"]["overlay"]} for one in found
        ]
    for where in options.churn:
        row, churned = churn_row(where)
        stormy.append(row)
        raw["churn"].append({"topology": row[0], **churned})
    if options.page:
        lists = [" ".join(map(_bare, maps)) for maps in (options.maps, options.together, options.churn)]
        seeds = " ".join(map(str, options.seeds))
        command = f"{lists[0]} --seeds {seeds} --together {lists[1]} --churn {lists[2]} --page"
        command = f"python -m benchmarks.overlay_trees {command}"
        page.write("overlay-trees", command, section(trees, stormy, len(options.seeds)), raw)
    return 0


def section(trees: list[list[object]], stormy: list[list[object]], seeds: int) -> str:
    """Return the page's section."""
    heads = ["map, members, arrival", *(metric.replace("_", " ") for metric in METRICS), "well members moved"]
    churned = [
        "map, members",
        "came or went",
        "forwarders that crashed",
        "orders per change",
        "moves",
        "for a gain",
        "moved without need (goal 0)",
        "gap ms, 99 % (most)",
        "mean link stress",
        "copies per site, mean",
        "depth",
    ]
    goals = ", ".join(f"{metric.replace('_', ' ')} ≤ {limit}" for metric, limit in GOALS.items())
    return (
        f"## Trees on maps\n\nMedian of {seeds} seeds, with the worst in brackets; single numbers are the worst. "
        f"Goals: {goals}. `missed`: at least one seed missed a goal. Together: all placed at once (Figure 5). "
        "One by one: placed as they join (Figure 4), 50 per second, and measured after ten minutes of improvement.\n\n"
        f"{page.table(heads, trees)}\n\n### Under churn\n\n"
        "In virtual time, members numbering 5 % of the group join per minute for two minutes. They stay 10 minutes on "
        f"average, and half of the departures are crashes. Measured at the end, while churn goes on.\n\n"
        f"{page.table(churned, stormy)}"
    )


if __name__ == "__main__":
    sys.exit(main())
