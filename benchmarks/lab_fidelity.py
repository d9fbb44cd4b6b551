"""How true the emulated links are: delay, loss and rate against what was asked, and the ceiling of the wire.

One direction of one link between two routers is measured by real datagrams, with the receiving kernel's time stamps.
The ceiling: frames are offered at a pace that rises from step to step, through a link with a delay; a step is held if
the network's own account of it (``Network.account``) says that it was valid: lateness, load and overruns within bounds.

    python -m benchmarks.lab_fidelity [--repeat 3] [--json FILE] [--docs]
"""

from __future__ import annotations

import argparse
import json
import math
import socket
import statistics
import subprocess
import sys
import time
from random import Random
from typing import Any

from benchmarks import page
from benchmarks.machine import described
from overlaycast.lab.fidelity import fidelity, probes
from overlaycast.lab.network.isolation import is_isolated
from overlaycast.lab.network.network import Network
from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.shape import FRAME_BYTES, Shape
from overlaycast.lab.topology.topology import Topology

DELAYS_MS = (5.0, 20.0, 100.0)
DELAY_PROBES, GAP_S = 300, 0.01
LOSSES = (0.01, 0.1)
LOSS_PROBES = 4000
RATES_MBIT = (1.0, 5.0, 20.0, 100.0)
TRAIN_S = 0.5
STEP_S = 1.0
STEPS_PER_S = (2_500, 5_000, 10_000, 15_000, 20_000, 25_000, 30_000, 40_000, 50_000, 60_000, 80_000, 100_000, 150_000)
SIZES = (128, FRAME_BYTES)
GOALS = {"delay_p50_ms": 0.2, "delay_p99_ms": 1.5, "rate": 0.03, "loss_sigmas": 3.0}


def pair(wish: Shape) -> Topology:
    """Return two hosts, a router each, and the link under test between the routers."""
    nodes = [Node("r", "router"), Node("s", "router")] + [Node(name, "host", role="client") for name in "ab"]
    links = [Link("r", "s", wish, wish), Link("r", "a", Shape(), Shape()), Link("s", "b", Shape(), Shape())]
    return Topology.of("pair", nodes, links)


