"""A group's tree, and tables, for the terminal.

Owns: how members are shown. Refuses: where they come from. Whatever words members have, they steer no terminal.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.markup import escape

from overlaycast.streams import printable
from overlaycast.wire.views import SeatView, TreeView

if TYPE_CHECKING:
    from rich.tree import Tree

_WIDEST: Final = 10_000
"""No row of a table is as long as this, so each is one line, however narrow the terminal is."""


def drawn(name: str, answer: TreeView) -> Tree:
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


def plain(value: object) -> str:
    """Return a setting's value as people write it: 8, not 8.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def local_time(at: float) -> str:
    """Return seconds since 1970 as people here read them."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def print_table(rows: Sequence[tuple[str, ...]], header: Sequence[str] = ()) -> None:
    """Print a table, each row in a line."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=None, show_header=bool(header), pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=_WIDEST, highlight=False).print(table)
