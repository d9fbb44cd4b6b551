"""How long a file takes to reach all receivers: behind thin uplinks against an uplink's rate, on a LAN against iperf3.

Thin: ``topologies/six_sites.py``, 20 Mbit/s at the source and at each of six sites, as an experiment of the lab with
its real coordinator, 12 receivers (two a site) or 48; with 5 ms of delay at each uplink (emulated by the lab's wire,
where there is no netem, which takes its share of the processors), and without any (the kernel's tbf alone); with a
source that is told what its uplink carries (``send --rate``), and one that finds out by losing frames. The clock runs
from the order to begin until the slowest receiver has the whole file under its own name; the bound is the file's
size by the uplink's rate, without any header. The source's reading of the file beforehand is not in it, and shown
beside it.

LAN: a namespace for the source and for each of eight receivers, on one bridge, each host sends at most ``--line``
Mbit/s (tbf; what it gets comes from one other, so that is bounded as well); all are fed by a tree that this
benchmark orders (its coordinator is scripted): the source feeds one, each of the others one more. Before and after each
file one TCP stream of iperf3 runs between two of the same hosts. Goodput is the file's size by the time of the slowest
receiver.

    python -m benchmarks.file_mode --receivers 12 48 [--delay 0 5] [--rate 19 0] [--runs 3]
    python -m benchmarks.file_mode --lan [--mib 1024] [--line 400 800 1000] [--runs 3]
    python -m benchmarks.file_mode_page
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.reserve import ready
from benchmarks.stage import (
    ROOT,
    cpu_seconds,
    enter,
    journal_lines,
    overlaycast,
    run,
    scratch,
    spread,
    started,
    write_result,
)
from overlaycast.agent.rates.upload import PAYLOAD
from overlaycast.wire.group import GroupSettings
from tests.agent.fake_coordinator import FakeCoordinator

UPLINK_MBIT = 20
DELAYS_MS = (0, 5)
RATES_MBIT = (PAYLOAD * UPLINK_MBIT, 0.0)
"""What the source is told to send; 0: as fast as it goes."""
CONGESTION = "cubic"
"""What most hosts have. With BBR (version 1) one hop of a chain has been seen to stay at 86 % of its line for good."""
THIN_MIB = 16
LINES_MBIT = (400, 800, 1000)
HOSTS = 8
BRIDGE = "10.0.9.1"
IPERF_S = 4
SPARE = 4 << 30
"""Bytes of memory for the processes themselves and their rings, beside the files."""


# --- thin uplinks --------------------------------------------------------------------------------------------------


def six_sites(delay_ms: float, folder: Path) -> Path:
    """Write the topology with this delay at each uplink."""
    usual = "UPLINK_MS = 5\n"
    text = (ROOT / "topologies" / "six_sites.py").read_text()
    if usual not in text:
        raise RuntimeError("topologies/six_sites.py: its delay is not where it was")
    path = folder / "six_sites.py"
    path.write_text(text.replace(usual, f"UPLINK_MS = {delay_ms:g}\n"))
    return path


def experiment(receivers: int, delay_ms: float, rate_mbit: float, folder: Path) -> Path:
    """Write the experiment; two a site, or all eight."""
    peers = [f"h{site}_{n}" for site in range(1, 7) for n in range(1, receivers // 6 + 1)]
    path = folder / f"file-{receivers}.yaml"
    path.write_text(
        json.dumps(
            {
                "name": f"file-{receivers}",
                "title": "A file behind thin uplinks",
                "topology": {"file": str(six_sites(delay_ms, folder))},
                "seed": 1,
                "members": {"peers": peers, "congestion": CONGESTION},
                "group": {"mode": "file", "rate_mbit": UPLINK_MBIT},
                "stream": {"kind": "file", "size_mib": THIN_MIB, "rate_mbit": rate_mbit or None},
                "expect": [
                    {"metric": "receivers_finished", "op": "==", "limit": 1},
                    {"metric": "sha256_ok", "op": "==", "limit": True},
                ],
                "limits": {"start_s": 120, "end_s": 60},
            }
        )
    )
    return path


def thin_name(receivers: int, delay_ms: float, rate_mbit: float) -> str:
    return f"thin {receivers}, {delay_ms:g} ms, {f'told {rate_mbit:g} Mbit/s' if rate_mbit else 'not told'}"


def thin_run(receivers: int, delay_ms: float, rate_mbit: float, folder: Path) -> dict[str, float]:
    """Run it once; return its times."""
    out = folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    words = [
        sys.executable,
        "-m",
        "overlaycast.cli",
        "lab",
        "run",
        str(experiment(receivers, delay_ms, rate_mbit, folder)),
        "--out",
        str(out),
    ]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the run of {receivers} failed:\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}")
    journals = out / "journals"
    (begun,) = journal_lines(journals / "source.jsonl", "begin")
    (contents,) = journal_lines(journals / "source.jsonl", "contents")
    ends = [journal_lines(path, "end")[-1]["t"] for path in sorted(journals.glob("h*.jsonl"))]
    if len(ends) != receivers:
        raise RuntimeError(f"{len(ends)} of {receivers} receivers have the file")
    result = json.loads((out / "result.json").read_text())
    bound = THIN_MIB * 8 * (1 << 20) / (UPLINK_MBIT * 1e6)
    slowest = max(ends) - begun["t"]
    overrun = sum(link["overflow_ab"] + link["overflow_ba"] for link in result["links"])
    return {
        "slowest_s": slowest,
        "fastest_s": min(ends) - begun["t"],
        "of_bound": slowest / bound,
        "bound_s": bound,
        "read_before_s": contents["seconds"],
        "depth": result["tree"]["depth"],
        "queue_overflow": overrun,
    }


def thin(receivers: int, delay_ms: float, rates_mbit: Sequence[float], runs: int) -> dict[str, Any]:
    """Alternate between the rates; return medians and spread of each."""
    seen: dict[float, list[dict[str, float]]] = {rate_mbit: [] for rate_mbit in rates_mbit}
    with scratch() as folder:
        for _ in range(runs):
            for rate_mbit, ones in seen.items():
                with ready((receivers * THIN_MIB << 20) + SPARE):
                    ones.append(thin_run(receivers, delay_ms, rate_mbit, Path(folder)))
    return {
        thin_name(receivers, delay_ms, rate_mbit): {
            "delay_ms": delay_ms,
            "rate_mbit": rate_mbit,
            **{key: spread([one[key] for one in ones]) for key in ones[0]},
        }
        for rate_mbit, ones in seen.items()
    }


# --- a LAN ---------------------------------------------------------------------------------------------------------


def build_lan() -> None:
    """Nine hosts on a bridge; the bridge's own address is where the coordinator is reached."""
    run("ip link add br0 type bridge")
    run(f"ip addr add {BRIDGE}/24 dev br0")
    run("ip link set br0 up")
    for hook in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
        hook.write_text("0")  # a switch asks no firewall
    for n in range(HOSTS + 1):
        run(f"ip netns add n{n}")
        run(f"ip link add p{n} type veth peer name eth0 netns n{n}")
        run(f"ip link set p{n} master br0")
        run(f"ip link set p{n} up")
        run(f"ip -n n{n} addr add {address(n)}/24 dev eth0")
        run(f"ip -n n{n} link set eth0 up")
        run(f"ip -n n{n} link set lo up")


