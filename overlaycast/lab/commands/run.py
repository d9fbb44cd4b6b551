"""``overlaycast lab run``: experiments in namespaces of their own, one after the other, and what is made of them.

Owns: the options, the step into the namespaces, and where results are written. A run happens in a second process inside
its namespaces; what is wrong with an experiment is said before that. Several runs of one file (``repeat``, ``sweep``)
lie in one folder, with a page over all of them; several files end with a table.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from overlaycast.errors import ConfigError
from overlaycast.settings import Settings, load

if TYPE_CHECKING:
    from overlaycast.lab.experiment.plan import Plan
    from overlaycast.lab.experiment.reading import Checked
    from overlaycast.lab.recording.recording import Recording
    from overlaycast.lab.results.outcome import Outcome

PROG: Final = "overlaycast lab run"
RUNS: Final = Path("runs")


class RunSettings(Settings):
    """Run experiments, each on an emulated network. Exit code 0: every expectation was met; 1: not every one."""

    experiments: CliPositionalArg[list[Path]] = Field(description="experiment files (YAML)")
    out: Path | None = Field(None, description="folder for results; default: runs/NAME-TIME")
    seed: int | None = Field(
        None, ge=0, lt=1 << 32, description="seed of every random choice; default: the experiment's"
    )
    json_output: bool = Field(
        False, alias="json", description="print result.json on standard output, tables on standard error"
    )
    keep: bool = Field(False, description="keep the receivers' output files")
    brief: bool = Field(False, description="print no tables; name the report on standard error")
    faults: bool = Field(
        True, description="inject the timeline's faults; without them, expectations about faults are dropped"
    )
    capture: bool = Field(False, description="capture the packets of each link in captures/LINK.pcap")
    capture_mib: float = Field(32, gt=0, le=65_536, description="with --capture: maximum MiB per link")
    junit: Path | None = Field(None, description="write the results of all runs to this file, as JUnit XML")
    variant: int | None = Field(None, ge=1, description="of a file with repeat or sweep, run only this number")
    chaos: int | None = Field(
        None, ge=0, lt=1 << 32, description="replace the timeline by random faults, drawn from this seed"
    )
    replay: bool = Field(False, description="after a failure, find the smallest part of the timeline that still fails")
    again: int = Field(
        2,
        ge=0,
        le=100,
        description="maximum repetitions of an invalid run (the machine was too slow); a failed run is never repeated",
    )
    invalid_before: int = Field(
        0, ge=0, le=100, description="how many runs before this one were invalid; written into the result"
    )
    cli: bool = Field(
        False, description="build and check the network, then open Mininet's command line instead of running"
    )
    system: Literal["overlay", "unicast", "multicast"] = Field(
        "overlay", description="what carries the stream: the overlay, a star of unicast connections, or IP multicast"
    )


def main(argv: list[str]) -> int:
    """Run experiments."""
    from overlaycast.lab.network.isolation import is_isolated

    settings = load(RunSettings, argv, PROG)
    if is_isolated():
        return _run_inside(settings)
    files = settings.experiments
    if settings.chaos is not None:
        files = [_chaotic(settings, file, settings.chaos) for file in files]
    if settings.cli:
        return _prompt(settings)
    if settings.replay:
        return max(_replay(settings, file) for file in files)
    return _run_all(settings, [plan for file in files for plan in _plans(settings, file, len(files) > 1)])


def _prompt(settings: RunSettings) -> int:
    """Open Mininet's prompt on the network of the first run of the one file that is named."""
    from overlaycast.lab.network.isolation import run_isolated
    from overlaycast.lab.run.programs import overlaycast

    if len(settings.experiments) > 1:
        raise ConfigError(f"{PROG}: cli: {len(settings.experiments)} experiments; accepted: one")
    [file] = settings.experiments
    _plans(settings, file, False)  # what is wrong with it is told before anything is built
    words = overlaycast("lab", "run", str(file), "--cli")
    words += ["--seed", str(settings.seed)] * (settings.seed is not None)
    return run_isolated([*words, "--variant", str(settings.variant or 1)], interactive=True)


def _run_all(settings: RunSettings, plans: Sequence[Plan]) -> int:
    from overlaycast.lab.report import junit
    from overlaycast.lab.run.writable import writable

    worst, outcomes = 0, []
    if settings.junit is not None:
        writable(settings.junit.parent, f"{PROG}: junit")
    for number, plan in enumerate(plans, 1):
        if len(plans) > 1:
            print(f"--- {number} of {len(plans)}: {_title(plan)}", file=sys.stderr, flush=True)
        outcome, code = _valid(settings, plan)
        outcomes.append(outcome)
        worst = max(worst, code)
        if code > 1:
            break
    if settings.junit is not None:
        settings.junit.write_text(junit.document(outcomes))
    _studies(plans[: len(outcomes)], outcomes)
    if len(outcomes) > 1:
        _roundup(outcomes, settings)
    return worst


