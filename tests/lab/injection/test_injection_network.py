"""Faults of networks and machines: done, proven, healed; a fault without effect is an error."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from overlaycast.errors import LabError
from overlaycast.lab import injection
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.faults.faults import (
    ClockStep,
    CoordinatorFreeze,
    CoordinatorRestart,
    Fault,
    LinkDelay,
    LinkFlap,
    LinkLoss,
    LinkRate,
    Mute,
    Partition,
    Restart,
    RouterDown,
    SlowReader,
)
from overlaycast.lab.injection import Stage, machines
from overlaycast.lab.network.processes import Program
from tests.lab.injection.test_injection import program  # noqa: F401 (a fixture)

LINK = Hit("h", links=(("h", "r"),), away=("h",))


class Net:
    """A network of one link that keeps a diary, and may be deaf to orders."""

    def __init__(self, *, loses: float = 0.1, takes_ms: float = 50, obeys: bool = True) -> None:
        self.diary: list[str] = []
        self.up: dict[tuple[str, str], bool] = {}
        self.loses, self.takes_ms, self.obeys = loses, takes_ms, obeys
        self.parted = False

    def link_down(self, a: str, b: str) -> None:
        """Cut."""
        self.diary.append("down")
        self.up[a, b] = not self.obeys

    def link_up(self, a: str, b: str) -> None:
        """Mend."""
        self.diary.append("up")
        self.up[a, b] = self.obeys

    def link_is_up(self, a: str, b: str) -> bool:
        """Tell."""
        return self.up.get((a, b), True)

    def reshape(self, a: str, b: str, **wishes: Any) -> None:
        """Change."""
        self.diary.append(f"{a}-{b} {wishes}")

    def restore(self, a: str, b: str) -> None:
        """Undo."""
        self.diary.append(f"{a}-{b} restored")

    async def one_way_ms(self, a: str, b: str) -> float:
        """Measure."""
        return self.takes_ms

    async def lost_share(self, a: str, b: str) -> float:
        """Measure."""
        return self.loses

    async def part(self, borders: Sequence[str], inside: Sequence[str]) -> None:
        """Cut off."""
        self.diary.append(f"part {[*borders]}")
        self.parted = self.obeys

    async def join(self, borders: Sequence[str]) -> None:
        """Let pass."""
        self.parted = False

    async def passes(self, a: str, b: str) -> bool:
        """Tell."""
        return not (self.parted and "s" in (a, b))


async def nothing(*_: object) -> None:
    """Stand for whatever is started."""


def stage(net: Net | None = None, **more: Any) -> Stage:
    """Return a stage around a made-up network."""

    def absent() -> Program:
        raise AssertionError

    given = {
        "programs": {},
        "cables": net or Net(),
        "coordinator": absent,
        "start_coordinator": nothing,
        "source": "s",
    }
    return Stage(**{**given, **more})


async def test_loss_is_measured() -> None:
    net = Net(loses=0.08)
    fault = LinkLoss(action="link-loss", at_s=1, target="h", loss=0.1)
    done = await injection.inject(stage(net), fault, LINK)
    assert done.evidence == "h-r is read back to lose 10.0%, and lost 8.0% of the probes"
    await injection.heal(stage(net), fault, LINK)
    assert net.diary == ["h-r {'loss': 0.1}", "h-r restored"]


async def test_a_link_that_loses_nothing_is_no_fault() -> None:
    fault = LinkLoss(action="link-loss", at_s=1, target="h", loss=0.1)
    with pytest.raises(LabError, match="lost none of the probes"):
        await injection.inject(stage(Net(loses=0)), fault, LINK)


async def test_a_loss_too_small_to_measure_is_read_back_only() -> None:
    fault = LinkLoss(action="link-loss", at_s=1, target="h", loss=0.001)
    done = await injection.inject(stage(Net(loses=0)), fault, LINK)
    assert "probes" not in done.evidence


async def test_delay_is_measured() -> None:
    fault = LinkDelay(action="link-delay", at_s=1, target="h", delay_ms=50)
    done = await injection.inject(stage(Net(takes_ms=50.2)), fault, LINK)
    assert done.evidence == "h-r takes 50.2 ms one way"
    with pytest.raises(LabError, match=r"takes 3\.0 ms; asked 50 ms"):
        await injection.inject(stage(Net(takes_ms=3)), fault, LINK)


async def test_rate_is_read_back() -> None:
    net = Net()
    await injection.inject(stage(net), LinkRate(action="link-rate", at_s=1, target="h", rate_mbit=2), LINK)
    assert net.diary == ["h-r {'rate_mbit': 2.0}"]


async def test_flapping_is_so_many_outages_and_ends_up() -> None:
    net = Net()
    fault = LinkFlap(action="link-flap", at_s=1, target="h", times=3, down_s=0.01, up_s=0.01)
    assert fault.heals_after_s == 0.01
    await injection.inject(stage(net), fault, LINK)
    await injection.heal(stage(net), fault, LINK)
    assert net.diary == ["down", "up"] * 3


async def test_a_router_is_down_when_all_its_links_are() -> None:
    net, hit = Net(), Hit("r", links=(("a", "r"), ("r", "b")))
    done = await injection.inject(stage(net), RouterDown(action="router-down", at_s=1, target="r"), hit)
    assert done.evidence == "a-r, r-b have no carrier"
    assert net.diary == ["down", "down"]


PARTED = Hit("north", borders=("B",), inside=("a", "b"), away=("a", "b"))
PARTITION = Partition(action="partition", at_s=1, sites=("north",), heal_after_s=1)


async def test_a_partition_is_proven_by_datagrams() -> None:
    net = Net()
    done = await injection.inject(stage(net), PARTITION, PARTED)
    assert done.evidence == "no datagram passes between s and a, either way; within north they do"
    await injection.heal(stage(net), PARTITION, PARTED)
    assert not net.parted


async def test_a_partition_that_lets_through_is_none() -> None:
    with pytest.raises(LabError, match="still pass"):
        await injection.inject(stage(Net(obeys=False)), PARTITION, PARTED)


async def test_a_partition_of_what_was_parted_is_none() -> None:
    net = Net()
    net.parted = True
    with pytest.raises(LabError, match="did not reach a before"):
        await injection.inject(stage(net), PARTITION, PARTED)


async def test_restart_kills_and_starts(program: Program) -> None:  # noqa: F811
    started: list[str] = []

    async def start(host: str) -> None:
        started.append(host)

    fault, hit = Restart(action="restart", at_s=1, target="h"), Hit("h", members=("h",), away=("h",))
    there = stage(programs={"h": program}, start_member=start)
    done = await injection.inject(there, fault, hit)
    assert "ended by signal 9" in done.evidence
    await injection.heal(there, fault, hit)
    assert started == ["h"]


async def test_no_program_to_kill() -> None:
    with pytest.raises(LabError, match="nothing was started in h"):
        await injection.inject(stage(), Restart(action="restart", at_s=1, target="h"), Hit("h", members=("h",)))


async def test_coordinator_hangs_and_goes_on(program: Program) -> None:  # noqa: F811
    there = stage(coordinator=lambda: program)
    fault = CoordinatorFreeze(action="coordinator-freeze", at_s=1, heal_after_s=1)
    await injection.inject(there, fault, Hit("coordinator"))
    assert program.state() == "T"
    await injection.heal(there, fault, Hit("coordinator"))
    assert program.state() != "T"


async def test_a_coordinator_that_does_not_end_well_was_not_restarted(program: Program) -> None:  # noqa: F811
    fault = CoordinatorRestart(action="coordinator-restart", at_s=1)
    with pytest.raises(LabError, match="ended with -15"):
        await injection.inject(stage(coordinator=lambda: program), fault, Hit("coordinator"))


async def test_a_reader_stops_and_reads_on(program: Program) -> None:  # noqa: F811
    fault: Fault = SlowReader(action="slow-reader", at_s=1, target="h", heal_after_s=1)
    hit, there = Hit("h", members=("h",)), stage(readers={"h": program})
    done = await injection.inject(there, fault, hit)
    assert done.evidence == f"the reader of h, process {program.pid} is stopped"
    await injection.heal(there, fault, hit)
    assert program.state() != "T"


async def test_a_clock_has_stepped_when_its_member_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, hit = tmp_path / "clock", Hit("h", members=("h",))
    fault = ClockStep(action="clock-step", at_s=1, target="h", by_s=-600)

    def dated(_: str) -> float:
        return time.time() + float(clock.read_text())

    done = await injection.inject(stage(clocks={"h": clock}, last_sample_at=dated), fault, hit)
    assert done.evidence == "h dates its samples -600 s off"
    await injection.heal(stage(clocks={"h": clock}, last_sample_at=dated), fault, hit)
    assert float(clock.read_text()) == 0
    monkeypatch.setattr(machines, "CLOCK_PROOF_S", 0.05)
    with pytest.raises(LabError, match="did not step by -600 s"):
        await injection.inject(stage(clocks={"h": clock}, last_sample_at=lambda _: time.time()), fault, hit)


async def test_a_rogue_must_do_something(
    program: Program,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machines, "MISDEED_S", 0.05)
    count, fault = tmp_path / "count", Mute(action="mute", at_s=1, target="h")
    with pytest.raises(LabError, match="did nothing wrong"):
        await injection.inject(stage(programs={"h": program}, rogues={"h": count}), fault, Hit("h", members=("h",)))
    assert machines.misdeeds(count) == 0
    assert await program.wait() == -signal.SIGUSR1


async def test_what_has_no_heal_says_so() -> None:
    from overlaycast.lab.faults.faults import Kill

    with pytest.raises(LabError, match="kill has no heal"):
        await injection.heal(stage(), Kill(action="kill", at_s=1, target="h"), LINK)
