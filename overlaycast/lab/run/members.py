"""The members' programs in their hosts, with what faults need of them: gates, readers, disks, clocks, rogues.

Owns: every process that is a member or serves one, and how it is started. Refuses: when (``course``), and with which
command (``carrier``). Around some commands stands what a fault needs.

A *gate* makes the order of joining the plan's own: a member is started with ``--config`` naming a FIFO that will hold
its token, does all its loading meanwhile, and becomes a member when the FIFO is written. So members start together,
yet join in order, and the same seed gives the same member ids.
"""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TextIO

from overlaycast.errors import LabError, MissingError
from overlaycast.lab.faults.fixtures import Fixtures
from overlaycast.lab.network import processes
from overlaycast.lab.network.network import Network
from overlaycast.lab.network.processes import Program
from overlaycast.lab.run.programs import Folders
from overlaycast.lab.run.watch import Seen, Watch

FAKETIME: Final = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")
LOOK_S: Final = 0.01
DISK: Final = "75%"


class Members:
    """All members of one run.

    Attributes:
        programs: host -> the newest process of its member.
        readers: host -> the process that reads its member's output.
        disks: host -> the file system that its member's output lies on.
        clocks: host -> the file that moves its wall clock.
        rogues: host -> where a rogue counts its misdeeds.
    """

    def __init__(
        self,
        network: Network,
        folders: Folders,
        watch: Watch,
        fixtures: Fixtures,
        started: Callable[[Program], None],
    ) -> None:
        """Take the parts of a run; nothing is started yet.

        Args:
            network: the hosts.
            folders: where output goes.
            watch: says when a host has joined.
            fixtures: which hosts need what.
            started: called with each new process of a member.
        """
        self.programs: dict[str, Program] = {}
        self.readers: dict[str, Program] = {}
        self.disks = {host: folders.state / f"disk-{host}" for host in fixtures.disks}
        self.clocks = {host: folders.state / f"clock-{host}" for host in fixtures.clocks}
        self.rogues = {host: folders.state / f"rogue-{host}" for host in fixtures.rogues}
        self.fixtures = fixtures
        self.folders, self.watch = folders, watch
        self._network, self._started = network, started
        self._library = _faketime() if fixtures.clocks else ""

    def prepare(self) -> None:
        """Make disks and clocks.

        Raises:
            LabError: a file system could not be mounted.
        """
        for disk in self.disks.values():
            disk.mkdir(parents=True, exist_ok=True)
            words = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                raise LabError(f"{disk}: cannot mount: {done.stderr.strip()}")
        for clock in self.clocks.values():
            clock.write_text("+0\n")

    def output(self, host: str) -> Path:
        """Return the file that a receiver's stream ends in."""
        return self.disks[host] / host if host in self.disks else self.folders.output(host)

    def start(self, host: str, words: list[str]) -> None:
        """Start the member of a host by its command."""
        if host in self.rogues:
            rogue = [
                sys.executable,
                "-m",
                "overlaycast.lab.actors.rogue",
                self.fixtures.rogues[host],
                str(self.rogues[host]),
            ]
            words = [*rogue, "--", *words]
        pipe = self._reader(host) if host in self.fixtures.readers else None
        program = processes.start(
            self._network.host(host), host, words, self.folders.log(host), extra=self._environment(host), output=pipe
        )
        if pipe is not None:
            os.close(pipe)
        self.programs[host] = program
        self._started(program)

    def _reader(self, host: str) -> int:
        """Start what reads a member's output; return the end that the member writes to."""
        inner, outer = os.pipe()
        with self.output(host).open("wb") as file:
            reader = self._network.host(host).popen(["cat"], stdin=inner, stdout=file, stderr=subprocess.DEVNULL)
        os.close(inner)
        self.readers[host] = Program(host, reader, self.folders.log(f"{host}-reader"))
        return outer

    def _environment(self, host: str) -> Mapping[str, str]:
        if host not in self.clocks:
            return {}
        # the monotonic clock, by which programs wait, is left alone: a real clock that jumps does not touch it either
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self.clocks[host]),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            # its workaround for timed waits of old C libraries makes those of this one last a quarter of a second
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    # -- gates ---------------------------------------------------------------------------------------------------

    def gate(self, host: str) -> Path:
        """Return the FIFO that a member of this host reads its token from."""
        path = self.folders.state / f"gate-{host}"
        if not path.exists():
            os.mkfifo(path, 0o600)
        return path

    async def admit(self, host: str, text: str, patience_s: float) -> None:
        """Open the gate of a host, and return once its member has been welcomed.

        Raises:
            LabError: it ended, or it took too long.
        """
        deadline = time.monotonic() + patience_s
        await self._write(host, text, deadline)
        while not self.watch.look(host).joined:
            await self._patience(host, deadline, "was not welcomed")

    async def admit_together(self, texts: Mapping[str, str], patience_s: float) -> None:
        """Open the gates of several hosts once all have come to them, and return once all have been welcomed.

        Raises:
            LabError: one ended, or took too long.
        """
        deadline = time.monotonic() + patience_s
        with ExitStack() as gates:
            opened = [(gates.enter_context(await self._opened(host, deadline)), text) for host, text in texts.items()]
            for gate, text in opened:
                gate.write(text)
                gate.flush()
        for host in texts:
            while not self.watch.look(host).joined:
                await self._patience(host, deadline, "was not welcomed")

    async def _write(self, host: str, text: str, deadline: float) -> None:
        with await self._opened(host, deadline) as gate:
            gate.write(text)

    async def _opened(self, host: str, deadline: float) -> TextIO:
        while True:
            try:
                return os.fdopen(os.open(self.gate(host), os.O_WRONLY | os.O_NONBLOCK), "w")
            except OSError as error:
                if error.errno != errno.ENXIO:  # no process reads it yet
                    raise
                await self._patience(host, deadline, "did not come to its gate")

    async def _patience(self, host: str, deadline: float, what: str) -> None:
        program = self.programs[host]
        if program.returncode is not None:
            raise LabError(f"{host} ended with {program.returncode} before it was a member: {program.last_words()}")
        if time.monotonic() > deadline:
            raise LabError(f"{host} {what} in time: {program.last_words()}")
        await asyncio.sleep(LOOK_S)

    # -- again ---------------------------------------------------------------------------------------------------

    def forget(self, host: str) -> None:
        """Forget what an earlier process of a host's member wrote in its journal."""
        self.watch.look(host)
        self.watch.seen[host] = Seen()

    def last_sample_at(self, host: str) -> float | None:
        """Return the wall clock of the newest sample of a host's member, as its own clock has it."""
        samples = self.watch.seen[host].samples
        return samples[-1].t if samples else None


def _faketime() -> str:
    for pattern in FAKETIME:
        found = sorted(Path("/").glob(pattern.lstrip("/")))
        if found:
            return str(found[0])
    raise MissingError("a clock that steps needs libfaketime; install it with: apt-get install libfaketime")
