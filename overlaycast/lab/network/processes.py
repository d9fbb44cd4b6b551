"""The programs of a run as processes in their hosts: started, awaited, signalled by pid, ended.

Owns: what was started. Refuses: any process that it did not start. Invariant: nothing polls; the kernel reports
an exit through a pidfd.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from overlaycast.errors import LabError

TAIL_BYTES: Final = 4096


class Opener(Protocol):
    """A host that can start programs in its namespaces."""

    def popen(self, *args: Any, **kwargs: Any) -> subprocess.Popen[Any]:
        """Start a program."""


class Program:
    """One program in one host."""

    def __init__(self, host: str, process: subprocess.Popen[Any], log: Path) -> None:
        """Take over a process that was just started."""
        self.host = host
        self.log = log
        self._process = process
        self._cpu_s: float | None = None
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._over)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative after a signal; None while it runs."""
        return self._exit.result() if self._exit.done() else None

    def _over(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._cpu_s = self.cpu_s()  # the kernel keeps the count until the process is waited for
        self._exit.set_result(self._process.wait())

    async def wait(self) -> int:
        """Return the exit code once it has ended."""
        return await asyncio.shield(self._exit)

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if not self._exit.done():
            signal.pidfd_send_signal(self._pidfd, number)

    def state(self) -> str:
        """Return the kernel's letter for what it does: R, S, T (stopped), Z; X once it is gone."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "X"

    def cpu_s(self) -> float:
        """Return the seconds of processor time that it has used, or had used when it ended."""
        if self._cpu_s is not None:
            return self._cpu_s
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def end(self, patience_s: float) -> int:
        """Ask it to go, wait, and kill it if it does not; return the exit code."""
        self.signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                return await self.wait()
        self.signal(signal.SIGKILL)
        return await self.wait()

    def last_words(self) -> str:
        """Return the last line of its log."""
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
            if lines:
                return lines[-1]
        return "it said nothing"


def start(
    opener: Opener,
    host: str,
    words: list[str],
    log: Path,
    *,
    extra: Mapping[str, str] | None = None,
    output: int | None = None,
) -> Program:
    """Start a program in a host; what it prints goes to ``log``.

    The environment's ``OVERLAYCAST_*`` are left out: they would set options that the experiment does not know of.

    Args:
        opener: the host.
        host: its name.
        words: the command.
        log: a file; appended to.
        extra: what the environment holds besides.
        output: a descriptor for its standard output instead of the log.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OVERLAYCAST_")}
    environment |= {"PYTHONUNBUFFERED": "1", **(extra or {})}
    with log.open("ab") as file:
        stdout = file if output is None else output
        process = opener.popen(words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=file, env=environment)
    return Program(host, process, log)


async def output_of(opener: Opener, host: str, words: list[str], log: Path, patience_s: float) -> str:
    """Run a program to its end and return what it printed.

    Raises:
        LabError: it failed, or took too long.
    """
    answer = log.with_suffix(".out")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OVERLAYCAST_")}
    with log.open("ab") as errors, answer.open("wb") as file:
        process = opener.popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=errors, env=environment)
    program = Program(host, process, log)
    try:
        async with asyncio.timeout(patience_s):
            code = await program.wait()
    except TimeoutError:
        await program.end(0.5)
        raise LabError(f"{log.stem} in {host} took longer than {patience_s:g} s; log: {log}") from None
    text = answer.read_text()
    answer.unlink()
    if code != 0:
        raise LabError(f"{log.stem} in {host} ended with {code}: {program.last_words()}")
    return text
