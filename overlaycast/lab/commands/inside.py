"""The part of a run that happens inside its namespaces, in a process of its own.

Owns: the *plan file*, by which the outer process hands the inner one everything it needs, so that the inner one reads
no options and no experiment again; and what the inner process writes and prints at the end of its run.

    python -m overlaycast.lab.commands.inside PLAN_FILE
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from overlaycast.errors import exit_code
from overlaycast.lab.commands.conclude import conclude
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.network.isolation import run_isolated, stop_requested
from overlaycast.lab.recording.recording import Recording
from overlaycast.lab.run import prompt
from overlaycast.lab.run.programs import outputs
from overlaycast.lab.run.progress import progress
from overlaycast.lab.run.runner import run
from overlaycast.streams import careful_stdout


@dataclass(frozen=True, slots=True)
class Inside:
    """What the plan file holds.

    Attributes:
        plan: what to run.
        prompt: open Mininet's prompt on the plan's network instead.
        keep: keep the files that the receivers wrote.
        tables: print the result as tables; without, only the name of the report, on standard error.
        json_output: print ``result.json`` on standard output, and everything else on standard error.
    """

    plan: Plan
    prompt: bool = False
    keep: bool = False
    tables: bool = True
    json_output: bool = False


_FILE: Final[TypeAdapter[Inside]] = TypeAdapter(Inside)


def isolated(inside: Inside) -> int:
    """Carry out a plan in namespaces of its own, and return the exit code. For the outer process."""
    descriptor, name = tempfile.mkstemp(prefix="overlaycast-plan-", suffix=".json")
    file = Path(name)
    try:
        os.close(descriptor)
        file.write_bytes(written(inside))
        return run_isolated([sys.executable, "-m", "overlaycast.lab.commands.inside", name], interactive=inside.prompt)
    finally:
        file.unlink(missing_ok=True)


def written(inside: Inside) -> bytes:
    """Return a plan file's content."""
    # an experiment distinguishes a setting that is not given from one given with its default
    return _FILE.dump_json(inside, exclude_unset=True, by_alias=True)


def read(content: bytes) -> Inside:
    """Return what a plan file holds."""
    return _FILE.validate_json(content)


def main(argv: list[str]) -> int:
    """Carry out a plan file. For the inner process."""
    file = Path(argv[0])
    inside = read(file.read_bytes())
    file.unlink()  # here already: the outer process may be killed
    if inside.prompt:
        return prompt.run(inside.plan)
    recording = asyncio.run(_run_until_stopped(inside.plan))
    if recording is None:
        return 130
    try:
        with careful_stdout():
            return conclude(inside.plan, recording, tables=inside.tables, json_output=inside.json_output)
    finally:
        if not inside.keep:
            _delete_received(inside.plan)


async def _run_until_stopped(plan: Plan) -> Recording | None:
    """Return what a run recorded; None if the outer process asked to stop."""
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


def _delete_received(plan: Plan) -> None:
    """Delete the files that receivers wrote: they were compared already, and are large."""
    folder = plan.out / "received"
    for host in plan.cast.peers:
        for file in outputs(folder, host):
            file.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
