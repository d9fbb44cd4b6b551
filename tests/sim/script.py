"""The operations that a script is made of, and how they are played.

A script is data: it can be printed, and played again. Members are named by their ids, in the order in which they join;
1 is the source.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from overlaycast.lab.simulate.hop import Death
from overlaycast.wire.messages import Part
from tests.sim.group import Group


@dataclass(frozen=True, slots=True)
class Join:
    """A host at this seat subscribes."""

    seat: int
    role: Part = "peer"


@dataclass(frozen=True, slots=True)
class Crash:
    """Members die at the same moment: processes by ``reset``, hosts or lines ``silent``."""

    members: tuple[int, ...]
    death: Death


@dataclass(frozen=True, slots=True)
class Leave:
    """A member goes properly."""

    member: int


@dataclass(frozen=True, slots=True)
class Freeze:
    """A member's process stops."""

    member: int


@dataclass(frozen=True, slots=True)
class Thaw:
    """It runs again."""

    member: int


@dataclass(frozen=True, slots=True)
class Mute:
    """A member's data port sends nothing (or, without ``on``, sends again)."""

    member: int
    on: bool = True


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing passes between two members."""

    one: int
    other: int


@dataclass(frozen=True, slots=True)
class Heal:
    """Everything passes again."""

    one: int
    other: int


@dataclass(frozen=True, slots=True)
class Isolate:
    """A site's uplink carries nothing."""

    site: int


@dataclass(frozen=True, slots=True)
class Rejoin:
    """It carries everything again."""

    site: int


@dataclass(frozen=True, slots=True)
class Lose:
    """So much of what is sent between members is lost, and sent again; 0: nothing."""

    share: float


@dataclass(frozen=True, slots=True)
class LoseCoordinator:
    """The coordinator is gone."""


@dataclass(frozen=True, slots=True)
class ReturnCoordinator:
    """It is back, with what it has stored."""


@dataclass(frozen=True, slots=True)
class RestartSource:
    """The source dies and starts again."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes."""

    seconds: float


Operation = (
    Join
    | Crash
    | Leave
    | Freeze
    | Thaw
    | Mute
    | Cut
    | Heal
    | Isolate
    | Rejoin
    | Lose
    | LoseCoordinator
    | ReturnCoordinator
    | RestartSource
    | Wait
)


def play(group: Group, script: Iterable[Operation]) -> None:
    """Play a script."""
    for operation in script:
        match operation:
            case Join() | Crash() | Leave() | Freeze() | Thaw() | Mute():
                _play_on_members(group, operation)
            case LoseCoordinator():
                group.lose_coordinator()
            case ReturnCoordinator():
                group.return_coordinator()
            case RestartSource():
                group.restart_source()
            case Wait(seconds):
                group.run(seconds)
            case _:
                _play_on_network(group, operation)


def _play_on_members(group: Group, operation: Join | Crash | Leave | Freeze | Thaw | Mute) -> None:
    match operation:
        case Join(seat, role):
            group.join(seat, role)
        case Crash(members, death):
            for member in members:
                group.crash(group.members[member], death)
        case Leave(member):
            group.leave(group.members[member])
        case Freeze(member):
            group.members[member].freeze()
        case Thaw(member):
            group.members[member].thaw()
        case Mute(member, on):
            group.members[member].silence(on)


def _play_on_network(group: Group, operation: Cut | Heal | Isolate | Rejoin | Lose) -> None:
    match operation:
        case Cut(one, other):
            group.cut(one, other)
        case Heal(one, other):
            group.heal(one, other)
        case Isolate(site):
            group.isolate(site)
        case Rejoin(site):
            group.rejoin(site)
        case Lose(share):
            group.lose(share)
