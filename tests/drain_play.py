"""A live stream of real programs, in which a forwarder is drained and then stopped. Run within a namespace of its own.

Prints, as one JSON object, what became of every receiver.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.agent.processes import AgentProcess

SECONDS: Final = 600
"""Of the stream, which is ended before."""
PEERS: Final = 4
_PROGRAM: Final = [sys.executable, "-m", "overlaycast.cli"]
_COORDINATOR: Final = "http://127.0.0.1:8470"


async def _run(*words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


class Play:
    """One coordinator and its group."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.agents: list[AgentProcess] = []
        self.token = ""

    async def admin(self, *words: str) -> tuple[int, Any]:
        """Run ``overlaycast group``; return its exit code and what it printed as JSON."""
        where = ["--admin-token-file", str(self.folder / "state" / "admin.token"), "--json"]
        code, out = await _run(*_PROGRAM, "group", *words, *where)
        return code, json.loads(out)

    async def start(self, command: str, name: str, *more: str, **streams: Any) -> AgentProcess:
        """Start a member."""
        agent = await AgentProcess.start(self.folder, _COORDINATOR, command, name, *more, token=self.token, **streams)
        self.agents.append(agent)
        return agent

    async def until(self, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until this holds of the members, by name, and return them."""
        async with asyncio.timeout(120):
            while True:
                _, answer = await self.admin("tree", "g")
                members = {member["name"]: member for member in answer["members"]}
                if holds(members):
                    return members
                await asyncio.sleep(0.1)


async def _play(play: Play) -> dict[str, Any]:
    _, made = await play.admin("create", "g", "--set", "report_ms=200", "--set", "rate_mbit=4", "--set", "improve_s=0")
    play.token = made["token"]
    source = await play.start("send", "source", "--synthetic", str(SECONDS), "--rate", "4M", "--out-degree", "1")
    peers = {f"peer-{number}": await play.start("join", f"peer-{number}") for number in range(PEERS)}
    everybody = {"source", *peers}
    members = await play.until(
        lambda by_name: set(by_name) == everybody and all(by_name[name]["receive_mbit"] for name in peers)
    )
    # the source has room for one child: that one feeds all others, some of them by others
    top = next(name for name in peers if members[name]["parent"] == members["source"]["id"])
    children = [name for name in peers if members[name]["parent"] == members[top]["id"]]
    drained = await play.admin("drain", "g", top, "--wait", "30")
    members = await play.until(lambda by_name: top in by_name)
    peers[top].signal(signal.SIGTERM)
    await peers[top].ended()
    await play.until(lambda by_name: set(by_name) == everybody - {top})
    source.signal(signal.SIGTERM)
    for agent in peers.values():
        await agent.ended()
    return {
        "drained": drained,
        "state": members[top]["state"],
        "top": top,
        "children": children,
        "peers": {
            name: {
                "code": agent.process.returncode,
                "lost": agent.summary()["lost"],
                "longest_gap_ms": agent.summary()["longest_gap_ms"],
                "switches": [switch["reason"] for switch in agent.lines("switch")],
                "silent": len(agent.lines("silent")),
            }
            for name, agent in peers.items()
        },
    }


@asynccontextmanager
async def coordinator(folder: Path) -> AsyncIterator[None]:
    """Run a coordinator on loopback."""
    await _run("ip", "link", "set", "lo", "up")
    words = ["coordinator", "--listen", "127.0.0.1:8470", "--state", str(folder / "state"), "--no-trace"]
    process = await asyncio.create_subprocess_exec(*_PROGRAM, *words, stdout=sys.stderr)
    try:
        async with asyncio.timeout(60):
            while not (folder / "state" / "admin.sock").exists():  # noqa: ASYNC110 - it says so nowhere else
                await asyncio.sleep(0.1)
        yield
    finally:
        process.kill()
        await process.wait()


async def main(folder: Path) -> None:
    """Play it, and print what came of it."""
    async with coordinator(folder):
        play = Play(folder)
        try:
            print(json.dumps(await _play(play)))
        finally:
            for agent in play.agents:
                await agent.end()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
