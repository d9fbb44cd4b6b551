"""What children that read nothing cost a relay: its resident memory, sampled while 4 of 8 children are stuck.

The stream is live, 40 Mbit/s, longer than the ring; four children read, four say HELLO and never read again. The relay
holds one ring of 16 MiB. Reported: resident memory at the moment the ring is full, and the most and the least after it.

    python -m benchmarks.memory [--seconds 60]
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import time
from pathlib import Path
from typing import Any

from benchmarks.relay_fanout import NO_GRANT, Run, end
from benchmarks.stage import build_yardstick, enter, overlaycast, scratch, started, write_result
from overlaycast.wire.frames import OLDEST, Hello, encode
from overlaycast.wire.messages import Accept, Address, Assign, Peer, Report
from tests.agent.fake_coordinator import FakeCoordinator, Member

RING_MB = 16
RATE_MBIT = 40
RECORD = 8192
FULL_S = 1.5 * RING_MB * 8.4 / RATE_MBIT
"""Until the ring has been filled and turned over."""


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def stuck_child(port: int, grant: str) -> socket.socket:
    """Say HELLO and read nothing, ever."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(encode(Hello(bytes.fromhex(grant), 5000, OLDEST)))
    return sock


async def watched(
    coordinator: FakeCoordinator, run: Run, relay: asyncio.subprocess.Process, seconds: float
) -> dict[str, Any]:
    (member,) = await coordinator.joined("r")
    grants = await announced(member)
    port = member.subscribe.addresses[0].port
    readers = await run.sinks(port, grants[:4])
    stuck = [stuck_child(port, grant) for grant in grants[4:]]
    await coordinator.said("r", Report, lambda report: len(report.children) == 8)
    above = Address(host="127.0.0.1", port=run.source_port)
    parent = Peer(member=99, name="s", addresses=(above,), grant=NO_GRANT, rank=0)
    await member.send(Assign(epoch=2, rank=10, depth=1, parent=parent))
    before = resident_mb(relay.pid)
    await asyncio.sleep(FULL_S)
    full, samples, until = resident_mb(relay.pid), [], time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.sleep(0.5)
        samples.append(resident_mb(relay.pid))
    for sock in stuck:
        sock.close()
    await end(*readers)
    return {
        "seconds": seconds,
        "ring_mb": RING_MB,
        "before_the_stream_mb": round(before, 1),
        "ring_full_mb": round(full, 1),
        "least_after_mb": round(min(samples), 1),
        "most_after_mb": round(max(samples), 1),
    }


async def announced(member: Member) -> list[str]:
    await member.send(Assign(epoch=1, rank=10, depth=1))
    grants = [f"{n + 100:032x}" for n in range(8)]
    for n, grant in enumerate(grants):
        await member.send(Accept(epoch=1, child=n + 100, name=f"k{n}", grant=grant))
    return grants


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--dry", action="store_true", help="print only, keep the results as they are")
    options = parser.parse_args()
    with scratch() as name:
        folder = Path(name)
        total = int((options.seconds + 2 * FULL_S + 10) * RATE_MBIT * 125_000) // RECORD * RECORD
        run = Run(folder, build_yardstick(folder), 8, RECORD, total, RATE_MBIT)
        async with FakeCoordinator() as coordinator:
            source = await run.source()
            words = (
                "--coordinator",
                coordinator.url,
                "--name",
                "r",
                "--ring-mb",
                str(RING_MB),
                "--listen",
                "127.0.0.1:0",
            )
            relay = await started(*overlaycast("relay", *words), errors=folder / "relay.err")
            try:
                result = await watched(coordinator, run, relay, options.seconds)
            finally:
                await end(relay, source)
    if options.dry:
        print(result)
    else:
        write_result("memory", result)


if __name__ == "__main__":
    enter("benchmarks.memory")
    asyncio.run(main())