def quantile(values: list[float], share: float) -> float:
    """Return the value below which this share lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def delay(asked_ms: float) -> dict[str, float]:
    """Return by how much one-way delays are off, in ms."""
    with Network(pair(Shape(delay_ms=asked_ms))) as network:
        way = probes.way(network, network.topology.link("r-s"), "ab")
        probes.delays_ms(network, [way], 20)
        [found] = probes.delays_ms(network, [way], DELAY_PROBES, GAP_S)
        off = [value - asked_ms for value in found]
        late = network.account()["wire"]
    share = {"wire_lateness_p99_ms": late["lateness_ms"]["p99"]} if late else {}
    return {"p50_ms": statistics.median(off), "p99_ms": quantile([abs(value) for value in off], 0.99), **share}


def loss(asked: float, seed: int) -> dict[str, float]:
    """Return the share lost, by how many standard deviations it is off, and what was lost other than by the seed."""
    with Network(pair(Shape(delay_ms=1, loss=asked)), seed=seed) as network:
        way = probes.way(network, network.topology.link("r-s"), "ab")
        [(arrived, _)] = probes.losses(network, [way], [LOSS_PROBES])
        wired = network.shaper.means["r-s"] == "wire"
    measured = 1 - arrived / LOSS_PROBES
    found = {"measured": measured, "sigmas": (measured - asked) / math.sqrt(asked * (1 - asked) / LOSS_PROBES)}
    if wired:  # its chance is the seed's (tapwire.Wire.add), so what it loses is known to the frame
        chance = Random(f"{seed}/r-s/ab").random
        found["unexplained"] = LOSS_PROBES - arrived - sum(chance() < asked for _ in range(LOSS_PROBES))
    return found


def rate(asked_mbit: float, delay_ms: float) -> dict[str, float]:
    """Return the rate at which a long train came out, and how far off that is, relatively."""
    frames = max(20, int(asked_mbit * 1e6 / 8 * TRAIN_S / FRAME_BYTES))
    wish = Shape(rate_mbit=asked_mbit, delay_ms=delay_ms, queue_bytes=2 * frames * FRAME_BYTES)
    with Network(pair(wish)) as network:
        way = probes.way(network, network.topology.link("r-s"), "ab")
        [measured] = probes.rates_mbit(network, [way], [frames])
    return {"measured": measured, "off": measured / asked_mbit - 1}


def step(network: Network, frame_bytes: int, per_s: int) -> dict[str, Any]:
    """Offer frames at a pace for ``STEP_S`` seconds; return what came of it."""
    topology = network.topology
    payload = frame_bytes - probes.HEADERS[4]
    with network.in_namespace("a"):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with network.in_namespace("b"):
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender, sink:
        sink.bind((topology.address("b"), 0))  # never read: what it cannot hold is dropped behind the wire
        sender.connect(sink.getsockname())
        sender.setsockopt(socket.IPPROTO_UDP, 103, payload)  # UDP_SEGMENT: many frames in one call
        before = network.counters()["r-s"].ab
        network.reset_account()
        start = time.monotonic()
        sent = 0
        while (elapsed := time.monotonic() - start) < STEP_S:
            due = int(elapsed * per_s) - sent
            for chunk in range(0, due, 40):
                sender.send(bytes(payload * min(40, due - chunk)))
            sent += due
            time.sleep(0.001)
        time.sleep(0.1)
        account, after = network.account(), network.counters()["r-s"].ab
    wire = account["wire"] or {"lateness_ms": {"p50": 0.0, "p99": 0.0}, "peak_busy": 0.0}
    return {
        "frame_bytes": frame_bytes,
        "offered_per_s": round(sent / STEP_S),
        "delivered_per_s": round((after.packets - before.packets) / STEP_S),
        "overrun": account["overrun"],
        "lateness_p50_ms": wire["lateness_ms"]["p50"],
        "lateness_p99_ms": wire["lateness_ms"]["p99"],
        "busy": wire["peak_busy"],
        "valid": account["valid"],
    }


def ceiling(frame_bytes: int) -> dict[str, Any]:
    """Return all steps, and the highest that held with all below it."""
    steps = []
    with Network(pair(Shape(delay_ms=5))) as network:
        for per_s in STEPS_PER_S:
            steps.append(step(network, frame_bytes, per_s))
            if not steps[-1]["valid"] and len([each for each in steps if not each["valid"]]) >= 2:
                break
    held = 0
    for each in steps:
        if not each["valid"]:
            break
        held = each["delivered_per_s"]
    return {"frame_bytes": frame_bytes, "held_per_s": held, "mbit_per_s": held * frame_bytes * 8 / 1e6, "steps": steps}


def measured(seed: int) -> dict[str, Any]:
    """Measure everything once; inside namespaces."""
    with Network(pair(Shape(delay_ms=1))) as network:
        means = network.shaper.means["r-s"]
        priority = (network.account()["wire"] or {}).get("priority", "")
        fidelity.check(network)
    return {
        "means": means,
        "priority": priority,
        "delay": {str(asked): delay(asked) for asked in DELAYS_MS},
        "loss": {str(asked): loss(asked, seed) for asked in LOSSES},
        "rate": {f"{asked} with delay": rate(asked, 5.0) for asked in RATES_MBIT}
        | {f"{asked} alone": rate(asked, 0.0) for asked in RATES_MBIT},
        "ceiling": [ceiling(size) for size in SIZES],
    }


def repeated(repeat: int) -> dict[str, Any]:
    """Measure everything several times, each in a process and namespaces of its own."""
    program = (
        "import sys; from overlaycast.lab.network.isolation import run_isolated; sys.exit(run_isolated(sys.argv[1:]))"
    )
    runs = []
    for seed in range(repeat):
        inner = [sys.executable, "-m", "benchmarks.lab_fidelity", "--inside", str(seed)]
        done = subprocess.run([sys.executable, "-c", program, *inner], stdout=subprocess.PIPE, text=True, check=True)
        runs.append(json.loads(done.stdout))
    return {"benchmark": "lab_fidelity", "machine": described(), "goals": GOALS, "runs": runs}


def _spread(values: list[float], digits: int = 2) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _step_row(each: dict[str, Any]) -> list[object]:
    counts = [each[name] for name in ("frame_bytes", "offered_per_s", "delivered_per_s", "overrun")]
    shares = [f"{each[name]:.2f}" for name in ("lateness_p50_ms", "lateness_p99_ms", "busy")]
    return [*counts, *shares, "yes" if each["valid"] else "no"]


def _delay_row(asked: str, runs: list[dict[str, Any]]) -> list[str]:
    figures = [run["delay"][asked] for run in runs]
    return [f"{float(asked):g} ms", *(_spread([each[name] for each in figures]) for name in ("p50_ms", "p99_ms"))]


def _loss_row(asked: str, runs: list[dict[str, Any]]) -> list[str]:
    figures = [run["loss"][asked] for run in runs]
    shares = [_spread([each[name] for each in figures], 4) for name in ("measured", "sigmas")]
    return [f"{float(asked):.0%}", *shares, _spread([each.get("unexplained", math.nan) for each in figures], 0)]


def _rate_row(asked: str, runs: list[dict[str, Any]]) -> list[str]:
    rate, how = asked.split(" ", 1)
    return [f"{rate} Mbit/s, {how}", _spread([run["rate"][asked]["off"] * 100 for run in runs])]


def _held_row(number: int, runs: list[dict[str, Any]]) -> list[str]:
    figures = [run["ceiling"][number] for run in runs]
    held = [_spread([each[name] for each in figures], 0) for name in ("held_per_s", "mbit_per_s")]
    return [f"{figures[0]['frame_bytes']} bytes", *held]


def text(found: dict[str, Any]) -> str:
    """Return the section of the page."""
    runs = found["runs"]
    delay_heads = ["one-way delay asked", "median off by (ms)", "99th percentile off by (ms)"]
    loss_heads = ["loss asked", f"lost of {LOSS_PROBES}", "off by (standard deviations)"]
    loss_heads += ["lost frames that the seed did not choose"]
    held_heads = ["frames of", "held (frames/s)", "held (Mbit/s)"]
    step_heads = ["frame bytes", "offered/s", "delivered/s", "overrun", "late p50 (ms)", "late p99 (ms)", "busy"]
    step_heads += ["valid"]
    steps = [_step_row(each) for top in runs[-1]["ceiling"] for each in top["steps"]]
    return f"""## Fidelity of emulated links

