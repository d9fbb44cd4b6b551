"""``overlaycast group …``: administration of groups over the coordinator's HTTP API.

Owns: its options, one request each, and what is printed. Refuses: state of its own.

What a script needs stands alone on stdout: ``create`` prints the join token and nothing else; ``--json`` prints what
the coordinator said. Everything else is for people.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx
from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import CliPositionalArg
from rich.markup import escape

from overlaycast.dispatch import Command, dispatch
from overlaycast.errors import ConfigError
from overlaycast.settings import Settings, load
from overlaycast.streams import OutputError, printable
from overlaycast.tokens import read_token, shown
from overlaycast.urls import parse_coordinator
from overlaycast.wire.group import GroupName, GroupSettings
from overlaycast.wire.views import (
    CreatedView,
    DeletedView,
    EventsView,
    EventView,
    GroupsView,
    GroupView,
    SeatView,
    TreeView,
)

if TYPE_CHECKING:
    from rich.tree import Tree

_V = TypeVar("_V", bound=BaseModel)

PROG: Final = "overlaycast group"
_TIMEOUT_S: Final = 10.0
_WIDEST: Final = 10_000
"""No row of a table is as long as this, so each is one line, however narrow the terminal is."""


class AdminSettings(Settings):
    """Groups of a coordinator."""

    coordinator: str = Field(
        "http://127.0.0.1:8470",
        description="http://HOST:PORT, or unix:FILE for the Unix socket in the coordinator's state folder",
    )
    admin_token_file: Path = Field(
        Path("~/.local/state/overlaycast/admin.token"),
        description="file with the admin token, written by the coordinator at its first start",
    )
    json_output: bool = Field(False, alias="json", description="print the coordinator's answer as JSON")


class CreateSettings(AdminSettings):
    """Make a group and print its join token, alone, on standard output."""

    name: CliPositionalArg[GroupName] = Field(description="the group's name")
    set: list[str] = Field([], description="a setting of the group, as in rate_mbit=8; may be repeated")
    token_ttl: float | None = Field(
        None, gt=0, description="seconds after which the token admits no new members; default: it stays valid"
    )


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
    wanted = _group_settings(settings.set, f"{PROG} create")
    body: dict[str, Any] = {"name": settings.name, "settings": wanted.model_dump(exclude_unset=True)}
    if settings.token_ttl is not None:
        body["token_ttl_s"] = settings.token_ttl
    try:
        if made := _ask(settings, CreatedView, "POST", "/v1/groups", body):
            print(made.token)
        sys.stdout.flush()
    except (OutputError, BrokenPipeError) as error:
        # the token is shown once: a group that no member can join is not left behind
        _answer(settings, "DELETE", f"/v1/groups/{settings.name}", None)
        raise OutputError(f"{error}; the group was deleted again, as its token would be lost") from None


def _list(argv: list[str]) -> None:
    settings = load(ListSettings, argv, f"{PROG} list", "group")
    if answer := _ask(settings, GroupsView, "GET", "/v1/groups"):
        rows = [(g.name, g.mode, str(g.epoch), str(g.members), str(g.connected)) for g in answer.groups]
        _print_table(rows, ("NAME", "MODE", "EPOCH", "MEMBERS", "CONNECTED"))


def _show(argv: list[str]) -> None:
    settings = load(ShowSettings, argv, f"{PROG} show", "group")
    group = _ask(settings, GroupView, "GET", f"/v1/groups/{settings.name}")
    if group is None:
        return
    token = "does not expire" if group.token_expires is None else f"expires {_local_time(group.token_expires)}"
    rows = group.model_dump(exclude={"api_version", "settings", "token_expires"})
    rows |= {"created": _local_time(group.created), "token": token, **group.settings.model_dump()}
    _print_table([(key, str(value)) for key, value in rows.items()])


def _tree(argv: list[str]) -> None:
    settings = load(TreeSettings, argv, f"{PROG} tree", "group")
    if tree := _ask(settings, TreeView, "GET", f"/v1/groups/{settings.name}/tree"):
        from rich.console import Console

        Console(highlight=False).print(_drawn(settings.name, tree))


def _events(argv: list[str]) -> None:
    settings = load(EventsSettings, argv, f"{PROG} events", "group")
    path = f"/v1/groups/{settings.name}/events?since={settings.since}&limit={settings.limit}"
    answer = _ask(settings, EventsView, "GET", path)
    if answer:
        _print_table([_event(event) for event in answer.events])


def _event(event: EventView) -> tuple[str, ...]:
    member = "" if event.member is None else f"member {event.member}"
    details = json.dumps(event.details) if event.details else ""
    return str(event.n), _local_time(event.t), event.kind, member, details


def _delete(argv: list[str]) -> None:
    settings = load(DeleteSettings, argv, f"{PROG} delete", "group")
    _ask(settings, DeletedView, "DELETE", f"/v1/groups/{settings.name}")


COMMANDS: Final = {
    "create": Command("make a group and print its join token", _create),
    "list": Command("list all groups", _list),
    "show": Command("show one group and its settings", _show),
    "tree": Command("draw the tree: each member below its parent", _tree),
    "events": Command("print what happened in a group", _events),
    "delete": Command("end a group, and tell its members to exit", _delete),
}


def main(argv: list[str]) -> int:
    """Run ``overlaycast group COMMAND`` and return its exit code.

    Raises:
        ConfigError: wrong options, coordinator not reachable, token not accepted, no such group.
    """
    return dispatch(PROG, COMMANDS, argv)


# --- the request -----------------------------------------------------------------------------------------------


def _ask(
    settings: AdminSettings, model: type[_V], method: str, path: str, body: dict[str, Any] | None = None
) -> _V | None:
    """Return the coordinator's answer; with ``--json`` print it as it came, and return None."""
    said = _answer(settings, method, path, body)
    try:
        answer = model.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"coordinator: an answer of another version: {where}: {first['msg']}") from None
    if settings.json_output:
        print(json.dumps(said))
        return None
    return answer


