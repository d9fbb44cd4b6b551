"""The data plane's sections of ``docs/benchmarks.md``, out of what the benchmarks have written.

python -m benchmarks.data_plane_page
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from benchmarks import page
from benchmarks.stage import RESULTS

KINDS = {
    "kill": "`kill -9`",
    "stop": "SIGSTOP",
    "link-down": "link down",
    "loss": "100 % loss",
    "slow": "1 % of the rate",
}


def with_spread(values: dict[str, Any], digits: int = 2) -> str:
    return f"{values['median']:.{digits}f} ({values['least']:.{digits}f} to {values['most']:.{digits}f})"


def fanout(results: dict[str, Any]) -> str:
    """Ours, the C relay's, and the paired ratios."""
    rows = []
    for name, figures in sorted(results.items(), key=lambda item: (item[0].split()[0], len(item[0]), item[0])):
        if name == "machine":
            continue
        cpu, goodput = figures["cpu_s_per_gb"], figures["goodput_mbit"]
        rows.append(
            [
                name,
                f"{cpu['ours']['median']:.2f}",
                f"{cpu['c']['median']:.2f}",
                with_spread(cpu["ratio"]),
                f"{goodput['ours']['median']:.0f}",
                f"{goodput['c']['median']:.0f}",
                with_spread(goodput["ratio"]),
            ]
        )
    heads = ["run", "s/GB", "s/GB in C", "ratio", "Mbit/s per child", "the same in C", "ratio"]
    return f"""## A relay beside one written in C

The table shows the relay's processor seconds per GB delivered, and the goodput of its slowest child; `x4` means four
children. The runs of the two relays alternate. Ratios are those of pairs: median (minimum to maximum).

- Bulk: as fast as possible. A live relay does not slow its parent down, so the whole run fits into both ring
  buffers, and both relays also fill fresh memory once.
- Paced: at this many Mbit/s; the ring buffers wrap around. The cost here is the wake-up for each record: about 10
  µs of Python while the caches are warm, several times that after a pause of a millisecond. Above 4000 records per
  second (1300 B and 8192 B here) records share wake-ups.

{page.table(heads, rows)}"""


def failover(results: dict[str, Any]) -> str:
    """Gaps by the way of dying, and false alarms."""
    deaths = []
    for kind, name in ((key, name) for first, name in KINDS.items() for key in (first, f"{first}-ordinary")):
        if kind not in results:
            continue
        one, delivery = results[kind], results[kind]["delivery"]
        for level in ("children", "grandchildren"):
            gap = one[level]
            deaths.append([f"{name}, {level}", one["kills"], gap["p50"], gap["p99"], gap["max"], delivery["lost"]])
            deaths[-1] += [delivery["duplicated"], "yes" if one["ran_first"] else "no", one["load"]]
    heads = ["failure", "count", "gap p50 (ms)", "p99", "max", "lost", "written twice", "real-time", "load"]
    text = f"""## The gap when a forwarder fails

A forwarder with four children and eight grandchildren fails during a live stream of 8 Mbit/s, a record every 7.9
ms. The gap is the longest time between two records after a failure, at each of the twelve. Real-time: the programs
had real-time priority, so other programs on this machine did not count. Load: the machine's load at the failure.

{page.table(heads, deaths)}"""
    watched = []
    for kind, name in (("quiet", "quiet"), ("loaded", "fully loaded")):
        if kind in results:
            one = results[kind]
            row = [name, one["seconds"], one["hogs"], one["standby_asked"], one["switched"], one["came_back"]]
            row += [one["longest_gap_per_200ms"]["p99"], one["complaints"]]
            watched.append([*row, one["delivery"]["lost"], one["delivery"]["duplicated"]])
    if watched:
        heads = [
            "machine",
            "seconds",
            "busy loops",
            "standby asked",
            "switched",
            "came back",
            "gap p99 (ms)",
            "complaints",
        ]
        text += f"""

The next table shows false alarms: no program fails. A needless request to a standby costs a few duplicate records,
which are dropped. A switch that is not taken back makes the child complain to the coordinator, which then moves
members; that is a false alarm with consequences. The scripted coordinator never answers, so a child repeats its
complaint every second. The gap is the longest in each 200 ms, at each of the twelve. As nothing fails, it shows the
delays of the machine itself. "Quiet" ran with real-time priority, "fully loaded" at ordinary priority beside other
programs.

{page.table([*heads, "lost", "written twice"], watched)}"""
    return text


def chain(results: dict[str, Any]) -> str:
    """What a hop adds."""
    rows = []
    for side, name in (("ours", "overlaycast"), ("c", "C")):
        row = [
            name,
            *(with_spread(results[f"{side} x{hops}"][key], 0) for hops in (1, 10) for key in ("p50_us", "p99_us")),
        ]
        rows.append([*row, *(with_spread(results[f"{side} per hop {key}"], 0) for key in ("p50_us", "p99_us"))])
    heads = ["relays", "one: p50 (µs)", "one: p99", "ten: p50", "ten: p99", "per hop: p50", "per hop: p99"]
    return f"""## What a hop adds

Latency at the receiver behind ten relays in a row, and behind one relay, at 20 Mbit/s of 1.3 KB records: median
(minimum to maximum) of the runs. A hop is the difference between ten relays and one, divided by nine.

{page.table(heads, rows)}"""


def memory(results: dict[str, Any]) -> str:
    """Flat or not."""
    heads = ["ring (MiB)", "seconds", "before (MB)", "ring full (MB)", "minimum after (MB)", "maximum after (MB)"]
    keys = ["ring_mb", "seconds", "before_the_stream_mb", "ring_full_mb", "least_after_mb", "most_after_mb"]
    return f"""## Children that read nothing

Resident memory of a relay with eight children, four of which send `HELLO` and never read.

{page.table(heads, [[results[key] for key in keys]])}"""


SECTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "relay_fanout": fanout,
    "failover": failover,
    "chain": chain,
    "memory": memory,
}


def main() -> None:
    for name, section in SECTIONS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            results = json.loads(path.read_text())
            page.write(name, f"python -m benchmarks.{name}", section(results), results)


if __name__ == "__main__":
    main()
