"""A fault that did not happen is an error, never a finding."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from overlaycast.errors import LabError
from overlaycast.lab import injection
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.faults.faults import CoordinatorKill, Fault, Freeze, Kill, Leave, LinkDown
from overlaycast.lab.injection import Cables, Stage, members
from overlaycast.lab.injection import stage as stage_module
from overlaycast.lab.network import processes
from overlaycast.lab.network.processes import Program

HIT = Hit("h", members=("h",), links=(("h", "r"),), away=("h",))
SLEEP = [sys.executable, "-c", "import signal; signal.pause()"]
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"


class Here:
    """A host that is this machine."""

    popen = staticmethod(subprocess.Popen)


class Wire:
    """A link that obeys, or not."""

    def __init__(self, obeys: bool = True) -> None:
        self.up = True
        self.obeys = obeys

    def link_down(self, a: str, b: str) -> None:
        """Cut."""
        self.up = not self.obeys

    def link_up(self, a: str, b: str) -> None:
        """Mend."""
        self.up = self.obeys

    def link_is_up(self, a: str, b: str) -> bool:
        """Tell."""
        return self.up


async def restart() -> None:
    """Stand for the coordinator's second start."""


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    """A process that waits."""
    one = processes.start(Here(), "h", SLEEP, tmp_path / "h.log")
    yield one
    await one.end(0.0)


def around(program: Program, wire: Wire | None = None) -> Stage:
    """Return a stage on which this process is both the member and the coordinator."""
    cables = cast(Cables, wire or Wire())  # these faults need no more of a network than its one link
    return Stage({"h": program}, cables, lambda: program, restart)


@pytest.fixture
def stage(program: Program) -> Callable[..., Stage]:
    """Return a maker of stages around the process."""
    return partial(around, program)


async def test_kill_is_proven(stage: Callable[..., Stage], program: Program) -> None:
    done = await injection.inject(stage(), Kill(action="kill", at_s=1, target="h"), HIT)
    assert done.evidence == f"process {program.pid} ended by signal 9"
    assert program.returncode == -9


@pytest.mark.parametrize(
    "fault",
    [
        Kill(action="kill", at_s=1, target="h"),
        CoordinatorKill(action="coordinator-kill", at_s=1),
        Leave(action="leave", at_s=1, target="h"),
    ],
)
async def test_no_program_dies_twice(stage: Callable[..., Stage], program: Program, fault: Fault) -> None:
    await program.end(0.0)
    with pytest.raises(LabError, match="had ended"):
        await injection.inject(stage(), fault, HIT)


async def test_freeze_and_thaw(stage: Callable[..., Stage], program: Program) -> None:
    fault = Freeze(action="freeze", at_s=1, target="h", heal_after_s=1)
    await injection.inject(stage(), fault, HIT)
    assert program.state() == "T"
    await injection.heal(stage(), fault, HIT)
    assert program.state() != "T"


async def test_the_dead_do_not_freeze(
    stage: Callable[..., Stage], program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    await program.end(0.0)
    monkeypatch.setattr(stage_module, "PROOF_S", 0.05)
    with pytest.raises(LabError, match="did not stop"):
        await injection.inject(stage(), Freeze(action="freeze", at_s=1, target="h"), HIT)


async def test_cut_and_mend(stage: Callable[..., Stage]) -> None:
    wire = Wire()
    fault = LinkDown(action="link-down", at_s=1, target="h", heal_after_s=1)
    done = await injection.inject(stage(wire), fault, HIT)
    assert done.evidence == "h-r has no carrier"
    await injection.heal(stage(wire), fault, HIT)
    assert wire.up


async def test_a_link_that_stays_up_is_no_fault(stage: Callable[..., Stage]) -> None:
    with pytest.raises(LabError, match="still up"):
        await injection.inject(stage(Wire(obeys=False)), LinkDown(action="link-down", at_s=1, target="h"), HIT)


async def test_a_link_that_was_down_is_no_fault(stage: Callable[..., Stage]) -> None:
    wire = Wire()
    wire.up = False
    with pytest.raises(LabError, match="down before"):
        await injection.inject(stage(wire), LinkDown(action="link-down", at_s=1, target="h"), HIT)


@pytest.fixture
def deaf() -> subprocess.Popen[bytes]:
    """A process that does not hear SIGTERM."""
    process = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"deaf\n"
    process.stdout.close()
    return process


async def test_a_program_that_does_not_leave_is_an_error(
    deaf: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "LEAVE_S", 0.05)
    program = Program("h", deaf, tmp_path / "h.log")
    with pytest.raises(LabError, match="still there"):
        await injection.inject(around(program), Leave(action="leave", at_s=1, target="h"), HIT)
    assert await program.end(0.05) == -9


async def test_kill_has_no_heal(stage: Callable[..., Stage]) -> None:
    with pytest.raises(LabError, match="no heal"):
        await injection.heal(stage(), Kill(action="kill", at_s=1, target="h"), HIT)


async def test_last_words(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "print('one'); print('two')"]
    program = processes.start(Here(), "h", words, tmp_path / "h.log")
    assert await program.wait() == 0
    assert program.last_words() == "two"
    assert program.state() == "X"


async def test_output_of_a_program_that_fails(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import sys; sys.exit('it is broken')"]
    with pytest.raises(LabError, match="ended with 1: it is broken"):
        await processes.output_of(Here(), "h", words, tmp_path / "group.log", 20)


async def test_output_of_a_program_that_hangs(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="took longer"):
        await processes.output_of(Here(), "h", SLEEP, tmp_path / "group.log", 0.05)


async def test_options_of_the_environment_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERLAYCAST_MODE", "file")
    words = [sys.executable, "-c", "import os; print([k for k in os.environ if k.startswith('OVERLAYCAST')])"]
    assert await processes.output_of(Here(), "h", words, tmp_path / "x.log", 20) == "[]\n"
