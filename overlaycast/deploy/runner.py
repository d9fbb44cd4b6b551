"""Plays a playbook with ansible-runner: one call, its events while it goes on, and its end.

Owns: the private data folder (0700; one folder of artefacts for each call, the oldest removed), what Ansible sees of
the environment, and that Ansible and its connections end when they are asked to. Refuses: what events mean (``events``,
``progress``), and signals, which are the caller's: give ``stop``.

ansible-runner writes the environment and the command line of Ansible into the artefacts. So Ansible sees the variables
of ``PASSED`` alone, of which none is a secret, and ``extra`` must hold none.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from overlaycast.deploy.events import Event, event
from overlaycast.errors import ConfigError, MissingError
from overlaycast.named_files import make_private

KEEP: Final = 20
"""Calls of a kind whose artefacts are kept."""
PASSED: Final = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "DISPLAY", "VIRTUAL_ENV",
    "PYTHONPATH", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_ASKPASS", "GNUPGHOME", "KRB5CCNAME", "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME", "XDG_CACHE_HOME",
})  # fmt: skip
"""Variables that Ansible gets; also all of LC_ and ANSIBLE_, but no ANSIBLE_ that may hold a password itself."""
_SECRET: Final = ("PASS", "PASSWORD", "TOKEN", "SECRET")
_LOOK_S: Final = 0.25
"""How often the runner asks whether it shall stop."""
_GRACE_S: Final = 10.0
"""Seconds for Ansible to end its connections by itself."""
_LAST: Final = 4000
"""Characters of Ansible's last words that are kept."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a playbook ended.

    Attributes:
        code: Ansible's exit code: 0 all is well, 2 a task failed, 4 a host was not reached; others: it did not play.
        stopped: it was asked to stop.
        words: the last of what Ansible printed, where no event says why it did not play.
        folder: its artefacts.
    """

    code: int
    stopped: bool
    words: str
    folder: Path

    @property
    def good(self) -> bool:
        """Did every task of every host go well?"""
        return self.code == 0 and not self.stopped


def private_folder() -> Path:
    """Return where artefacts are by default: ``overlaycast/deploy`` below the user's folder of states."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state") / "overlaycast" / "deploy"


