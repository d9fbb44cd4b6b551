"""``overlaycast deploy …``: hosts of an inventory get members, are looked at, upgraded and left, through Ansible.

Owns: the options of the five commands. Refuses: what is done on hosts; that is the playbooks'.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from getpass import getpass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field
from pydantic_settings import CliPositionalArg

from overlaycast.deploy.books import artefact
from overlaycast.deploy.events import Event
from overlaycast.deploy.following import follow
from overlaycast.deploy.interrupt import Interrupt
from overlaycast.deploy.journal import EVERY, unit_name
from overlaycast.deploy.playing import Play, must_have_played, play
from overlaycast.deploy.progress import Progress
from overlaycast.deploy.screen import screen, table
from overlaycast.deploy.standing import COLUMNS, Stand
from overlaycast.dispatch import Command, dispatch
from overlaycast.errors import ConfigError
from overlaycast.settings import Settings, load

PROG: Final = "overlaycast deploy"


class DeploySettings(Settings):
    """Options that all of them have."""

    inventory: CliPositionalArg[Path] = Field(description="file or folder that names your hosts, for Ansible")
    private_dir: Path | None = Field(
        None,
        description="folder that keeps what Ansible says, of the last 20 runs of each playbook;"
        " default: ~/.local/state/overlaycast/deploy",
    )
    ask_become_pass: bool = Field(False, description="ask for the password that sudo wants on the hosts")

    def play(self, book: str, extra: Mapping[str, Any] | None = None, **more: Sequence[str]) -> Play:
        """Return what is to be played; asks for the password first."""
        password = getpass("Password of sudo on the hosts: ") if self.ask_become_pass else None
        return Play(book, self.inventory, extra or {}, folder=self.private_dir, sudo_password=password, **more)


class PlaySettings(DeploySettings):
    """Options of what changes hosts."""

    check: bool = Field(False, description="only say what would be changed")
    diff: bool = Field(False, description="also show the lines of files that change")

    def words(self) -> list[str]:
        """Return them as ansible-playbook has them."""
        return ["--check"] * self.check + ["--diff"] * self.diff


class UpSettings(PlaySettings):
    """Have the hosts of an inventory run what it says: install the program, start the coordinator, groups and members.

    Hosts on which nothing is to be changed stay as they are. docs/deploy.md says how to write the inventory.
    """

    artefact: Path | None = Field(
        None, description="file that make dist has made, which hosts install; default: what suits them in dist/"
    )
    limit: list[str] = Field(
        [], description="only this host or group, and the coordinator, which has the join tokens; may be repeated"
    )
    tags: list[str] = Field([], description="only this role or step, as playbooks/README.md lists; may be repeated")


class StatusSettings(DeploySettings):
    """Print what each unit says of itself, and the tree of each group. The exit code is 1 if a unit does not run."""

    json_output: bool = Field(False, alias="json", description="print it as JSON")


class UpgradeSettings(PlaySettings):
    """Have the hosts run another version, one after the other, each when the one before is fed again.

    To roll back, name the old version: it is still installed.
    """

    version: str = Field(
        "", pattern=r"^([0-9][0-9A-Za-z.+!-]{0,63})?$", description="version to run; default: that of --artefact"
    )
    artefact: Path | None = Field(
        None, description="file that make dist has made, which hosts install; default: what suits them in dist/"
    )


class DownSettings(PlaySettings):
    """Stop everything on the hosts and remove it. Recordings and the coordinator's state stay, unless with --data."""

    data: bool = Field(False, description="remove recordings and the coordinator's state, too")
    yes: bool = Field(False, description="do not ask before data is removed")


class LogsSettings(DeploySettings):
    """Print the last lines of the units' journals."""

    hosts: CliPositionalArg[list[str]] = Field([], description="hosts or groups; default: all")
    unit: list[Annotated[str, AfterValidator(unit_name)]] = Field(
        [], description="a unit such as join@news or coordinator, or a pattern; may be repeated; default: all"
    )
    since: str = Field("", description="a time as journalctl takes it, such as '10 min ago'")
    lines: int = Field(20, ge=1, le=100_000, description="at most so many lines of each host")
    follow: bool = Field(False, description="go on until Ctrl-C; hosts are asked again and again")


