"""How long a network takes to come up and to go, beside the same network through Mininet's stock API with TCLink.

Both are measured in one run, alternating, each time in a fresh process in namespaces of its own. The network: N
nodes, half of them routers, and 1.5 N links, every one with a rate (no delay: stock Mininet needs netem for that,
and goes on without it where the kernel has none). Stock Mininet is spared what ours does besides: it sets no routes
and no neighbours. A third row is ours with a delay on every link, carried by netem or the wire. "Again" is a second
build straight after the first one's end: whatever an end leaves to the kernel to do later would show there.

    python -m benchmarks.lab_build [--sizes 20,100,300] [--repeat 3] [--json FILE] [--docs]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks import page
from benchmarks.machine import described
from overlaycast.lab.network.isolation import is_isolated
from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.shape import Shape
from overlaycast.lab.topology.topology import Topology

KINDS = ("overlaycast", "overlaycast, with delay", "Mininet TCLink")
RATE_MBIT = 100
MOST_STOCK = 100
"""Beyond, stock Mininet is measured once: it takes a minute."""


def network(size: int, delay_ms: float) -> Topology:
    """Return the network of a size: a random tree of routers with chords, a host at each router."""
    rng = random.Random(size)
    routers = [f"r{n}" for n in range(size // 2)]
    hosts = [f"h{n}" for n in range(size - len(routers))]
    wish = Shape(rate_mbit=RATE_MBIT, delay_ms=delay_ms)
    pairs = [(routers[rng.randrange(n)], routers[n]) for n in range(1, len(routers))]
    pairs += [(routers[n % len(routers)], host) for n, host in enumerate(hosts)]
    known = {frozenset(pair) for pair in pairs}
    while len(pairs) < size * 3 // 2:
        a, b = rng.sample(routers, 2)
        if frozenset((a, b)) not in known:  # parallel links would make stock Mininet's part unequal
            known.add(frozenset((a, b)))
            pairs.append((a, b))
    nodes = [Node(name, "router") for name in routers] + [Node(name, "host", role="client") for name in hosts]
    return Topology.of(f"random-{size}", nodes, [Link(a, b, wish, wish) for a, b in pairs])


def ours(size: int, delay_ms: float) -> dict[str, float]:
    """Build and end the network our way; seconds."""
    from overlaycast.lab.network.network import Network

    start = time.perf_counter()
    topology = network(size, delay_ms)
    planned = time.perf_counter()
    with Network(topology):
        up = time.perf_counter()
    down = time.perf_counter()
    with Network(topology):
        again = time.perf_counter()
    return {"plan_s": planned - start, "up_s": up - planned, "down_s": down - up, "again_s": again - down}


def stock(size: int) -> dict[str, float]:
    """Build and end the same nodes and links with Mininet's own API; seconds."""
    import warnings

    warnings.simplefilter("ignore")  # it imports distutils
    from mininet.link import TCLink
    from mininet.log import setLogLevel
    from mininet.net import Mininet
    from mininet.topo import Topo

    setLogLevel("critical")  # type: ignore[no-untyped-call]
    topology = network(size, 0)
    topo: Any = Topo()  # type: ignore[no-untyped-call]
    for node in topology.nodes:
        topo.addHost(node.name)
    for link in topology.links:
        topo.addLink(link.a, link.b, bw=RATE_MBIT)
    times = [time.perf_counter()]
    for _ in range(2 if size <= MOST_STOCK else 1):
        net: Any = Mininet(topo=topo, link=TCLink, controller=None)  # type: ignore[no-untyped-call]
        net.start()
        times.append(time.perf_counter())
        net.stop()
        times.append(time.perf_counter())
    again = {"again_s": times[3] - times[2]} if len(times) > 3 else {}
    return {"plan_s": 0.0, "up_s": times[1] - times[0], "down_s": times[2] - times[1], **again}


def once(kind: str, size: int) -> dict[str, float]:
    """Measure one build in a process and namespaces of its own."""
    program = (
        "import sys; from overlaycast.lab.network.isolation import run_isolated; sys.exit(run_isolated(sys.argv[1:]))"
    )
    inner = [sys.executable, "-m", "benchmarks.lab_build", "--inside", kind, "--sizes", str(size)]
    done = subprocess.run([sys.executable, "-c", program, *inner], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Return median, least and most."""
    return {"median": round(statistics.median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def row(kind: str, size: int, runs: list[dict[str, float]]) -> dict[str, Any]:
    """Return the figures of the runs of one kind and size."""
    parts = {name: spread([run[name] for run in runs]) for name in runs[0]}
    return {"kind": kind, "nodes": size, "links": size * 3 // 2, "runs": len(runs), **parts}


def compare(sizes: list[int], repeat: int) -> dict[str, Any]:
    """Measure all kinds and sizes, alternating."""
    rows = []
    factors = []
    for size in sizes:
        runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
        for turn in range(repeat):
            for kind in KINDS:
                if kind != KINDS[2] or size <= MOST_STOCK or turn == 0:
                    runs[kind].append(once(kind, size))
        rows += [row(kind, size, runs[kind]) for kind in KINDS]
        mine, theirs = (statistics.median(r["up_s"] + r["down_s"] for r in runs[kind]) for kind in (KINDS[0], KINDS[2]))
        factors.append({"nodes": size, "times_faster": round(theirs / mine, 1)})
    return {"benchmark": "lab_build", "machine": described(), "rows": rows, "factors": factors}


def text(found: dict[str, Any]) -> str:
    """Return the section of the page."""
    rows = []
    for each in found["rows"]:
        seconds = [_seconds(each.get(name)) for name in ("up_s", "down_s", "again_s")]
        rows.append([each["kind"], each["nodes"], each["links"], *seconds, each["runs"]])
    factors = "; ".join(f"{each['times_faster']} times at {each['nodes']} nodes" for each in found["factors"])
    heads = ["built by", "nodes", "links", "up (s)", "down (s)", "up again (s)", "runs"]
    return f"""## Building networks

{page.table(heads, rows)}

Median (minimum to maximum); the runs of the three builders alternate. Every link has a rate of {RATE_MBIT} Mbit/s
in both directions. For up and down together, overlaycast is faster than Mininet's stock API with TCLink: {factors}.
overlaycast also sets all routes and neighbours, which Mininet does not. "Up again" is a second build directly after
the first one was removed."""


def _seconds(values: dict[str, float] | None) -> str:
    return "-" if values is None else f"{values['median']:.2f} ({values['min']:.2f} to {values['max']:.2f})"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="20,100,300")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=argparse.FileType("w"), default=sys.stdout)
    parser.add_argument("--docs", action="store_true", help="write the section of docs/benchmarks.md")
    parser.add_argument("--inside", choices=KINDS, help=argparse.SUPPRESS)
    words = parser.parse_args()
    sizes = [int(size) for size in words.sizes.split(",")]
    if words.inside is not None:
        assert is_isolated()
        times = stock(sizes[0]) if words.inside == KINDS[2] else ours(sizes[0], 5.0 * (words.inside == KINDS[1]))
        print(json.dumps(times))
        return 0
    found = compare(sizes, words.repeat)
    json.dump(found, words.json, indent=1)
    words.json.write("\n")
    if words.docs:
        page.write("lab_build", "python -m benchmarks.lab_build --docs", text(found), found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
