"""Gates: members become members one by one, or all at the same moment."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from overlaycast.errors import LabError
from overlaycast.lab.faults.fixtures import fixtures
from overlaycast.lab.run.members import Members
from overlaycast.lab.run.watch import Seen


class Entrance:
    """Members that wait at their gates, read them to the end, and are then welcomed."""

    def __init__(self, tmp_path: Path) -> None:
        self.seen: dict[str, Seen] = {}
        self.order: list[str] = []
        folders: Any = SimpleNamespace(state=tmp_path)
        watch: Any = SimpleNamespace(look=self.look)
        network: Any = None
        self.members = Members(network, folders, watch, fixtures(()), lambda program: None)

    def look(self, host: str) -> Seen:
        return self.seen.setdefault(host, Seen())

    def start(self, host: str) -> None:
        """Let a member's program run; it is not at its gate yet."""
        program: Any = SimpleNamespace(returncode=None, last_words=lambda: "none")
        self.members.programs[host] = program

    async def come(self, host: str) -> None:
        """Start a member, and let it come to its gate."""
        self.start(host)
        text = await asyncio.to_thread(self.members.gate(host).read_text)
        self.order.append(f"{host} {text}")
        self.look(host).joined = True


async def test_all_are_let_in_once_all_have_come(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path)
    for host in ("a", "b", "c"):
        entrance.members.gate(host)
    first = [asyncio.create_task(entrance.come(host)) for host in ("a", "b")]
    await asyncio.sleep(0)
    texts = {host: f"token of {host}" for host in ("a", "b", "c")}
    entrance.start("c")
    admitted = asyncio.create_task(entrance.members.admit_together(texts, 60))
    assert entrance.order == []
    await entrance.come("c")
    await asyncio.gather(admitted, *first)
    assert sorted(entrance.order) == ["a token of a", "b token of b", "c token of c"]


async def test_one_that_ends_before_it_comes_ends_the_run(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path)
    ended: Any = SimpleNamespace(returncode=2, last_words=lambda: "no such group")
    entrance.members.programs["a"] = ended
    with pytest.raises(LabError, match="a ended with 2 before it was a member: no such group"):
        await entrance.members.admit_together({"a": "token"}, 60)
