"""``lab run --chaos`` and ``--replay``: random timelines, and the smallest part of a timeline that still fails.

Owns: the experiment files that these two write. Refuses: the search itself (``ddmin``) and the draw (``chaos``).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from overlaycast.lab.commands.batch import run_until_valid
from overlaycast.lab.commands.ddmin import ddmin
from overlaycast.lab.commands.run_plans import PROG, RUNS, RunSettings, plans
from overlaycast.lab.experiment import derived
from overlaycast.lab.experiment.reading import runs


def write_chaotic(settings: RunSettings, file: Path, seed: int) -> Path:
    """Write the experiment with a timeline drawn from a seed, and return the new file."""
    one = runs(file, settings.seed)[0]
    folder = settings.out or RUNS / f"{one.experiment.name}-chaos-{seed}"
    to = folder / f"{one.experiment.name}-chaos-{seed}.yaml"
    values = derived.chaotic(one.variant.document, one.experiment, one.topology, one.cast, seed, to)
    derived.write(values, to, f"{file} with a timeline drawn from seed {seed}; repeat it with: {PROG} {to}")
    print(f"chaos: {to}", file=sys.stderr)
    return to


def replay(settings: RunSettings, file: Path) -> int:
    """Run a file; if it fails, search for the smallest part of its timeline that still fails, and write that part."""
    [plan] = plans(settings, file)[:1]
    outcome, code = run_until_valid(settings, plan)
    if outcome.result is None or outcome.result.verdict != "failed":
        return code
    document = runs(file, settings.seed)[0].variant.document
    timeline = document.values.get("timeline", [])
    tries = 0

    def fails(part: Sequence[Any]) -> bool:
        nonlocal tries
        tries += 1
        to = plan.out / f"try-{tries:03}" / file.name
        derived.write(derived.with_timeline(document, part, to), to, f"a part of {file}")
        print(f"replay: try {tries} with {len(part)} of {len(timeline)} faults", file=sys.stderr, flush=True)
        [smaller] = plans(settings.model_copy(update={"out": to.parent}), to)
        result = run_until_valid(settings, smaller)[0].result
        return result is not None and result.verdict == "failed"

    least = ddmin(timeline, fails)
    to = plan.out / f"{file.stem}-least.yaml"
    about = f"the smallest part of {file} that failed, of {tries} tries"
    derived.write(derived.with_timeline(document, least, to), to, about)
    print(f"replay: {len(least)} of {len(timeline)} faults still fail: {to}", file=sys.stderr)
    return code
