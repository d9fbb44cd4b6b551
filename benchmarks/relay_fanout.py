"""What a relay costs: processor seconds per GB delivered and goodput, ours beside one written in C.

Source and sinks are the C yardstick for both; the relay between them is ``overlaycast relay`` (its coordinator is
scripted) or the yardstick's. Runs alternate, each with fresh processes. Only the relay's own time is counted, from the
first order to be fed to the last sink's END, out of the scheduler's books.

Bulk: as fast as it goes. A live relay does not hold its parent back, so the whole run fits into the ring of both
relays: no child is skipped, nothing is refused, both touch memory alike. Paced: at a given rate, as live streams come.

    python -m benchmarks.relay_fanout [--degrees 1 2 4 8] [--records 1300 8192 65536] [--pairs 5] [--rate MBIT]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.stage import build_yardstick, cpu_seconds, enter, overlaycast, scratch, spread, started, write_result
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Accept, Address, Assign, Peer, Report
from tests.agent.fake_coordinator import FakeCoordinator

GIGABYTE = 1e9
NO_GRANT = "0" * 32


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Run:
    """One relay, one source, so many sinks."""

    def __init__(self, folder: Path, program: Path, degree: int, record: int, total: int, rate: float) -> None:
        self.folder = folder
        self.program = str(program)
        self.degree = degree
        self.record = record
        self.total = total
        self.rate = rate
        self.ring_mb = max(64, int(total * 1.1 * (1 + 24 / record) / (1 << 20)) + 8) if not rate else 64
        self.source_port = free_port()

    async def source(self) -> asyncio.subprocess.Process:
        words = [self.program, "source", str(self.source_port), str(self.record), str(self.total), str(self.rate)]
        return await started(*words, errors=self.folder / "source.err")

    async def sinks(self, port: int, grants: list[str]) -> list[asyncio.subprocess.Process]:
        return [
            await started(
                self.program,
                "sink",
                "127.0.0.1",
                str(port),
                grant,
                "5000",
                errors=self.folder / "sink.err",
                stdout=subprocess.PIPE,
            )
            for grant in grants
        ]

    async def figures(
        self, relay: asyncio.subprocess.Process, sinks: list[asyncio.subprocess.Process]
    ) -> dict[str, float]:
        """Wait for the sinks; return the relay's cost and the goodput of the slowest sink."""
        before = cpu_seconds(relay.pid)
        said = [json.loads((await sink.communicate())[0]) for sink in sinks]
        used = cpu_seconds(relay.pid) - before
        for one in said:
            if one["lost"] or one["duplicated"] or one["bytes"] < self.total:
                raise RuntimeError(f"a sink got {one}")
        records = said[0]["records"] * self.degree
        return {
            "cpu_s_per_gb": used / (self.degree * self.total / GIGABYTE),
            "cpu_us_per_record": used / records * 1e6,
            "goodput_mbit": min(8e-6 * one["bytes"] / one["seconds"] for one in said),
            "latency_p50_us": max(one["latency_p50_us"] for one in said),
        }

    async def in_c(self) -> dict[str, float]:
        source, port = await self.source(), free_port()
        words = ["relay", str(port), "127.0.0.1", str(self.source_port), str(self.degree), str(self.ring_mb)]
        relay = await started(self.program, *words, errors=self.folder / "relay.err")
        try:
            return await self.figures(relay, await self.sinks(port, [NO_GRANT] * self.degree))
        finally:
            await end(relay, source)

    async def ours(self) -> dict[str, float]:
        async with FakeCoordinator(GroupSettings(report_ms=100)) as coordinator:
            source = await self.source()
            words = overlaycast(
                "relay", "--coordinator", coordinator.url, "--name", "r", "--ring-mb", str(self.ring_mb)
            )
            relay = await started(*words, "--listen", "127.0.0.1:0", errors=self.folder / "relay.err")
            try:
                (member,) = await coordinator.joined("r")
                await member.send(Assign(epoch=1, rank=10, depth=1))
                grants = [f"{n + 100:032x}" for n in range(self.degree)]
                for n, grant in enumerate(grants):
                    await member.send(Accept(epoch=1, child=n + 100, name=f"k{n}", grant=grant))
                sinks = await self.sinks(member.subscribe.addresses[0].port, grants)
                await coordinator.said("r", Report, lambda report: len(report.children) == self.degree)
                above = Address(host="127.0.0.1", port=self.source_port)
                parent = Peer(member=99, name="s", addresses=(above,), grant=NO_GRANT, rank=0)
                await member.send(Assign(epoch=2, rank=10, depth=1, parent=parent))
                return await self.figures(relay, sinks)
            finally:
                await end(relay, source)


async def end(*processes: asyncio.subprocess.Process) -> None:
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def pairs(run: Run, count: int) -> dict[str, Any]:
    """Alternate; return both sides' figures and the paired ratios."""
    both = [(await run.ours(), await run.in_c()) for _ in range(count)]
    result: dict[str, Any] = {}
    for key in both[0][0]:
        result[key] = {
            "ours": spread([ours[key] for ours, _ in both]),
            "c": spread([theirs[key] for _, theirs in both]),
            "ratio": spread([ours[key] / theirs[key] for ours, theirs in both], 3),
        }
    return result


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--degrees", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--records", type=int, nargs="+", default=[1300, 8192, 65536])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=256, help="of payload per run and child")
    parser.add_argument("--rate", type=float, default=0, help="Mbit/s; 0: as fast as it goes")
    parser.add_argument("--dry", action="store_true", help="print only, keep the results as they are")
    options = parser.parse_args()
    with scratch() as folder:
        program = build_yardstick(Path(folder))
        for record in options.records:
            for degree in options.degrees:
                total = options.megabytes * 1_000_000 // record * record
                run = Run(Path(folder), program, degree, record, total, options.rate)
                result = await pairs(run, options.pairs)
                name = f"{'paced ' + format(options.rate, 'g') if options.rate else 'bulk'} {record} B x{degree}"
                print(
                    name,
                    {k: (v["ours"]["median"], v["c"]["median"], v["ratio"]["median"]) for k, v in result.items()},
                    flush=True,
                )
                if not options.dry:
                    write_result("relay_fanout", {name: result})


if __name__ == "__main__":
    enter("benchmarks.relay_fanout")
    asyncio.run(main())