def run(
    playbook: Path | Sequence[Mapping[str, Any]],
    inventory: Path,
    *,
    on_event: Callable[[Event], None],
    extra: Mapping[str, Any] | None = None,
    words: Sequence[str] = (),
    answers: Mapping[str, str] | None = None,
    folder: Path | None = None,
    kind: str = "artifacts",
    keep: int = KEEP,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Play a playbook and return how it ended; it runs in this thread.

    Args:
        playbook: a file, or its plays as data. Data is written below ``folder``.
        inventory: a file or a folder.
        on_event: called in this thread for each event, in order.
        extra: variables that count before all others. Not secrets: they are on Ansible's command line.
        words: further options of ``ansible-playbook``, such as ``--check``.
        answers: what Ansible is told where it asks at its terminal, by a pattern of the question; they are not kept.
        folder: the private data folder; made, with mode 0700, if it is missing. Calls at the same time may share it.
        kind: the folder within it for these artefacts.
        keep: calls of a kind whose artefacts stay there; 0: all.
        stop: asked a few times a second; true ends Ansible, at last by force.

    Raises:
        MissingError: ansible-runner or Ansible is not installed.
        ConfigError: the inventory or the playbook is not there, or the folder cannot be used.
    """
    ansible_runner = _runner()
    if not (inventory.is_file() or inventory.is_dir()):  # Ansible reads it more than once: a pipe will not do
        raise ConfigError(f"{inventory}: no such inventory; accepted is a file or a folder that Ansible can read")
    if isinstance(playbook, Path) and not playbook.is_file():
        raise ConfigError(f"{playbook}: no such playbook")
    place = _folder(folder or private_folder(), kind)
    ident = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{os.urandom(3).hex()}"
    book = playbook if isinstance(playbook, Path) else _written(playbook, place / kind / ident)
    ending = _Ending(stop)

    def heard(raw: dict[str, Any]) -> bool:
        ending.pid = raw.get("pid", ending.pid)
        if found := event(raw):
            on_event(found)
        return True

    runner = ansible_runner.interface.init_runner(
        private_data_dir=str(place),
        artifact_dir=str(place / kind),
        project_dir=str(book.resolve().parent),
        playbook=str(book.resolve()),
        inventory=str(inventory.resolve()),
        extravars=dict(extra or {}),
        cmdline=shlex.join(words) or None,
        passwords=dict(answers or {}),
        ident=ident,
        envvars=_ansible_settings(book),
        event_handler=heard,
        cancel_callback=ending,
        suppress_env_files=True,  # they would be read again by later calls
        fact_cache_type="memory",  # what is known of a host does not stay
        quiet=True,
    )
    runner.config.env = _passed(runner.config.env)
    runner.config.pexpect_timeout = _LOOK_S
    runner.run()
    _rotate(place / kind, keep)
    said = Path(runner.config.artifact_dir) / "stdout"
    words_ = said.read_text(errors="replace")[-_LAST:] if said.exists() else ""
    return Outcome(int(runner.rc or 0), ending.asked, words_, Path(runner.config.artifact_dir))


class _Ending:
    """Asked by the runner whether to kill Ansible: first lets it end its own connections."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop
        self._until: float | None = None
        self.pid: object = None
        """Of Ansible, from its first event on."""

    @property
    def asked(self) -> bool:
        """Was it asked to stop?"""
        return self._until is not None

    def __call__(self) -> bool:
        if self._until is None and self._stop():
            self._until = time.monotonic() + (_GRACE_S if isinstance(self.pid, int) else 0)
            if isinstance(self.pid, int):
                with suppress(ProcessLookupError):
                    os.killpg(os.getpgid(self.pid), signal.SIGINT)  # as Ctrl-C at its terminal
        return self._until is not None and time.monotonic() >= self._until


def _runner() -> Any:
    try:
        import ansible_runner.interface
    except ImportError as error:
        raise MissingError(
            f"deploy needs ansible-runner ({error}); install it with: pip install 'overlaycast[deploy]'"
        ) from None
    if shutil.which("ansible-playbook", path=_path()) is None:
        raise MissingError(
            "deploy needs Ansible (no ansible-playbook found); install it with: pip install 'overlaycast[deploy]'"
        )
    return ansible_runner


def _path() -> str:
    """The programs beside this one's Python come first: it may run without its virtual environment being active."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def _ansible_settings(book: Path) -> dict[str, str]:
    """Return what Ansible shall be told, unless the user's environment tells it otherwise."""
    own = {
        # ansible-runner would switch it off
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        # an inventory that cannot be read is an error, not an empty one
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
    }
    if (config := book.resolve().parent / "ansible.cfg").is_file():
        own["ANSIBLE_CONFIG"] = str(config)
    return {name: os.environ.get(name, value) for name, value in own.items()} | {
        "ANSIBLE_NOCOLOR": "1",
        "PATH": _path(),
    }


def _passed(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what does not concern Ansible, or is secret."""
    ours = ("AWX_ISOLATED_DATA_DIR", "RUNNER_OMIT_EVENTS", "RUNNER_ONLY_FAILED_EVENTS")
    return {
        name: value
        for name, value in environment.items()
        if name in PASSED
        or name in ours
        or (name.startswith(("LC_", "ANSIBLE_")) and name.rpartition("_")[2] not in _SECRET)
    }


def _folder(folder: Path, kind: str) -> Path:
    try:
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        make_private(folder, 0o700)  # it may be older
        if folder.stat().st_mode & 0o077:  # a link's target keeps its mode
            raise ConfigError(f"{folder}: others may read where this link leads; accepted is a folder of your own")
        (folder / kind).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}; accepted is a folder of your own") from None
    return folder.resolve()


def _written(plays: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    book = folder / "playbook.json"
    with open(os.open(book, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(list(plays), file)
    return book


def _rotate(folder: Path, keep: int) -> None:
    """Remove the oldest. Not the runner's own way, which fails if two calls remove at the same time."""
    if keep:
        for old in sorted(folder.iterdir(), key=lambda one: one.name)[:-keep]:
            shutil.rmtree(old, ignore_errors=True)
