"""Where the data plane's benchmarks play: namespaces of their own, our commands, the C yardstick, and figures.

Owns: entering the namespaces (nothing outlives the benchmark), building the yardstick, starting processes, processor
time from the kernel, medians and spread, and the JSON file. Refuses: verdicts.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import described

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "benchmarks"
_MARK = "OVERLAYCAST_BENCHMARK_INSIDE"


def enter(module: str) -> None:
    """Run this module again in network, mount and process namespaces of its own, unless that is where we are."""
    if os.environ.get(_MARK):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
        run("ip link set lo up")
        return
    words = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        words += ["--user", "--map-root-user"]
    os.environ[_MARK] = "1"
    os.chdir(ROOT)
    os.execvp("unshare", [*words, sys.executable, "-m", module, *sys.argv[1:]])


def go_first(*pids: int) -> bool:
    """Let these run before everything else on a shared machine, as on a quiet one. False: not allowed here."""
    try:
        for pid in pids:
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        return False
    return True


def run(line: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(line.split(), check=True, stdout=subprocess.DEVNULL)


def build_yardstick(folder: Path) -> Path:
    """Compile the C fixture; return the program."""
    program = folder / "yardstick"
    source = Path(__file__).resolve().parent / "yardstick.c"
    subprocess.run(["cc", "-O2", "-o", str(program), str(source)], check=True)
    return program


def overlaycast(command: str, *more: str) -> list[str]:
    """Return the words that start one of our programs."""
    return [sys.executable, "-m", "overlaycast.cli", command, "g", *more, "--token", "t"]


async def started(*words: str, errors: Path, **streams: Any) -> asyncio.subprocess.Process:
    """Start a process; what it says to people goes to ``errors``."""
    with errors.open("ab") as err:
        return await asyncio.create_subprocess_exec(
            *words, **{"stdin": asyncio.subprocess.DEVNULL, "stderr": err, **streams}
        )


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process so far, from the scheduler's own books (nanoseconds)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def spread(values: Sequence[float], digits: int = 4) -> dict[str, Any]:
    """Return median, least, most and how many."""
    return {
        "median": round(statistics.median(values), digits),
        "least": round(min(values), digits),
        "most": round(max(values), digits),
        "runs": len(values),
    }


def journal_lines(path: Path, *kinds: str) -> list[dict[str, Any]]:
    """Return an agent's journal lines of these kinds (a killed agent may leave half a line)."""
    text = path.read_text().splitlines() if path.exists() else []
    lines = [json.loads(line) for line in text if line.endswith("}")]
    return [line for line in lines if line["kind"] in kinds]


def write_result(name: str, figures: dict[str, Any]) -> None:
    """Write (or extend) ``docs/benchmarks/NAME.json`` and print it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    before.update(figures)
    before["machine"] = described()
    path.write_text(json.dumps(before, indent=1, sort_keys=True) + "\n")
    print(json.dumps(figures, indent=1))


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for one run."""
    return tempfile.TemporaryDirectory(prefix="overlaycast-bench-")
