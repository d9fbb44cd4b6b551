"""Real agents as processes of their own, started by their command line, as users do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(eq=False)
class AgentProcess:
    """One running agent and its files."""

    name: str
    process: asyncio.subprocess.Process
    output: Path
    journal: Path

    @classmethod
    async def start(
        cls,
        folder: Path,
        url: str,
        command: str,
        name: str,
        *more: str,
        output: str | None = None,
        listen: str = "127.0.0.1:0",
        program: list[str] | None = None,
        token: str = "t",
        **streams: Any,
    ) -> AgentProcess:
        journal = folder / f"{name}.journal"
        out = Path(output) if output else folder / f"{name}.out"  # "-" stays "-"
        words = [command, "g", *more, "--coordinator", url, "--token", token, "--name", name]
        words += ["--listen", listen, "--journal", str(journal)]
        if command == "join":
            words += ["--output", str(out)]
        with (folder / f"{name}.err").open("wb") as err:
            process = await asyncio.create_subprocess_exec(
                *(program or [sys.executable, "-m", "overlaycast.cli"]), *words, **{"stderr": err, **streams}
            )
        return cls(name, process, out, journal)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    async def ended(self, seconds: float = 120) -> tuple[int, str]:
        """Wait for the end; return exit code and stderr."""
        async with asyncio.timeout(seconds):
            await self.process.wait()
        assert self.process.returncode is not None
        return self.process.returncode, self.stderr

    async def end(self) -> None:
        """Whatever it does: no process is left behind."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    @property
    def stderr(self) -> str:
        """What it has said to people so far."""
        return self.journal.with_suffix(".err").read_text()

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """Return the journal's lines of one kind."""
        text = self.journal.read_text().splitlines() if self.journal.exists() else []
        # a killed process may leave half a line
        whole = [json.loads(line) for line in text if line.endswith("}")]
        return [line for line in whole if line["kind"] == kind]

    def summary(self) -> dict[str, Any]:
        return self.lines("summary")[-1]