def shape(line_mbit: float) -> None:
    """Have each host send at most so much; 0: as fast as it goes."""
    for n in range(HOSTS + 1):
        if line_mbit:
            run(f"tc -n n{n} qdisc replace dev eth0 root tbf rate {line_mbit:g}mbit burst 256k limit 2m")
        else:
            run(f"tc -n n{n} qdisc replace dev eth0 root noqueue")


def address(n: int) -> str:
    return f"10.0.9.{n + 10}"


def there(n: int, *words: str) -> list[str]:
    return ["ip", "netns", "exec", f"n{n}", *words]


def iperf() -> float:
    """Return the goodput of one TCP stream between two hosts, Mbit/s."""
    with subprocess.Popen(there(1, "iperf3", "-s", "-1", "--forceflush"), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        while "listening" not in (line := server.stdout.readline()):
            if not line:
                raise RuntimeError("iperf3 ended before it listened")
        words = there(0, "iperf3", "-c", address(1), "-t", str(IPERF_S), "-O", "1", "-J")
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=True)
        except subprocess.CalledProcessError:
            server.kill()  # it still waits for a client
            raise
        server.communicate()
    goodput: float = json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e6
    return goodput


async def lan_run(file: Path, size: int, folder: Path) -> dict[str, float]:
    """Send the file to eight; return goodput of the slowest, and how busy the processors were."""
    settings = GroupSettings(mode="file", report_ms=200)
    async with FakeCoordinator(settings, host=BRIDGE) as coordinator:
        options = ["--coordinator", coordinator.url]
        processes = []
        for n in range(HOSTS + 1):
            name = f"n{n}"
            journal = folder / f"{name}.journal"
            journal.unlink(missing_ok=True)
            listen = ["--listen", f"{address(n)}:0", "--name", name, "--journal", str(journal)]
            more = [str(file)] if n == 0 else ["--output", str(folder / f"{name}.out")]
            words = overlaycast("send" if n == 0 else "join", *more, *options, *listen)
            processes.append(await started(*there(n, *words), errors=folder / "agents.err"))
        names = [f"n{n}" for n in range(HOSTS + 1)]
        await coordinator.joined(*names)
        await coordinator.root("n0")
        for above, name in pairwise(names):
            await coordinator.place(name, above)
        for above, name in pairwise(names):
            await coordinator.fed_by(name, above)
        before, began = busy(), time.time()
        spent = [cpu_seconds(process.pid) for process in processes]
        await coordinator.begin("n0")
        ends = [
            await end_of(folder / f"{name}.journal", process) for name, process in zip(names, processes, strict=True)
        ]
        seconds = max(ends) - began
        used = busy() - before
        await asyncio.gather(*(process.wait() for process in processes))
        (contents,) = journal_lines(folder / "n0.journal", "contents")
        totals = [journal_lines(folder / f"{name}.journal", "summary")[-1]["cpu_s"] for name in names]
    remove_whole(folder, size)
    return {
        "goodput_mbit": size * 8e-6 / seconds,
        "seconds": seconds,
        "busy_share": used / seconds / (os.cpu_count() or 1),
        "read_before_s": contents["seconds"],
        "cpu_s_per_gb": (sum(totals[1:]) - sum(spent[1:])) / HOSTS / size * 1e9,
    }


