"""What the meter reads of a program is what the kernel says of it."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from overlaycast.lab.run.meter import LOOK_EVERY_S, Meter


def look(meter: Meter, proc: Path, at: float, waited_ms: float, stolen: int = 0, footprints: bool = True) -> None:
    """Have the kernel say this, and the meter read it."""
    for pid in (7, 8):
        (proc / str(pid) / "fd").mkdir(parents=True, exist_ok=True)
        (proc / str(pid) / "schedstat").write_text(f"1 {round(waited_ms * 1e6)} 9\n")
        (proc / str(pid) / "statm").write_text("900 50 7 1 0 1 0\n")
    (proc / "stat").write_text(f"cpu  1 2 3 4 5 6 7 {stolen} 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
    meter.look(at, footprints=footprints)


def test_waits_are_told_by_program_and_time(tmp_path: Path) -> None:
    meter = Meter(lambda: {"202a": 7, None: 8}, tmp_path)
    look(meter, tmp_path, 1.0, 5000)
    look(meter, tmp_path, 1.1, 5019)
    look(meter, tmp_path, 1.2, 5059)
    assert [(one.begin, one.end, one.host, one.waited_ms) for one in meter.stalls] == [
        (1.1, 1.2, "202a", 40.0),
        (1.1, 1.2, None, 40.0),
    ]


def test_processors_that_were_held_back_are_told_of_the_whole_machine(tmp_path: Path) -> None:
    meter = Meter(dict, tmp_path)
    ticks = 10 * (os.cpu_count() or 1)
    look(meter, tmp_path, 1.0, 0, 0)
    look(meter, tmp_path, 1.1, 0, ticks)
    assert [(one.host, one.waited_ms) for one in meter.stalls] == [(None, 10_000 / os.sysconf("SC_CLK_TCK"))]


def test_footprints_are_of_programs_alone(tmp_path: Path) -> None:
    meter = Meter(lambda: {"202a": 7, None: 8}, tmp_path)
    look(meter, tmp_path, 1.0, 0)
    look(meter, tmp_path, 1.1, 0, footprints=False)
    (one,) = meter.footprints
    assert (one.t, one.host, one.pid, one.descriptors) == (1.0, "202a", 7, 0)
    assert one.rss_bytes == 50 * os.sysconf("SC_PAGE_SIZE")


def test_a_program_that_has_ended_is_passed_over(tmp_path: Path) -> None:
    meter = Meter(lambda: {"gone": 99, "202a": 7}, tmp_path)
    look(meter, tmp_path, 1.0, 0)
    assert [one.host for one in meter.footprints] == ["202a"]


async def test_a_real_program_is_read_again_and_again() -> None:
    meter = Meter(lambda: {"me": os.getpid()})
    with suppress(TimeoutError):
        await asyncio.wait_for(meter.run(), 2 * LOOK_EVERY_S)
    one = meter.footprints[0]
    assert one.rss_bytes > 1 << 20
    assert one.descriptors >= 3
