"""From the options of ``overlaycast lab run`` to checked plans, one for each run.

Owns: the options, where results go, and the command that repeats a run. Refuses: whatever is wrong with an option or an
experiment, before anything starts.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import Field
from pydantic_settings import CliPositionalArg

from overlaycast.errors import ConfigError
from overlaycast.lab.experiment.system import System
from overlaycast.settings import Settings

if TYPE_CHECKING:
    from overlaycast.lab.experiment.plan import Plan
    from overlaycast.lab.experiment.reading import Checked

PROG: Final = "overlaycast lab run"
RUNS: Final = Path("runs")


class RunSettings(Settings):
    """Run experiments, each on an emulated network or on real hosts.

    Exit code 0: every expectation was met; 1: not every one.
    """

    experiments: CliPositionalArg[list[Path]] = Field(
        default_factory=list, description="experiment files (YAML); with --rehearse none"
    )
    out: Path | None = Field(None, description="folder for results; default: runs/NAME-TIME")
    seed: int | None = Field(
        None, ge=0, lt=1 << 32, description="seed of every random choice; default: the experiment's"
    )
    json_output: bool = Field(
        False, alias="json", description="print result.json on standard output, tables on standard error"
    )
    keep: bool = Field(False, description="keep the receivers' output files")
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
    cli: bool = Field(
        False, description="build and check the network, then open Mininet's command line instead of running"
    )
    hosts: Path | None = Field(
        None, description="run on the real hosts of this Ansible inventory, where overlaycast is installed"
    )
    artefact: Path | None = Field(
        None, description="with --hosts: file of make dist to install the program from, for this run alone"
    )
    shape: bool = Field(
        False, description="with --hosts: make the topology's rates, delays and losses between the hosts"
    )
    rehearse: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="with --hosts: instead of an experiment, send a synthetic stream of so many Mbit/s through the "
        "hosts of a deployed group, in a group of its own beside it",
    )
    rehearse_s: float = Field(20, ge=1, le=600, description="with --rehearse: seconds that it lasts")
    rehearse_group: str | None = Field(
        None, description="with --rehearse: the group whose hosts and settings are used; default: the inventory's first"
    )
    system: System = Field(
        "overlay", description="what carries the stream: the overlay, a star of unicast connections, or IP multicast"
    )


def plans(settings: RunSettings, file: Path, many_files: bool = False) -> list[Plan]:
    """Return the runs that a file asks for.

    Args:
        settings: the options.
        file: one of the experiments.
        many_files: there are more, so each gets a folder of its own below ``--out``.

    Raises:
        ConfigError: by option, or by file, line and field.
    """
    from overlaycast.lab.experiment.reading import runs
    from overlaycast.lab.hosts.refusal import refuse_faults

    found = runs(file, settings.seed)
    name = found[0].experiment.name
    if settings.out is None:
        out = RUNS / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    else:
        out = settings.out / name if many_files else settings.out
    refuse_run_folder(out, PROG)
    if settings.variant is not None and settings.variant > len(found):
        raise ConfigError(f"{PROG}: variant: {settings.variant}; accepted: 1 to {len(found)}")
    if settings.hosts is not None and settings.faults:
        for one in found:
            refuse_faults(one, settings.shape)
    chosen = found if settings.variant is None else found[settings.variant - 1 : settings.variant]
    return [_plan(settings, file, one, out, one.variant.label if len(chosen) > 1 else "") for one in chosen]


def refuse_run_folder(out: Path, prog: str) -> None:
    """Raise ``ConfigError`` if results would go below ``/run``, which is private to each run and ends with it."""
    if out.resolve().is_relative_to("/run"):
        raise ConfigError(f"{prog}: out: {out}: a run has a /run of its own; accepted: a folder elsewhere")


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
    )
    if settings.capture:
        plan = replace(plan, command=f"{command} --capture", capture_mib=settings.capture_mib)
    return adapted(plan if settings.faults else without_faults(plan), settings.system)


def title(plan: Plan) -> str:
    """Return a run's title: experiment, swept values, seed."""
    swept = ", ".join(f"{name} {value}" for name, value in plan.point)
    return " · ".join(part for part in (plan.experiment.name, swept, f"seed {plan.seed}") if part)