def _valid(settings: RunSettings, plan: Plan) -> tuple[Outcome, int]:
    """Run a plan, and again if the emulated network did not keep up: that proves nothing, for or against."""
    begun = time.monotonic()
    most, before = _tries(settings, plan), 0
    while True:
        code = _isolated(settings, plan, before)
        outcome = _outcome(plan, code, time.monotonic() - begun)
        if before == most or outcome.result is None or outcome.result["verdict"] != "invalid":
            return outcome, code
        left = most - before
        print(f"{_title(plan)}: invalid, so it is run again (at most {left} times)", file=sys.stderr, flush=True)
        before += 1


def _tries(settings: RunSettings, plan: Plan) -> int:
    """Return how often a run may be repeated if the network did not keep up: never if it cannot on any machine."""
    from overlaycast.lab.experiment import load

    if settings.json_output:  # one object on standard output
        return 0
    asked = load.foreseen_mbit(plan.topology, plan.experiment, plan.cast, plan.system)
    return 0 if load.warning(asked) else settings.again


def _isolated(settings: RunSettings, plan: Plan, invalid_before: int) -> int:
    """Run a plan in namespaces of its own: one run cannot disturb the next."""
    from overlaycast.lab.network.isolation import run_isolated
    from overlaycast.lab.run.programs import overlaycast
    from overlaycast.lab.run.writable import writable

    words = overlaycast("lab", "run", str(plan.file), "--out", str(writable(plan.out, f"{PROG}: out")))
    words += ["--seed", str(settings.seed)] * (settings.seed is not None)
    words += ["--variant", str(plan.variant)] * (plan.variant is not None)
    words += ["--system", settings.system]
    words += ["--brief"] * settings.brief + ["--no-faults"] * (not settings.faults)
    words += ["--capture", "--capture-mib", f"{settings.capture_mib:g}"] * settings.capture
    words += ["--json"] * settings.json_output + ["--keep"] * settings.keep
    words += ["--invalid-before", str(invalid_before)] * bool(invalid_before)
    return run_isolated(words)


def _title(plan: Plan) -> str:
    swept = ", ".join(f"{name} {value}" for name, value in plan.point)
    return " · ".join(part for part in (plan.experiment.name, swept, f"seed {plan.seed}") if part)


def _studies(plans: Sequence[Plan], outcomes: Sequence[Outcome]) -> None:
    """Write a page over all runs of a file, for each file that has several."""
    from overlaycast.lab.analysis import many
    from overlaycast.lab.report import many_page

    for file, each in groupby(zip(plans, outcomes, strict=True), key=lambda pair: pair[0].file):
        group = list(each)
        if len(group) < 2:
            continue
        samples = [many.Sample(plan.point, plan.seed, plan.out.name, outcome.result) for plan, outcome in group]
        page = group[0][0].out.parent / "study.html"
        page.write_text(many_page.render(many.study(group[0][0].experiment.name, samples), f"{PROG} {file}"))
        print(f"study: {page}", file=sys.stderr)


def _roundup(outcomes: Sequence[Outcome], settings: RunSettings) -> None:
    from rich.console import Console

    from overlaycast.lab.report import terminal as outcome

    outcome.roundup(outcomes, Console(stderr=settings.json_output))


def _outcome(plan: Plan, code: int, seconds: float) -> Outcome:
    """Return what CI is told of one run."""
    from overlaycast.lab.results.outcome import Outcome

    file = plan.out / "result.json"
    result = json.loads(file.read_text()) if code <= 1 and file.is_file() else None
    name = _title(plan) if plan.variant is not None else plan.experiment.name
    return Outcome(name, str(plan.file), result, f"exit code {code}", seconds)


def _run_inside(settings: RunSettings) -> int:
    from overlaycast.lab.network.isolation import stop_requested
    from overlaycast.lab.run.progress import progress
    from overlaycast.lab.run.runner import run

    [plan] = _plans(settings, settings.experiments[0], False)
    if settings.cli:
        from overlaycast.lab.run import prompt

        return prompt.run(plan)

    async def play() -> Recording | None:
        stop = stop_requested()
        with progress() as live:
            running = asyncio.create_task(run(plan, live))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not running.done():
                running.cancel()
                await asyncio.wait((running,))
                return None
            return running.result()

    recording = asyncio.run(play())
    if recording is None:
        return 130
    return _conclude(plan, recording, settings)


def _conclude(plan: Plan, recording: Recording, settings: RunSettings) -> int:
    from rich.console import Console

    from overlaycast.lab.analysis import judge, series, story
    from overlaycast.lab.report import terminal as outcome
    from overlaycast.lab.report.page import render

    result, timelines = judge.build(recording), series.build(recording)
    text = json.dumps(result.as_json(), indent=1)
    (plan.out / "result.json").write_text(text + "\n")
    (plan.out / "series.json").write_text(json.dumps(timelines.as_json()) + "\n")
    (plan.out / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in story.events(recording)))
    report = plan.out / "report.html"
    report.write_text(render(result, timelines, recording.network))
    if not settings.keep:
        _discard(plan)
    if settings.json_output:
        print(text)
    console = Console(stderr=settings.json_output or settings.brief)
    if settings.brief:
        console.print(f"report: {report}", highlight=False, soft_wrap=True)
    else:
        outcome.show(result, report, console)
    return 0 if result.verdict == "passed" else 1


