"""``overlaycast lab``: the commands around experiments and topologies: check, show, list, schema.

Owns: the list of commands, and what check, show, list and schema print. Refuses: to run an experiment; ``run`` and
``compare`` do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field
from pydantic_settings import CliPositionalArg

from overlaycast.dispatch import Command, dispatch, imported
from overlaycast.errors import ConfigError, MissingError, each
from overlaycast.named_files import write_text
from overlaycast.settings import Settings, load

if TYPE_CHECKING:
    from overlaycast.lab.experiment.reading import Checked
    from overlaycast.lab.report import catalogue

PROG: Final = "overlaycast lab"
SYSTEM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where tc, nft and ifconfig are: folders that Debian has in the PATH of root, and not of ordinary users."""


class CheckSettings(Settings):
    """Check experiment files without running them. Each mistake is printed with its file, line and field."""

    experiments: CliPositionalArg[list[Path]] = Field(description="experiment files (YAML)")


class ShowSettings(Settings):
    """Draw a topology at the terminal."""

    topology: CliPositionalArg[Path] = Field(description="a topology file")
    name: str | None = Field(
        None, description="the topology to draw, if the file has several; with options, as in figure_2a,ip=6"
    )


class ListSettings(Settings):
    """List topologies and experiments; with --results, list experiments with their verdicts and figures."""

    folder: Path = Field(Path("."), description="folder that has topologies/ and experiments/ in it")
    results: Path | None = Field(
        None, description="folder of results, with a folder for each experiment, as lab run --out writes for several"
    )
    markdown: bool = Field(False, description="with --results: print the page docs/experiments.md")


class SchemaSettings(Settings):
    """Print the JSON Schema of experiment files, or write it to a file."""

    file: CliPositionalArg[Path | None] = Field(None, description="the file to write; default: standard output")


def _check(argv: list[str]) -> int:
    from overlaycast.lab.experiment.reading import runs

    settings = load(CheckSettings, argv, f"{PROG} check")
    worst = 0
    for file in settings.experiments:
        try:
            found = runs(file, own_timeline=True)
        except ConfigError as error:
            for mistake in each(error):
                print(f"overlaycast: {mistake}", file=sys.stderr)
            worst = ConfigError.exit_code
            continue
        one = found[0]
        asked = one.experiment
        counts = f"{len(one.cast.peers)} receivers, {len(asked.timeline)} faults, {len(asked.expect)} expectations"
        many = f", {len(found)} runs" if len(found) > 1 else ""
        print(f"{file}: {asked.name} on {one.topology.name}: {counts}{many}")
        _warn_of_load(file, found)
    return worst


def _warn_of_load(file: Path, found: Sequence[Checked]) -> None:
    """Say, of the run that asks most of the wire, that it is too much."""
    from overlaycast.lab.experiment.load import foreseen_mbit, too_fast, warning, wired

    asked = (foreseen_mbit(one.topology, one.experiment, one.cast, "overlay") for one in found)
    if line := warning(max(asked)):
        print(f"overlaycast: {file}: warning: {line}", file=sys.stderr)
    if line := too_fast(found[0].topology, wired(found[0].topology, ())):
        print(f"overlaycast: {file}: warning: {line}", file=sys.stderr)


def _show(argv: list[str]) -> int:
    from overlaycast.lab.topology import terminal
    from overlaycast.lab.topology.loading import load_topology

    settings = load(ShowSettings, argv, f"{PROG} show")
    terminal.show(load_topology(settings.topology, settings.name))
    return 0


def _list(argv: list[str]) -> int:
    from rich.console import Console

    from overlaycast.lab.topology import terminal
    from overlaycast.lab.topology.loading import load_topology

    settings = load(ListSettings, argv, f"{PROG} list")
    console = Console()
    files = sorted((settings.folder / "topologies").glob("*.py"))
    experiments = sorted((settings.folder / "experiments").glob("*.yaml"))
    if not files and not experiments:
        raise ConfigError(f"{settings.folder}: neither topologies/ nor experiments/ is there; see --folder")
    if settings.markdown:
        print(_catalogue(settings, experiments), end="")
        return 0
    if settings.results is not None:
        console.print(_with_results(settings, experiments))
        return 0
    console.print(terminal.listing(load_topology(file) for file in files))
    console.print()
    console.print(_experiments(settings.folder, experiments))
    return 0


