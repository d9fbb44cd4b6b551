"""The honest group beside the fuzzing: a coordinator, a source, a relay and two receivers, and a stream all along.

Owns: starting them, the bytes that are sent, and whether the receivers have them all. Refuses: to disturb them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import time
import urllib.request
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any, Final

from tests.fuzz.campaign import FoundError
from tests.fuzz.programs import Program

PORT: Final = 8470
DATA_PORTS: Final = {"source": 9001, "relay": 9002, "near": 9003, "far": 9004}
GROUP: Final = "honest"
ANSWER_S: Final = 30.0
"""The coordinator answers a tool within this, whatever else it does."""
END_S: Final = 60.0


class Honest:
    """The group, and the programs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{PORT}"
        self.admin_token = ""
        self.tokens: dict[str, str] = {}
        self.programs: dict[str, Program] = {}
        self.slowest_answer_s = 0.0
        self.sent_sha256 = ""
        self._feeder: Process | None = None
        self.sent_bytes = 0

    async def start(self) -> None:
        """Start all; return when both receivers have got something."""
        words = (
            "coordinator",
            "--listen",
            f"127.0.0.1:{PORT}",
            "--state",
            "state",
            "--no-trace",
            "--groups-limit",
            "30",
        )
        self.programs["coordinator"] = await Program.start(self.folder, "coordinator", *words, env={})
        while not await self._answers():
            self.judge()
            await asyncio.sleep(0.05)
        self.admin_token = (self.folder / "state" / "admin.token").read_text().strip()
        await self.create(GROUP, {"rate_mbit": 1, "start_members": 2, "source_out_degree": 8})
        await self._member("relay", "relay")
        await self._member("near", "join", "--output", "near.out")
        await self._member("far", "join", "--output", "far.out")
        reading, writing = os.pipe()
        pipe = asyncio.subprocess.PIPE
        self._feeder = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.fuzz.feeder", stdin=pipe, stdout=writing, stderr=pipe
        )
        await self._member("source", "send", "-", "--record-size", "1316", stdin=reading)
        os.close(reading)
        os.close(writing)

    async def _member(self, name: str, command: str, *more: str, **streams: Any) -> None:
        words = (command, GROUP, *more, "--name", name, "--listen", f"127.0.0.1:{DATA_PORTS[name]}", "--ring-mb", "8")
        env = {"OVERLAYCAST_COORDINATOR": self.url, "OVERLAYCAST_TOKEN": self.tokens[GROUP]}
        self.programs[name] = await Program.start(
            self.folder, name, *words, "--journal", f"{name}.journal", env=env, **streams
        )

    async def create(self, name: str, settings: dict[str, Any]) -> None:
        """Make a group, and keep its token."""
        answer = await self._ask("POST", "/v1/groups", {"name": name, "settings": settings})
        self.tokens[name] = answer["token"]

    async def flows(self, seconds: float = 60.0) -> None:
        """Wait until both receivers have something."""
        async with asyncio.timeout(seconds):
            while not all(_size(self.folder / f"{name}.out") > 0 for name in ("near", "far")):
                self.judge()
                await asyncio.sleep(0.05)

    def judge(self) -> None:
        """Look at all programs once."""
        for program in self.programs.values():
            program.judge()

    async def watch(self) -> None:
        """Ask the coordinator again and again, as a tool does.

        Raises:
            FoundError: it does not answer in time.
        """
        while True:
            if not await self._answers():
                raise FoundError(f"the coordinator has not answered within {ANSWER_S:g} s")
            await asyncio.sleep(0.5)

    async def end(self) -> None:
        """End the stream; all programs end by themselves, with everything.

        Raises:
            FoundError: one does not end, ends otherwise, or has not what was sent.
        """
        assert self._feeder is not None
        _, said = await self._feeder.communicate(b"")
        self.sent_bytes, self.sent_sha256 = int(said.split()[0]), said.split()[1].decode()
        for name in ("near", "far", "relay", "source"):
            await self.programs[name].ended(END_S, {0})
        coordinator = self.programs["coordinator"]
        coordinator.terminate()
        await coordinator.ended(END_S, {0})
        for name in ("near", "far"):
            self.compare(name)

    def compare(self, name: str) -> None:
        """See whether a receiver has what was sent.

        Raises:
            FoundError: it has not.
        """
        received = (self.folder / f"{name}.out").read_bytes()
        if hashlib.sha256(received).hexdigest() != self.sent_sha256:
            raise FoundError(f"{name} has {len(received)} bytes that are not the {self.sent_bytes} that were sent")
        summaries = [line for line in self._journal(name) if line["kind"] == "summary"]
        if summaries[-1]["lost"]:
            raise FoundError(f"{name} has lost {summaries[-1]['lost']} records")

    def _journal(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / f"{name}.journal").read_text().splitlines()]

    def longest_gap_ms(self) -> float:
        """Return the longest time without a record at a receiver, from the journals."""
        gaps = [line.get("gap_ms") or 0.0 for name in ("near", "far") for line in self._journal(name)]
        return max(gaps, default=0.0)

    async def close(self) -> None:
        """Whatever happened: nothing is left behind."""
        if self._feeder is not None and self._feeder.returncode is None:
            self._feeder.kill()
            await self._feeder.wait()
        for program in self.programs.values():
            await program.kill()

    async def _answers(self) -> bool:
        try:
            await self._ask("GET", "/healthz")
        except OSError:
            return False
        return True

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return await asyncio.to_thread(self._ask_now, method, path, body)

    def _ask_now(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("Authorization", f"Bearer {self.admin_token}")
        request.add_header("Content-Type", "application/json")
        began = time.monotonic()
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            told = json.load(answer)
        self.slowest_answer_s = max(self.slowest_answer_s, time.monotonic() - began)
        return told

    async def openapi(self) -> dict[str, Any]:
        """Return what the coordinator says of its routes."""
        document: dict[str, Any] = await self._ask("GET", "/openapi.json")
        return document


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
