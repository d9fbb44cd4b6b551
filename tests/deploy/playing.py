"""Runs playbooks against machines, as a user does: real Ansible over SSH.

Owns: the inventory, Ansible's own folder, and reading the recap. Refuses: what the playbooks should do.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.base_tree import ROOT
from tests.deploy.machines import Machines

PLAYBOOKS: Final = ROOT / "playbooks"
BIN: Final = Path(sys.executable).parent
_RECAP: Final = re.compile(r"^(\S+) +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)
_TIMEOUT_S: Final = 900


@dataclass(frozen=True)
class Played:
    """What became of a playbook: its exit code, what it printed, and the tasks that changed something by host."""

    code: int
    said: str

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host."""
        return {host: int(changed) for host, changed, _, _ in _RECAP.findall(self.said)}


class Player:
    """Plays books on machines.

    Args:
        groups: names of machines by group of the inventory.
        sites: names of groups, of which the group of peers consists.
        variables: of all hosts.
    """

    def __init__(
        self,
        machines: Machines,
        folder: Path,
        groups: Mapping[str, Sequence[str]],
        variables: Mapping[str, Any],
        sites: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self.inventory = folder / "hosts.yml"
        known = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(machines.key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={machines.known_hosts}",
        }
        children: dict[str, Any] = {
            group: {"hosts": {name: {"ansible_host": machines.of[name].address} for name in names}}
            for group, names in groups.items()
        }
        if sites:
            children["peers"] = {"children": {site: {} for site in sites}}
        self.inventory.write_text(yaml.safe_dump({"all": {"vars": {**known, **variables}, "children": children}}))

    @property
    def environment(self) -> dict[str, str]:
        """Ansible's: nothing of the user's own settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return kept | {
            "HOME": str(self._folder),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            # sockets have short names, and pytest's folders long ones
            "ANSIBLE_SSH_CONTROL_PATH_DIR": "/run/ansible-cp",
            "ANSIBLE_TIMEOUT": "120",  # many machines on few processors may take long to let one in
        }

    def play(self, book: str, *words: str) -> Played:
        """Play a book, whatever becomes of it."""
        command = [str(BIN / "ansible-playbook"), "-i", str(self.inventory), book, *words]
        return self.run(command)

    def run(self, command: Sequence[str], folder: Path = PLAYBOOKS, **environ: str) -> Played:
        """Run a command that plays books in a folder; ``environ``: further variables."""
        done = subprocess.run(
            command,
            cwd=folder,
            env=self.environment | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return Played(done.returncode, done.stdout)