def _catalogue(settings: ListSettings, files: list[Path]) -> str:
    from overlaycast.lab.analysis.compare import Comparison
    from overlaycast.lab.report import catalogue
    from overlaycast.lab.results import stored

    if settings.results is None:
        raise ConfigError(f"{PROG} list: results: required with --markdown, a folder of runs")
    entries = _entries(settings.folder, settings.results, files)
    compared = [stored.read(Comparison, file) for file in sorted(settings.results.glob("*/compare.json"))]
    return catalogue.markdown(entries, f"{PROG} list --results {settings.results} --markdown", compared)


def _with_results(settings: ListSettings, files: list[Path]) -> Any:
    from rich.table import Table

    from overlaycast.lab.report import catalogue

    assert settings.results is not None
    header = ("experiment", "verdict", "receivers whole", "longest silence", "took")
    table = Table(*header, box=None, header_style="bold", pad_edge=False)
    for entry in _entries(settings.folder, settings.results, files):
        table.add_row(entry.experiment.name, *catalogue.figures(entry.result))
    return table


def _entries(folder: Path, results: Path, files: list[Path]) -> list[catalogue.Entry]:
    from overlaycast.lab.experiment.reading import runs
    from overlaycast.lab.report import catalogue
    from overlaycast.lab.results.result import Result

    if not results.is_dir():
        raise ConfigError(f"{PROG} list: results: {results}: no such folder")
    entries = []
    for file in files:
        asked = runs(file)[0].experiment
        found = results / asked.name / "result.json"
        result = Result.read(found) if found.is_file() else None
        entries.append(catalogue.Entry(str(file.relative_to(folder)), asked, result))
    return entries


def _experiments(folder: Path, files: list[Path]) -> Any:
    from rich.table import Column, Table

    from overlaycast.lab.experiment.reading import runs

    name = Column(f"{folder / 'experiments'}/", no_wrap=True)
    table = Table(name, "topology", "faults", "title", box=None, header_style="bold", pad_edge=False)
    for file in files:
        one = runs(file)[0]
        table.add_row(file.name, one.topology.name, str(len(one.experiment.timeline)), one.experiment.title)
    return table


def _schema(argv: list[str]) -> int:
    from overlaycast.lab.experiment import schema

    settings = load(SchemaSettings, argv, f"{PROG} schema")
    if settings.file is None:
        print(schema.text(), end="")
        return 0
    try:
        write_text(settings.file, schema.text())
    except OSError as error:
        raise ConfigError(f"{PROG} schema: file: {settings.file}: {error.strerror}") from None
    return 0


COMMANDS: Final = {
    "run": Command("run experiments on emulated networks", imported("overlaycast.lab.commands.run:main")),
    "check": Command("check experiment files without running them", _check),
    "show": Command("draw a topology", _show),
    "list": Command("list topologies and experiments", _list),
    "schema": Command("print the JSON Schema of experiment files", _schema),
    "compare": Command(
        "run one experiment over overlay, unicast and multicast", imported("overlaycast.lab.commands.compare:main")
    ),
    "simulate": Command(
        "simulate a large group on a map, in virtual time", imported("overlaycast.lab.simulate.command:main")
    ),
}


def with_system_folders(path: str) -> str:
    """Return a ``PATH`` in which the system's programs are found too, behind all others."""
    there = path.split(os.pathsep)
    return os.pathsep.join([*there, *(folder for folder in SYSTEM_FOLDERS if folder not in there)])


def main(argv: list[str]) -> int:
    """Run ``overlaycast lab COMMAND``."""
    os.environ["PATH"] = with_system_folders(os.environ.get("PATH", os.defpath))
    try:
        return dispatch(PROG, COMMANDS, argv)
    except ModuleNotFoundError as error:
        package = (error.name or __name__).partition(".")[0]
        if package == __name__.partition(".")[0]:
            raise
        raise MissingError(f"{PROG}: {package} is not installed; pip install '.[lab]' installs it") from None
