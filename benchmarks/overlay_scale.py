"""How the overlay's costs grow with the group: 10^3 to 10^6 members, one core.

Measures, per group size: subscribing and measuring one member before the start, placing all in one go (Fig. 5) with
and without turning the plan into orders, one join (Fig. 4), one report (Fig. 7), one repair of a branch (Fig. 8), and
resident memory per member. Prints each size as it is done; ``--page`` writes its section of ``docs/benchmarks.md``.

    python -m benchmarks.overlay_scale [--sizes 1000 10000 100000 1000000] [--json FILE] [--page]

Sizes that FILE holds already are kept, so that the largest can be measured by itself.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.machine import described
from overlaycast.overlay import Measurement, Overlay
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Address, Assign, NotReceiving, Report, Subscribe

PER_SITE = 40
"""Members behind one leaf router; thirty leaf routers share one further up, and thirty of those one more."""
SAMPLES = 300
ROWS = (
    ("subscribe and measure one member before the start, µs", "subscribe_us"),
    ("place all members together (Figure 5), µs per member", "place_us_per_member"),
    ("make the orders for all, µs per member", "order_us_per_member"),
    ("messages per member", "messages_per_member"),
    ("one join (Figure 4), µs, median", "join_us"),
    ("one join, µs, 99th percentile", "join_p99_us"),
    ("its orders, µs, median", "join_orders_us"),
    ("one report (Figure 7), µs, median", "report_us"),
    ("one repair (Figure 8) with orders, µs per child, median", "repair_us_per_child"),
    ("resident bytes per member", "bytes_per_member"),
    ("depth of the tree", "depth"),
    ("members without a parent", "waiting"),
)


def resident_bytes() -> int:
    """Return this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def path_of(site: int) -> tuple[str, ...]:
    """Return the routers to a site: five hops."""
    return ("gw", "core", f"r{site // 900}", f"r{site // 900}.{site // 30 % 30}", f"r{site // 900}.{site // 30}.{site}")


def request(number: int, role: str = "peer") -> Subscribe:
    """Return a subscription."""
    site = number // PER_SITE
    host = f"10.{site >> 16 & 255}.{site >> 8 & 255}.{site & 255}"
    return Subscribe(
        version=1, group="g", token="t", name=f"m{number}", role=role, addresses=(Address(host=host, port=8471),)
    )


def measurement(number: int) -> Measurement:
    """Return what a trace and an echo would have found."""
    site = number // PER_SITE
    return Measurement(path_of(site), 10.0 + site % 30, 100.0, (1.0, 2.0, 5.0, 8.0 + site % 30, 9.9 + site % 30))


def timed(call: Callable[[], object]) -> float:
    """Return how many microseconds of processor time a call takes: others may be busy on the machine."""
    started = time.process_time()
    call()
    return (time.process_time() - started) * 1e6


def p50(values: list[float]) -> float:
    """Return the median, rounded."""
    return round(statistics.median(values), 2)


def p99(values: list[float]) -> float:
    """Return the 99th percentile, rounded."""
    return round(sorted(values)[int(len(values) * 0.99)], 2)


