"""Real programs as a user starts them, and what is judged all the time: alive, small, and without a traceback."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.fuzz.campaign import FoundError

RSS_MIB: Final = {"coordinator": 160, "send": 100, "join": 100, "relay": 100}
"""Most memory of each program, whatever is said to it; a member's ring has 8 MiB here. 100 000 steps needed half."""
DESCRIPTORS: Final = {"coordinator": 200, "send": 100, "join": 100, "relay": 100}
"""Most descriptors: a member may hold 128 connections that have not said who they are, but fewer are opened here."""
STDERR_BYTES: Final = 4 << 20
"""A flood of messages to people fills a disk."""
_BAD: Final = (b"Traceback", b"never retrieved", b"never awaited", b"CRITICAL", b"set aside")


@dataclass(eq=False)
class Program:
    """One running program."""

    name: str
    words: tuple[str, ...]
    process: Process
    log: Path
    may_end: set[int] = field(default_factory=set)
    """Exit codes with which it may end by now: it was told to, or its stream has ended."""
    most_mib: float = 0.0
    most_descriptors: int = 0
    _read: int = 0

    @classmethod
    async def start(cls, folder: Path, name: str, *words: str, env: dict[str, str], **streams: Any) -> Program:
        """Start ``overlaycast WORDS``."""
        log = folder / f"{name}.err"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("OVERLAYCAST_")}
        with log.open("ab") as err:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "overlaycast.cli",
                *words,
                cwd=folder,
                env={**clean, "PYTHONPATH": os.getcwd(), **env},
                **{"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.DEVNULL, **streams, "stderr": err},
            )
        return cls(name, words, process, log)

    def judge(self) -> None:
        """Look at it once.

        Raises:
            FoundError: it is gone, has grown, or has said what no program of ours may say.
        """
        self._judge_words()
        code = self.process.returncode
        if code is not None:
            if code in self.may_end:
                return
            raise FoundError(f"{self.name} ended with {code}: {self._last_words()}")
        with suppress(FileNotFoundError, ProcessLookupError, IndexError):  # it ends just now
            self._judge_size()

    def _judge_words(self) -> None:
        with self.log.open("rb") as log:
            log.seek(max(0, self._read - 64))  # a word may be cut in two
            news = log.read(STDERR_BYTES + 1)
            self._read = log.tell()
        for bad in _BAD:
            if bad in news:
                at = news.index(bad)
                raise FoundError(f"{self.name} says: {news[at : at + 3000].decode(errors='replace')}")
        if self._read > STDERR_BYTES:
            raise FoundError(f"{self.name} has written {self._read} bytes to stderr: {self._last_words()}")

    def _judge_size(self) -> None:
        proc = Path("/proc") / str(self.process.pid)
        pages = int((proc / "statm").read_text().split()[1])
        mib = pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
        descriptors = len(list((proc / "fd").iterdir()))
        self.most_mib, self.most_descriptors = max(mib, self.most_mib), max(descriptors, self.most_descriptors)
        command = self.words[0]
        if mib > RSS_MIB[command]:
            raise FoundError(f"{self.name} has {mib:.0f} MiB; accepted: up to {RSS_MIB[command]}")
        if descriptors > DESCRIPTORS[command]:
            raise FoundError(f"{self.name} has {descriptors} descriptors; accepted: up to {DESCRIPTORS[command]}")

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def terminate(self) -> None:
        """Ask it to go."""
        if self.process.returncode is None:
            self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)  # not by asyncio, which may then miss the exit code

    async def ended(self, seconds: float, accepted: set[int]) -> None:
        """Wait for its end.

        Raises:
            FoundError: it does not end in time, or with another code.
        """
        try:
            async with asyncio.timeout(seconds):
                code = await self.process.wait()
        except TimeoutError:
            raise FoundError(f"{self.name} has not ended within {seconds:g} s: {self._last_words()}") from None
        self._judge_words()
        if code not in accepted:
            raise FoundError(f"{self.name} ended with {code}, not {accepted}: {self._last_words()}")

    async def kill(self) -> None:
        """Whatever it does: nothing is left behind."""
        if self.process.returncode is None:
            self._send(signal.SIGKILL)
        await self.process.wait()
