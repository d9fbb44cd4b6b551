"""What each hop of a chain adds: ten relays in a row, 20 Mbit/s of 1.3 KB records, ours beside ones written in C.

A record's latency is taken at the sink by the source's time in its header (one machine, one clock). The same stream
through one relay is measured too: what ten add over one, divided by nine, is the price of a hop.

    python -m benchmarks.chain [--pairs 5] [--seconds 4]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.relay_fanout import NO_GRANT, end, free_port
from benchmarks.stage import (
    build_yardstick,
    enter,
    go_first,
    overlaycast,
    scratch,
    spread,
    started,
    write_result,
)
from overlaycast.wire.messages import Accept, Address, Assign, Peer, Report
from tests.agent.fake_coordinator import FakeCoordinator

RECORD = 1300
RATE_MBIT = 20


class Chain:
    """``hops`` relays between a source and a sink of the yardstick."""

    def __init__(self, folder: Path, program: Path, hops: int, seconds: float) -> None:
        self.folder = folder
        self.program = str(program)
        self.hops = hops
        self.total = int(RATE_MBIT * 125_000 * seconds) // RECORD * RECORD
        self.first = False

    async def yardstick(self, *words: str, **streams: Any) -> asyncio.subprocess.Process:
        return await started(self.program, *words, errors=self.folder / "yardstick.err", **streams)

    async def source(self) -> tuple[int, asyncio.subprocess.Process]:
        port = free_port()
        return port, await self.yardstick("source", str(port), str(RECORD), str(self.total), str(RATE_MBIT))

    async def sink(self, port: int, grant: str) -> asyncio.subprocess.Process:
        return await self.yardstick("sink", "127.0.0.1", str(port), grant, str(1 << 40), stdout=subprocess.PIPE)

    async def figures(self, sink: asyncio.subprocess.Process) -> dict[str, float]:
        said = json.loads((await sink.communicate())[0])
        if said["lost"] or said["duplicated"] or said["bytes"] != self.total:
            raise RuntimeError(f"the sink got {said}")
        return {"p50_us": float(said["latency_p50_us"]), "p99_us": float(said["latency_p99_us"])}

    async def in_c(self) -> dict[str, float]:
        above, source = await self.source()
        relays = []
        for _ in range(self.hops):
            port = free_port()
            relays.append(await self.yardstick("relay", str(port), "127.0.0.1", str(above), "1", "8"))
            above = port
        try:
            sink = await self.sink(above, NO_GRANT)
            self.first = go_first(sink.pid, source.pid, *(relay.pid for relay in relays))
            return await self.figures(sink)
        finally:
            await end(source, *relays)

    async def ours(self) -> dict[str, float]:
        names = [f"r{n}" for n in range(1, self.hops + 1)]
        async with FakeCoordinator() as coordinator:
            above, source = await self.source()
            words = ("--coordinator", coordinator.url, "--listen", "127.0.0.1:0", "--ring-mb", "8", "--name")
            relays = [
                await started(*overlaycast("relay", *words, name), errors=self.folder / "relay.err") for name in names
            ]
            try:
                await coordinator.joined(*names)
                self.first = go_first(source.pid, *(relay.pid for relay in relays))
                sink = await self.connect(coordinator, names)
                go_first(sink.pid)
                parent = Peer(
                    member=99, name="s", addresses=(Address(host="127.0.0.1", port=above),), grant=NO_GRANT, rank=0
                )
                await coordinator.members[names[0]].send(Assign(epoch=99, rank=10, depth=1, parent=parent))
                return await self.figures(sink)
            finally:
                await end(source, *relays)

    async def connect(self, coordinator: FakeCoordinator, names: list[str]) -> asyncio.subprocess.Process:
        """Place all but the first, with the sink at the last; nothing flows yet."""
        for n, name in enumerate(names):
            coordinator.members[name].rank = 10 * (n + 1)
        await coordinator.members[names[0]].send(Assign(epoch=1, rank=10, depth=1))
        coordinator.epoch = 1
        for name, parent in zip(names[1:], names, strict=False):
            await coordinator.place(name, parent, rank=coordinator.members[name].rank)
            await coordinator.fed_by(name, parent)
        last = coordinator.members[names[-1]]
        await last.send(Accept(epoch=90, child=90, name="sink", grant=f"{90:032x}"))
        sink = await self.sink(last.subscribe.addresses[0].port, f"{90:032x}")
        await coordinator.said(names[-1], Report, lambda report: len(report.children) == 1)
        return sink


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--dry", action="store_true", help="print only, keep the results as they are")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    with scratch() as folder:
        program = build_yardstick(Path(folder))
        runs: dict[str, list[dict[str, float]]] = {}
        for _ in range(options.pairs):
            for hops in (1, 10):
                chain = Chain(Path(folder), program, hops, options.seconds)
                runs.setdefault(f"ours x{hops}", []).append(await chain.ours())
                runs.setdefault(f"c x{hops}", []).append(await chain.in_c())
                result["ran_first"] = chain.first
    for name, figures in runs.items():
        result[name] = {key: spread([one[key] for one in figures], 1) for key in figures[0]}
    for side in ("ours", "c"):
        for key in ("p50_us", "p99_us"):
            pairs = zip(runs[f"{side} x10"], runs[f"{side} x1"], strict=True)
            result[f"{side} per hop {key}"] = spread([(ten[key] - one[key]) / 9 for ten, one in pairs], 1)
    if options.dry:
        print(json.dumps(result, indent=1))
    else:
        write_result("chain", result)


if __name__ == "__main__":
    enter("benchmarks.chain")
    asyncio.run(main())
