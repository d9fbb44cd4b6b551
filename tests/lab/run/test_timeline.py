"""Who is away while a fault lasts, and who comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import TypeAdapter

from overlaycast.errors import LabError
from overlaycast.lab.faults.aim import Ground
from overlaycast.lab.faults.faults import Fault
from overlaycast.lab.faults.tree import Tree
from overlaycast.lab.injection import Stage
from overlaycast.lab.run.progress import PlainProgress
from overlaycast.lab.run.timeline import Timeline
from tests.lab import made_up
from tests.lab.injection.test_injection_network import Net

_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


class Alive:
    """A program that runs, or has ended."""

    def __init__(self, host: str, returncode: int | None = None) -> None:
        self.host, self.returncode, self.pid = host, returncode, 1


class Told:
    """A coordinator that always tells the same, or nothing."""

    def __init__(self, tree: Tree | None) -> None:
        self._tree = tree

    async def tree(self) -> Tree:
        """Return it."""
        if self._tree is None:
            raise LabError("gone")
        return self._tree


def timeline(ended: tuple[str, ...] = (), missing: tuple[str, ...] = (), tree: bool = True) -> Timeline:
    """Return a timeline over the made-up tree."""
    _, cast, network = made_up.experiment()
    members = cast.members
    programs: Any = {host: Alive(host, 0 if host in ended else None) for host in members if host not in missing}

    async def nothing() -> None:
        return

    def nobody() -> Any:
        raise AssertionError

    known = Told(made_up.tree(made_up.START, cast, network, 1) if tree else None)
    stage = Stage(programs, Net(), nobody, nothing)
    return Timeline(stage, known, PlainProgress(), network.site_of, Ground(made_up.topology(), members, cast.source))


async def play(line: Timeline, **fields: Any) -> set[str]:
    """Play one fault to its heal; return who was away in the middle of it."""
    fault = _FAULT.validate_python({"at_s": 0, **fields})
    seen: set[str] = set()

    async def at_once(_: float) -> None:
        return

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        await line.play((("one", fault),), at_once, 0.0, 0.0, group)
        seen |= {*line.gone}
        assert {*line.gone} == line.coming_back
    return seen


async def test_all_behind_an_uplink_are_away_until_it_is_mended() -> None:
    line = timeline()
    away = await play(line, action="link-down", target="uplink:east", heal_after_s=0.01)
    assert away == {"202g", "202h", "202i"}
    assert line.gone == {}
    assert line.coming_back == set()
    assert line.done[0].away == ("202g", "202h", "202i")
    assert line.done[0].healed_at is not None


async def test_who_has_ended_or_never_came_does_not_come_back() -> None:
    line = timeline(ended=("202g",), missing=("202h",))
    await play(line, action="link-down", target="uplink:east", heal_after_s=0.01)
    assert {*line.gone} == {"202g", "202h"}
    assert line.coming_back == set()


async def test_nobody_is_away_while_a_link_only_suffers() -> None:
    line = timeline()
    assert await play(line, action="link-delay", target="202g", delay_ms=10, heal_after_s=0.01) == set()


async def test_without_any_tree_nobody_can_be_aimed_at() -> None:
    with pytest.raises(ExceptionGroup) as error:
        await play(timeline(tree=False), action="kill", target="202g")
    assert isinstance(error.value.exceptions[0], LabError)