def _discard(plan: Plan) -> None:
    """What receivers wrote has been looked at, and is large."""
    folder = plan.out / "received"
    for host in plan.cast.peers:
        (folder / host).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _plans(settings: RunSettings, file: Path, many_files: bool) -> list[Plan]:
    """Return the runs that a file asks for."""
    from overlaycast.lab.experiment.reading import runs

    found = runs(file, settings.seed)
    name = found[0].experiment.name
    if settings.out is None:
        out = RUNS / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    else:
        out = settings.out / name if many_files else settings.out
    if out.resolve().is_relative_to("/run"):
        raise ConfigError(f"{PROG}: out: {out}: a run has a /run of its own; accepted: a folder elsewhere")
    if settings.variant is not None and settings.variant > len(found):
        raise ConfigError(f"{PROG}: variant: {settings.variant}; accepted: 1 to {len(found)}")
    chosen = found if settings.variant is None else found[settings.variant - 1 : settings.variant]
    return [_plan(settings, file, one, out, one.variant.label if len(chosen) > 1 else "") for one in chosen]


def _plan(settings: RunSettings, file: Path, one: Checked, out: Path, label: str) -> Plan:
    from overlaycast.lab.experiment.plan import Plan
    from overlaycast.lab.experiment.systems import adapted, without_faults

    variant = one.variant
    command = f"{PROG} {file}"
    command += f" --variant {variant.number}" if variant.count > 1 else f" --seed {variant.seed}"
    command += f" --seed {settings.seed}" if variant.count > 1 and settings.seed is not None else ""
    plan = Plan(
        file=file,
        experiment=one.experiment,
        topology=one.topology,
        cast=one.cast,
        out=(out / label).resolve(),
        seed=variant.seed,
        command=command,
        variant=variant.number if variant.count > 1 else None,
        point=variant.point,
        notes=_before(settings.invalid_before),
    )
    if settings.capture:
        plan = replace(plan, command=f"{command} --capture", capture_mib=settings.capture_mib)
    return adapted(plan if settings.faults else without_faults(plan), settings.system)


def _before(invalid: int) -> tuple[str, ...]:
    if not invalid:
        return ()
    runs = "1 run" if invalid == 1 else f"{invalid} runs"
    return (f"{runs} before this one: the machine did not keep up (invalid), so that counts neither for nor against",)


# --- chaos and replay ------------------------------------------------------------------------------------------


def _chaotic(settings: RunSettings, file: Path, seed: int) -> Path:
    """Write the experiment with a timeline drawn from a seed, and return its file."""
    from overlaycast.lab.experiment import derived as drawn
    from overlaycast.lab.experiment.reading import runs

    one = runs(file, settings.seed)[0]
    folder = settings.out or RUNS / f"{one.experiment.name}-chaos-{seed}"
    to = folder / f"{one.experiment.name}-chaos-{seed}.yaml"
    values = drawn.chaotic(one.variant.document, one.experiment, one.topology, one.cast, seed, to)
    drawn.write(values, to, f"{file} with a timeline drawn from seed {seed}; repeat it with: {PROG} {to}")
    print(f"chaos: {to}", file=sys.stderr)
    return to


def _replay(settings: RunSettings, file: Path) -> int:
    """Run a file; if it fails, look for the least part of its timeline that still fails, and write that as a file."""
    from overlaycast.lab.commands import ddmin
    from overlaycast.lab.experiment import derived as drawn
    from overlaycast.lab.experiment.reading import runs

    [plan] = _plans(settings, file, False)[:1]
    outcome, code = _valid(settings, plan)
    if outcome.result is None or outcome.result["verdict"] != "failed":
        return code
    document = runs(file, settings.seed)[0].variant.document
    timeline = document.values.get("timeline", [])
    tried = 0

    def fails(part: Sequence[Any]) -> bool:
        nonlocal tried
        tried += 1
        to = plan.out / f"try-{tried:03}" / file.name
        drawn.write(drawn.with_timeline(document, part, to), to, f"a part of {file}")
        print(f"replay: try {tried} with {len(part)} of {len(timeline)} faults", file=sys.stderr, flush=True)
        [smaller] = _plans(settings.model_copy(update={"out": to.parent}), to, False)
        result = _valid(settings, smaller)[0].result
        return result is not None and result["verdict"] == "failed"

    least = ddmin.ddmin(timeline, fails)
    to = plan.out / f"{file.stem}-least.yaml"
    drawn.write(drawn.with_timeline(document, least, to), to, f"the least part of {file} that failed, of {tried} tries")
    print(f"replay: {len(least)} of {len(timeline)} faults still fail: {to}", file=sys.stderr)
    return code
