"""Several runs one after the other, each in namespaces of its own, and what is written over all of them.

Owns: the repetition of invalid runs, the JUnit file, the page over all runs of one file, and the closing table.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby

from rich.console import Console

from overlaycast.lab.analysis import many
from overlaycast.lab.commands import inside
from overlaycast.lab.commands.inside import Inside
from overlaycast.lab.commands.on_hosts import run_on_hosts
from overlaycast.lab.commands.run_plans import PROG, RunSettings, title
from overlaycast.lab.experiment import load
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.report import junit, many_page, terminal
from overlaycast.lab.results.outcome import Outcome
from overlaycast.lab.results.result import Result
from overlaycast.lab.run.writable import writable
from overlaycast.named_files import write_text
from overlaycast.streams import ReaderGoneError


def run_all(settings: RunSettings, plans: Sequence[Plan]) -> int:
    """Run plans one after the other, and return the worst exit code; an error ends the series."""
    worst, outcomes = 0, []
    if settings.junit is not None:
        writable(settings.junit.parent, f"{PROG}: junit")
    for number, plan in enumerate(plans, 1):
        if len(plans) > 1:
            print(f"--- {number} of {len(plans)}: {title(plan)}", file=sys.stderr, flush=True)
        outcome, code = run_until_valid(settings, plan)
        outcomes.append(outcome)
        worst = max(worst, code)
        if code > 1:
            break
    if settings.junit is not None:
        write_text(settings.junit, junit.document(outcomes))
    _write_studies(plans[: len(outcomes)], outcomes)
    if len(outcomes) > 1:
        with suppress(ReaderGoneError):
            terminal.roundup(outcomes, Console(stderr=settings.json_output))
    return worst


def run_until_valid(settings: RunSettings, plan: Plan) -> tuple[Outcome, int]:
    """Run a plan, and again while the result is invalid: a network that was too slow proves nothing."""
    began = time.monotonic()
    allowed, invalid = _repetitions(settings, plan), 0
    while True:
        code = _run_once(settings, plan, invalid)
        outcome = _outcome(plan, code, time.monotonic() - began)
        if invalid == allowed or outcome.result is None or outcome.result.verdict != "invalid":
            return outcome, code
        left = allowed - invalid
        print(
            f"{title(plan)}: invalid (machine too slow), runs again (at most {left} times)",
            file=sys.stderr,
            flush=True,
        )
        invalid += 1


def _repetitions(settings: RunSettings, plan: Plan) -> int:
    """Return how often an invalid run may be repeated: never if no machine could carry its network."""
    if settings.json_output:  # one object on standard output
        return 0
    asked = load.foreseen_mbit(plan.topology, plan.experiment, plan.cast, plan.system)
    return 0 if load.warning(asked) else settings.again


def _run_once(settings: RunSettings, plan: Plan, invalid: int) -> int:
    writable(plan.out, f"{PROG}: out")
    noted = replace(plan, notes=(*_note_invalid(invalid), *plan.notes))
    if settings.hosts is not None:
        return run_on_hosts(settings, noted)
    return inside.isolated(Inside(noted, keep=settings.keep, json_output=settings.json_output))


def _note_invalid(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    runs = "1 run was" if count == 1 else f"{count} runs were"
    return (f"{runs} invalid before this one, because the machine was too slow",)


def _outcome(plan: Plan, code: int, seconds: float) -> Outcome:
    file = plan.out / "result.json"
    result = Result.read(file) if code <= 1 and file.is_file() else None
    name = title(plan) if plan.variant is not None else plan.experiment.name
    return Outcome(name, str(plan.file), result, f"exit code {code}", seconds)


def _write_studies(plans: Sequence[Plan], outcomes: Sequence[Outcome]) -> None:
    """Write a page over all runs of a file, for each file that has several."""
    for file, each in groupby(zip(plans, outcomes, strict=True), key=lambda pair: pair[0].file):
        group = list(each)
        if len(group) < 2:
            continue
        samples = [many.Sample(plan.point, plan.seed, plan.out.name, outcome.result) for plan, outcome in group]
        page = group[0][0].out.parent / "study.html"
        page.write_text(many_page.render(many.study(group[0][0].experiment.name, samples), f"{PROG} {file}"))
        print(f"study: {page}", file=sys.stderr)