Links with delay or loss were shaped by: {runs[0]["means"]} (priority: {runs[0]["priority"] or "-"}).
Each figure is the median (minimum to maximum) of {len(runs)} runs.

{page.table(delay_heads, [_delay_row(asked, runs) for asked in runs[0]["delay"]])}

{page.table(loss_heads, [_loss_row(asked, runs) for asked in runs[0]["loss"]])}

{page.table(["rate asked", "off by (%)"], [_rate_row(asked, runs) for asked in runs[0]["rate"]])}

"With delay" is shaped by the wire or netem, "alone" by the kernel's tbf.

### The ceiling of one wire process

{page.table(held_heads, [_held_row(number, runs) for number in range(len(runs[0]["ceiling"]))])}

A pace is held if the network, at that pace, reports itself valid. In an experiment, a network that reports itself
invalid makes the run `invalid`. The steps of the last run:

{page.table(step_heads, steps)}"""


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=argparse.FileType("w"), default=sys.stdout)
    parser.add_argument("--docs", action="store_true", help="write the section of docs/benchmarks.md")
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.inside is not None:
        assert is_isolated()
        print(json.dumps(measured(words.inside)))
        return 0
    found = repeated(words.repeat)
    json.dump(found, words.json, indent=1)
    words.json.write("\n")
    if words.docs:
        page.write("lab_fidelity", "python -m benchmarks.lab_fidelity --docs", text(found), found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
