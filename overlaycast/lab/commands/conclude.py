"""The end of a run, wherever it took place: from its recording to its files, its tables and its exit code."""

from __future__ import annotations

import json
from contextlib import suppress

from rich.console import Console

from overlaycast.lab.analysis import judge, series, story
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.recording.recording import Recording
from overlaycast.lab.report import terminal
from overlaycast.lab.report.page import render
from overlaycast.streams import ReaderGoneError


def conclude(plan: Plan, recording: Recording, *, tables: bool, json_output: bool) -> int:
    """Write results and report, print them, and return the exit code.

    Args:
        plan: what was run.
        recording: what was observed.
        tables: print the result as tables; without, only the name of the report, on standard error.
        json_output: print ``result.json`` on standard output, and everything else on standard error.
    """
    result, timelines = judge.build(recording), series.build(recording)
    text = json.dumps(result.as_json(), indent=1)
    (plan.out / "result.json").write_text(text + "\n")
    (plan.out / "series.json").write_text(json.dumps(timelines.as_json()) + "\n")
    (plan.out / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in story.events(recording)))
    report = plan.out / "report.html"
    report.write_text(render(result, timelines, recording.network))
    with suppress(ReaderGoneError):  # `| head`: the verdict is what it is
        if json_output:
            print(text, flush=True)
        console = Console(stderr=json_output or not tables)
        if tables:
            terminal.show(result, report, console)
        else:
            console.print(f"report: {report}", highlight=False, soft_wrap=True)
    return 0 if result.verdict == "passed" else 1
