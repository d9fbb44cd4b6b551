"""``overlaycast group …``: administration of groups over the coordinator's HTTP API.

Owns: its options, one request each, and what is printed. Refuses: state of its own.

What a script needs stands alone on stdout: ``create`` prints the join token and nothing else; ``--json`` prints what
the coordinator said, and ``apply --json`` what was done. Everything else is for people.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import CliPositionalArg

from overlaycast.admin.applying import Application
from overlaycast.admin.declared import read
from overlaycast.admin.drawing import drawn, local_time, plain, print_table
from overlaycast.admin.pairs import given_settings
from overlaycast.admin.request import AdminSettings, SaidNoError, ask, creation, request, view
from overlaycast.admin.token_files import TokenFiles
from overlaycast.admin.upkeep import drain, rebalance
from overlaycast.dispatch import Command, dispatch
from overlaycast.errors import ConfigError
from overlaycast.settings import load
from overlaycast.streams import OutputError
from overlaycast.wire.changes import changes
from overlaycast.wire.group import GroupName, GroupSettings
from overlaycast.wire.views import (
    ChangedView,
    CreatedView,
    DeletedView,
    EventsView,
    EventView,
    GroupsView,
    GroupView,
    TreeView,
)

PROG: Final = "overlaycast group"


class CreateSettings(AdminSettings):
    """Make a group and print its join token, alone, on standard output."""

    name: CliPositionalArg[GroupName] = Field(description="the group's name")
    set: list[str] = Field([], description="a setting of the group, as in rate_mbit=8; may be repeated")
    token_ttl: float | None = Field(
        None, gt=0, description="seconds after which the token admits no new members; default: it stays valid"
    )


class SetSettings(AdminSettings):
    """Change settings of a group while it runs: all that are given, or none if one of them may not change.

    docs/operate.md says of each setting whether it may change, and from when on a new value counts.
    """

    name: CliPositionalArg[GroupName] = Field(description="the group's name")
    settings: CliPositionalArg[list[str]] = Field(description="settings of the group, as in improve_s=20")
    check: bool = Field(False, description="only print what would change, or why it may not")


class ApplySettings(AdminSettings):
    """Make the groups that a file declares, and change those that exist to what it declares.

    A group of which one setting may not change stays as it is: one line says why, the other groups get their settings,
    and the exit code is 2. Settings that the file does not name stay as they are, and so do groups that it does not
    name. The file is YAML:

        groups:
          news:
            settings: {rate_mbit: 8}
            token_ttl: 86400
    """

    json_output: bool = Field(False, alias="json", description="print what was done as JSON")
    file: CliPositionalArg[Path] = Field(description="the file that declares the groups; - is standard input")
    check: bool = Field(False, description="only print what would be done, and what would be refused")
    token_dir: Path | None = Field(
        None,
        description="folder that gets NAME.token for each new group, readable by its owner only; default: print it",
    )
    overwrite: bool = Field(False, description="replace files of tokens that exist; only for groups that are made")


class ListSettings(AdminSettings):
    """List all groups."""


class ShowSettings(AdminSettings):
    """Show one group and its settings."""

    name: CliPositionalArg[GroupName] = Field(description="the group's name")


class TreeSettings(ShowSettings):
    """Draw the tree: each member below its parent."""


class DeleteSettings(ShowSettings):
    """End a group: tell its members to exit, and delete it."""


class EventsSettings(ShowSettings):
    """Print what happened in a group."""

    since: int = Field(0, ge=0, description="number of the first event")
    limit: int = Field(1000, ge=1, le=10_000, description="maximum events to print")


# --- commands --------------------------------------------------------------------------------------------------


def _create(argv: list[str]) -> None:
    settings = load(CreateSettings, argv, f"{PROG} create", "group")
    wanted = given_settings(settings.set, f"{PROG} create: set")
    body = creation(settings.name, wanted, settings.token_ttl)
    try:
        if made := ask(settings, CreatedView, "POST", "/v1/groups", body):
            print(made.token)
        sys.stdout.flush()
    except SaidNoError as error:
        if error.status != 409:
            raise
        _exists_so(settings, wanted, error)
    except OutputError as error:
        # the token is shown once: a group that no member can join is not left behind
        request(settings, "DELETE", f"/v1/groups/{settings.name}")
        raise OutputError(f"{error}; the group was deleted again, as its token would be lost") from None


def _exists_so(settings: CreateSettings, wanted: GroupSettings, error: SaidNoError) -> None:
    """A group that exists with these settings is as good as made; only its token is not told again."""
    try:
        said = request(settings, "GET", f"/v1/groups/{settings.name}")
    except SaidNoError:
        raise error from None  # there are too many groups, or its state cannot be used
    found = changes(view(GroupView, said).settings, wanted, GroupSettings.model_fields)
    if found.changed:
        given = wanted.model_fields_set
        differs = [
            f"{name} is {plain(old)}, not {plain(new)}{'' if name in given else ' (the default)'}"
            for name, (old, new) in found.changed.items()
        ]
        raise ConfigError(
            f"{PROG} create: group {settings.name} exists with other settings: {'; '.join(differs)};"
            f" '{PROG} set' changes those that may change"
        )
    if settings.json_output:
        print(json.dumps(said))
    print(
        f"overlaycast: group {settings.name} exists with these settings; its token was printed when it was made",
        file=sys.stderr,
    )


def _set(argv: list[str]) -> None:
    settings = load(SetSettings, argv, f"{PROG} set", "group")
    wanted = given_settings(settings.settings, f"{PROG} set")
    body = {"settings": wanted.model_dump(exclude_unset=True)}
    check = "?check=true" if settings.check else ""
    said = request(settings, "PATCH", f"/v1/groups/{settings.name}{check}", body)
    found = view(ChangedView, said)
    if settings.json_output:
        print(json.dumps(said))
    if found.refused:
        raise ConfigError("; ".join(f"{name}: {why}" for name, why in found.refused.items()))
    if settings.json_output:
        return
    for name, (old, new) in found.changed.items():
        print(f"{name}: {'would change' if settings.check else 'changed'} from {plain(old)} to {plain(new)}")
    if not found.changed:
        print("unchanged")


def _apply(argv: list[str]) -> int:
    settings = load(ApplySettings, argv, f"{PROG} apply", "group")
    document, declared = read(settings.file)
    files = None if settings.token_dir is None else TokenFiles(settings.token_dir, settings.overwrite)
    application = Application(settings, document, declared, files, settings.check)
    try:
        application.run()
    except ConfigError:
        application.tell()  # tokens of groups that were made before are in there
        raise
    return application.tell()


def _list(argv: list[str]) -> None:
    settings = load(ListSettings, argv, f"{PROG} list", "group")
    if answer := ask(settings, GroupsView, "GET", "/v1/groups"):
        rows = [(g.name, g.mode, str(g.epoch), str(g.members), str(g.connected)) for g in answer.groups]
        print_table(rows, ("NAME", "MODE", "EPOCH", "MEMBERS", "CONNECTED"))


def _show(argv: list[str]) -> None:
    settings = load(ShowSettings, argv, f"{PROG} show", "group")
    group = ask(settings, GroupView, "GET", f"/v1/groups/{settings.name}")
    if group is None:
        return
    token = "does not expire" if group.token_expires is None else f"expires {local_time(group.token_expires)}"
    rows = group.model_dump(exclude={"api_version", "settings", "token_expires"})
    rows |= {"created": local_time(group.created), "token": token, **group.settings.model_dump()}
    print_table([(key, str(value)) for key, value in rows.items()])


def _tree(argv: list[str]) -> None:
    settings = load(TreeSettings, argv, f"{PROG} tree", "group")
    if tree := ask(settings, TreeView, "GET", f"/v1/groups/{settings.name}/tree"):
        from rich.console import Console

        Console(highlight=False).print(drawn(settings.name, tree))


def _events(argv: list[str]) -> None:
    settings = load(EventsSettings, argv, f"{PROG} events", "group")
    path = f"/v1/groups/{settings.name}/events?since={settings.since}&limit={settings.limit}"
    answer = ask(settings, EventsView, "GET", path)
    if answer:
        print_table([_event(event) for event in answer.events])


def _event(event: EventView) -> tuple[str, ...]:
    member = "" if event.member is None else f"member {event.member}"
    details = json.dumps(event.details) if event.details else ""
    return str(event.n), local_time(event.t), event.kind, member, details


def _delete(argv: list[str]) -> None:
    settings = load(DeleteSettings, argv, f"{PROG} delete", "group")
    ask(settings, DeletedView, "DELETE", f"/v1/groups/{settings.name}")


COMMANDS: Final = {
    "create": Command("make a group and print its join token", _create),
    "set": Command("change settings of a group while it runs", _set),
    "apply": Command("make and change groups as a file declares them", _apply),
    "list": Command("list all groups", _list),
    "show": Command("show one group and its settings", _show),
    "tree": Command("draw the tree: each member below its parent", _tree),
    "drain": Command("have a member's children fed by others", drain),
    "rebalance": Command("improve the tree now", rebalance),
    "events": Command("print what happened in a group", _events),
    "delete": Command("end a group, and tell its members to exit", _delete),
}


def main(argv: list[str]) -> int:
    """Run ``overlaycast group COMMAND`` and return its exit code.

    Raises:
        ConfigError: wrong options, coordinator not reachable, token not accepted, no such group.
    """
    return dispatch(PROG, COMMANDS, argv)
