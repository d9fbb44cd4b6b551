"""``lab run --hosts``: a plan carried out on the hosts of an inventory instead of in namespaces.

Owns: which options and faults make sense there, the run's name on the hosts, and how the user stops it.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from overlaycast.errors import ConfigError, MistakesError, OverlaycastError
from overlaycast.lab.commands.conclude import conclude
from overlaycast.lab.commands.run_plans import PROG, RUNS, RunSettings, refuse_run_folder
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.hosts import course
from overlaycast.lab.hosts.hands import Hands, HostsError, Stopped, listing
from overlaycast.lab.hosts.inventory import InventoryHost, hosts
from overlaycast.lab.hosts.rehearsal import rehearsal
from overlaycast.lab.run.progress import progress
from overlaycast.lab.run.runner import versions
from overlaycast.lab.run.writable import writable

NAME: Final = 24
"""Letters of the experiment's name in names on the hosts: a Unix socket's path has no room for many."""


def refuse_options(settings: RunSettings) -> None:
    """Raise ``ConfigError`` where an option makes no sense on real hosts."""
    wrong = {
        "capture": (settings.capture, "packets are captured on emulated links only"),
        "keep": (settings.keep, "receivers' files are judged on their hosts, and removed there"),
        "cli": (settings.cli, "Mininet's command line is for emulated networks"),
        "replay": (settings.replay, "a search repeats a run dozens of times; accepted: without --hosts"),
        "chaos": (settings.chaos is not None, "faults are drawn for emulated networks only"),
        "system": (settings.system == "multicast", "real routers do not forward multicast; accepted: overlay, unicast"),
    }
    lines = [ConfigError(f"{PROG}: {option}: with --hosts: {why}") for option, (given, why) in wrong.items() if given]
    if settings.hosts is None:
        lines = [ConfigError(f"{PROG}: rehearse: only with --hosts INVENTORY")]
    if settings.rehearse is not None and settings.experiments:
        lines.append(ConfigError(f"{PROG}: experiments: with --rehearse: none; accepted: one or the other"))
    if settings.rehearse is None and not settings.experiments:
        lines.append(ConfigError(f"{PROG}: experiments: required; accepted: one or more files, or --rehearse"))
    if lines:
        raise MistakesError(lines)


def run_on_hosts(settings: RunSettings, plan: Plan) -> int:
    """Carry out a plan on the hosts of the inventory, and return the exit code."""
    assert settings.hosts is not None
    return _run(settings, plan, _hosts(listing(settings.hosts), settings.hosts))


def rehearse(settings: RunSettings) -> int:
    """Send a synthetic stream through the hosts of a deployed group, and return the exit code."""
    assert settings.hosts is not None
    assert settings.rehearse is not None
    known = listing(settings.hosts)
    out = settings.out or RUNS / f"rehearsal-{datetime.now():%Y%m%d-%H%M%S}"
    refuse_run_folder(out, PROG)
    plan, real = rehearsal(
        known,
        _hosts(known, settings.hosts),
        settings.hosts,
        writable(out, f"{PROG}: out").resolve(),
        rate_mbit=settings.rehearse,
        seconds=settings.rehearse_s,
        group=settings.rehearse_group,
        seed=settings.seed if settings.seed is not None else 1,
    )
    return _run(settings, plan, real)


def _hosts(known: Mapping[str, Any], inventory: Path) -> tuple[InventoryHost, ...]:
    real = hosts(known, str(inventory))
    if not real:
        raise ConfigError(f"{inventory}: no hosts; accepted: an inventory with coordinator, sources, backups and peers")
    return real


def _run(settings: RunSettings, plan: Plan, real: Sequence[InventoryHost]) -> int:
    assert settings.hosts is not None
    where, name = str(settings.hosts), run_name(plan.experiment.name)
    artefact = settings.artefact
    if artefact is not None and not artefact.is_file():
        raise ConfigError(f"{PROG}: artefact: no such file: {artefact}; accepted: a file that make dist has written")
    more = " --shape" * settings.shape + (f" --artefact {artefact}" if artefact is not None else "")
    noted = replace(plan, command=f"{plan.command} --hosts {settings.hosts}{more}")
    try:
        with progress() as live, _stopping() as stop:
            hands = Hands(settings.hosts, name, stop)
            recording = course.run(
                noted, real, hands, name, where, live, stop, versions(), shaped=settings.shape, artefact=artefact
            )
    except Stopped:
        return 130
    except OverlaycastError as error:
        _print(lines_of(error))
        return error.exit_code
    return conclude(noted, recording, tables=True, json_output=settings.json_output)


def run_name(experiment: str) -> str:
    """Return a name for a run that no other run on the hosts has."""
    short = re.sub("[^a-z0-9]+", "-", experiment.lower())[:NAME].strip("-")
    return f"{short}-{time.strftime('%H%M%S')}-{os.urandom(2).hex()}"


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C and SIGTERM instead of ending at once: the hosts must be left as they were."""
    asked: list[int] = []
    before = {
        one: signal.signal(one, lambda number, _: asked.append(number)) for one in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def each_line() -> Iterator[None]:
    """Print every line of an error that has several; the last one is raised."""
    try:
        yield
    except MistakesError as error:
        _print(error.all[:-1])
        raise error.all[-1] from None


def lines_of(error: OverlaycastError) -> Sequence[object]:
    """Return all that an error says, a line for each problem."""
    return error.all if isinstance(error, MistakesError | HostsError) else (error,)


def _print(lines: Sequence[object]) -> None:
    for line in map(str, lines):
        print(line if line.startswith("overlaycast ") else f"overlaycast: {line}", file=sys.stderr)