class Bench:
    """One group of one size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.found: dict[str, Any] = {"members": size}
        self.now = 0.0
        self.overlay = Overlay(GroupSettings(start_members=size, report_ms=60_000, lost_after_s=600), bytes(32))
        self.orders: dict[int, Assign] = {}

    def run(self) -> dict[str, Any]:
        """Return all figures."""
        before = resident_bytes()
        self.fill()
        self.place()
        self.overlay.tick(self.now + 6)  # the source begins; no more members are awaited
        self.drain()
        gc.collect()
        self.found["bytes_per_member"] = round((resident_bytes() - before) / self.size)
        gc.freeze()
        self.joins()
        self.reports()
        self.repairs()
        gc.unfreeze()
        return self.found

    def fill(self) -> None:
        """All but the last one subscribe and are measured; no member is placed yet."""
        overlay = self.overlay
        source = overlay.join(request(0, "source"), self.now)
        overlay.measured(source, Measurement(("gw",), 0.2, 1000.0), self.now)
        spent = 0.0
        for number in range(1, self.size):
            asking, found = request(number), measurement(number)
            started = time.process_time()
            overlay.measured(overlay.join(asking, self.now), found, self.now)
            spent += time.process_time() - started
            if number % 10_000 == 0:
                self.drain()
        self.drain()
        self.found["subscribe_us"] = round(spent / self.size * 1e6, 2)

    def drain(self) -> None:
        """Do what the driver does after every call."""
        for member, message in self.overlay.messages_to_send():
            if isinstance(message, Assign):
                self.orders[member] = message
        self.overlay.measurements_wanted()
        self.overlay.events()

    def place(self) -> None:
        """The last one comes; all are placed."""
        last = self.overlay.join(request(self.size), self.now)
        placing = timed(lambda: self.overlay.measured(last, measurement(self.size), self.now))
        wanted = set(range(2, self.size + 2, max(1, self.size // 2000)))
        count, ordering = 0, 0.0
        while True:
            started = time.process_time()
            batch = self.overlay.messages_to_send()
            ordering += time.process_time() - started
            if not batch:
                break
            count += len(batch)
            self.orders |= {m: message for m, message in batch if isinstance(message, Assign) and m in wanted}
        self.found["place_us_per_member"] = round(placing / self.size, 2)
        self.found["order_us_per_member"] = round(ordering / self.size * 1e6, 2)
        self.found["messages_per_member"] = round(count / self.size, 2)
        counters = self.overlay.counters()
        self.found["depth"], self.found["waiting"] = counters.depth, counters.waiting
        self.found["placed"] = counters.placed

    def joins(self) -> None:
        """One at a time: subscribe, measure, place, and make the orders."""
        took, orders = [], []
        for number in range(SAMPLES):
            where = self.size + 1 + number * 97 % self.size
            asking, found = request(where), measurement(where)

            def join(asking: Subscribe = asking, found: Measurement = found) -> None:
                self.overlay.measured(self.overlay.join(asking, self.now), found, self.now)

            took.append(timed(join))
            orders.append(timed(self.drain))
        self.found["join_us"], self.found["join_p99_us"] = p50(took), p99(took)
        self.found["join_orders_us"] = p50(orders)

    def reports(self) -> None:
        """Reports of members all over the tree."""
        took = []
        for member, order in list(self.orders.items())[:2000]:
            parent = order.parent.member if order.parent else None
            report = Report(
                epoch=order.epoch,
                parent=parent,
                state="streaming",
                next_seq=7,
                interval_ms=1000,
                bytes=1_000_000,
                records=100,
            )
            took.append(timed(partial(self.overlay.receive, member, report, self.now)))
        self.found["report_us"], self.found["report_p99_us"] = p50(took), p99(took)
        self.drain()

    def repairs(self) -> None:
        """Forwarders die; a child of each complains; all its children are moved, and the orders made."""
        forwarders = [order.parent.member for order in self.orders.values() if order.parent and order.depth > 1]
        took = []
        for number, forwarder in enumerate(dict.fromkeys(forwarders)):
            if number >= SAMPLES:
                break
            tree = self.overlay._group.members[forwarder]
            if not tree.children or tree.parent is None:
                continue
            child = tree.children[-1]
            error = NotReceiving(epoch=self.overlay.epoch, parent=forwarder, next_seq=7, silent_ms=80, reason="reset")

            def repair(child: int = child.id, forwarder: int = forwarder, error: NotReceiving = error) -> None:
                self.overlay.disconnected(forwarder, self.now)
                self.overlay.receive(child, error, self.now)

            children = len(tree.children)
            took.append((timed(repair) + timed(self.drain)) / children)
        self.found["repair_us_per_child"] = p50(took) if took else None
        self.found["repairs"] = len(took)


def section(results: list[dict[str, Any]]) -> str:
    """Return the page's section: a row per figure, a column per size, and the growth over the last tenfold."""
    heads = ["", *(f"{one['members']:,}" for one in results), "growth, last step"]
    rows = []
    for text, key in ROWS:
        values = [one[key] for one in results]
        before, last = values[-2:] if len(values) > 1 else (None, None)
        rows.append([text, *values, f"{last / before:.2f}" if before and last is not None else ""])
    text = (
        "Processor time of the decisions on one core, without sockets and JSON. Each leaf router has "
        f"{PER_SITE} members, thirty leaf routers share a router above them, and so on. "
        "The sizes may come from separate runs."
    )
    return f"## The coordinator's costs by size of the group\n\n{text}\n\n{page.table(heads, rows)}"


def keep(results: list[dict[str, Any]], path: Path | None, on_page: bool) -> None:
    """Write what has been found so far, beside what the file holds of other sizes: the largest takes minutes."""
    before = json.loads(path.read_text())["sizes"] if path is not None and path.exists() else []
    sizes = {one["members"]: one for one in (*before, *results)}
    results = [sizes[size] for size in sorted(sizes)]
    found = {"machine": described(), "sizes": results}
    if path is not None:
        path.write_text(json.dumps(found, indent=2) + "\n")
    if on_page:
        command = f"python -m benchmarks.overlay_scale --sizes {' '.join(map(str, sorted(sizes)))} --page"
        page.write("overlay-scale", command, section(results), found)


def main() -> int:
    """Run all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    results = []
    for size in options.sizes:
        results.append(Bench(size).run())
        gc.collect()
        print("  ".join(f"{key}={value}" for key, value in results[-1].items()), flush=True)
        keep(results, options.json, options.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
