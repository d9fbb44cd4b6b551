"""``overlaycast lab``: check, run, show and list experiments and topologies.

Owns: the options, the step into namespaces of its own, and where results are written. A run happens in a second process
inside those namespaces; what is wrong with an experiment is said before that.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from overlaycast.errors import ConfigError, LabError, OverlaycastError
from overlaycast.settings import Settings, load

if TYPE_CHECKING:
    from overlaycast.lab.course import Plan
    from overlaycast.lab.experiment import Experiment
    from overlaycast.lab.junit import Outcome
    from overlaycast.lab.recording import Recording

PROG: Final = "overlaycast lab"
RUNS: Final = Path("runs")


class RunSettings(Settings):
    """Run experiments in namespaces of their own; exit 0 if every expectation was met, 1 if not."""

    experiments: CliPositionalArg[list[Path]] = Field(description="experiment files (YAML)")
    out: Path | None = Field(None, description="folder for results; runs/NAME-TIME unless told")
    seed: int | None = Field(None, ge=0, lt=1 << 32, description="fixes every choice; the experiment's unless told")
    json_output: bool = Field(False, alias="json", description="print result.json on standard output, tables elsewhere")
    keep: bool = Field(False, description="keep what the receivers wrote")
    brief: bool = Field(False, description="print no tables at the end")
    faults: bool = Field(
        True, description="play the experiment's timeline; without, what expectations say of faults goes"
    )
    capture: bool = Field(False, description="write what crosses each link to captures/LINK.pcap, for Wireshark")
    capture_mib: float = Field(32, gt=0, le=65_536, description="with --capture: at most so much of each link, MiB")
    junit: Path | None = Field(None, description="write all runs' expectations to this file, as JUnit's XML, for CI")
    system: Literal["overlay", "unicast", "multicast"] = Field(
        "overlay", description="what carries the stream: overlay, a unicast star, or IP multicast (routers forward it)"
    )


class CheckSettings(Settings):
    """Say what is wrong with experiments, by file, line and field, without running them."""

    experiments: CliPositionalArg[list[Path]] = Field(description="experiment files (YAML)")


class ShowSettings(Settings):
    """Draw a topology at the terminal."""

    topology: CliPositionalArg[Path] = Field(description="a topology file")
    name: str | None = Field(None, description="which of the file's topologies")


class ListSettings(Settings):
    """List topologies and experiments."""

    folder: Path = Field(Path("."), description="where topologies/ and experiments/ are")


def main(argv: list[str]) -> int:
    """Dispatch ``overlaycast lab COMMAND``."""
    commands: dict[str, tuple[str, Callable[[list[str]], int]]] = {
        "run": ("run experiments", _run),
        "check": ("say what is wrong with experiments", _check),
        "show": ("draw a topology", _show),
        "list": ("list topologies and experiments", _list),
        "compare": ("run an experiment over overlay, unicast and multicast, and compare", _compare),
        "simulate": ("place members on a map in virtual time and compare", _simulate),
    }
    rows = "\n".join(f"  {name:<9} {what}" for name, (what, _) in commands.items())
    usage = f"usage: {PROG} COMMAND [options]\n\ncommands:\n{rows}\n\n'{PROG} COMMAND --help' tells more."
    if not argv or argv[0] in ("-h", "--help"):
        print(usage)
        return 0 if argv else 2
    if argv[0] not in commands:
        raise ConfigError(f"lab: no command {argv[0]!r}; accepted: {', '.join(commands)}")
    return commands[argv[0]][1](argv[1:])


# --- run -------------------------------------------------------------------------------------------------------


def _run(argv: list[str]) -> int:
    from overlaycast.lab import junit
    from overlaycast.lab.isolation import is_isolated, run_isolated

    settings = load(RunSettings, argv, f"{PROG} run")
    if is_isolated():
        return _run_inside(settings)
    plans = [_plan(settings, file, number) for number, file in enumerate(settings.experiments)]
    worst, outcomes = 0, []
    for plan in plans:  # each in namespaces of its own: one run cannot disturb the next
        words = [sys.executable, "-m", "overlaycast.cli", "lab", "run", str(plan.file), "--out", str(plan.out)]
        words += ["--seed", str(plan.seed)]
        words += ["--system", settings.system]
        words += ["--brief"] * settings.brief + ["--no-faults"] * (not settings.faults)
        words += ["--capture", "--capture-mib", f"{settings.capture_mib:g}"] * settings.capture
        words += ["--json"] * settings.json_output + ["--keep"] * settings.keep
        begun = time.monotonic()
        code = run_isolated(words)
        outcomes.append(_outcome(plan, code, time.monotonic() - begun))
        worst = max(worst, code)
        if code > 1:
            break
    if settings.junit is not None:
        settings.junit.parent.mkdir(parents=True, exist_ok=True)
        settings.junit.write_text(junit.document(outcomes))
    return worst


def _outcome(plan: Plan, code: int, seconds: float) -> Outcome:
    """Return what CI is told of one run."""
    from overlaycast.lab.junit import Outcome

    file = plan.out / "result.json"
    result = json.loads(file.read_text()) if code <= 1 and file.is_file() else None
    return Outcome(plan.experiment.name, str(plan.file), result, f"exit code {code}", seconds)


def _run_inside(settings: RunSettings) -> int:
    from overlaycast.lab.isolation import stop_requested
    from overlaycast.lab.progress import progress
    from overlaycast.lab.runner import run

    plan = _plan(settings, settings.experiments[0], 0)

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

    from overlaycast.lab import judge, outcome, series, story
    from overlaycast.lab.report.page import render

    result, timelines = judge.build(recording), series.build(recording)
    plan.out.mkdir(parents=True, exist_ok=True)
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
    console = Console(stderr=settings.json_output)
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


def _plan(settings: RunSettings, file: Path, number: int) -> Plan:
    from overlaycast.lab.course import Plan
    from overlaycast.lab.systems import adapted, without_faults

    experiment, topology, cast = _read(file)
    seed = experiment.seed if settings.seed is None else settings.seed
    if settings.out is None:
        out = RUNS / f"{experiment.name}-{datetime.now():%Y%m%d-%H%M%S}"
    else:
        out = settings.out / experiment.name if len(settings.experiments) > 1 else settings.out
    if out.resolve().is_relative_to("/run"):
        raise ConfigError(f"{PROG} run: out: {out}: a run has a /run of its own; accepted: a folder elsewhere")
    command = f"{PROG} run {file} --seed {seed}"
    plan = Plan(file, experiment, topology, cast, out.resolve(), seed, command)
    if settings.capture:
        plan = replace(plan, command=f"{command} --capture", capture_mib=settings.capture_mib)
    return adapted(plan if settings.faults else without_faults(plan), settings.system)


def _read(file: Path) -> tuple[Experiment, Any, Any]:
    """Return a checked experiment, its topology and who plays what."""
    from overlaycast.lab import casting, experiment, observe, placed_yaml
    from overlaycast.lab.topology import load_topology

    document = placed_yaml.read(file)
    parsed = experiment.parse(document)
    try:
        topology = load_topology(file.parent / parsed.topology.file, parsed.topology.name)
    except LabError:
        raise
    except OverlaycastError as error:
        raise document.error(("topology",), str(error)) from None
    cast = casting.cast(document, parsed, observe.castable(topology))
    casting.check_faults(document, parsed, cast, topology)
    return parsed, topology, cast


# --- the rest --------------------------------------------------------------------------------------------------


def _check(argv: list[str]) -> int:
    settings = load(CheckSettings, argv, f"{PROG} check")
    worst = 0
    for file in settings.experiments:
        try:
            experiment, topology, cast = _read(file)
        except ConfigError as error:
            print(f"overlaycast: {error}", file=sys.stderr)
            worst = ConfigError.exit_code
            continue
        counts = (
            f"{len(cast.peers)} receivers, {len(experiment.timeline)} faults, {len(experiment.expect)} expectations"
        )
        print(f"{file}: {experiment.name} on {topology.name}: {counts}")
    return worst


def _show(argv: list[str]) -> int:
    from overlaycast.lab import draw
    from overlaycast.lab.topology import load_topology

    settings = load(ShowSettings, argv, f"{PROG} show")
    draw.show(load_topology(settings.topology, settings.name))
    return 0


def _list(argv: list[str]) -> int:
    from rich.console import Console

    from overlaycast.lab import draw
    from overlaycast.lab.topology import load_topology

    settings = load(ListSettings, argv, f"{PROG} list")
    console = Console()
    files = sorted((settings.folder / "topologies").glob("*.py"))
    experiments = sorted((settings.folder / "experiments").glob("*.yaml"))
    if not files and not experiments:
        raise ConfigError(f"{settings.folder}: neither topologies/ nor experiments/ is there; see --folder")
    console.print(draw.listing(load_topology(file) for file in files))
    console.print()
    console.print(_experiments(experiments))
    return 0


def _experiments(files: list[Path]) -> Any:
    from rich.table import Table

    table = Table("experiment", "topology", "faults", "title", box=None, header_style="bold", pad_edge=False)
    for file in files:
        experiment, topology, _ = _read(file)
        table.add_row(str(file), topology.name, str(len(experiment.timeline)), experiment.title)
    return table


def _compare(argv: list[str]) -> int:
    return int(import_module("overlaycast.lab.compare_command").main(argv))


def _simulate(argv: list[str]) -> int:
    return int(import_module("overlaycast.lab.simulate.command").main(argv))
