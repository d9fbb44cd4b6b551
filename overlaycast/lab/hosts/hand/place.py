"""Where a run keeps its things on a host, and what its units are called.

Owns: names and paths. All units of a run begin with ``overlaycast-lab-RUN-``, so that they never meet the deployment's.

``volatile`` holds the hand, the deeds and the token; it is root's and ends with the run, or with the next boot.
``data`` holds journals, logs and what is received; it is the user's who runs the programs.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

VOLATILE: Final = Path("/run/overlaycast-lab")
DATA: Final = Path("/var/lib/overlaycast-lab")
USERS: Final = ("overlaycast", "nobody")
"""Who runs the programs: the deployment's user, and where there is none, the one that owns nothing."""
HAND: Final = "hand.pyz"


def user() -> tuple[str, str]:
    """Return the user who runs the programs, and its group."""
    for name in USERS:
        with suppress(KeyError):
            return name, grp.getgrgid(pwd.getpwnam(name).pw_gid).gr_name
    return "root", "root"


def give(folder: Path) -> None:
    """Give a folder to the user who runs the programs; of a link that somebody has put there only the link itself."""
    name, group = user()
    os.chown(folder, pwd.getpwnam(name).pw_uid, grp.getgrnam(group).gr_gid, follow_symlinks=False)


@dataclass(frozen=True)
class Place:
    """One run on this host."""

    run: str
    volatile_root: Path = VOLATILE
    data_root: Path = DATA

    @property
    def volatile(self) -> Path:
        """Root's own folder."""
        return self.volatile_root / self.run

    @property
    def data(self) -> Path:
        """The programs' folder."""
        return self.data_root / self.run

    @property
    def log(self) -> Path:
        """What was done here, as JSON lines."""
        return self.volatile / "deeds.jsonl"

    @property
    def table(self) -> str:
        """The nftables table that counts this run's packets."""
        return f"overlaycast_lab_{self.run.replace('-', '_')}"

    def unit(self, name: str) -> str:
        """Return the name of a unit, without its ending."""
        return f"overlaycast-lab-{self.run}-{name}"

    def deed(self, name: str) -> Path:
        """Return the file that says what a fault does here."""
        return self.volatile / "deeds" / f"{name}.json"

    def command(self, name: str) -> Path:
        """Return the file that says how a program was started."""
        return self.volatile / "commands" / f"{name}.json"

    def journal(self, name: str) -> Path:
        """Return the journal of a program."""
        return self.data / "journals" / f"{name}.jsonl"

    def hand(self, *words: str) -> list[str]:
        """Return the command that has the hand do something later."""
        return [sys.executable, "-I", str(self.volatile / HAND), self.run, *words]

    def note(self, **entry: Any) -> None:
        """Append to what was done."""
        with self.log.open("a") as file:
            file.write(json.dumps(entry) + "\n")
