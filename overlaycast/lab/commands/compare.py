"""``overlaycast lab compare``: one experiment over several systems, run one after the other, then laid side by side.

Owns: the runs and where their comparison is written. A run that fails its expectations is compared all the same; one
that could not be run ends the comparison with its exit code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

from pydantic import AfterValidator, Field
from pydantic_settings import CliPositionalArg

from overlaycast.errors import ConfigError
from overlaycast.lab.commands.run_plans import RUNS, RunSettings, plans, refuse_run_folder
from overlaycast.lab.experiment.system import SYSTEMS, System
from overlaycast.settings import Settings, load

if TYPE_CHECKING:
    from overlaycast.lab.experiment.plan import Plan

PROG: Final = "overlaycast lab compare"


def _checked(text: str) -> str:
    names = _listed(text)
    for name in names:
        if name not in SYSTEMS or names.count(name) > 1:
            raise ValueError(f"{name!r}; accepted: each of {', '.join(SYSTEMS)} at most once")
    if not names:
        raise ValueError(f"none named; accepted: {', '.join(SYSTEMS)}")
    return text


def _listed(text: str) -> tuple[System, ...]:
    """Return the systems of ``overlay,unicast``."""
    return cast(tuple[System, ...], tuple(name.strip() for name in text.split(",") if name.strip()))


class CompareSettings(Settings):
    """Run one experiment over several systems on the same network, and compare them."""

    experiment: CliPositionalArg[Path] = Field(description="an experiment file (YAML)")
    systems: Annotated[str, AfterValidator(_checked)] = Field(
        ",".join(SYSTEMS), description="the systems to compare, separated by commas"
    )
    out: Path | None = Field(None, description="folder for results; default: runs/compare-NAME-TIME")
    seed: int | None = Field(
        None, ge=0, lt=1 << 32, description="seed of every random choice; default: the experiment's"
    )
    faults: bool = Field(
        False, description="inject the timeline's faults, except those whose target a system does not have"
    )
    json_output: bool = Field(False, alias="json", description="print compare.json instead of a table")


def main(argv: list[str]) -> int:
    """Run ``overlaycast lab compare``."""
    settings = load(CompareSettings, argv, PROG)
    from overlaycast.lab.commands.inside import Inside, isolated  # slow to import, and --help does not need it
    from overlaycast.lab.run.writable import writable

    if settings.experiment.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{PROG}: experiment: {settings.experiment}: accepted: a YAML file")
    out = settings.out or RUNS / f"compare-{settings.experiment.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    refuse_run_folder(out, PROG)
    found = [_plan(settings, system, out) for system in _listed(settings.systems)]
    writable(out, f"{PROG}: out")
    struck: dict[str, str] = {}
    for planned in sorted(found, key=lambda one: one.system != "overlay"):  # only its run has every part to choose from
        plan = _aimed(settings, planned, out, struck)
        print(f"— {plan.system}", file=sys.stderr)
        code = isolated(Inside(plan, tables=False))
        if code > 1 or not (plan.out / "result.json").is_file():
            return code  # the run has printed why
        struck = _struck(plan) | struck
    _conclude(settings, out.resolve())
    return 0


def _plan(settings: CompareSettings, system: System, out: Path) -> Plan:
    wanted = RunSettings.model_construct(
        experiments=[settings.experiment],
        out=out / system,
        seed=settings.seed,
        faults=settings.faults,
        variant=1,
        system=system,
    )
    return plans(wanted, settings.experiment)[0]


def _aimed(settings: CompareSettings, planned: Plan, out: Path, struck: Mapping[str, str]) -> Plan:
    """Return a plan whose faults hit what they hit in the systems before."""
    from overlaycast.lab.experiment.systems import adapted, aimed_alike

    if not struck or not settings.faults:
        return planned
    whole = replace(_plan(settings, "overlay", out), out=planned.out)
    return adapted(aimed_alike(whole, struck), planned.system)


def _struck(plan: Plan) -> dict[str, str]:
    from overlaycast.lab.results.result import Result

    return {fault.id: fault.target for fault in Result.read(plan.out / "result.json").faults}


def _conclude(settings: CompareSettings, out: Path) -> None:
    from rich.console import Console

    from overlaycast.lab.analysis.compare import StoredRun, compare
    from overlaycast.lab.report import compare_page, compare_table

    runs = [StoredRun.read(out / system) for system in _listed(settings.systems)]
    comparison = compare(runs)
    text = json.dumps(comparison.as_json(), indent=1)
    (out / "compare.json").write_text(text + "\n")
    page = out / "compare.html"
    page.write_text(compare_page.render(comparison, runs, _command(settings)))
    if settings.json_output:
        print(text)
    else:
        compare_table.show(comparison, page, Console())


def _command(settings: CompareSettings) -> str:
    words = [PROG, str(settings.experiment), "--systems", settings.systems]
    words += [] if settings.seed is None else ["--seed", str(settings.seed)]
    return " ".join([*words, *["--faults"] * settings.faults])