def _answer(settings: AdminSettings, method: str, path: str, body: dict[str, Any] | None) -> object:
    token = read_token(settings.admin_token_file, "admin-token-file")
    base, transport = _reach(settings.coordinator)
    try:
        with httpx.Client(base_url=base, transport=transport, timeout=_TIMEOUT_S, trust_env=False) as http:
            answer = http.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})
            said = answer.json()
    except (httpx.InvalidURL, UnicodeError):
        raise ConfigError(f"coordinator: {settings.coordinator!r}: accepted: http://HOST:PORT or unix:FILE") from None
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise ConfigError(f"coordinator: {settings.coordinator}: not reachable: {reason}") from None
    except ValueError:
        raise ConfigError(f"coordinator: {settings.coordinator}: this is no overlaycast coordinator") from None
    if answer.status_code == 401:
        raise ConfigError(f"admin-token-file: {settings.admin_token_file}: the coordinator does not accept this token")
    if answer.is_error or not isinstance(said, dict):
        text = said.get("error", said) if isinstance(said, dict) else said
        raise ConfigError(f"coordinator: {printable(str(text)):.300}")
    return said


def _reach(coordinator: str) -> tuple[str, httpx.HTTPTransport | None]:
    try:
        url = parse_coordinator(coordinator)
    except ValueError as error:
        raise ConfigError(f"coordinator: {error}") from None
    if url.file is not None:
        return "http://coordinator", httpx.HTTPTransport(uds=str(url.file))
    as_it_stands = url.authority.replace("%25", "%", 1)  # httpx looks up a scope as it is written
    return f"{'https' if url.secure else 'http'}://{as_it_stands}", None


def _group_settings(pairs: list[str], prog: str) -> GroupSettings:
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"{prog}: set: {shown(pair)}: accepted: KEY=VALUE")
        values[key.strip().replace("-", "_")] = value.strip()
    unknown = sorted(set(values) - set(GroupSettings.model_fields))
    if unknown:
        accepted = ", ".join(GroupSettings.model_fields)
        raise ConfigError(f"{prog}: set: {shown(unknown[0])}: unknown setting; accepted: {accepted}")
    try:
        return GroupSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{prog}: set: {first['loc'][0]}: {first['msg']} (got {first['input']!r:.80})") from None


# --- drawing ---------------------------------------------------------------------------------------------------


def _drawn(name: str, answer: TreeView) -> Tree:
    """Return a group's tree for the terminal: which member feeds which, and which still wait to be attached."""
    from rich.tree import Tree

    members = {member.id: member for member in _told_apart(answer.members)}
    children: dict[int | None, list[SeatView]] = {}
    for member in sorted(members.values(), key=lambda m: (m.rank, m.id)):
        children.setdefault(member.parent, []).append(member)
    drawing = Tree(f"[bold]{name}[/bold]  epoch {answer.epoch}, {len(members)} members")
    seen: set[int] = set()

    # a stack, not recursion: a chain may be as deep as the group's depth limit, and a wrong answer deeper still
    tops = [*children.get(None, []), *(m for m in members.values() if m.parent not in {None, *members})]
    todo = [(drawing, member) for member in reversed(tops)]
    while todo:
        branch, member = todo.pop()
        if member.id in seen:
            continue
        seen.add(member.id)
        below = branch.add(_label(member, members))
        todo += [(below, child) for child in reversed(children.get(member.id, []))]
    return drawing


def _told_apart(members: Sequence[SeatView]) -> list[SeatView]:
    """Return the members; where several have one name, each with its number behind it."""
    names = Counter(member.name for member in members)
    return [
        one.model_copy(update={"name": f"{one.name} ({one.id})"}) if names[one.name] > 1 else one for one in members
    ]


def _label(member: SeatView, members: dict[int, SeatView]) -> str:
    marks = [member.role]
    if member.primary:
        marks.append("primary")
    if member.site:
        marks.append(f"site {member.site}")
    if member.standbys:
        marks.append("standby " + ", ".join(members[s].name if s in members else str(s) for s in member.standbys))
    if member.receive_mbit is not None:
        marks.append(f"{member.receive_mbit:.3g} Mbit/s")
    if member.latency_ms is not None:
        marks.append(f"{member.latency_ms:.0f} ms late")
    if member.lost:
        marks.append(f"{member.lost} lost")
    if member.behind:
        marks.append(f"behind: its {member.behind}")
    colour = "red" if member.state in ("SUSPECT", "SILENT", "DEAD", "STALLED", "SEARCHING") else "dim"
    host = f" [dim]{_shown(member.host)}[/dim]" if member.host else ""
    state = f"[{colour}]{_shown(member.state)}[/{colour}]"
    return f"[bold]{_shown(member.name)}[/bold]{host}  {_shown(', '.join(marks))}  {state}".rstrip()


def _shown(text: str) -> str:
    """Return a member's words as they are read, whatever they would do to a terminal or mean to rich."""
    return escape(printable(text))


def _local_time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _print_table(rows: Sequence[tuple[str, ...]], header: Sequence[str] = ()) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=None, show_header=bool(header), pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=_WIDEST, highlight=False).print(table)
