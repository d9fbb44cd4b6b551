"""How long viewers wait when a forwarder dies, by the way it dies; and how often a living forwarder is suspected.

A live stream of 8 Mbit/s: source -> forwarder -> 4 children -> 8 grandchildren, a backup server beside them. The first
child is the heir (its standby is the backup), the others' standby is the heir, the grandchildren's the backup. The
forwarder has a namespace and a link of its own; its control link is another one, as the coordinator is scripted. Each
round a fresh forwarder takes the place of the last one, the tree rests, the fault strikes, and the longest time
between two records is read from the journals of all twelve.

    python -m benchmarks.failover --kind kill|stop|link-down|loss|slow [--rounds 30] [--ordinary]
    python -m benchmarks.failover --kind quiet|loaded [--seconds 120]      false alarms while nothing happens
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.stage import (
    enter,
    go_first,
    journal_lines,
    overlaycast,
    percentile,
    run,
    scratch,
    started,
    write_result,
)
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Done
from tests.agent.fake_coordinator import FakeCoordinator

HERE, THERE, CONTROL = "10.0.0.1", "10.0.0.2", "10.0.1.1"
RATE_MBIT = 8
RECORD = 7896
LINK_MBIT = 100
CHILDREN = ["c1", "c2", "c3", "c4"]
GRANDCHILDREN = [f"g{n}" for n in range(1, 9)]
RANKS = {"s": 0, "b": 100, "c1": 2000, **{f"c{n}": 3000 + n for n in (2, 3, 4)}}
RANKS |= {name: 10_000 + n for n, name in enumerate(GRANDCHILDREN)}
REST_S = 4.0
"""Before each strike: the start of the fresh forwarder's program must not count as a machine under load."""
AFTER_S = 1.0
LONGEST_S = 15.0
WARM_UP_S = 4.0


def build_network() -> None:
    """The forwarder's namespace, its data link and its control link."""
    run("ip netns add forwarder")
    for name, here, there in (("data", f"{HERE}/24", f"{THERE}/24"), ("ctl", f"{CONTROL}/24", "10.0.1.2/24")):
        run(f"ip link add {name} type veth peer name {name} netns forwarder")
        run(f"ip addr add {here} dev {name}")
        run(f"ip -n forwarder addr add {there} dev {name}")
        run(f"ip link set {name} up")
        run(f"ip -n forwarder link set {name} up")
    run("ip -n forwarder link set lo up")
    run("nft add table inet cut")
    run("nft add chain inet cut in { type filter hook input priority 0 ; }")
    run("nft add chain inet cut out { type filter hook output priority 0 ; }")
    shape(LINK_MBIT)


def shape(rate_mbit: float) -> None:
    """Both directions of the data link carry so much."""
    for where in ((), ("-n", "forwarder")):
        words = ["tc", *where, "qdisc", "replace", "dev", "data", "root", "tbf"]
        words += ["rate", f"{int(rate_mbit * 1000)}kbit", "burst", "32k", "limit", "400k"]
        subprocess.run(words, check=True)


def strike(kind: str, pid: int) -> None:
    """Do it."""
    match kind:
        case "kill":
            os.kill(pid, signal.SIGKILL)
        case "stop":
            os.kill(pid, signal.SIGSTOP)
        case "link-down":
            run("ip link set data down")
        case "loss":
            run("nft add rule inet cut in iifname data drop")
            run("nft add rule inet cut out oifname data drop")
        case "slow":
            shape(LINK_MBIT / 100)


def heal(kind: str) -> None:
    """Undo it."""
    if kind == "link-down":
        run("ip link set data up")
    elif kind == "loss":
        run("nft flush table inet cut")
    elif kind == "slow":
        shape(LINK_MBIT)


