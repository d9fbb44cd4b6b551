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
    heads += ["of the bound", "depth", "runs", "frames dropped at a full queue", "reading before (s)"]
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
    heads += ["s/GB per receiver", "runs"]
    return page.table(heads, lines)


def section(results: dict[str, Any]) -> str:
    """Return the page's section."""
    return f"""## Files

A file of {THIN_MIB} MiB goes to receivers in six sites. Each uplink, and the source's, has {UPLINK_MBIT} Mbit/s.
The time is from the coordinator's order to begin until the slowest receiver has the file under its own name; each
member checks each chunk before it forwards it. The source reads and digests the file before; that time is in the
last column. The bound is the file's size ÷ the uplink's rate, without headers; the headers of Ethernet, IP and TCP
alone add 4.6 % to full segments. Congestion control is {CONGESTION}. Runs with and without `--rate` alternate.

How to read the differences: a hop that was delayed once stays behind, because its uplink is full from then on. The
data behind a frame that was dropped at a full queue waits one round trip, on all hops below too. The lab's wire
emulates the delay; it takes more than half a processor here, so with 48 receivers two processors are too few and
every hop is delayed. Without delay, the kernel alone shapes the uplinks.

{thin(results)}

A file goes to eight receivers on one bridge, each fed by the one before, compared with one TCP stream of iperf3
between two of the same hosts before and after. All nine processes and eight files in memory share this machine's
processors. Where those are always busy, they are the limit, not the line. The memory for the files is reserved
before (`benchmarks/reserve.py`), because this machine's hypervisor takes free memory back, and getting it again
costs 1 to 2.4 s/GB. The speed of this machine varies by a third from hour to hour, and so do these figures.

{lan(results)}"""


def main() -> None:
    results = json.loads((RESULTS / "file_mode.json").read_text())
    page.write("file_mode", "python -m benchmarks.file_mode", section(results), results)


if __name__ == "__main__":
    main()