def _up(argv: list[str]) -> int:
    settings = load(UpSettings, argv, f"{PROG} up", "deploy")
    words = settings.words() + (["--tags", ",".join(settings.tags)] if settings.tags else [])
    hosts = [*settings.limit, "coordinator"] if settings.limit else []
    extra = artefact(settings.artefact)
    return play(settings.play("site", extra, hosts=hosts, named=settings.limit, words=words))


def _upgrade(argv: list[str]) -> int:
    settings = load(UpgradeSettings, argv, f"{PROG} upgrade", "deploy")
    extra = artefact(settings.artefact)
    named = extra.get("overlaycast_version", settings.version)
    if settings.version not in ("", named):
        raise ConfigError(f"{PROG} upgrade: version: {settings.version} is not that of the artefact, {named}")
    if not named:
        raise ConfigError(f"{PROG} upgrade: version: required, or --artefact")
    extra["overlaycast_version"] = named
    return play(settings.play("upgrade", extra, words=settings.words()))


def _down(argv: list[str]) -> int:
    settings = load(DownSettings, argv, f"{PROG} down", "deploy")
    if settings.data and not (settings.yes or settings.check):
        _ask(settings.inventory)
    extra = {"overlaycast_remove_data": settings.data}
    return play(settings.play("remove", extra, words=settings.words()))


def _ask(inventory: Path) -> None:
    """Raise ``ConfigError`` unless a person at the terminal says yes."""
    if not sys.stdin.isatty():
        raise ConfigError(f"{PROG} down: data: removes recordings for good; accepted with --yes")
    print(
        f"This removes the recordings and the coordinator's state on the hosts of {inventory} for good.",
        file=sys.stderr,
    )
    print("Type yes to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != "yes":
        raise ConfigError(f"{PROG} down: nothing was removed")


def _status(argv: list[str]) -> int:
    settings = load(StatusSettings, argv, f"{PROG} status", "deploy")
    what = settings.play("status", {"overlaycast_trees_json": settings.json_output})
    stand, progress = Stand(), Progress()
    with Interrupt() as interrupt:
        with screen(progress):

            def heard(event: Event) -> None:
                list(progress.hear(event))
                stand.hear(event)

            outcome = what.run(heard, interrupt)
        if outcome.stopped:
            return interrupt.code
    must_have_played(what, outcome, progress)
    if settings.json_output:
        print(json.dumps(stand.view(), ensure_ascii=False))
    else:
        print("\n\n".join([table(COLUMNS, stand.rows()), *(text.strip() for text in stand.trees.values() if text)]))
    for one in progress.failures:
        print(f"overlaycast: {one.host}: {one.why}", file=sys.stderr)
    return 0 if progress.good else 1


def _logs(argv: list[str]) -> int:
    settings = load(LogsSettings, argv, f"{PROG} logs", "deploy")
    extra = {
        "overlaycast_logs_units": settings.unit or [EVERY],
        "overlaycast_logs_lines": settings.lines,
        "overlaycast_logs_since": settings.since,
    }
    what = settings.play("logs", extra, hosts=settings.hosts, named=settings.hosts)
    return follow(what, again=settings.follow)


COMMANDS: Final = {
    "up": Command("install, start and configure what an inventory says", _up),
    "status": Command("print what each unit says of itself, and the trees", _status),
    "upgrade": Command("have another version run, one host after the other", _upgrade),
    "down": Command("stop everything and remove it", _down),
    "logs": Command("print the last lines of the units' journals", _logs),
}


def main(argv: list[str]) -> int:
    """Run ``overlaycast deploy COMMAND`` and return its exit code.

    Raises:
        ConfigError: wrong options, or an inventory that Ansible cannot use.
        MissingError: Ansible is not installed.
    """
    return dispatch(PROG, COMMANDS, argv)
