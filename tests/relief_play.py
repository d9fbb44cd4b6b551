"""A live stream of real programs whose source hands over, is killed, and is frozen; each time a standby source goes
on. Run within a namespace of its own.

Both sources read the same live input, in blocks that are numbered. Prints, as one JSON object, what became of the
receivers, and how long they were silent each time.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from overlaycast.agent.node import SAMPLE_S
from tests.agent.processes import AgentProcess
from tests.drain_play import PEERS, Play, coordinator

BLOCK: Final = 1316
"""Bytes of a numbered block: a record has a whole number of them, so that none is torn."""
EVERY_S: Final = 0.01
AWHILE_S: Final = 2.0
"""So long the stream plays between two changes."""
SETTLED_S: Final = 0.2
"""What is silent until so long after the successor has begun is the change's doing."""


class Camera:
    """The live input of all sources: numbered blocks, written to each at the same time."""

    def __init__(self) -> None:
        self.written = 0
        self._readers: list[AgentProcess] = []

    def watched_by(self, agent: AgentProcess) -> None:
        """Let one more source read it."""
        self._readers.append(agent)

    async def run(self) -> None:
        """Go on and on."""
        while True:
            block = self.written.to_bytes(8, "big").ljust(BLOCK, b".")
            for agent in self._readers:
                if agent.process.returncode is None and agent.process.stdin is not None:
                    with suppress(ConnectionError):
                        agent.process.stdin.write(block)
            self.written += 1
            await asyncio.sleep(EVERY_S)


def numbers(output: Path) -> list[int]:
    """Return the numbers of the blocks that a receiver has written."""
    data = output.read_bytes()
    assert len(data) % BLOCK == 0
    return [int.from_bytes(data[at : at + 8], "big") for at in range(0, len(data), BLOCK)]


def longest_gap_ms(agent: AgentProcess, since: float, until: float) -> float:
    """Return the longest silence that samples of this time tell of."""
    return max(float(line["gap_ms"]) for line in agent.lines("sample") if since <= line["t"] <= until + SAMPLE_S)


class Relief(Play):
    """The group."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.camera = Camera()

    async def sender(self, name: str, *more: str) -> AgentProcess:
        """Start a source that reads the camera."""
        agent = await self.start("send", name, "-", *more, stdin=asyncio.subprocess.PIPE)
        self.camera.watched_by(agent)
        return agent

    async def in_reserve(self, name: str) -> AgentProcess:
        """Start a source that stands by, and wait until it does."""
        agent = await self.sender(name, "--standby")
        await self.until(lambda by_name: by_name.get(name, {}).get("role") == "standby")
        return agent

    async def change(self, former: AgentProcess, number: signal.Signals, successor: str) -> dict[str, Any]:
        """Signal the source; return what happened until the other one has fed all for a while."""
        peers = [agent for agent in self.agents if agent.name.startswith("peer")]
        since, blocks = time.time(), self.camera.written
        former.signal(number)
        [begun] = await self._begun(successor)
        if number == signal.SIGSTOP:
            former.signal(signal.SIGCONT)
        code, _ = await former.ended()
        await self.until(lambda by_name: all(by_name[peer.name]["state"] == "ACTIVE" for peer in peers))
        await asyncio.sleep(AWHILE_S)
        return {
            "code": code,
            "from_signal_ms": round((begun["t"] - since) * 1000, 1),
            "next_seq": begun["next_seq"],
            "blocks_before": blocks,
            "silent_ms": {peer.name: longest_gap_ms(peer, since, begun["t"] + SETTLED_S) for peer in peers},
        }

    async def _begun(self, name: str) -> list[dict[str, Any]]:
        agent = [one for one in self.agents if one.name == name][-1]
        async with asyncio.timeout(60):
            while not (begun := agent.lines("begin")):  # noqa: ASYNC110 - a file tells no events
                await asyncio.sleep(0.02)
        return begun


async def _play(play: Relief) -> dict[str, Any]:
    settings = ("report_ms=200", "rate_mbit=2", "improve_s=0", "source_out_degree=2")
    _, made = await play.admin("create", "g", *(word for one in settings for word in ("--set", one)))
    play.token = made["token"]
    one = await play.sender("one")
    two = await play.sender("two", "--standby")
    peers = {f"peer-{number}": await play.start("join", f"peer-{number}") for number in range(PEERS)}
    everybody = {"one", "two", *peers}
    members = await play.until(
        lambda by_name: set(by_name) == everybody and all(by_name[name]["receive_mbit"] for name in peers)
    )
    roles = {name: members[name]["role"] for name in ("one", "two")}
    await asyncio.sleep(AWHILE_S)
    planned = await play.change(one, signal.SIGTERM, "two")
    three = await play.in_reserve("three")
    killed = await play.change(two, signal.SIGKILL, "three")
    four = await play.in_reserve("four")
    frozen = await play.change(three, signal.SIGSTOP, "four")
    four.signal(signal.SIGTERM)  # nobody relieves it: the stream ends
    for agent in peers.values():
        await agent.ended()
    return {
        "roles": roles,
        "planned": planned,
        "killed": killed,
        "frozen": frozen,
        "peers": {
            name: {
                "code": agent.process.returncode,
                "lost": agent.summary()["lost"],
                "digest_ok": agent.summary()["digest_ok"],
                "numbers": numbers(agent.output),
            }
            for name, agent in peers.items()
        },
    }


async def main(folder: Path) -> None:
    """Play it, and print what came of it."""
    async with coordinator(folder):
        play = Relief(folder)
        camera = asyncio.create_task(play.camera.run())
        try:
            print(json.dumps(await _play(play)))
        finally:
            camera.cancel()
            for agent in play.agents:
                await agent.end()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
