"""The commands of a run, as a user would type them. Pure.

Owns: the words of each command line. Refuses: anything that a user could not do from a shell: no imports of the
programs, no private options.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from overlaycast.lab.experiment.experiment import Experiment, FileStream, MediaStream, SyntheticStream

PROGRAM: Final = (sys.executable, "-m", "overlaycast.cli")
PORT: Final = 8470
COORDINATOR: Final = "coordinator"
GROUP: Final = "group"
"""The names of these two programs' logs and journals; a member's are named after its host."""
RESULTS: Final = ("result.json", "series.json", "events.jsonl", "report.html")


def overlaycast(*words: str) -> list[str]:
    """Return ``overlaycast …`` as run by this very interpreter."""
    return [*PROGRAM, *words]


def outputs(received: Path, host: str) -> tuple[Path, ...]:
    """Return a receiver's file in a folder, and what a receiver notes beside it."""
    return received / host, received / f"{host}.parts"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a run keeps what. ``state`` must be short: a Unix socket lies in it."""

    out: Path
    state: Path

    @property
    def logs(self) -> Path:
        """The programs' standard error."""
        return self.out / "logs"

    @property
    def journals(self) -> Path:
        """The programs' journals."""
        return self.out / "journals"

    @property
    def received(self) -> Path:
        """The receivers' output files."""
        return self.out / "received"

    @property
    def socket(self) -> Path:
        """The coordinator's local socket."""
        return self.state / "admin.sock"

    @property
    def admin_token(self) -> Path:
        """The coordinator's admin token."""
        return self.state / "admin.token"

    def journal(self, host: str) -> Path:
        """Return a member's journal."""
        return self.journals / f"{host}.jsonl"

    def output(self, host: str) -> Path:
        """Return a receiver's file."""
        return self.received / host

    def log(self, host: str) -> Path:
        """Return the file of a program's standard error."""
        return self.logs / f"{host}.log"

    def make(self, members: Sequence[str]) -> None:
        """Make the folders, and take away what an earlier run wrote there: programs append to their journals."""
        for folder in (self.out, self.logs, self.journals, self.received):
            folder.mkdir(parents=True, exist_ok=True)
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        for host in (*members, COORDINATOR, GROUP):
            for file in (self.journal(host), self.log(host), *outputs(self.received, host)):
                file.unlink(missing_ok=True)
        for name in RESULTS:
            (self.out / name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Membership:
    """What every member of the run gets: the group, the coordinator's address and the join token.

    ``token_file``: where a member's host has the token, if it is not read at a gate.
    """

    group: str
    coordinator: str
    token: str
    token_file: str | None = None

    def words(self, host: str, folders: Folders, gate: Path) -> list[str]:
        """Return the options that all members share. The token is read from a file: it is no word of a command."""
        secret = ["--config", str(gate)] if self.token_file is None else ["--token-file", self.token_file]
        member = [self.group, "--coordinator", self.coordinator, *secret]
        return [*member, "--name", host, "--journal", str(folders.journal(host))]


def url(address: str, port: int = PORT) -> str:
    """Return where the coordinator is, at this address."""
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def coordinator(folders: Folders, *, six: bool = False, port: int = PORT) -> list[str]:
    """Return the command of the coordinator; with ``six`` it listens on IPv6 too, which not every machine has."""
    journal = str(folders.journal(COORDINATOR))
    every = "[::]" if six else "0.0.0.0"
    words = ("--listen", f"{every}:{port}", "--state", str(folders.state), "--journal", journal)
    return overlaycast("coordinator", *words)


def create_group(experiment: Experiment, folders: Folders, first: int, port: int = PORT) -> list[str]:
    """Return the command that makes the group and prints its join token; ``first`` receivers are waited for."""
    settings = experiment.group.model_dump(include=experiment.group.model_fields_set)
    settings.setdefault("start_members", first)
    words = ["--admin-token-file", str(folders.admin_token), "--coordinator", url("127.0.0.1", port)]
    for name, value in settings.items():
        words += ["--set", f"{name}={value}"]
    return overlaycast("group", "create", experiment.name, *words)


def send(
    experiment: Experiment,
    host: str,
    membership: Membership,
    folders: Folders,
    file: Path,
    gate: Path,
) -> list[str]:
    """Return the command of the source."""
    stream = experiment.stream
    words = [*membership.words(host, folders, gate)]
    words[1:1] = [str(file)]
    words += ["--mode", experiment.group.mode]
    rate = _rate(stream)
    if rate is not None:
        words += ["--rate", f"{rate:g}M"]
    if stream.record_size is not None:
        words += ["--record-size", str(stream.record_size)]
    return overlaycast("send", *words)


def _rate(stream: MediaStream | SyntheticStream | FileStream) -> float | None:
    """Return the rate to ask for; a video has its own clock and needs none."""
    return None if isinstance(stream, MediaStream) else stream.rate_mbit


def join(host: str, membership: Membership, folders: Folders, gate: Path, output: str) -> list[str]:
    """Return the command of a receiver."""
    return overlaycast("join", *membership.words(host, folders, gate), "--output", output, "--overwrite")


def backup(host: str, membership: Membership, folders: Folders, gate: Path) -> list[str]:
    """Return the command of a backup relay."""
    return overlaycast("relay", *membership.words(host, folders, gate), "--backup")
