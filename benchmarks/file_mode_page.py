"""The section of ``docs/benchmarks.md`` on files, out of what ``benchmarks.file_mode`` has written.

python -m benchmarks.file_mode_page
"""

from __future__ import annotations

import itertools
import json
from typing import Any

from benchmarks import page
from benchmarks.data_plane_page import with_spread
from benchmarks.file_mode import CONGESTION, DELAYS_MS, RATES_MBIT, THIN_MIB, UPLINK_MBIT, thin_name
from benchmarks.stage import RESULTS


def thin(results: dict[str, Any]) -> str:
    """Return the table of files behind thin uplinks."""
    rows = []
    for receivers, delay_ms, rate_mbit in itertools.product((12, 48), DELAYS_MS, RATES_MBIT):
        if one := results.get(thin_name(receivers, delay_ms, rate_mbit)):
            row = [
                receivers,
                f"{delay_ms:g}",
                f"{rate_mbit:g}" if rate_mbit else "-",
                f"{one['bound_s']['median']:.2f}",
                with_spread(one["slowest_s"]),
            ]
            row += [with_spread(one["of_bound"]), one["depth"]["median"], one["slowest_s"]["runs"]]
            rows.append([*row, one["queue_overflow"]["median"], f"{one['read_before_s']['median']:.2f}"])
    heads = ["receivers", "delay of an uplink (ms)", "`send --rate` (Mbit/s)", "bound (s)", "slowest (s)"]
    heads += ["of the bound", "depth", "runs", "frames that found a queue full", "reading before (s)"]
    return page.table(heads, rows)


def lan(results: dict[str, Any]) -> str:
    """Return the table of files on a LAN."""
    lines = []
    for name in sorted((name for name in results if name.startswith("lan ")), key=lambda name: float(name.split()[1])):
        one = results[name]
        line = [f"{one['line_mbit']:g} Mbit/s" if one["line_mbit"] else "unshaped", one["mib"]]
        line += [with_spread(one["goodput_mbit"], 0), with_spread(one["iperf_mbit"], 0), with_spread(one["ratio"])]
        line += [f"{one['busy_share']['median']:.0%}", with_spread(one["cpu_s_per_gb"])]
        lines.append([*line, one["ratio"]["runs"]])
    heads = ["lines", "MiB", "slowest of 8 (Mbit/s)", "iperf3 hop (Mbit/s)", "ratio", "processors busy"]
    heads += ["a receiver's s/GB", "runs"]
    return page.table(heads, lines)


def section(results: dict[str, Any]) -> str:
    """Return the page's section."""
    return f"""## Files

{THIN_MIB} MiB to receivers in six sites, {UPLINK_MBIT} Mbit/s at each uplink and at the source. The bound is size by
uplink, without headers; those of Ethernet, IP and TCP alone are 4.6 % on top of full segments. From the order to begin
until the slowest receiver has the file under its own name; each chunk was checked at each hop before it
went on. What the source needs to read and digest the file beforehand is beside it. A hop that is held up once stays
behind, as its uplink is full from then on. Congestion control is {CONGESTION}. Delay is emulated by the lab's wire, a
process of its own that takes more than half a processor here: with 48 receivers two processors are short of time then,
and every hop is held up. Without delay the kernel alone shapes the uplinks. What comes behind a frame that found a
queue full, and was lost, waits a round trip for it, at all hops below as well. Runs with and without `--rate`
alternate.

{thin(results)}

A file to eight receivers on one bridge, in a row, against one TCP stream of iperf3 between two of the same hosts before
and after. All nine processes, their kernels' copying and eight files in memory share this machine's processors: where
those are busy throughout, they are the limit and not the line. The memory for the files is there beforehand
(`benchmarks/reserve.py`): this machine's hypervisor takes back what is free, and getting it again costs 1 to 2.4 s/GB.
What this machine gives differs by a third between one hour and another; so do these figures.

{lan(results)}"""


def main() -> None:
    results = json.loads((RESULTS / "file_mode.json").read_text())
    page.write("file_mode", "python -m benchmarks.file_mode", section(results), results)


if __name__ == "__main__":
    main()