def remove_whole(folder: Path, size: int) -> None:
    """Remove what the receivers wrote.

    Raises:
        RuntimeError: a file is not whole.
    """
    for n in range(1, HOSTS + 1):
        out = folder / f"n{n}.out"
        if out.stat().st_size != size:
            raise RuntimeError(f"{out.name} has {out.stat().st_size} of {size} bytes")
        out.unlink()


async def end_of(journal: Path, process: asyncio.subprocess.Process) -> float:
    """Return when this one had everything."""
    while not (ends := journal_lines(journal, "end")):
        if process.returncode not in (None, 0):
            raise RuntimeError(f"{journal.name}: ended with {process.returncode}")
        await asyncio.sleep(0.2)
    t: float = ends[-1]["t"]
    return t


def busy() -> float:
    """Return the seconds that all processors together have worked so far."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def lan(mib: int, line_mbit: float, runs: int) -> dict[str, Any]:
    """Alternate; return both sides and the ratio of each pair."""
    shape(line_mbit)
    with tempfile.TemporaryDirectory(prefix="overlaycast-bench-", dir="/dev/shm") as name:
        folder = Path(name)
        file = folder / "file"
        with file.open("wb") as out:
            for _ in range(mib):
                out.write(os.urandom(1 << 20))
        hops, files = [iperf()], []
        for _ in range(runs):
            with ready((HOSTS * mib << 20) + SPARE):
                files.append(asyncio.run(lan_run(file, mib << 20, folder)))
            hops.append(iperf())
    beside = [statistics.mean(pair) for pair in pairwise(hops)]
    ratios = [one["goodput_mbit"] / hop for one, hop in zip(files, beside, strict=True)]
    result = {key: spread([one[key] for one in files]) for key in files[0]}
    return {**result, "iperf_mbit": spread(hops), "ratio": spread(ratios), "mib": mib, "line_mbit": line_mbit}


# --- the page ------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--receivers", type=int, nargs="+", choices=[12, 48], default=[])
    parser.add_argument("--delay", type=int, nargs="+", choices=DELAYS_MS, default=DELAYS_MS, help="of an uplink, ms")
    parser.add_argument(
        "--rate",
        type=float,
        nargs="+",
        choices=RATES_MBIT,
        default=RATES_MBIT,
        help="told to the source, Mbit/s; 0: not told",
    )
    parser.add_argument("--lan", action="store_true")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument(
        "--line", type=float, nargs="+", default=LINES_MBIT, help="Mbit/s of each host's line; 0: as fast as it goes"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="print only, keep the results as they are")
    options = parser.parse_args()
    if options.lan and shutil.which("iperf3") is None:
        print("file_mode: --lan needs iperf3; install it with: apt-get install iperf3", file=sys.stderr)
        sys.exit(3)
    if options.lan:
        enter("benchmarks.file_mode")
    for receivers, delay_ms in itertools.product(options.receivers, options.delay):
        keep(thin(receivers, delay_ms, options.rate, options.runs), options.dry)
    if options.lan:
        build_lan()
    for line_mbit in options.line if options.lan else ():
        keep({f"lan {line_mbit:g}": lan(options.mib, line_mbit, options.runs)}, options.dry)


def keep(figures: dict[str, Any], dry: bool) -> None:
    if dry:
        print(json.dumps(figures, indent=1))
    else:
        write_result("file_mode", figures)


if __name__ == "__main__":
    main()
