"""``overlaycast group rebalance`` and ``drain``: what keeps a group running while its hosts are upgraded.

Owns: their options, the wait for a drained member, and what is printed. Refuses: who is moved where (the coordinator).
"""

from __future__ import annotations

import json
import time
from typing import Any, Final
from urllib.parse import quote

from pydantic import Field
from pydantic_settings import CliPositionalArg

from overlaycast.admin.drawing import print_table
from overlaycast.admin.request import AdminSettings, ask, request, view
from overlaycast.errors import ConfigError
from overlaycast.settings import load
from overlaycast.streams import printable
from overlaycast.wire.group import GroupName
from overlaycast.wire.messages import Name
from overlaycast.wire.views import DrainView, MoveView, NamedMember, RebalancedView

PROG: Final = "overlaycast group"
LOOK_S: Final = 0.2
"""The coordinator is asked so often whether a member is drained."""


class RebalanceSettings(AdminSettings):
    """Improve the tree now, and print who gets another parent: as many as one round of improvement moves.

    Nobody gets a worse place, and nobody is moved while a failure is being settled. Also for groups with improve_s=0.
    """

    name: CliPositionalArg[GroupName] = Field(description="the group's name")


class DrainSettings(AdminSettings):
    """Have a member's children fed by others, so that its host can be stopped without a gap.

    The member goes on receiving and gets no new children, until --undo, or until it is started again.
    """

    name: CliPositionalArg[GroupName] = Field(description="the group's name")
    member: CliPositionalArg[Name] = Field(description="the member's number, or its name if no other has it")
    undo: bool = Field(False, description="let it have children again")
    wait: float | None = Field(
        None, ge=0, le=86_400, description="seconds to wait until no member needs it; exit code 1 if one still does"
    )


def rebalance(argv: list[str]) -> None:
    """Run ``overlaycast group rebalance``."""
    settings = load(RebalanceSettings, argv, f"{PROG} rebalance", "group")
    answer = ask(settings, RebalancedView, "POST", f"/v1/groups/{settings.name}/rebalance")
    if answer is None:
        return
    if answer.moves:
        print_table([_move(move) for move in answer.moves], ("MEMBER", "FROM", "TO", "LINKS", "MS"))
    else:
        print(f"nobody is moved: {answer.hindrance or 'no member has a better place'}")


def _move(move: MoveView) -> tuple[str, ...]:
    links = "" if move.gain_links is None else f"{-move.gain_links:+d}"
    delay = "" if move.gain_ms is None else f"{-move.gain_ms:+.1f}"
    return _told(move.member), _told(move.was), _told(move.now), links, delay


def drain(argv: list[str]) -> int:
    """Run ``overlaycast group drain``; return the exit code.

    Raises:
        ConfigError: wrong options, or the coordinator refuses.
    """
    settings = load(DrainSettings, argv, f"{PROG} drain", "group")
    if settings.undo and settings.wait is not None:
        raise ConfigError(f"{PROG} drain: wait: accepted only without --undo")
    path = f"/v1/groups/{settings.name}/members/{quote(settings.member, safe='')}/drain"
    said = request(settings, "DELETE" if settings.undo else "POST", path)
    if settings.wait is not None:
        said = _emptied(settings, said, time.monotonic() + settings.wait)
    answer = view(DrainView, said)
    print(json.dumps(said) if settings.json_output else _state(answer))
    return int(settings.wait is not None and bool(answer.left))


def _emptied(settings: DrainSettings, said: dict[str, Any], until: float) -> dict[str, Any]:
    """Return the newest answer: nobody needs the member any more, or time is up."""
    while (answer := view(DrainView, said)).left and time.monotonic() < until:
        time.sleep(LOOK_S)
        said = request(settings, "GET", f"/v1/groups/{settings.name}/members/{answer.member}/drain")
    return said


def _state(answer: DrainView) -> str:
    who = f"member {_told(NamedMember(id=answer.member, name=answer.name))}"
    if not answer.draining:
        return f"{who} is not drained"
    if answer.left:
        return f"{who} is drained; it is still needed by {', '.join(map(_told, answer.left))}"
    return f"{who} is drained; no member needs it"


def _told(member: NamedMember) -> str:
    return f"{member.id} ({printable(member.name)})"