class Tree:
    """The fifteen programs."""

    def __init__(self, folder: Path, coordinator: FakeCoordinator, first: bool) -> None:
        self.first = first
        self.folder = folder
        self.coordinator = coordinator
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.forwarder = ""
        self._forwarders = 0

    def journal(self, name: str) -> Path:
        return self.folder / f"{name}.journal"

    async def start(self, command: str, name: str, *more: str, inside: bool = False) -> None:
        host = THERE if inside else HERE
        words = overlaycast(command, *more, "--name", name, "--coordinator", self.coordinator.url)
        words += ["--listen", f"{host}:0", "--advertise", host, "--journal", str(self.journal(name))]
        if command == "join":
            words += ["--output", "/dev/null"]
        if inside:
            words = ["ip", "netns", "exec", "forwarder", *words]
        self.running[name] = await started("chrt", "--other", "0", *words, errors=self.folder / f"{name}.err")

    async def grow(self, stream_s: float) -> None:
        """Start all programs; the stream runs when this returns."""
        await self.start(
            "send", "s", "--synthetic", str(stream_s), "--rate", f"{RATE_MBIT}M", "--record-size", str(RECORD)
        )
        await self.start("relay", "b", "--backup")
        for name in CHILDREN + GRANDCHILDREN:
            await self.start("join", name)
        await self.coordinator.joined("s", "b", *CHILDREN, *GRANDCHILDREN)
        await self.coordinator.root("s")
        await self.coordinator.place("b", "s", rank=RANKS["b"])
        await self.new_forwarder()
        for n, name in enumerate(GRANDCHILDREN):
            await self.coordinator.place(name, CHILDREN[n // 2], ("b",), ("s",), rank=RANKS[name])
            await self.coordinator.fed_by(name, CHILDREN[n // 2])
        if self.first:
            self.first = go_first(os.getpid(), *(process.pid for process in self.running.values()))
        await self.coordinator.begin("s")

    async def new_forwarder(self) -> None:
        """A fresh one takes the place; the children move there by order, without a gap."""
        self._forwarders += 1
        self.forwarder = name = f"f{self._forwarders}"
        await self.start("relay", name, inside=True)
        await self.coordinator.joined(name)
        if self.first:
            go_first(self.running[name].pid)
        await self.coordinator.place(name, "s", rank=1000)
        await self.coordinator.fed_by(name, "s")
        for child in CHILDREN:
            standby = "b" if child == "c1" else "c1"
            await self.coordinator.place(child, name, (standby,), ("s",), rank=RANKS[child])
            await self.coordinator.fed_by(child, name)

    async def end_forwarder(self) -> None:
        """Whatever is left of it goes."""
        process = self.running.pop(self.forwarder)
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def longest_gap(self, name: str, since: float) -> float:
        """Return the longest time in ms between two records at ``name`` from ``since`` until the stream flows again.

        Waits for that. What comes later counts no more: by then this program reads journals, with the same priority.
        """
        deadline = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline:
            samples = [line for line in journal_lines(self.journal(name), "sample") if line["t"] > since]
            flowing = [line for line in samples if line["t"] > since + AFTER_S and line["bytes"] > samples[0]["bytes"]]
            if flowing:
                return float(max(line["gap_ms"] for line in samples if line["t"] <= flowing[0]["t"]))
            await asyncio.sleep(0.2)
        raise RuntimeError(f"{name} gets nothing any more")

    def alarms(self, since: float) -> dict[str, int]:
        """Return what was suspected since then: standbys asked, switches, and complaints to the coordinator."""
        names = CHILDREN + GRANDCHILDREN + [self.forwarder, "b"]
        lines = [line for name in names for line in journal_lines(self.journal(name), "silent", "switch")]
        lines = [line for line in lines if line["t"] > since]
        return {
            "standby_asked": sum(line["kind"] == "silent" for line in lines),
            "switched": sum(line["kind"] == "switch" and line["reason"] == "silence" for line in lines),
            "came_back": sum(line["kind"] == "switch" and line["reason"] == "return" for line in lines),
        }

    def complaints(self) -> int:
        """Return how many complaints the coordinator has heard."""
        return sum(len(self.coordinator.complaints(name)) for name in self.coordinator.members)

    async def finish(self) -> dict[str, Any]:
        """End the stream; return what all receivers lost and wrote twice, and whether digests agree."""
        self.running["s"].send_signal(signal.SIGTERM)
        for name in CHILDREN + GRANDCHILDREN:
            await self.coordinator.said(name, Done)
        for process in self.running.values():
            async with asyncio.timeout(30):
                await process.wait()
        summaries = [journal_lines(self.journal(name), "summary")[-1] for name in CHILDREN + GRANDCHILDREN]
        return {
            "records": summaries[0]["expected"],
            "lost": sum(line["lost"] for line in summaries),
            "duplicated": sum(line["duplicated"] for line in summaries),
            "discarded_doubles": sum(line["discarded"] for line in summaries),
            "digests_ok": all(line["digest_ok"] for line in summaries),
        }


async def deaths(tree: Tree, kind: str, rounds: int) -> dict[str, Any]:
    gaps: dict[str, list[float]] = {"children": [], "grandchildren": []}
    loads = []
    for number in range(rounds):
        await asyncio.sleep(REST_S)
        since = time.time()
        loads.append(os.getloadavg()[0])
        strike(kind, tree.running[tree.forwarder].pid)
        await asyncio.sleep(AFTER_S + 0.4)
        for level, names in (("children", CHILDREN), ("grandchildren", GRANDCHILDREN)):
            gaps[level] += [await tree.longest_gap(name, since) for name in names]
        heal(kind)
        await tree.end_forwarder()
        if number + 1 < rounds:
            await tree.new_forwarder()
    all_members = gaps["children"] + gaps["grandchildren"]
    return {
        "kills": rounds,
        "load": round(sum(loads) / len(loads), 1),
        **{level: figures(values) for level, values in gaps.items()},
        "all": figures(all_members),
    }


def figures(gaps: list[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    return {name: round(percentile(gaps, share), 1) for name, share in shares.items()} | {"max": round(max(gaps), 1)}


async def watching(tree: Tree, seconds: float, load: int) -> dict[str, Any]:
    await asyncio.sleep(WARM_UP_S)
    hogs = [await started("sh", "-c", "while :; do :; done", errors=Path("/dev/null")) for _ in range(load)]
    since, before = time.time(), tree.complaints()
    await asyncio.sleep(seconds)
    found: dict[str, Any] = {
        "seconds": seconds,
        "hogs": load,
        **tree.alarms(since),
        "complaints": tree.complaints() - before,
    }
    samples = [
        line["gap_ms"]
        for name in CHILDREN + GRANDCHILDREN
        for line in journal_lines(tree.journal(name), "sample")
        if line["t"] > since
    ]
    found["longest_gap_per_200ms"] = figures(samples)
    for hog in hogs:
        hog.kill()
    return found


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kind", choices=["kill", "stop", "link-down", "loss", "slow", "quiet", "loaded"], required=True
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--ordinary", action="store_true", help="no real-time priority: as on any machine")
    parser.add_argument("--dry", action="store_true", help="print only, keep the results as they are")
    options = parser.parse_args()
    build_network()
    settings = GroupSettings(report_ms=200)
    with scratch() as folder:
        async with FakeCoordinator(settings, host=CONTROL) as coordinator:
            tree = Tree(Path(folder), coordinator, first=options.kind != "loaded" and not options.ordinary)
            await tree.grow(3600)
            if options.kind in ("quiet", "loaded"):
                load = 2 * (os.cpu_count() or 1) if options.kind == "loaded" else 0
                result = await watching(tree, options.seconds, load)
                await tree.end_forwarder()
            else:
                await asyncio.sleep(WARM_UP_S)
                result = await deaths(tree, options.kind, options.rounds)
            result["ran_first"] = tree.first
            result["delivery"] = await tree.finish()
    if options.dry:
        print(result)
    else:
        write_result("failover", {options.kind + ("-ordinary" if options.ordinary else ""): result})


if __name__ == "__main__":
    enter("benchmarks.failover")
    asyncio.run(main())
