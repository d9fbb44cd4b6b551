"""One experiment, run for real: build the network, prove it, run the course on it, and put together what was observed.

Owns: from a plan to a recording. Refuses: to judge (``judge``). Runs only inside ``isolation.run_isolated``.

Invariants: whatever ends a run, what it started is ended with it; a network that fails its check is never streamed
over; a fault that did not happen ends the run with ``LabError``.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from overlaycast import __version__
from overlaycast.errors import LabError, OverlaycastError
from overlaycast.lab.experiment import load
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.faults.faults import ClockStep
from overlaycast.lab.fidelity import fidelity
from overlaycast.lab.network.capture import Capture, capturing
from overlaycast.lab.network.network import Network
from overlaycast.lab.recording import journals
from overlaycast.lab.recording.observe import network_seen
from overlaycast.lab.recording.recording import FileSeen, Recording, Stall
from overlaycast.lab.run import media
from overlaycast.lab.run.course import Run
from overlaycast.lab.run.progress import RunProgress

CHECK_AGAIN_S: Final = (1.0, 3.0)


async def run(plan: Plan, progress: RunProgress) -> Recording:
    """Run one experiment and return what was observed.

    Raises:
        LabError: the network is wrong, a fault did not happen, or the stream never began.
        MissingError: this machine lacks something.
    """
    started = time.time()
    file = media.prepared(plan.experiment.stream, plan.seed, plan.file, progress.step)
    # a video is looked at as such; of bytes ffprobe knows nothing
    is_media = plan.experiment.stream.kind == "media"
    progress.step(f"building {plan.topology.name}: {len(plan.topology.nodes)} nodes, {len(plan.topology.links)} links")
    async with AsyncExitStack() as stack:
        network = stack.enter_context(Network(plan.topology, changeable=plan.changeable, seed=plan.seed))
        plan = _forewarned(plan, network, progress)
        progress.step("checking that it is the network that was asked for")
        checked = await _checked(network, progress)
        one = Run(plan, network, progress)
        one.folders.make(plan.members)
        capture = _capture(stack, plan, network)
        with _one_error():
            await one.play(file)
        captured = capture.stop() if capture else None
        for line in captured["trouble"] if captured else ():
            progress.event(f"capture: {line}", bad=True)
        progress.step("reading journals and files")
        sent, received = await _files(one, file, is_media)
        return replace(_recording(one, checked, started, sent, received), captures=captured)


def _forewarned(plan: Plan, network: Network, progress: RunProgress) -> Plan:
    """Say beforehand, and in the report, what the wire will hardly carry."""
    carried = {name for name, means in network.shaper.means.items() if means == "wire"}
    line = load.warning(load.asked_mbit(plan.topology, plan.experiment, plan.cast, plan.system, carried))
    if not line:
        return plan
    progress.event(line, bad=True)
    return replace(plan, notes=(*plan.notes, line))


def _capture(stack: AsyncExitStack, plan: Plan, network: Network) -> Capture | None:
    if plan.capture_mib is None:
        return None
    return stack.enter_context(capturing(network, plan.out / "captures", plan.capture_mib))


async def _checked(network: Network, progress: RunProgress) -> fidelity.Fidelity:
    """Check the network; if it is off, again after a while, for a machine may be busy with something else for a moment.

    Raises:
        LabError: it is off each time.
    """
    for pause_s in CHECK_AGAIN_S:
        try:
            return await asyncio.to_thread(fidelity.check, network)
        except LabError as error:
            progress.event(f"{error}; checking again", bad=True)
            await asyncio.sleep(pause_s)
    return await asyncio.to_thread(fidelity.check, network)


@contextmanager
def _one_error() -> Iterator[None]:
    """Of a group of errors, raise the first one that says something to a user."""
    try:
        yield
    except BaseExceptionGroup as group:
        ours = _leaves(group)
        known = [error for error in ours if isinstance(error, OverlaycastError)]
        if known:
            raise known[0] from group
        raise


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _files(one: Run, file: Path, is_media: bool) -> tuple[FileSeen, dict[str, FileSeen]]:
    slots = asyncio.Semaphore(max(1, os.cpu_count() or 1))

    async def look(path: Path) -> FileSeen:
        async with slots:
            seen = await asyncio.to_thread(media.look_at, path, is_media)
            return replace(seen, fits=await asyncio.to_thread(media.fits, path, file))

    peers = one.plan.cast.peers
    sent, *received = await asyncio.gather(look(file), *(look(one.members.output(host)) for host in peers))
    return sent, dict(zip(peers, received, strict=True))


def _recording(
    one: Run, checked: fidelity.Fidelity, started: float, sent: FileSeen, received: dict[str, FileSeen]
) -> Recording:
    plan = one.plan
    shaping = one.network.account()
    return Recording(
        experiment=plan.experiment,
        cast=plan.cast,
        system=plan.system,
        seed=plan.seed,
        command=plan.command,
        versions=versions(),
        started=started,
        ended=time.time(),
        network=network_seen(plan.topology, plan.cast, shaping["means"]),
        shaping=_without_shapes(shaping),
        fidelity=[dict(row) for row in checked.as_dict()["links"]],
        # proved for all, and then undone on purpose for the one whose routers shall forward it
        multicast_blocked=checked.multicast_blocked and plan.system != "multicast",
        journals=_journals(one),
        overflowed=one.overflowed,
        left=frozenset(one.timeline.gone),
        counters=one.counters,
        start_tree=one.start_tree,
        faults=one.timeline.done,
        sent=sent,
        received=received,
        troubles=tuple(one.troubles),
        control_bytes=one.traffic[0],
        control_messages=one.traffic[1],
        notes=plan.notes,
        cpu_s=one.cpu_s,
        passed=one.passed,
        located=one.whereabouts.known,
        footprints=one.meter.footprints,
        stalls=[*one.meter.stalls, *_halts(shaping)],
    )


def _journals(one: Run) -> dict[str, journals.Journal]:
    """Read all journals; where a clock was made to jump, its entries are dated as if it had not."""
    found = {host: journals.read(host, one.folders.journal(host)) for host in one.plan.members}
    faults = one.plan.experiment.faults
    for fault in one.timeline.done:
        if fault.action == "clock-step":
            by_s = next(asked.by_s for name, asked in faults if name == fault.id and isinstance(asked, ClockStep))
            steps = [by_s] if fault.healed_at is None else [by_s, -by_s]
            found[fault.target] = found[fault.target].set_right(steps)
    return found


def _halts(status: dict[str, Any]) -> list[Stall]:
    """Return when the wire itself had no processor: the whole network stood still."""
    wire = status.get("wire") or {}
    return [Stall(end - late_ms / 1000, end, None, round(late_ms, 1)) for end, late_ms in wire.get("halts", ())]


def _without_shapes(status: dict[str, Any]) -> dict[str, Any]:
    """The shapes are in the topology and in the fidelity check, halts among the stalls; the rest is how it went."""
    wire = status.get("wire")
    if not isinstance(wire, dict):
        return status
    links = {
        name: {way: {key: value for key, value in counts.items() if key != "shape"} for way, counts in ways.items()}
        for name, ways in wire.get("links", {}).items()
    }
    rest = {key: value for key, value in wire.items() if key != "halts"}
    return {**status, "wire": {**rest, "links": links}}


def versions() -> dict[str, str]:
    """Return what ran."""
    found = {"overlaycast": __version__, "python": platform.python_version(), "kernel": platform.release()}
    if shutil.which("ffmpeg"):
        done = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=False)
        found["ffmpeg"] = done.stdout.removeprefix("ffmpeg version ").split(" ")[0]
    found["machine"] = f"{os.cpu_count()} processors, {platform.machine()}"
    return found
