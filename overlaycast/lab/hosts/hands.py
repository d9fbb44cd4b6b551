"""The hands on the hosts: orders go there, and answers come back, over Ansible's connections.

Owns: the plays, and the file that is carried. Refuses: what is ordered (``orders``), and what answers mean.

Orders are text that Ansible does not look into. The join token is the one secret: it goes from the coordinator's host
to the members' through Ansible's memory, and stands in no event (``no_log``).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipapp
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from overlaycast.deploy import runner
from overlaycast.deploy.events import Event
from overlaycast.errors import ConfigError, LabError, MissingError
from overlaycast.lab.hosts.orders import PYTHON, Order

VOLATILE: Final = "/run/overlaycast-lab"
ARCHIVE: Final = "gathered.tar.gz"
LISTING_S: Final = 60.0
_TASK: Final = "Carry out the orders"

Orders = Mapping[str, Sequence[Order]]


class HostsError(LabError):
    """Several hosts could not do something: ``all`` has a line for each."""

    def __init__(self, lines: Sequence[str]) -> None:
        """Take at least one."""
        super().__init__(lines[0] if len(lines) == 1 else f"{lines[0]} (and {len(lines) - 1} more hosts)")
        self.all: Final = tuple(lines)


def listing(inventory: Path) -> Mapping[str, Any]:
    """Return what Ansible knows of an inventory.

    Raises:
        ConfigError: it cannot be read.
        MissingError: Ansible is not installed.
    """
    if not inventory.exists():
        raise ConfigError(f"{inventory}: no such inventory; accepted is a file or a folder that Ansible can read")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    program = shutil.which("ansible-inventory", path=path)
    if program is None:
        raise MissingError("real hosts need Ansible; install it with: pip install 'overlaycast[deploy]'")
    settings = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True", "ANSIBLE_NOCOLOR": "1", "PATH": path}
    words = [program, "-i", str(inventory.resolve()), "--list"]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=LISTING_S, env=os.environ | settings, check=False
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{inventory}: ansible-inventory did not end within {LISTING_S:g} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line or "error" in line]
        raise ConfigError(f"{inventory}: {(lines or done.stderr.strip().splitlines() or ['not readable'])[-1][:300]}")
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


class Hands:
    """All hosts of one run."""

    def __init__(self, inventory: Path, run: str, stop: Callable[[], bool], folder: Path | None = None) -> None:
        """Say which hosts there are; nothing is asked yet. ``carried`` are those that have the hand.

        Args:
            inventory: of Ansible.
            run: the run's name on the hosts.
            stop: true ends a call.
            folder: for what ansible-runner keeps.
        """
        self._inventory, self._run, self._stop = inventory, run, stop
        # not the deployment's: a run makes many calls, and only so many are kept
        self._folder = folder or runner.private_folder().parent / "lab"
        self.carried: set[str] = set()

    @property
    def _there(self) -> str:
        return f"{VOLATILE}/{self._run}"

    def carry(self, hosts: Sequence[str]) -> None:
        """Carry the hand to hosts, by their names in the inventory.

        Raises:
            HostsError: a host was not reached; one line for each.
        """
        with packed() as file:
            tasks = [
                _module("file", path=VOLATILE, state="directory", mode="0755"),
                _module("file", path=self._there, state="directory", mode="0700"),
                _module("copy", src=str(file), dest=f"{self._there}/hand.pyz", mode="0600"),
            ]
            self._play([_play(hosts, tasks)])

    def ask(self, *rounds: Orders) -> dict[str, list[dict[str, Any]]]:
        """Have hosts carry out orders, a round after the other, all hosts of a round at once; return their answers.

        Raises:
            HostsError: a host was not reached or could not do it; one line for each.
        """
        plays = []
        for orders in rounds:
            texts = {host: _text(some) for host, some in orders.items()}
            shell = f'{PYTHON} exec "$p" -I {self._there}/hand.pyz {self._run}'
            task = _module(
                "command", argv=["sh", "-c", shell], stdin="{{ overlaycast_lab_orders[inventory_hostname] }}"
            )
            plays.append(_play(list(orders), [{**task, "name": _TASK, "changed_when": False}], orders=texts))
        answers: dict[str, list[dict[str, Any]]] = {}
        wrong = []
        for event in self._play(plays):
            if event.kind == "ok" and event.task == _TASK:
                found = _answers(event)
                answers.setdefault(event.host, []).extend(found)
                wrong += [f"{event.host}: {one['wrong']}" for one in found if "wrong" in one]
        if wrong:
            raise HostsError(wrong)
        return answers

    def give(self, hosts: Sequence[str], file: Path, to: str) -> None:
        """Carry a file to hosts."""
        self._play([_play(hosts, [_module("copy", src=str(file), dest=to, mode="0644")])])

    def share_token(self, coordinator: str, members: Sequence[str]) -> None:
        """Give the members' hosts the join token that was made on the coordinator's."""
        token = f"{self._there}/token"
        read = {**_module("slurp", src=token), "register": "overlaycast_lab_token", "no_log": True}
        content = f"{{{{ hostvars['{coordinator}'].overlaycast_lab_token.content | b64decode }}}}"
        written = {**_module("copy", content=content, dest=token, mode="0600"), "no_log": True}
        self._play([_play([coordinator], [read]), _play(members, [written])])

    def fetch(self, hosts: Sequence[str], to: Path) -> None:
        """Fetch what hosts gathered, as ``HOST.tar.gz``."""
        dest = f"{to}/{{{{ inventory_hostname }}}}.tar.gz"
        self._play([_play(hosts, [_module("fetch", src=f"{self._there}/{ARCHIVE}", dest=dest, flat=True)])])

    def remove(self) -> None:
        """Remove the run from all hosts that have the hand, also if this program was asked to stop."""
        stop, self._stop = self._stop, lambda: False
        try:
            if self.carried:
                self.ask({host: [{"verb": "remove"}] for host in sorted(self.carried)})
        finally:
            self._stop = stop

    def _play(self, plays: Sequence[Mapping[str, Any]]) -> list[Event]:
        """Play, and return the events.

        Raises:
            HostsError: a task failed, or a host was not reached.
            LabError: it was asked to stop.
        """
        events: list[Event] = []
        most = max(len(str(play["hosts"]).split(",")) for play in plays)
        words = ["--forks", str(min(most, 200))]
        stop = self._stop
        outcome = runner.run(
            plays, self._inventory, on_event=events.append, words=words, folder=self._folder, stop=stop
        )
        self.carried |= {one.host for one in events if one.kind == "ok" and one.task == "Use copy"}
        if outcome.stopped or stop():
            raise Stopped("stopped")
        wrong = [f"{one.host}: {_why(one)}" for one in events if one.kind in ("failed", "unreachable")]
        if wrong:
            raise HostsError(wrong)
        if not outcome.good:
            lines = [line for line in outcome.words.splitlines() if line.strip()]
            raise LabError(f"Ansible did not play: {lines[-1] if lines else f'exit code {outcome.code}'}")
        return events


class Stopped(LabError):
    """The user asked to stop."""


def _answers(event: Event) -> list[dict[str, Any]]:
    """Return what a host's hand printed.

    Raises:
        LabError: it is no list of answers.
    """
    text = str((event.result or {}).get("stdout", ""))
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise LabError(f"{event.host}: no answer of the run's own: {text[:200]!r}")
    return found


def _why(event: Event) -> str:
    result = event.result or {}
    said = str(result.get("msg") or "") or str(result.get("stderr") or "") or f"{event.task} failed"
    if event.kind == "failed" and result.get("stderr"):
        said = str(result["stderr"]).strip().splitlines()[-1]
    return " ".join(said.split())[:500]


def _play(hosts: Sequence[str], tasks: Sequence[Mapping[str, Any]], orders: Any = None) -> dict[str, Any]:
    variables: dict[str, Any] = {"ansible_pipelining": True}
    if orders is not None:
        variables["overlaycast_lab_orders"] = orders
    return {
        "name": "Experiment",
        "hosts": ",".join(hosts),
        "gather_facts": False,
        "become": True,
        "vars": variables,
        "tasks": list(tasks),
    }


def _module(name: str, **options: Any) -> dict[str, Any]:
    return {"name": f"Use {name}", f"ansible.builtin.{name}": options}


def _text(orders: Sequence[Order]) -> str:
    """Return orders as text that no template changes."""
    return base64.b64encode(json.dumps(list(orders)).encode()).decode()


@contextmanager
def packed() -> Iterator[Path]:
    """Make the hand's file, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="overlaycast-hand-") as folder:
        place = Path(folder, "tree")
        ours = Path(__file__).parent / "hand"
        shutil.copytree(ours, place / "hand", ignore=shutil.ignore_patterns("__pycache__"))
        file = Path(folder, "hand.pyz")
        zipapp.create_archive(place, file, main="hand.main:main", compressed=True)
        yield file
